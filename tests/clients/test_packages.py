"""The npm packages in a real browser: built with Vite, and in a page without a bundler, against the demo."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Frame, Page, Route, expect

from one_runtime.db.ids import new_id
from tests.browser import PageProblems
from tests.demo.steps import choose_key, type_key
from tests.foreign.process import NODE
from tests.journeys.steps import expect_closed, find_violations, submit_key
from tests.running_demo import Demo, find_popup, popups

pytestmark = [pytest.mark.foreign, pytest.mark.slow]

GLOBEX: Final = "Globex Corporation"
HOLD: Final = "void (window.allowed = new Promise((resolve) => (window.allow = resolve)))"
"""A script: the page's backend answers only after `allow()`."""


@pytest_asyncio.fixture(loop_scope="session")
async def settings(page: Page, browser_context: BrowserContext, demo: Demo, product_site: str) -> AsyncIterator[Page]:
    """A window in which a new user is signed in to the product."""
    await browser_context.add_cookies([{"name": "user", "value": f"packages-{new_id()}", "url": product_site}])
    await page.add_init_script(f"window.page = {{ baseUrl: '{demo.url}' }}")
    yield page


async def popup(page: Page) -> Frame:
    frame = await find_popup(page)
    await expect(frame.get_by_role("heading").first).to_be_visible()
    return frame


async def test_settings_page_lists_searches_connects_and_disconnects(
    settings: Page, demo: Demo, product_site: str
) -> None:
    await settings.goto(f"{product_site}/settings.html?list")
    acme = settings.locator("[data-slug=acme]")
    await expect(acme).to_have_attribute("data-status", "not_connected")
    await settings.get_by_label("Search integrations").fill("nothing like this")
    await expect(settings.get_by_role("status")).to_have_text("0 integrations found")
    await settings.get_by_label("Search integrations").fill("ACME crm")
    await expect(settings.get_by_role("status")).to_have_text("1 integration found")

    await acme.get_by_role("button", name="Connect Acme CRM").click()
    await type_key(await popup(settings), demo.acme_key)
    await expect(acme).to_have_attribute("data-status", "connected")
    await expect(acme).to_contain_text(f"Connected to {GLOBEX}")
    await expect(settings.get_by_role("status")).to_have_text(f"Connected {GLOBEX}.")
    await expect_closed(settings)
    disconnect = acme.get_by_role("button", name="Disconnect Acme CRM")
    await expect(disconnect).to_be_focused()

    settings.once("dialog", lambda dialog: dialog.dismiss())
    await disconnect.click()
    await expect(acme).to_have_attribute("data-status", "connected")
    settings.once("dialog", lambda dialog: dialog.accept())
    await disconnect.click()
    await expect(acme).to_have_attribute("data-status", "not_connected")
    await expect(acme.get_by_role("button", name="Connect Acme CRM")).to_be_focused()


async def test_settings_page_asks_to_connect_a_broken_account_again(
    settings: Page, demo: Demo, product_site: str
) -> None:
    await break_connection(demo, (await settings.context.cookies(product_site))[0]["value"])
    await settings.goto(f"{product_site}/settings.html?list")
    acme = settings.locator("[data-slug=acme]")
    await expect(settings.get_by_role("listitem").first).to_have_attribute("data-slug", "acme")
    await expect(acme).to_have_attribute("data-status", "needs_reauth")
    await expect(acme.locator(".one-runtime-reason")).to_have_text(f"Connect this account again: {GLOBEX}")
    await acme.get_by_role("button", name="Reconnect Acme CRM").click()
    frame = await popup(settings)
    await choose_key(frame)
    await submit_key(frame, demo.acme_key)
    await expect(acme).to_have_attribute("data-status", "connected")
    await expect(settings.get_by_role("listitem").first).to_have_attribute("data-slug", "acme")


@pytest.mark.promise("P15")
async def test_settings_page_reconnects_the_broken_one_of_two_accounts(
    settings: Page, demo: Demo, product_site: str
) -> None:
    end_user_id = (await settings.context.cookies(product_site))[0]["value"]
    await break_connection(demo, end_user_id)
    await import_unknown_account(demo, end_user_id, "Operations")
    await settings.goto(f"{product_site}/settings.html?list")
    acme = settings.locator("[data-slug=acme]")
    await expect(acme).to_have_attribute("data-status", "connected")
    async with settings.expect_request("**/sessions") as request:
        await acme.get_by_role("button", name=f"Reconnect {GLOBEX}").click()
    frame = await popup(settings)
    body = json.loads((await request.value).post_data or "")
    await choose_key(frame)
    await submit_key(frame, demo.acme_key)
    await expect(acme).to_contain_text(f"Connected to Operations, {GLOBEX}")
    async with httpx2.AsyncClient(base_url=demo.url, headers={"Authorization": f"Bearer {demo.api_key}"}) as http:
        listed = (await http.get("/v1/connections", params={"end_user_id": end_user_id})).json()["connections"]
    repaired = next(connection for connection in listed if connection["name"] == GLOBEX)
    assert body["connection_id"] == repaired["id"]
    assert [connection["status"] for connection in listed] == ["active", "active"]


