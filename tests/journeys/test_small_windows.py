"""Windows that are lower than a form: a wheel and a finger reach the form's button, in the popup and at top level."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest
from playwright.async_api import Browser, CDPSession, Frame, Page, ViewportSize, expect

from one_runtime.catalog.loader import load_catalog
from one_runtime.integrations.availability import Availability
from tests.browser import PATIENCE
from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import WRONG_KEY, button, heading, open_popup, submit_key
from tests.waiting import async_attempts, eventually

LAPTOP: Final = ViewportSize(width=1366, height=650)
PHONE: Final = ViewportSize(width=390, height=664)
PHONE_ON_ITS_SIDE: Final = ViewportSize(width=740, height=360)
KEYBOARD_OPEN: Final = ViewportSize(width=390, height=330)
ZOOMED: Final = ViewportSize(width=320, height=256)  # 400 % zoom of 1280 x 1024, WCAG 2.2 (1.4.10)

# Returns true if the button is in the visible part of the popup, and the popup is not higher than the window.
_REACHED: Final = """(window_height) => {
  const { top, bottom } = document.querySelector(".primary").getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight + 1 && innerHeight <= window_height;
}"""
_AT_THE_TOP: Final = "() => { scrollTo({ top: 0, behavior: 'instant' }); }"


def tall_forms() -> Iterator[tuple[str, int]]:
    """Yield the slug and the position of each auth type of the catalog that asks for three or more values."""
    for integration in load_catalog().integrations:
        available = Availability().working(integration)
        auths = [auth for auth in integration.auth if auth.type in available]
        for position, auth in enumerate(auths):
            if len(auth.params) + len(auth.fields) >= 3:
                yield integration.slug, position if len(auths) > 1 else -1


async def is_reached(page: Page, frame: Frame) -> bool:
    assert page.viewport_size is not None
    reached: bool = await frame.evaluate(_REACHED, page.viewport_size["height"])
    return reached


async def wheel(page: Page, frame: Frame) -> None:
    """Turn the wheel over the popup until its button is visible."""
    assert page.viewport_size is not None
    await page.mouse.move(page.viewport_size["width"] / 2, page.viewport_size["height"] / 3)
    async for _ in async_attempts(5):
        await page.mouse.wheel(0, 1000)
        if await is_reached(page, frame):
            break


async def swipe(page: Page, frame: Frame, finger: CDPSession) -> None:
    """Move a finger over the popup until its button is visible."""
    assert page.viewport_size is not None
    x, y = page.viewport_size["width"] / 2, page.viewport_size["height"] - 20
    async for _ in async_attempts(5):
        for kind, height in (("touchStart", y), ("touchMove", y - 30), ("touchMove", 20), ("touchEnd", None)):
            points = [] if height is None else [{"x": x, "y": height}]
            await finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        if await is_reached(page, frame):
            break


async def show(frame: Frame, slug: str, position: int) -> None:
    """Show a form of the list's popup."""
    await frame.evaluate('(slug) => document.querySelector(`[value="${slug}"]`).click()', slug)
    if position >= 0:
        await frame.locator(".choice .row").nth(position).wait_for()
        await frame.evaluate("(position) => document.querySelectorAll('.choice .row')[position].click()", position)
    await frame.locator("form .primary").wait_for()


async def go_back(frame: Frame) -> None:
    while not await frame.locator(".picks").count():
        await frame.evaluate("() => document.querySelector('.back').click()")


async def reach_every_button(browser: Browser, site: Site, backend: Backend, forms: list[tuple[str, int]]) -> None:
    """Open each form in one popup. Reach the button by wheel in a laptop's window, and by finger on a phone."""
    async with await browser.new_context(has_touch=True, reduced_motion="reduce") as context:
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        finger = await context.new_cdp_session(page)
        await page.set_viewport_size(LAPTOP)
        frame = await open_popup(page, site, await backend.token(None))
        await frame.get_by_role("button", name="Show all").click()
        for slug, position in forms:
            await page.set_viewport_size(LAPTOP)
            await show(frame, slug, position)
            await wheel(page, frame)
            await page.set_viewport_size(PHONE)
            await frame.evaluate(_AT_THE_TOP)
            await swipe(page, frame, finger)
            await go_back(frame)


async def test_buttons_of_the_tallest_forms_are_reached_by_wheel_and_finger(
    browser: Browser, site: Site, backend: Backend
) -> None:
    tallest = {"ironclad", "cloudinary", "algolia", "workday"}
    forms = [(slug, position) for slug, position in tall_forms() if slug in tallest]
    assert {slug for slug, _ in forms} == tallest
    await reach_every_button(browser, site, backend, forms)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_buttons_of_all_forms_with_three_fields_are_reached_by_wheel_and_finger(
    browser: Browser, site: Site, backend: Backend
) -> None:
    forms = list(tall_forms())
    assert len(forms) > 50
    await reach_every_button(browser, site, backend, forms)


async def test_refused_form_is_usable_in_every_small_window(browser: Browser, site: Site, backend: Backend) -> None:
    async with await browser.new_context(has_touch=True, reduced_motion="reduce") as context:
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        finger = await context.new_cdp_session(page)
        frame = await open_popup(page, site, await backend.token())
        await frame.get_by_text("Where do I find this?").click()
        await submit_key(frame, WRONG_KEY)
        await expect(frame.get_by_role("alert")).to_be_visible()
        for viewport in (PHONE_ON_ITS_SIDE, KEYBOARD_OPEN, ZOOMED):
            await page.set_viewport_size(viewport)
            await eventually(partial(frame.evaluate, "(height) => innerHeight <= height", viewport["height"]))
            for reach in (wheel(page, frame), swipe(page, frame, finger)):
                await frame.evaluate(_AT_THE_TOP)
                assert not await is_reached(page, frame)
                await reach
            close = await button(frame, "Cancel and close").bounding_box()
            assert close is not None
            assert close["y"] >= 0


@pytest.mark.parametrize("viewport", [PHONE_ON_ITS_SIDE, ZOOMED])
async def test_page_at_top_level_is_usable_in_a_small_window(
    page: Page, backend: Backend, viewport: ViewportSize
) -> None:
    backend.register(backend.site.return_url)
    await page.set_viewport_size(viewport)
    await page.goto((await backend.window("ironclad"))["connect_url"])
    await expect(heading(page)).to_be_visible()
    await page.evaluate(_AT_THE_TOP)
    assert await page.evaluate("() => document.querySelector('.close').getBoundingClientRect().top >= 0")
    await wheel(page, page.main_frame)


async def test_popup_stays_above_a_phones_keyboard(page: Page, site: Site, backend: Backend) -> None:
    await page.set_viewport_size(PHONE)
    frame = await open_popup(page, site, await backend.token())
    # Chromium has no keyboard on the screen here. A keyboard makes only the visual viewport lower.
    change = """(height) => {
      Object.defineProperty(visualViewport, "height", { configurable: true, get: () => height });
      visualViewport.dispatchEvent(new Event("resize"));
    }"""
    keyboard_top = PHONE["height"] - 340
    await page.evaluate(change, keyboard_top)
    await eventually(partial(frame.evaluate, "(height) => innerHeight <= height", keyboard_top))
    await wheel(page, frame)
    box = await frame.locator(".primary").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= keyboard_top
    await page.evaluate(change, PHONE["height"])
    await eventually(partial(frame.evaluate, "(height) => innerHeight > height", keyboard_top))
