"""The forms of real entries: keys, user names and passwords, parameters, a choice between auth types.

These tests send nothing to providers. They read the requests of the page, and answer in place of the server.
"""

import json
from typing import Any

from playwright.async_api import Frame, Page, Route, expect

from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import MASKED, VISIBLE, button, click, heading, key_field, open_popup, outcome, submit_key

HELP = "Any of the keys that Acme CRM shows on its first page."
INCOMPLETE = "This doesn’t look complete. Check that all of it was copied."

APP_KEY = "App API key Paste a key that you create in Customer.io"
TRACK_KEY = "Track API key Site ID · Track API key"


async def answer_in_place(page: Page, slug: str) -> list[dict[str, Any]]:
    """Answer each request with success, in place of the server. Return the list of request bodies."""
    bodies: list[dict[str, Any]] = []

    async def say_yes(route: Route) -> None:
        bodies.append(json.loads(route.request.post_data or ""))
        await route.fulfill(json={"connection_id": "c", "integration_slug": slug, "connection_name": "Mine"})

    await page.route("**/connect/session/connect", say_yes)
    return bodies


def error_of(frame: Frame, label: str) -> str:
    """Return a selector for the error that describes a field."""
    return f".field:has(label:text-is('{label}')) .field-error"


async def test_every_field_of_every_entry_has_a_label_and_a_hint(page: Page, site: Site, backend: Backend) -> None:
    for slug in ("datadog", "zendesk", "twilio"):
        frame = await open_popup(page, site, await backend.token(slug))
        inputs = frame.locator("form input, form select")
        for index in range(await inputs.count()):
            assert await inputs.nth(index).evaluate("(node) => node.labels.length") == 1
        secrets = frame.locator(".field:has(summary)")
        assert await secrets.count() == await frame.locator("[name^='credentials.']").count()


async def test_hint_unfolds_with_a_link_without_opener_and_referrer(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token())
    sentence = frame.get_by_text("Open Acme CRM in another tab")
    await expect(sentence).to_be_hidden()
    await frame.get_by_text("Where do I find this?").click()
    await expect(sentence).to_be_visible()
    async with page.expect_popup() as opening:
        await frame.get_by_role("link", name="Open Acme CRM").click()
    tab = await opening.value
    await tab.wait_for_load_state()
    assert await tab.evaluate("() => [document.referrer, window.opener]") == ["", None]
    await expect(key_field(frame)).to_be_visible()


async def test_secret_is_hidden_until_the_user_shows_it(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token())
    await expect(key_field(frame)).to_have_css(*MASKED)
    await key_field(frame).fill("acme_half")
    await click(frame, "Show API key")
    await expect(key_field(frame)).to_have_css(*VISIBLE)
    await click(frame, "Hide API key")
    await expect(key_field(frame)).to_have_css(*MASKED)
    await expect(key_field(frame)).to_have_value("acme_half")


async def test_invalid_value_is_reported_at_its_field_and_nothing_is_sent(
    page: Page, site: Site, backend: Backend
) -> None:
    bodies = await answer_in_place(page, "acme")
    frame = await open_popup(page, site, await backend.token())
    await click(frame, "Connect Acme CRM")
    await expect(frame.locator(error_of(frame, "API key"))).to_have_text("This field is required.")
    await key_field(frame).fill("no key of Acme")
    await click(frame, "Connect Acme CRM")
    await expect(frame.locator(error_of(frame, "API key"))).to_have_text(INCOMPLETE)
    await expect(key_field(frame)).to_be_focused()
    await expect(key_field(frame)).to_have_attribute("aria-invalid", "true")
    await expect(key_field(frame)).to_have_accessible_description(f"{INCOMPLETE} {HELP}")
    assert bodies == []
    await key_field(frame).press_sequentially("x")
    await expect(frame.locator(error_of(frame, "API key"))).to_be_hidden()


async def test_pasted_spaces_and_invisible_characters_are_removed(page: Page, site: Site, backend: Backend) -> None:
    bodies = await answer_in_place(page, "acme")
    frame = await open_popup(page, site, await backend.token())
    await key_field(frame).fill(f" \u200b{backend.demo.acme_key}\u200b \t")
    await key_field(frame).press("Enter")
    assert (await outcome(page))["connectionName"] == "Mine"
    assert bodies[0]["credentials"] == {"api_key": backend.demo.acme_key}


