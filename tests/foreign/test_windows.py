"""Blocked windows, and single windows in the modes `redirect` and `link`."""

from typing import Any

import pytest
from playwright.async_api import Browser, Frame, Locator, Page, async_playwright, expect

from tests.browser import find_chromium
from tests.foreign.consent import consent, deny
from tests.foreign.person import ALICE, BOB
from tests.foreign.served import END_USER, NORTHWIND, Served
from tests.foreign.windows import allow_in_window, continue_button, each, expect_provider_page, open_sign_in
from tests.journeys.site import _Handler
from tests.journeys.steps import button, click, heading, list_row, outcome, wait_until_settled
from tests.journeys.test_window import CONFIRM, return_params

pytestmark = pytest.mark.foreign

BLOCKED = "OIDC provider opens in a window of its own"
WAITING = "Continue in the other window"
UNAVAILABLE = "The sign-in window can’t open here"

NO_WINDOW = "window.open = () => null"
SILENT_WINDOW = "window.open = () => ({ close() {} })"
# In-app browsers ignore links to another window.
NO_LINK = "addEventListener('click', (event) => event.target.closest('a') && event.preventDefault())"

# The pages of a window differ with and without scripts, and their end differs between the modes.
MODES = pytest.mark.parametrize(
    "window,mode",
    [
        pytest.param(True, "redirect", id="script-redirect"),
        pytest.param(False, "link", id="no-script-link"),
        pytest.param(True, "link", id="script-link", marks=pytest.mark.soak),
        pytest.param(False, "redirect", id="no-script-redirect", marks=pytest.mark.soak),
    ],
    indirect=["window"],
)


class CutOff(_Handler):
    """The customer's site with `Cross-Origin-Opener-Policy: same-origin`."""

    policy = "same-origin"

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", self.policy)
        super().end_headers()


class CutOffButForItsOwn(CutOff):
    """The customer's site with `Cross-Origin-Opener-Policy: same-origin-allow-popups`."""

    policy = "same-origin-allow-popups"


async def linked(frame: Frame, runtime: Served) -> Page:
    """Press the link that opens the window; return the window once it shows the provider's first page."""
    await wait_until_settled(frame)
    async with frame.page.context.expect_page() as opening:
        await frame.get_by_role("link", name=f"Open {runtime.name}").click()
    window = await opening.value
    await expect_provider_page(window, runtime.provider)
    return window


@each("oidc")
async def test_link_opens_the_window_if_scripts_may_not(page: Page, runtime: Served) -> None:
    await page.add_init_script(NO_WINDOW)
    frame = await open_sign_in(page, runtime, await runtime.session())
    await click(frame, continue_button(runtime.provider))
    await expect(heading(frame)).to_have_text(BLOCKED)
    await expect(heading(frame)).to_be_focused()
    window = await linked(frame, runtime)
    await expect(heading(frame)).to_have_text(WAITING)
    await consent(window, runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


@each("oidc")
async def test_chromiums_popup_blocker_allows_the_link(browser: Browser, runtime: Served) -> None:
    async with async_playwright() as playwright:
        blocking = await playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"], ignore_default_args=["--disable-popup-blocking"]
        )
        page = await blocking.new_page(reduced_motion="reduce")
        frame = await open_sign_in(page, runtime, await runtime.session())
        # The first window uses up the click's permission, so that the second window is blocked.
        await frame.evaluate("() => { open('about:blank').close(); document.querySelector('form').requestSubmit(); }")
        await expect(heading(frame)).to_have_text(BLOCKED)
        await consent(await linked(frame, runtime), runtime.provider, ALICE)
        assert (await outcome(page))["status"] == "connected"
        await blocking.close()


