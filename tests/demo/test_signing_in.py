"""Acme CRM is connected by signing in there: in a popup, in this window, by a link; denied, and revoked at Acme."""

import re
from typing import Any

import httpx2
import pytest
from playwright.async_api import Browser, Page, expect

from one_runtime.db.ids import new_id
from tests.demo.steps import card, choose_signing_in, open_settings_page
from tests.running_demo import Demo, find_popup, popups
from tests.waiting import eventually

_NOTE_FEATURES = """() => {
  const open = window.open.bind(window);
  window.open = (url, target, features) => open(url, target, (window.features = features));
}"""


async def open_consent_window(page: Page) -> Page:
    """The window at Acme's consent page, opened from the popup."""
    await card(page).get_by_role("button", name="Connect Acme CRM", exact=True).click()
    frame = await find_popup(page)
    first = frame.locator(".choice .row").first
    await expect(first).to_contain_text("Sign in")
    async with page.expect_popup() as opening:
        await choose_signing_in(frame)
    await expect(frame.get_by_text("You sign in at Acme CRM. Fernhill doesn’t see your password")).to_be_visible()
    return await opening.value


async def press(window: Page, button: str, account: str = "Globex Corporation") -> None:
    """Answer Acme's consent page."""
    await expect(window.get_by_role("heading", name="Fernhill wants access to your Acme CRM")).to_be_visible()
    await window.get_by_role("radio", name=account).check()
    await window.get_by_role("button", name=button, exact=True).click()


def find_connection(demo: Demo, end_user: str) -> dict[str, Any]:
    """The end user's one connection."""
    connection: dict[str, Any]
    (connection,) = request_api(demo, "GET", f"/v1/connections?end_user_id={end_user}")["connections"]
    return connection


def request_api(demo: Demo, method: str, path: str) -> dict[str, Any]:
    """Return the response of the API."""
    headers = {"authorization": f"Bearer {demo.api_key}", "content-type": "application/json"}
    answer = httpx2.request(method, demo.url + path, headers=headers, content=b"{}" if method == "POST" else None)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.firefox_soak
async def test_denied_consent_connects_nothing_and_can_be_repeated(page: Page, demo: Demo) -> None:
    user = f"signs-denies-{new_id()}"  # each browser gets its own end user
    await open_settings_page(page, demo, user)
    await press(await open_consent_window(page), "Deny")
    frame = popups(page)[-1]
    await expect(frame.get_by_role("alert")).to_be_visible()
    assert request_api(demo, "GET", f"/v1/connections?end_user_id={user}")["connections"] == []
    async with page.expect_popup() as opening:
        await frame.get_by_role("button", name="Acme CRM").last.click()
    await press(await opening.value, "Allow")
    await expect(card(page)).to_contain_text("Globex Corporation")


async def test_popup_notices_a_closed_window_and_a_lost_cookie_and_opens_the_window_again(
    page: Page, demo: Demo
) -> None:
    await open_settings_page(page, demo, "signs-closes")
    window = await open_consent_window(page)
    await expect(window.get_by_role("heading", name="Fernhill wants access to your Acme CRM")).to_be_visible()
    frame = popups(page)[-1]
    await window.close()
    await expect(frame.get_by_role("heading", level=1)).to_have_text("Has the other window closed?")
    await frame.get_by_role("button", name="Cancel and close").click()
    await expect(frame.get_by_role("heading", level=1)).to_have_text("Leave without connecting?")
    await frame.get_by_role("button", name="Stay").click()
    # Headless Chromium moves every window to its small screen, so read the position that the popup asks for.
    await frame.evaluate(_NOTE_FEATURES)
    async with page.expect_popup() as opening:
        await frame.get_by_role("button", name="Open the window again").click()
    middle = await page.evaluate("() => Math.round(screenX + (outerWidth - 620) / 2)")
    assert f"left={middle}," in await frame.evaluate("() => window.features")
    window = await opening.value
    await expect(window.get_by_role("heading", name="Fernhill wants access to your Acme CRM")).to_be_visible()
    await page.context.clear_cookies(name=re.compile("or-authorization-"))  # as if the browser had blocked the cookie
    await press(window, "Allow")
    await expect(window.get_by_role("heading", level=1)).to_have_text("Start again from the app")
    await expect(frame.get_by_role("heading", level=1)).to_have_text("The sign-in couldn’t be completed")
    async with page.expect_popup() as opening:
        await frame.get_by_role("button", name="Open the window again").click()
    await press(await opening.value, "Allow")
    await expect(card(page)).to_contain_text("Globex Corporation")


