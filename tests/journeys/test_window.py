"""The modes `redirect` and `link`: pages and outcomes are the same with and without JavaScript."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser import type_text
from tests.journeys.backend import Backend
from tests.journeys.steps import REFUSAL, WRONG_KEY, heading
from tests.journeys.test_forms import APP_KEY, TRACK_KEY
from tests.running_demo import Demo

CONFIRM = "I expected this, go on"


def pressed(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True).click()


async def wait_for_script(page: Page) -> None:
    """Wait until the page has loaded. If the browser runs scripts, the page's script has then run."""
    await page.wait_for_load_state("load")


async def paste(page: Page, key: str) -> None:
    """Paste a key, and press Enter."""
    field = page.get_by_label("API key", exact=True)
    await type_text(field, key)
    await field.press("Enter")


async def confirmed(page: Page, backend: Backend, slug: str | None = "acme", **more: Any) -> dict[str, Any]:
    """Open and confirm the link of a new session."""
    session = await backend.window(slug, mode="link", **more)
    await page.goto(session["connect_url"])
    await expect(page.get_by_text("Only go on if you were expecting this.")).to_be_visible()
    assert await page.locator("input:visible").count() == 0
    await pressed(page, CONFIRM)
    bar = page.locator(".bar")  # a selector by role needs seconds if the page has 600 rows
    await expect(bar.get_by_role("button", name="Cancel")).to_be_visible()
    await wait_for_script(page)
    return session


def return_params(page: Page) -> dict[str, str]:
    """Return the query parameters of the return URL."""
    return {name: value for name, (value,) in parse_qs(urlsplit(page.url).query).items()}


@pytest.mark.firefox
async def test_redirect_connects_after_the_backend_redeemed_its_code(
    window: Page, demo: Demo, backend: Backend
) -> None:
    session = await backend.window(end_user_name="Ada Lovelace")
    await window.goto(session["connect_url"])
    await expect(heading(window)).to_have_text("Fernhill wants to connect your Acme CRM account")
    await expect(window.get_by_label("API key", exact=True)).to_be_focused()
    await paste(window, demo.acme_key)
    await expect(heading(window)).to_have_text("Back in the app")
    params = return_params(window)
    assert window.url.startswith(backend.site.return_url)
    assert (params["session_id"], params["status"]) == (session["id"], "connected")
    assert await backend.status() == "not_connected"
    redeemed = await backend.redeem(session, params["code"], backend.end_user_id)
    assert redeemed.json()["connection"]["account"]["label"] == "Globex Corporation"
    assert (await backend.state(session))["status"] == await backend.status() == "connected"


@pytest.mark.firefox
async def test_cancelling_a_redirect_returns_to_the_app(window: Page, backend: Backend) -> None:
    session = await backend.window()
    await window.goto(session["connect_url"])
    await pressed(window, "Cancel and go back to Fernhill")
    await expect(heading(window)).to_have_text("Back in the app")
    assert return_params(window) == {"session_id": session["id"], "status": "cancelled"}
    assert (await backend.state(session))["status"] == "cancelled"


async def test_expired_redirect_links_back_to_the_app(window: Page, backend: Backend) -> None:
    session = await backend.window()
    await backend.expire(session)
    await window.goto(session["connect_url"])
    await expect(heading(window)).to_have_text("This took a little too long")
    await window.get_by_role("link", name="Back to Fernhill").click()
    await expect(heading(window)).to_have_text("Back in the app")
    assert return_params(window) == {"session_id": session["id"], "status": "error", "error": "session_expired"}


@pytest.mark.firefox_soak
async def test_link_requires_a_confirmation_and_ends_with_a_page_to_close(
    window: Page, demo: Demo, backend: Backend
) -> None:
    session = await confirmed(window, backend)
    await paste(window, demo.acme_key)
    await expect(heading(window)).to_have_text("Connected")
    await expect(window.get_by_text("Globex Corporation")).to_be_visible()
    await expect(window.get_by_text("You can close this window.")).to_be_visible()
    assert (await backend.state(session))["status"] == await backend.status() == "connected"


async def test_unexpected_link_can_be_stopped(window: Page, backend: Backend) -> None:
    session = await backend.window(mode="link")
    await window.goto(session["connect_url"])
    await pressed(window, "Stop here")
    await expect(heading(window)).to_have_text("This was cancelled")
    assert (await backend.state(session))["status"] == "cancelled"


