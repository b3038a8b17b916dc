"""Blocked windows, and single windows in the modes `redirect` and `link`."""

from typing import Any

import pytest
from playwright.async_api import Browser, Frame, Locator, Page, async_playwright, expect

from tests.browser import find_chromium
from tests.foreign.consent import consent, deny
from tests.foreign.person import ALICE, BOB
from tests.foreign.served import END_USER, NORTHWIND, Served
from tests.foreign.windows import agreed, asked, at_the_provider, each, onward
from tests.journeys.site import _Handler
from tests.journeys.steps import button, click, heading, outcome, settled
from tests.journeys.test_window import CONFIRM, return_params

pytestmark = pytest.mark.foreign

BLOCKED = "OIDC provider opens in a window of its own"
WAITING = "Continue in the other window"
UNAVAILABLE = "This can’t open a window"

NO_WINDOW = "window.open = () => null"
SILENT_WINDOW = "window.open = () => ({ close() {} })"
# What a browser inside of an app does with a link to another window.
NO_LINK = "addEventListener('click', (event) => event.target.closest('a') && event.preventDefault())"


class CutOff(_Handler):
    """The customer's site, which wants to have nothing to do with other windows."""

    policy = "same-origin"

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", self.policy)
        super().end_headers()


class CutOffButForItsOwn(CutOff):
    """The same, but for those that it opens itself."""

    policy = "same-origin-allow-popups"


async def linked(frame: Frame, there: Served) -> Page:
    """Press the link that opens the window; the window, once the provider's first page is there."""
    await settled(frame)
    async with frame.page.context.expect_page() as opening:
        await frame.get_by_role("link", name=f"Open {there.name}").click()
    window = await opening.value
    await at_the_provider(window, there.provider)
    return window


@each("oidc")
async def test_link_opens_the_window_if_scripts_may_not(page: Page, there: Served) -> None:
    await page.add_init_script(NO_WINDOW)
    frame = await asked(page, there, await there.session())
    await click(frame, onward(there.provider))
    await expect(heading(frame)).to_have_text(BLOCKED)
    await expect(heading(frame)).to_be_focused()
    window = await linked(frame, there)
    await expect(heading(frame)).to_have_text(WAITING)
    await consent(window, there.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


@each("oidc")
async def test_chromiums_popup_blocker_allows_the_link(browser: Browser, there: Served) -> None:
    async with async_playwright() as playwright:
        blocking = await playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"], ignore_default_args=["--disable-popup-blocking"]
        )
        page = await blocking.new_page(reduced_motion="reduce")
        frame = await asked(page, there, await there.session())
        # The first window uses up what a click allows, so that the second one is blocked.
        await frame.evaluate("() => { open('about:blank').close(); document.querySelector('form').requestSubmit(); }")
        await expect(heading(frame)).to_have_text(BLOCKED)
        await consent(await linked(frame, there), there.provider, ALICE)
        assert (await outcome(page))["status"] == "connected"
        await blocking.close()