@pytest.mark.firefox
async def test_redirect_goes_to_acme_and_returns_to_the_app(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, f"signs-returns-{new_id()}")  # each browser gets its own end user
    await page.get_by_role("radio", name="In this window").check()
    await card(page).get_by_role("button", name="Connect Acme CRM", exact=True).click()
    await choose_signing_in(page)
    await press(page, "Allow")
    await expect(card(page)).to_contain_text("Globex Corporation")
    await expect(page.locator("#toast")).to_have_text("Acme CRM is connected.")
    assert page.url == f"{demo.product}/"


async def test_redirect_without_javascript_goes_to_acme_and_returns_to_the_app(browser: Browser, demo: Demo) -> None:
    headers = {"authorization": f"Bearer {demo.api_key}"}
    body = {"integration_slug": "acme", "end_user_id": "signs-plain", "return_url": f"{demo.product}/connected"}
    session = httpx2.post(f"{demo.url}/v1/hosted-connection-sessions", headers=headers, json=body).json()
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(session["connect_url"])
        await choose_signing_in(page)
        await press(page, "Allow")
        await page.wait_for_url(f"{demo.product}/connected?*status=connected*")


async def test_link_in_another_browser_leads_to_acme(page: Page, browser: Browser, demo: Demo) -> None:
    await open_settings_page(page, demo, "signs-link")
    await page.get_by_role("radio", name="By a link").check()
    await card(page).get_by_role("button", name="Connect Acme CRM", exact=True).click()
    await expect(page.get_by_role("button", name="Copy link")).to_be_focused()
    async with await browser.new_context() as context:
        other_page = await context.new_page()
        await other_page.goto(await page.get_by_label("The link").input_value())
        await other_page.get_by_role("button", name="I expected this, go on").click()
        await choose_signing_in(other_page)
        await press(other_page, "Allow")
        await expect(other_page.get_by_role("heading", name="Connected")).to_be_visible()
    assert find_connection(demo, "signs-link")["status"] == "active"


@pytest.mark.firefox
async def test_popup_connects_the_selected_account_and_repairs_a_revoked_grant_in_place(page: Page, demo: Demo) -> None:
    user = f"signs-revoked-{new_id()}"  # each browser gets its own end user
    await open_settings_page(page, demo, user)
    await press(await open_consent_window(page), "Allow", "Initech")
    await expect(card(page)).to_contain_text("Initech")
    await eventually(lambda: not popups(page))
    before = find_connection(demo, user)
    assert (before["auth_type"], before["account"]) == ("oauth2", {"id": "acc_initech", "label": "Initech"})
    assert before["scopes"] == ["account:read", "contacts:read", "contacts:write"]
    assert before["missing_scopes"] == []
    assert request_api(demo, "POST", f"/v1/connections/{before['id']}/check")["working"] is True

    await page.goto(f"{demo.acme}/switches")
    await page.get_by_role("listitem").filter(has_text="Initech").get_by_role("button", name="Revoke all").click()
    await expect(page.get_by_text("Initech No active grant")).to_be_visible()
    assert request_api(demo, "POST", f"/v1/connections/{before['id']}/check")["working"] is False
    await open_settings_page(page, demo, user)
    await card(page).get_by_role("button", name="Reconnect Acme CRM").click()
    frame = await find_popup(page)
    async with page.expect_popup() as opening:
        await choose_signing_in(frame)
    await press(await opening.value, "Allow", "Initech")
    await eventually(lambda: find_connection(demo, user)["status"] == "active")
    assert find_connection(demo, user)["id"] == before["id"]


async def test_disconnect_ends_the_grant_at_acme(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "signs-leaves")
    await press(await open_consent_window(page), "Allow")
    await expect(card(page)).to_contain_text("Globex Corporation")
    headers = {"authorization": f"Bearer {demo.api_key}"}
    body = {"integration_slug": "acme", "end_user_id": "signs-leaves"}
    answer = httpx2.post(f"{demo.url}/v1/disconnect", headers=headers, json=body).json()
    assert answer["deleted_count"] == 1
    assert {revocation["outcome"] for revocation in answer["revocations"]} == {"revoked"}
