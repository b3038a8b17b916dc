"""Pages with the default `Cross-Origin-Opener-Policy` of Django and helmet, which cuts off the sign-in window."""

from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from playwright.async_api import ConsoleMessage, Frame, Page, expect

from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    button,
    click,
    expect_closed,
    find_violations,
    heading,
    key_field,
    open_popup,
    outcome,
    submit_key,
    wait_until_settled,
)
from tests.running_demo import Demo

TITLE: Final = "You can’t sign in from this page yet"
VALUES: Final = ("Cross-Origin-Opener-Policy: same-origin", "same-origin-allow-popups", "redirect")


def console_errors(page: Page) -> list[str]:
    """Return the errors of our scripts in the page's console. The list grows while the page runs."""
    errors = list[str]()

    def read(line: ConsoleMessage) -> None:
        if line.type == "error" and "One Runtime" in line.text:
            errors.append(line.text)

    page.on("console", read)
    return errors


async def press_sign_in(page: Page, press: Callable[[], Awaitable[None]]) -> Page:
    async with page.context.expect_page() as opening:
        await press()
    return await opening.value


async def cut_off(page: Page, frame: Frame) -> Page:
    """Press the button of the sign-in, and wait until the popup knows that the window is cut off."""
    window = await press_sign_in(page, lambda: click(frame, "Continue to Acme CRM"))
    await expect(heading(frame)).to_have_text(TITLE)
    return window


@pytest.mark.firefox
async def test_developers_and_the_end_user_read_what_the_page_has_to_change(
    page: Page, site: Site, backend: Backend
) -> None:
    session = await backend.session(auth_type="oauth2")
    frame = await open_popup(page, site, session["session_token"], "/default-django")
    in_console = console_errors(page)
    window = await cut_off(page, frame)
    await expect(heading(window)).to_have_text(TITLE)
    for text in (await window.locator("main").inner_text(), await frame.locator("main").inner_text(), *in_console):
        assert [value for value in VALUES if value not in text] == []
        assert "don’t use it" not in text
    assert len(in_console) == 1
    assert await frame.get_by_role("link", name="Open Acme CRM").count() == 0
    state = await backend.state(session)
    assert (state["status"], state["last_error"]["code"]) == ("pending", "opener_policy")
    await button(frame, "Close").last.click()
    result = await outcome(page)
    assert (result["status"], result["error"]["code"]) == ("error", "window_unavailable")
    assert "same-origin-allow-popups" in result["error"]["message"]
    await expect_closed(page)


async def test_end_user_can_connect_in_another_way(page: Page, demo: Demo, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token(auth_type=None), "/default-django")
    await wait_until_settled(frame)
    await press_sign_in(page, lambda: frame.get_by_role("button", name="Sign in").click())
    await expect(heading(frame)).to_have_text(TITLE)
    await click(frame, "Back")
    await frame.get_by_role("button", name="API key").click()
    await expect(key_field(frame)).to_be_visible()
    await submit_key(frame, demo.acme_key)
    assert (await outcome(page))["status"] == "connected"


async def test_link_to_the_window_from_elsewhere_still_warns_the_person(page: Page, site: Site, demo: Demo) -> None:
    await page.goto(f"{site.origin}/relaxed")
    await page.evaluate("(href) => { document.body.innerHTML = `<a href=${href} target=_blank rel=noopener>Go</a>`; }",
                        f"{demo.url}/connect/authorization#made-up")  # fmt: skip
    window = await press_sign_in(page, lambda: page.get_by_role("link", name="Go").click())
    await expect(heading(window)).to_have_text("Start again from the app")
    await expect(window.get_by_text("If someone sent you this link, don’t use it.")).to_be_visible()


async def test_axe_finds_nothing_in_the_popup_and_in_the_window(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token(auth_type="oauth2"), "/default-django")
    window = await cut_off(page, frame)
    assert await find_violations(page, frame) == []
    await expect(heading(window)).to_have_text(TITLE)
    assert await find_violations(window, window) == []