@each("oidc")
async def test_link_is_shown_if_the_window_sends_no_message(page: Page, runtime: Served) -> None:
    await page.add_init_script(SILENT_WINDOW)
    await page.clock.install()
    frame = await open_sign_in(page, runtime, await runtime.session())
    await click(frame, continue_button(runtime.provider))
    await expect(heading(frame)).to_have_text(WAITING)
    await page.clock.fast_forward(13_000)
    await expect(heading(frame)).to_have_text(BLOCKED)
    window = await linked(frame, runtime)
    await expect(heading(frame)).to_have_text(WAITING)
    await consent(window, runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


@each("oidc")
async def test_page_gets_an_error_if_no_window_can_be_opened(page: Page, runtime: Served) -> None:
    await page.add_init_script(f"{NO_WINDOW}; {NO_LINK}")
    await page.clock.install()
    session = await runtime.session()
    frame = await open_sign_in(page, runtime, session)
    await click(frame, continue_button(runtime.provider))
    await wait_until_settled(frame)
    await frame.get_by_role("link", name=f"Open {runtime.name}").click()
    await page.clock.fast_forward(11_000)
    await expect(heading(frame)).to_have_text(BLOCKED)
    await page.clock.fast_forward(2_000)
    await expect(heading(frame)).to_have_text(UNAVAILABLE)
    await button(frame, "Close").last.click()
    result = await outcome(page)
    assert (result["status"], result["error"]["code"]) == ("error", "window_unavailable")
    assert (await runtime.state(session))["status"] == "pending"


@each("oidc")
async def test_page_with_opener_policy_same_origin_gets_an_error(page: Page, runtime: Served) -> None:
    vars(runtime.site)["RequestHandlerClass"] = CutOff
    frame = await open_sign_in(page, runtime, await runtime.session())
    async with page.context.expect_page() as opening:
        await click(frame, continue_button(runtime.provider))
    await expect(heading(await opening.value)).to_have_text("You can’t sign in from this page yet")
    await expect(heading(frame)).to_have_text("You can’t sign in from this page yet")


@each("oidc")
async def test_page_with_opener_policy_same_origin_allow_popups_connects(page: Page, runtime: Served) -> None:
    vars(runtime.site)["RequestHandlerClass"] = CutOffButForItsOwn
    frame = await open_sign_in(page, runtime, await runtime.session())
    await allow_in_window(frame, runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


async def open_session_form(window: Page, runtime: Served, mode: str) -> dict[str, Any]:
    """Open the form of a top-level session."""
    session = await runtime.window(mode=mode)
    await window.goto(session["connect_url"])
    if mode == "link":
        await button_of(window, CONFIRM).click()
    await expect(button_of(window, continue_button(runtime.provider))).to_be_visible()
    return session


def button_of(window: Page, name: str) -> Locator:
    return window.get_by_role("button", name=name, exact=True)


async def continue_to_provider(window: Page, runtime: Served, press: str | None = None) -> None:
    await button_of(window, press or continue_button(runtime.provider)).click()
    await expect_provider_page(window, runtime.provider)


@each("oidc")
async def test_link_leads_to_the_provider_and_back_to_a_page_that_shows_success(window: Page, runtime: Served) -> None:
    session = await open_session_form(window, runtime, "link")
    await continue_to_provider(window, runtime)
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")
    await expect(window.get_by_text(ALICE.email)).to_be_visible()
    await expect(window.get_by_text("You can close this window.")).to_be_visible()
    assert (await runtime.state(session))["status"] == await runtime.status() == "connected"


@each("oidc")
async def test_redirect_leads_through_the_provider_to_the_app_and_connects_after_redemption(
    window: Page, runtime: Served
) -> None:
    session = await open_session_form(window, runtime, "redirect")
    await continue_to_provider(window, runtime)
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Back in the app")
    params = return_params(window)
    assert (params["session_id"], params["status"]) == (session["id"], "connected")
    assert await runtime.status() == "not_connected"
    body = {"code": params["code"], "end_user_id": END_USER}
    redeemed = await runtime.post(f"/v1/hosted-connection-sessions/{session['id']}/redeem", body)
    assert redeemed["connection"]["account"]["label"] == ALICE.email
    assert await runtime.status() == "connected"


@each("oidc")
@MODES
async def test_denial_shows_the_form_with_the_reason_and_a_second_try_connects(
    window: Page, runtime: Served, mode: str
) -> None:
    session = await open_session_form(window, runtime, mode)
    await continue_to_provider(window, runtime)
    await deny(window, runtime.provider, ALICE)
    alert = window.get_by_role("alert")
    await expect(alert).to_contain_text("Access wasn’t allowed. If that was a mistake, try again.")
    await expect(alert).to_be_focused()
    assert (await runtime.state(session))["status"] == "pending"
    await continue_to_provider(window, runtime)
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected" if mode == "link" else "Back in the app")


@each("oidc")
@MODES
async def test_another_account_replaces_the_first_only_after_the_end_user_agreed(
    window: Page, runtime: Served, mode: str
) -> None:
    await open_session_form(window, runtime, "link")
    await continue_to_provider(window, runtime)
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")
    await window.context.clear_cookies()  # the provider's page for another person needs JavaScript
    await open_session_form(window, runtime, mode)
    for answer in ("Keep the current one", "Replace it"):
        await continue_to_provider(window, runtime)
        await consent(window, runtime.provider, BOB)
        await expect(heading(window)).to_have_text("Replace the connected account?")
        await expect(
            window.get_by_text(f"This is the account {BOB.email}, and {ALICE.email} is connected now.")
        ).to_be_visible()
        await button_of(window, answer).click()
        if answer == "Keep the current one":
            await expect(window.get_by_role("alert")).to_contain_text("The connected account stays connected.")
    await expect(heading(window)).to_have_text("Connected" if mode == "link" else "Back in the app")
    if mode == "link":
        (connection,) = await runtime.connections()
        assert connection["account"]["label"] == BOB.email


async def pick(window: Page, runtime: Served) -> None:
    """Pick the integration from the list. A script shows only the well-known integrations at first."""
    await expect(heading(window)).to_have_text(f"What would you like to connect to {NORTHWIND}?")
    await window.wait_for_load_state()
    everything = window.get_by_role("button", name="Show all")
    if await everything.is_visible():
        await everything.click()
    await list_row(window, runtime.name).click()


@each("oidc")
async def test_link_without_an_integration_leads_from_the_list_to_the_provider_and_back(
    window: Page, runtime: Served
) -> None:
    session = await runtime.window(integration_slug=None, mode="link")
    await window.goto(session["connect_url"])
    await button_of(window, CONFIRM).click()
    await pick(window, runtime)
    await continue_to_provider(window, runtime)
    await deny(window, runtime.provider, ALICE)
    await expect(window.get_by_role("alert")).to_contain_text("Access wasn’t allowed")
    await button_of(window, "Back").click()
    await expect(heading(window)).to_have_text(f"What would you like to connect to {NORTHWIND}?")
    await pick(window, runtime)
    await continue_to_provider(window, runtime)
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")


@each("oidc")
async def test_redirect_cancelled_meanwhile_links_back_to_the_app(window: Page, runtime: Served) -> None:
    session = await open_session_form(window, runtime, "redirect")
    await continue_to_provider(window, runtime)
    answer = await runtime.http.delete(f"/v1/hosted-connection-sessions/{session['id']}")
    assert answer.status_code in {200, 204}
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Nothing was connected")
    await window.get_by_role("link", name=f"Back to {NORTHWIND}").click()
    await expect(heading(window)).to_have_text("Back in the app")