async def test_user_name_and_password_are_submitted(page: Page, site: Site, backend: Backend) -> None:
    bodies = await answer_in_place(page, "twilio")
    frame = await open_popup(page, site, await backend.token("twilio"))
    sid, token = "AC" + "0" * 32, "1" * 32
    await expect(frame.get_by_label("Account SID", exact=True)).to_have_css(*VISIBLE)
    await expect(frame.get_by_label("Auth token", exact=True)).to_have_css(*MASKED)
    assert await frame.locator("input[type=password]").count() == 0
    await frame.get_by_label("Account SID", exact=True).fill("AC12")
    await frame.get_by_label("Auth token", exact=True).fill(token)
    await expect(frame.locator(error_of(frame, "Account SID"))).to_have_text(INCOMPLETE)
    await frame.get_by_label("Account SID", exact=True).fill(sid)
    await click(frame, "Connect Twilio")
    await outcome(page)
    assert bodies == [{"auth_type": "basic", "params": {}, "credentials": {"username": sid, "password": token}}]


async def test_parameters_come_before_credentials(page: Page, site: Site, backend: Backend) -> None:
    bodies = await answer_in_place(page, "datadog")
    frame = await open_popup(page, site, await backend.token("datadog"))
    region = frame.get_by_label("Datadog site")
    await expect(region).to_have_value("datadoghq.com")
    await expect(frame.get_by_label("API key", exact=True)).to_be_focused()
    await region.select_option("EU1 (app.datadoghq.eu)")
    await frame.get_by_label("API key", exact=True).fill("a" * 32)
    await frame.get_by_label("Application key", exact=True).fill("b" * 40)
    await click(frame, "Connect Datadog")
    await outcome(page)
    credentials = {"api_key": "a" * 32, "application_key": "b" * 40}
    assert bodies == [{"auth_type": "api_key", "params": {"site": "datadoghq.eu"}, "credentials": credentials}]


async def test_pasted_url_becomes_its_subdomain_and_the_servers_error_is_at_its_field(
    page: Page, site: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token("zendesk"))
    subdomain = frame.get_by_label("Subdomain")
    await subdomain.fill("https://acme.zendesk.com/agent/tickets/1")
    await subdomain.blur()
    await expect(subdomain).to_have_value("acme")
    await subdomain.fill("-acme-")
    await frame.get_by_label("Email").fill("ada@example.com")
    await frame.get_by_label("API token", exact=True).fill("t" * 40)
    await click(frame, "Connect Zendesk")
    await expect(frame.locator(error_of(frame, "Subdomain"))).not_to_be_empty()
    await expect(subdomain).to_be_focused()
    await expect(subdomain).to_have_value("-acme-")
    await expect(frame.get_by_label("API token", exact=True)).to_have_value("t" * 40)


async def test_refused_address_is_explained_to_the_end_user(page: Page, site: Site, backend: Backend) -> None:
    problem = {
        "code": "target_refused",
        "status": 422,
        "detail": "The operator of One Runtime must allow the address.",
        "text": {"name": "failed.target_refused", "values": {}},
    }
    await page.route("**/connect/session/connect", lambda route: route.fulfill(status=422, json=problem))
    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, backend.demo.acme_key)
    await expect(frame.get_by_role("alert")).to_contain_text("We aren’t allowed to contact Acme CRM")
    await expect(frame.get_by_role("alert")).not_to_contain_text("operator")
    await expect(key_field(frame)).to_have_value(backend.demo.acme_key)


async def test_user_can_select_an_auth_type_and_go_back(page: Page, site: Site, backend: Backend) -> None:
    bodies = await answer_in_place(page, "customer-io")
    frame = await open_popup(page, site, await backend.token("customer-io"))
    await expect(frame.get_by_role("heading", name="How would you like to connect?")).to_be_visible()
    await click(frame, APP_KEY)
    await frame.get_by_label("App API key", exact=True).fill("app-key-half-typed")
    await click(frame, "Back")
    await click(frame, TRACK_KEY)
    await frame.get_by_label("Site ID").fill("0123456789abcdef")
    await frame.get_by_label("Track API key", exact=True).fill("0123456789abcdef")
    await click(frame, "Back")
    await click(frame, APP_KEY)
    await expect(frame.get_by_label("App API key", exact=True)).to_have_value("app-key-half-typed")
    await click(frame, "Back")
    await click(frame, TRACK_KEY)
    await click(frame, "Connect Customer.io")
    await outcome(page)
    credentials = {"username": "0123456789abcdef", "password": "0123456789abcdef"}
    assert bodies == [{"auth_type": "basic", "params": {"region": "track"}, "credentials": credentials}]


async def test_session_for_one_auth_type_offers_no_selection(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token("customer-io", auth_type="basic"))
    await expect(frame.get_by_label("Site ID")).to_be_visible()
    assert await button(frame, "Back").count() == 0
    await expect(heading(frame)).to_have_text("Fernhill wants to connect your Customer.io account")