@each("oidc")
async def test_link_is_shown_if_the_window_sends_no_message(page: Page, there: Served) -> None:
    await page.add_init_script(SILENT_WINDOW)
    await page.clock.install()
    frame = await asked(page, there, await there.session())
    await click(frame, onward(there.provider))
    await expect(heading(frame)).to_have_text(WAITING)
    await page.clock.fast_forward(13_000)
    await expect(heading(frame)).to_have_text(BLOCKED)
    window = await linked(frame, there)
    await expect(heading(frame)).to_have_text(WAITING)
    await consent(window, there.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


@each("oidc")
async def test_page_gets_an_error_if_no_window_can_be_opened(page: Page, there: Served) -> None:
    await page.add_init_script(f"{NO_WINDOW}; {NO_LINK}")
    await page.clock.install()
    session = await there.session()
    frame = await asked(page, there, session)
    await click(frame, onward(there.provider))
    await settled(frame)
    await frame.get_by_role("link", name=f"Open {there.name}").click()
    await page.clock.fast_forward(11_000)
    await expect(heading(frame)).to_have_text(BLOCKED)
    await page.clock.fast_forward(2_000)
    await expect(heading(frame)).to_have_text(UNAVAILABLE)
    await button(frame, "Close").last.click()
    told = await outcome(page)
    assert (told["status"], told["error"]["code"]) == ("error", "window_unavailable")
    assert (await there.state(session))["status"] == "pending"


@each("oidc")
async def test_page_with_opener_policy_same_origin_gets_an_error(page: Page, there: Served) -> None:
    vars(there.site)["RequestHandlerClass"] = CutOff
    await page.clock.install()
    frame = await asked(page, there, await there.session())
    async with page.context.expect_page() as opening:
        await click(frame, onward(there.provider))
    await expect(heading(await opening.value)).to_have_text("Start again from the app")
    await expect(heading(frame)).to_have_text(BLOCKED)
    await settled(frame)
    await frame.get_by_role("link", name=f"Open {there.name}").click()
    await page.clock.fast_forward(13_000)
    await expect(heading(frame)).to_have_text(UNAVAILABLE)


@each("oidc")
async def test_page_with_opener_policy_same_origin_allow_popups_connects(page: Page, there: Served) -> None:
    vars(there.site)["RequestHandlerClass"] = CutOffButForItsOwn
    frame = await asked(page, there, await there.session())
    await agreed(frame, there.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


async def begun(window: Page, there: Served, mode: str) -> dict[str, Any]:
    """A session in the whole window, at its form."""
    session = await there.window(mode=mode)
    await window.goto(session["connect_url"])
    if mode == "link":
        await button_of(window, CONFIRM).click()
    await expect(button_of(window, onward(there.provider))).to_be_visible()
    return session


def button_of(window: Page, name: str) -> Locator:
    return window.get_by_role("button", name=name, exact=True)


async def on_to_the_provider(window: Page, there: Served, press: str | None = None) -> None:
    await button_of(window, press or onward(there.provider)).click()
    await at_the_provider(window, there.provider)


@each("oidc")
async def test_link_leads_to_the_provider_and_back_to_a_page_that_shows_success(window: Page, there: Served) -> None:
    session = await begun(window, there, "link")
    await on_to_the_provider(window, there)
    await consent(window, there.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")
    await expect(window.get_by_text(ALICE.email)).to_be_visible()
    await expect(window.get_by_text("You can close this window.")).to_be_visible()
    assert (await there.state(session))["status"] == await there.status() == "connected"


@each("oidc")
async def test_redirect_leads_through_the_provider_to_the_app_and_connects_after_redemption(
    window: Page, there: Served
) -> None:
    session = await begun(window, there, "redirect")
    await on_to_the_provider(window, there)
    await consent(window, there.provider, ALICE)
    await expect(heading(window)).to_have_text("Back in the app")
    back = return_params(window)
    assert (back["session_id"], back["status"]) == (session["id"], "connected")
    assert await there.status() == "not_connected"
    body = {"code": back["code"], "end_user_id": END_USER}
    redeemed = await there.post(f"/v1/hosted-connection-sessions/{session['id']}/redeem", body)
    assert redeemed["connection"]["account"]["label"] == ALICE.email
    assert await there.status() == "connected"


@each("oidc")
@pytest.mark.parametrize("mode", ["redirect", "link"])
async def test_denial_shows_the_form_with_the_reason_and_a_second_try_connects(
    window: Page, there: Served, mode: str
) -> None:
    session = await begun(window, there, mode)
    await on_to_the_provider(window, there)
    await deny(window, there.provider, ALICE)
    alert = window.get_by_role("alert")
    await expect(alert).to_contain_text("Access wasn’t allowed. If that was a mistake, try again.")
    await expect(alert).to_be_focused()
    assert (await there.state(session))["status"] == "pending"
    await on_to_the_provider(window, there)
    await consent(window, there.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected" if mode == "link" else "Back in the app")


@each("oidc")
@pytest.mark.parametrize("mode", ["redirect", "link"])
async def test_another_account_replaces_the_first_only_after_the_end_user_agreed(
    window: Page, there: Served, mode: str
) -> None:
    await begun(window, there, "link")
    await on_to_the_provider(window, there)
    await consent(window, there.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")
    await window.context.clear_cookies()  # the provider would change people on a page that needs JavaScript
    await begun(window, there, mode)
    for answer in ("Keep the present one", "Replace it"):
        await on_to_the_provider(window, there)
        await consent(window, there.provider, BOB)
        await expect(heading(window)).to_have_text("Replace the connected account?")
        await expect(window.get_by_text(f"({BOB.email})")).to_be_visible()
        await button_of(window, answer).click()
    await at_the_provider(window, there.provider)
    await consent(window, there.provider, BOB)
    await expect(heading(window)).to_have_text("Connected" if mode == "link" else "Back in the app")
    if mode == "link":
        (connection,) = await there.connections()
        assert connection["account"]["label"] == BOB.email


@each("oidc")
async def test_link_without_an_integration_leads_from_the_list_to_the_provider_and_back(
    window: Page, there: Served
) -> None:
    session = await there.window(integration_slug=None, mode="link")
    await window.goto(session["connect_url"])
    await button_of(window, CONFIRM).click()
    await window.get_by_role("button").filter(has_text=there.name).click()
    await on_to_the_provider(window, there)
    await deny(window, there.provider, ALICE)
    await expect(window.get_by_role("alert")).to_contain_text("Access wasn’t allowed")
    await button_of(window, "Back").click()
    await expect(heading(window)).to_have_text(f"What would you like to connect to {NORTHWIND}?")
    await window.get_by_role("button").filter(has_text=there.name).click()
    await on_to_the_provider(window, there)
    await consent(window, there.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")


@each("oidc")
async def test_redirect_cancelled_meanwhile_links_back_to_the_app(window: Page, there: Served) -> None:
    session = await begun(window, there, "redirect")
    await on_to_the_provider(window, there)
    answer = await there.http.delete(f"/v1/hosted-connection-sessions/{session['id']}")
    assert answer.status_code in {200, 204}
    await consent(window, there.provider, ALICE)
    await expect(heading(window)).to_have_text("Nothing was connected")
    await window.get_by_role("link", name=f"Back to {NORTHWIND}").click()
    await expect(heading(window)).to_have_text("Back in the app")