async def test_refused_key_shows_the_providers_reason_and_the_next_key_connects(
    window: Page, demo: Demo, backend: Backend
) -> None:
    await confirmed(window, backend)
    await paste(window, WRONG_KEY)
    await expect(window.get_by_role("alert")).to_contain_text(REFUSAL)
    await expect(window.get_by_role("alert")).to_be_focused()
    await expect(window.get_by_label("API key", exact=True)).to_have_value("")
    await expect(window.get_by_text("Paste this again")).to_be_visible()
    await paste(window, demo.acme_key)
    await expect(heading(window)).to_have_text("Connected")


async def test_another_account_replaces_the_first_only_after_the_end_user_agreed(
    window: Page, demo: Demo, backend: Backend
) -> None:
    await backend.type_key(await backend.token(), demo.acme_keys["acc_initech"])
    await confirmed(window, backend)
    await expect(heading(window)).to_have_text("Fernhill wants to reconnect your Acme CRM account")
    await paste(window, demo.acme_key)
    await expect(heading(window)).to_have_text("Replace the connected account?")
    await expect(
        window.get_by_text("This is the account Globex Corporation, and Initech is connected now.")
    ).to_be_visible()
    await pressed(window, "Keep the current one")
    await expect(heading(window)).to_have_text("Fernhill wants to reconnect your Acme CRM account")
    await paste(window, demo.acme_key)
    await paste_to_replace(window, demo.acme_key)
    await expect(heading(window)).to_have_text("Connected")
    (connection,) = await backend.connections()
    assert connection["account"]["id"] == "acc_globex"


@pytest.mark.promise("P15")
async def test_page_asks_which_of_several_accounts_to_reconnect(window: Page, demo: Demo, backend: Backend) -> None:
    operations, billing = await backend.add_unknown_accounts("Operations", "Billing")
    await confirmed(window, backend)
    await paste(window, demo.acme_key)
    await expect(heading(window)).to_have_text("Which Acme CRM account is this?")
    await expect(window.get_by_label("API key", exact=True)).to_have_value("")
    select = window.get_by_label("Account", exact=True)
    labels = await select.locator("option").all_inner_texts()
    assert [label.split()[0] for label in labels] == ["Choose…", "Billing", "Operations", "Add"]
    await select.select_option(operations)
    await paste(window, demo.acme_key)
    await expect(heading(window)).to_have_text("Connected")
    accounts = {connection["id"]: connection["account"]["id"] for connection in await backend.connections()}
    assert accounts == {operations: "acc_globex", billing: None}


async def paste_to_replace(page: Page, key: str) -> None:
    await expect(heading(page)).to_have_text("Replace the connected account?")
    await type_text(page.get_by_label("API key", exact=True), key)
    await pressed(page, "Replace it")


@pytest.mark.firefox_soak
async def test_search_of_the_list_is_preserved_across_the_form(window: Page, demo: Demo, backend: Backend) -> None:
    await backend.type_key(await backend.token(), demo.acme_key)
    await confirmed(window, backend, None)
    await expect(heading(window)).to_have_text("What would you like to connect to Fernhill?")
    await expect(row(window, "acme")).to_contain_text("Connected")
    await search_for(window, "zend")
    rows = window.locator(".picks li:visible")
    await expect(rows).to_have_count(1)
    await rows.get_by_role("button").click()
    await expect(heading(window)).to_have_text("Fernhill wants to connect your Zendesk account")
    await pressed(window, "Back")
    await expect(window.get_by_label("Search", exact=True)).to_have_value("zend")
    await expect(rows).to_have_count(1)
    assert window.url.endswith("#pick-zendesk")
    await search_for(window, "nothing like it")
    await expect(window.get_by_text("Nothing matches “nothing like it”.")).to_be_visible()
    await pressed(window, "Show everything")
    await expect(row(window, "zendesk")).to_be_visible()
    await expect(window.get_by_label("Search", exact=True)).to_have_value("")


def row(page: Page, slug: str) -> Locator:
    """Return a row of the list by its id. A selector by role needs seconds for 600 rows."""
    return page.locator(f"#pick-{slug}")


