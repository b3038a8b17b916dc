"""Connect and disconnect an account: in the sample product, and on a page of another site."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser import type_text
from tests.demo.steps import choose_key
from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    REFUSAL,
    WRONG_KEY,
    click,
    expect_closed,
    heading,
    key_field,
    open_popup,
    outcome,
    press_connect,
    submit_key,
    visit,
)
from tests.running_demo import Demo, find_popup

GLOBEX, INITECH = "acc_globex", "acc_initech"


async def product(page: Page, backend: Backend) -> Locator:
    """Open the sample product's page for the test's end user. Return the card of Acme CRM."""
    await page.goto(f"{backend.demo.product}/?end_user_id={backend.end_user_id}")
    return page.get_by_role("listitem", name="Acme CRM", exact=True)


@pytest.mark.firefox_soak
async def test_wrong_key_shows_the_reason_and_keeps_the_input(page: Page, demo: Demo, backend: Backend) -> None:
    card = await product(page, backend)
    await card.get_by_role("button", name="Connect Acme CRM").click()
    frame = await find_popup(page)
    await choose_key(frame)
    await submit_key(frame, WRONG_KEY)
    await expect(frame.get_by_role("alert")).to_contain_text(REFUSAL)
    await expect(frame.get_by_role("alert")).to_be_focused()
    assert await key_field(frame).input_value() == WRONG_KEY
    assert await backend.status() == "not_connected"

    await submit_key(frame, demo.acme_key)
    await expect(card).to_contain_text("Globex Corporation")
    await expect(heading(frame)).to_have_text("Connected")
    await expect(page.get_by_role("status")).to_have_text("Acme CRM is connected.")
    assert await backend.status() == "connected"
    await expect_closed(page)

    await card.get_by_role("button", name="Disconnect").click()
    await page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
    await expect(card.get_by_role("button", name="Connect Acme CRM", exact=True)).to_be_focused()
    assert (await backend.status(), await backend.connections()) == ("not_connected", [])


async def test_broken_connection_is_reconnected_in_place_with_the_same_id(page: Page, backend: Backend) -> None:
    key = backend.demo.acme_key
    card = await product(page, backend)
    await card.get_by_role("button", name="Connect Acme CRM").click()
    frame = await find_popup(page)
    await choose_key(frame)
    await submit_key(frame, key)
    await expect(card).to_contain_text("Globex Corporation")
    (before,) = await backend.connections()
    await backend.turn_key("revoke", key)
    try:
        assert (await backend.check(before["id"]))["working"] is False
    finally:
        await backend.turn_key("restore", key)
    assert await backend.status() == "not_connected"

    await page.reload()
    await expect(card).to_contain_text("This API key was revoked by an administrator")
    await card.get_by_role("button", name="Reconnect Acme CRM").click()
    frame = await find_popup(page)
    await expect(heading(frame)).to_contain_text("wants to reconnect your Acme CRM account")
    await choose_key(frame)
    await submit_key(frame, key)
    await expect(card).not_to_contain_text("This API key was revoked by an administrator")
    (after,) = await backend.connections()
    assert (after["id"], after["status"]) == (before["id"], "active")


@pytest.mark.firefox
async def test_page_with_a_strict_policy_connects_reconnects_and_replaces(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token(end_user_name="Ada Lovelace"))
    await expect(heading(frame)).to_have_text("Fernhill wants to connect your Acme CRM account")
    await expect(frame.locator("body")).to_contain_text("Ada Lovelace")
    await submit_key(frame, demo.acme_keys[GLOBEX])
    first = await outcome(page)
    assert first == {
        "source": "one-runtime",
        "requestId": first["requestId"],
        "status": "connected",
        "connectionId": (await backend.connections())[0]["id"],
        "integrationSlug": "acme",
        "connectionName": "Globex Corporation",
        "error": None,
    }
    assert await backend.status() == "connected"

    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, demo.acme_keys[GLOBEX])
    assert (await outcome(page))["connectionId"] == first["connectionId"]

    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, demo.acme_keys[INITECH])
    await expect(heading(frame)).to_have_text("Replace the connected account?")
    await click(frame, "Keep the current one")
    assert await key_field(frame).input_value() == demo.acme_keys[INITECH]
    assert (await backend.connections())[0]["account"]["id"] == GLOBEX

    await click(frame, "Reconnect Acme CRM")
    await click(frame, "Replace it")
    assert (await outcome(page))["connectionId"] == first["connectionId"]
    assert [connection["account"]["id"] for connection in await backend.connections()] == [INITECH]


@pytest.mark.promise("P15")
@pytest.mark.firefox_soak
async def test_end_user_selects_the_account_to_reconnect_with_the_keyboard(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    operations, billing = await backend.add_unknown_accounts("Operations", "Billing")
    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, demo.acme_keys[GLOBEX])
    await expect(heading(frame)).to_have_text("Which Acme CRM account is this?")
    await expect(heading(frame)).to_be_focused()
    rows = frame.get_by_role("list", name="Which Acme CRM account is this?").get_by_role("button")
    assert [" ".join(text.split()[:1]) for text in await rows.all_inner_texts()] == ["Billing", "Operations", "Add"]

    await click(frame, "Back")
    assert await key_field(frame).input_value() == demo.acme_keys[GLOBEX]
    await key_field(frame).press("Enter")
    await expect(heading(frame)).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(rows.first).to_be_focused()
    await page.keyboard.press("Enter")
    assert (await outcome(page))["connectionId"] == billing
    accounts = {connection["id"]: connection["account"]["id"] for connection in await backend.connections()}
    assert accounts == {operations: None, billing: GLOBEX}


@pytest.mark.promise("P4")
async def test_connected_session_makes_no_second_connection(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    token = await backend.token()
    await visit(page, site, token)
    await submit_key(await press_connect(page), demo.acme_keys[GLOBEX])
    await expect(page.locator("#outcome")).not_to_be_empty()
    frame = await open_popup(page, site, token)
    await expect(heading(frame)).to_have_text("This has already been used")
    assert await frame.locator("form").count() == 0
    assert (await backend.type_key(token, demo.acme_keys[INITECH])).json()["code"] == "session_used"
    assert [connection["account"]["id"] for connection in await backend.connections()] == [GLOBEX]


async def test_suggested_connection_name_can_be_changed(page: Page, demo: Demo, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token(suggested_connection_name="Acme of the north"))
    name = frame.get_by_label("Name of this connection")
    await expect(name).to_have_value("Acme of the north")
    await type_text(name, "Acme of the south")
    await submit_key(frame, demo.acme_key)
    assert (await outcome(page))["connectionName"] == "Acme of the south"