async def import_unknown_account(demo: Demo, end_user_id: str, name: str) -> None:
    """Add an account of Acme whose identity is unknown."""
    body = {"integration_slug": "acme", "end_user_id": end_user_id, "auth_type": "api_key", "name": name}
    more = {"credentials": {"api_key": "acme_operations_012345"}, "check": False, "multiple": True}
    async with httpx2.AsyncClient(base_url=demo.url, headers={"Authorization": f"Bearer {demo.api_key}"}) as http:
        (await http.post("/v1/connections", json={**body, **more})).raise_for_status()


async def break_connection(demo: Demo, end_user_id: str) -> None:
    """Connect Acme with a key that Acme then revokes, and check the connection. Restore the key at the end."""
    key = {"Authorization": f"Bearer {demo.acme_key}"}
    connection = {"integration_slug": "acme", "end_user_id": end_user_id, "auth_type": "api_key"}
    body = {**connection, "credentials": {"api_key": demo.acme_key}}
    headers = {"Authorization": f"Bearer {demo.api_key}"}
    async with httpx2.AsyncClient(base_url=demo.url, headers=headers) as http:
        connected = (await http.post("/v1/connections", json=body)).raise_for_status().json()
        (await http.post(f"{demo.acme}/v1/test/revoke", headers=key)).raise_for_status()
        try:
            checked = await http.post(f"/v1/connections/{connected['id']}/check")
        finally:
            (await http.post(f"{demo.acme}/v1/test/restore", headers=key)).raise_for_status()
    assert checked.raise_for_status().json()["working"] is False


LOGO: Final = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><circle r='9'/></svg>#"
LONG: Final = "Wolfeschlegelsteinhausenbergerdorff & Partners Customer Relationship Management Suite"
_WIDER_THAN_THE_WINDOW: Final = """() =>
  [...document.querySelectorAll("body, li, li :not(.one-runtime-of)")]
    .filter((node) => node.scrollWidth > innerWidth).length
"""


def listed(slug: str, name: str, **more: object) -> dict[str, object]:
    base = {"slug": slug, "name": name, "description": "Contacts, companies and deals in one place.", "category": "CRM"}
    return {**base, "logo_url": f"{LOGO}{slug}", "status": "not_connected", "connections": [], **more}


def account(name: str, **more: object) -> dict[str, object]:
    return {"id": name, "name": name, "status": "active", "error": None, **more}


LISTED: Final = [
    listed("alpha", "Alpha", status="connected", connections=[account("Globex"), account("Initech")]),
    listed("beta", "Beta", connections=[account("Hooli", status="needs_reauth")]),
    listed("gamma", LONG, status="connected", connections=[account("x" * 120)]),
    listed("delta", "Delta", logo_url=None),
    listed("epsilon", "محمد", description="A name that is read from right to left."),
]


async def test_settings_page_is_accessible_in_every_state_and_no_text_is_cut(
    settings: Page, page_problems: PageProblems, product_site: str
) -> None:
    answers: list[dict[str, Any]] = [{"status": 503, "json": {"detail": "The list is not available."}}]
    answering = asyncio.Event()

    async def answer(route: Route) -> None:
        await answering.wait()
        await route.fulfill(**answers[0])

    await settings.route("**/api/one-runtime/integrations", answer)
    await settings.goto(f"{product_site}/settings.html?list")
    status, alert = settings.get_by_role("status"), settings.get_by_role("alert")
    await expect(status).to_have_text("Loading integrations")
    answering.set()
    await expect(alert).to_contain_text("The list is not available.")
    assert await find_violations(settings, settings) == []

    answers[0] = {"json": {"integrations": []}}
    await alert.get_by_role("button", name="Try again").click()
    await expect(settings.get_by_text("There are no integrations yet.")).to_be_visible()
    answers[0] = {"json": {"integrations": LISTED}}
    await settings.reload()
    await expect(settings.get_by_role("listitem")).to_have_count(len(LISTED))
    assert await find_violations(settings, settings) == []
    await settings.set_viewport_size({"width": 320, "height": 760})
    assert await settings.evaluate(_WIDER_THAN_THE_WINDOW) == 0

    search = settings.get_by_label("Search integrations")
    await search.fill("zzz")
    await expect(settings.get_by_text("Nothing matches “zzz”.")).to_be_visible()
    assert await find_violations(settings, settings) == []
    await settings.get_by_role("button", name="Show all").click()
    await expect(search).to_be_focused()
    await expect(settings.get_by_role("listitem")).to_have_count(len(LISTED))
    page_problems.clear()  # the browser reports the backend's 503


