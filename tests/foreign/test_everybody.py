"""Accessibility: axe finds nothing on the pages of an authorization, and nothing is wider than a small phone."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Frame, Page, Route, expect

from tests.foreign.consent import consent, deny
from tests.foreign.person import ALICE, BOB
from tests.foreign.served import Served
from tests.foreign.test_windows import NO_LINK, NO_WINDOW
from tests.foreign.windows import allow_in_window, continue_button, each, open_provider_window, open_sign_in
from tests.journeys.steps import click, find_violations, heading, outcome, wait_until_settled
from tests.journeys.test_window import CONFIRM
from tests.journeys.test_window_everybody import TOO_SMALL

pytestmark = pytest.mark.foreign

Reach = Callable[[Page, Served], Awaitable[tuple[Page, Frame | Page]]]


async def never(route: Route) -> None:
    """A server that does not answer."""


async def asking(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    return page, await open_sign_in(page, runtime, await runtime.session(end_user_name="Ada Lovelace"))


async def waiting(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    frame = await open_sign_in(page, runtime, await runtime.session())
    await open_provider_window(frame, runtime.provider)
    return page, frame


async def blocked(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    await page.add_init_script(NO_WINDOW)
    frame = await open_sign_in(page, runtime, await runtime.session())
    await click(frame, continue_button(runtime.provider))
    await expect(frame.get_by_role("link", name=f"Open {runtime.name}")).to_be_visible()
    return page, frame


async def unavailable(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    await page.add_init_script(NO_LINK)
    await page.clock.install()
    page, frame = await blocked(page, runtime)
    await wait_until_settled(frame)  # type: ignore[arg-type] # it is the popup's
    await frame.get_by_role("link", name=f"Open {runtime.name}").click()
    await page.clock.fast_forward(13_000)
    await expect(heading(frame)).to_have_text("The sign-in window can’t open here")
    return page, frame


async def denied(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    frame = await open_sign_in(page, runtime, await runtime.session())
    await deny(await open_provider_window(frame, runtime.provider), runtime.provider, ALICE)
    await expect(frame.get_by_role("alert")).to_be_visible()
    return page, frame


async def another_account(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    await allow_in_window(await open_sign_in(page, runtime, await runtime.session()), runtime.provider, ALICE)
    await outcome(page)
    frame = await open_sign_in(page, runtime, await runtime.session())
    window = await open_provider_window(frame, runtime.provider)
    await consent(window, runtime.provider, BOB)
    await expect(heading(window)).to_have_text("Replace the connected account?")
    return window, window


async def window_before_ticket(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    """Show our window before our frame has sent it a ticket."""
    await page.route("**/connect/session/authorization", never)
    frame = await open_sign_in(page, runtime, await runtime.session())
    async with page.context.expect_page() as opening:
        await click(frame, continue_button(runtime.provider))
    window = await opening.value
    await expect(heading(window)).to_have_text("One moment")
    return window, window


async def window_without_opener(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    await page.goto(f"{runtime.url}/connect/authorization")
    await expect(heading(page)).to_have_text("Start again from the app")
    return page, page


async def returned(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    await page.context.add_init_script("window.close = () => {}")
    window = await open_provider_window(await open_sign_in(page, runtime, await runtime.session()), runtime.provider)
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")
    return window, window


async def returned_without_success(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    await page.context.add_init_script("window.close = () => {}")
    window = await open_provider_window(await open_sign_in(page, runtime, await runtime.session()), runtime.provider)
    await deny(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Nothing was connected")
    await expect(window.get_by_text("The person said no.")).to_be_visible()
    return window, window


async def open_link_form(page: Page, runtime: Served) -> None:
    """Open the form of a session in the mode `link`."""
    await page.goto((await runtime.window(mode="link", end_user_name="Ada Lovelace"))["connect_url"])
    await page.get_by_role("button", name=CONFIRM).click()
    await expect(page.get_by_role("button", name=continue_button(runtime.provider))).to_be_visible()


async def leaving(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    await page.route(f"{runtime.provider.url}/**", lambda route: route.abort("aborted"))  # stays on the page
    await open_link_form(page, runtime)
    await page.get_by_role("button", name=continue_button(runtime.provider)).click()
    await expect(heading(page)).to_have_text(f"Continue to {runtime.name}")
    await page.wait_for_load_state("load")  # its stylesheet has loaded
    return page, page


async def denied_in_the_whole_window(page: Page, runtime: Served) -> tuple[Page, Frame | Page]:
    await open_link_form(page, runtime)
    await page.get_by_role("button", name=continue_button(runtime.provider)).click()
    await page.wait_for_url(f"{runtime.provider.url}/**")
    await deny(page, runtime.provider, ALICE)
    await expect(page.get_by_role("alert")).to_be_visible()
    return page, page


REACHED: list[Reach] = [
    asking, waiting, blocked, unavailable, denied, another_account, window_before_ticket, window_without_opener,
    returned, returned_without_success, leaving, denied_in_the_whole_window,
]  # fmt: skip


@each("oidc")
@pytest.mark.parametrize("reach", REACHED)
async def test_axe_finds_nothing_controls_are_a_finger_wide_and_nothing_is_wider_than_a_small_phone(
    page: Page, runtime: Served, reach: Reach
) -> None:
    window, where = await reach(page, runtime)
    assert await where.evaluate(TOO_SMALL) == []
    assert await find_violations(window, where) == []
    await window.set_viewport_size({"width": 320, "height": 568})
    assert await where.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