async def search_for(page: Page, words: str) -> None:
    """Type into the search field. Without JavaScript, press the search button."""
    await type_text(page.get_by_label("Search", exact=True), words)
    button = page.locator(".search-button")
    if await button.is_visible():
        await button.click()


async def test_category_narrows_the_list(window: Page, backend: Backend) -> None:
    await confirmed(window, backend, None)
    everything = await window.locator(".picks li:visible").count()
    await window.get_by_label("Category").select_option("Support")
    await search_for(window, "")
    await expect(row(window, "acme")).to_be_hidden()
    await expect(row(window, "zendesk")).to_be_visible()
    assert 0 < await window.locator(".picks li:visible").count() < everything


async def test_picked_integration_is_connected(window: Page, demo: Demo, backend: Backend) -> None:
    session = await backend.window(None)
    await window.goto(session["connect_url"])
    await row(window, "acme").click()
    await window.get_by_role("button", name="API key").click()
    await paste(window, demo.acme_key)
    await expect(heading(window)).to_have_text("Back in the app")
    await backend.redeem(session, return_params(window)["code"], backend.end_user_id)
    assert await backend.status() == "connected"


async def test_user_can_select_an_auth_type_and_go_back(window: Page, backend: Backend) -> None:
    await confirmed(window, backend, "customer-io")
    await expect(window.get_by_role("heading", name="How would you like to connect?")).to_be_visible()
    await pressed(window, APP_KEY)
    await expect(window.get_by_label("App API key", exact=True)).to_be_focused()
    await pressed(window, "Back")
    await pressed(window, TRACK_KEY)
    await expect(window.get_by_label("Site ID")).to_be_focused()


async def test_servers_error_is_at_its_field_and_other_values_stay(window: Page, backend: Backend) -> None:
    await confirmed(window, backend, "zendesk")
    await type_text(window.get_by_label("Subdomain"), "-acme-")
    await type_text(window.get_by_label("Email"), "ada@example.com")
    await type_text(window.get_by_label("API token", exact=True), "t" * 40)
    await pressed(window, "Connect Zendesk")
    await expect(window.locator(".field-error:visible")).to_have_count(1)
    await expect(window.get_by_label("Subdomain")).to_be_focused()
    await expect(window.get_by_label("Subdomain")).to_have_value("-acme-")
    await expect(window.get_by_label("Email")).to_have_value("ada@example.com")
    await expect(window.get_by_label("API token", exact=True)).to_have_value("")


async def test_link_works_by_keyboard_alone(window: Page, demo: Demo, backend: Backend) -> None:
    session = await backend.window(None, mode="link")
    await window.goto(session["connect_url"])
    await expect(window.get_by_role("button", name=CONFIRM)).to_be_visible()
    await window.locator("body").press("Tab")
    await expect(window.get_by_role("button", name=CONFIRM)).to_be_focused()
    await window.keyboard.press("Enter")
    await expect(window.get_by_label("Search", exact=True)).to_be_focused()
    await wait_for_script(window)  # without the script, Enter would submit the form
    await window.keyboard.insert_text("acme")
    await expect(window.get_by_label("Search", exact=True)).to_have_value("acme")
    searches = await window.locator(".search-button").is_visible()  # Enter can load another page
    await window.keyboard.press("Enter")  # opens the first result, or without JavaScript starts the search
    if searches:
        await expect(window.locator(".picks li:visible")).to_have_count(1)
        await expect(window.get_by_label("Search", exact=True)).to_be_focused()
        for name in ("Category", "Search", "Acme CRM"):
            await window.keyboard.press("Tab")
            await expect(window.locator(":focus")).to_have_accessible_name(re.compile(f"^{name}"))
        await window.keyboard.press("Enter")
    await expect(window.get_by_role("heading", name="How would you like to connect?")).to_be_visible()
    for name in ("Back", "Cancel", "Sign in", "API key"):
        await window.keyboard.press("Tab")
        await expect(window.locator(":focus")).to_have_accessible_name(re.compile(f"^{name}"))
    await window.keyboard.press("Enter")
    await expect(window.get_by_label("API key", exact=True)).to_be_focused()
    await window.keyboard.insert_text(demo.acme_key)
    await expect(window.get_by_label("API key", exact=True)).to_have_value(demo.acme_key)
    await window.keyboard.press("Enter")
    await expect(heading(window)).to_have_text("Connected")