async def test_strict_mode_opens_one_popup_which_closes_with_its_component(settings: Page, product_site: str) -> None:
    await settings.goto(f"{product_site}/settings.html?at-once")
    await popup(settings)
    await expect(settings.locator("output")).to_have_text("open")
    assert len(popups(settings)) == 1
    await settings.evaluate("void hide()")
    await expect(settings.get_by_role("heading", name="Another page")).to_be_visible()
    await expect_closed(settings)


async def test_connect_button_connects_and_shows_the_backend_s_reason(
    settings: Page, browser_context: BrowserContext, page_problems: PageProblems, demo: Demo, product_site: str
) -> None:
    await settings.goto(f"{product_site}/settings.html?button")
    button = settings.get_by_role("button", name="Connect Acme")
    await button.click()
    await type_key(await popup(settings), demo.acme_key)
    await expect(button).to_have_attribute("data-status", "connected")
    await expect_closed(settings)

    await browser_context.clear_cookies()
    await button.click()
    await expect(settings.get_by_role("alert")).to_have_text("Sign in first.")
    await expect(button).to_have_attribute("data-status", "error")
    await expect_closed(settings)
    page_problems.clear()  # the browser reports the backend's 401


async def test_page_without_a_bundler_shows_the_popup_before_the_session_exists(
    settings: Page, page_problems: PageProblems, demo: Demo, product_site: str
) -> None:
    await settings.goto(f"{product_site}/plain.html")
    await settings.evaluate(HOLD)
    await settings.get_by_role("button", name="Connect").click()
    assert await settings.evaluate("document.documentElement.style.overflow") == "hidden"
    assert popups(settings) == []
    await settings.evaluate("void allow()")
    await type_key(await popup(settings), demo.acme_key)
    await expect(settings.locator("output")).to_have_text(f"connected {GLOBEX}")
    await settings.evaluate("void closePopup()")
    await expect_closed(settings)

    await settings.get_by_role("button", name="Connect").click()
    await popup(settings)
    await settings.evaluate("void abort.abort()")
    await expect(settings.locator("output")).to_have_text("cancelled null")
    await expect_closed(settings)

    await settings.evaluate("window.abort = new AbortController(); void (window.slug = 'no-such-integration')")
    await settings.get_by_role("button", name="Connect").click()
    await expect(settings.locator("output")).to_contain_text("rejected: ")
    await expect_closed(settings)
    page_problems.clear()  # the browser reports the backend's 404


async def test_close_before_the_session_exists_cancels_and_opens_nothing(settings: Page, product_site: str) -> None:
    await settings.goto(f"{product_site}/plain.html")
    await settings.evaluate(HOLD)
    await settings.get_by_role("button", name="Connect").click()
    await settings.keyboard.press("Escape")
    await expect(settings.locator("output")).to_have_text("cancelled null")
    async with settings.expect_response("**/sessions"):
        await settings.evaluate("void allow()")
    await expect_closed(settings)
    assert len(settings.frames) == 1


RENDERED: Final = """
    const { createElement } = require("react");
    const { renderToString } = require("react-dom/server");
    const props = { baseUrl: "https://connect.example.com", createSession: async () => "token", backend: "/api" };
    connect.createOneRuntime(props);
    for (const Kind of [react.Integrations, react.ConnectButton]) {
      console.log(renderToString(createElement(Kind, props)));
    }
    try {
      connect.createOneRuntime({});
    } catch (error) {
      console.log(error.message);
    }
"""
LOADED: Final = {
    "module": """
        import * as connect from "@one-runtime/connect";
        import * as react from "@one-runtime/react";
        import { createRequire } from "node:module";
        const require = createRequire(import.meta.url);
    """,
    "commonjs": """
        const connect = require("@one-runtime/connect");
        const react = require("@one-runtime/react");
    """,
}


@pytest.mark.parametrize("form", LOADED)
def test_server_renders_the_components_without_a_page(installed_packages: Path, form: str) -> None:
    program = LOADED[form] + RENDERED
    command = [str(NODE), "--no-experimental-require-module", f"--input-type={form}", "--eval", program]
    rendered = subprocess.run(command, cwd=installed_packages, capture_output=True, text=True, check=False)
    assert rendered.stderr == ""
    settings, button, refusal = rendered.stdout.splitlines()
    assert "Loading integrations" in settings
    assert "Connect" in button
    assert "baseUrl has to be" in refusal
