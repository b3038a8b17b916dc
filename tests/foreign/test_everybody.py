"""For everybody: axe finds nothing on the way to a provider and back, and nothing is wider than a small phone."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Frame, Page, Route, expect

from tests.foreign.consent import consent, deny
from tests.foreign.person import ALICE, BOB
from tests.foreign.served import Served
from tests.foreign.test_windows import NO_LINK, NO_WINDOW
from tests.foreign.windows import agreed, asked, each, onward, to_the_provider
from tests.journeys.steps import click, heading, outcome, settled, violations
from tests.journeys.test_window import CONFIRM
from tests.journeys.test_window_everybody import TOO_SMALL

pytestmark = pytest.mark.foreign

Reach = Callable[[Page, Served], Awaitable[tuple[Page, Frame | Page]]]


async def never(route: Route) -> None:
    """A server that does not answer."""


async def asking(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    return page, await asked(page, there, await there.session(end_user_name="Ada Lovelace"))


async def waiting(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    frame = await asked(page, there, await there.session())
    await to_the_provider(frame, there.provider)
    return page, frame


async def blocked(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    await page.add_init_script(NO_WINDOW)
    frame = await asked(page, there, await there.session())
    await click(frame, onward(there.provider))
    await expect(frame.get_by_role("link", name=f"Open {there.name}")).to_be_visible()
    return page, frame


async def unavailable(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    await page.add_init_script(NO_LINK)
    await page.clock.install()
    page, frame = await blocked(page, there)
    await settled(frame)  # type: ignore[arg-type] # it is the popup's
    await frame.get_by_role("link", name=f"Open {there.name}").click()
    await page.clock.fast_forward(13_000)
    await expect(heading(frame)).to_have_text("This can’t open a window")
    return page, frame


async def denied(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    frame = await asked(page, there, await there.session())
    await deny(await to_the_provider(frame, there.provider), there.provider, ALICE)
    await expect(frame.get_by_role("alert")).to_be_visible()
    return page, frame


async def another_account(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    await agreed(await asked(page, there, await there.session()), there.provider, ALICE)
    await outcome(page)
    frame = await asked(page, there, await there.session())
    await agreed(frame, there.provider, BOB)
    await expect(heading(frame)).to_have_text("Replace the connected account?")
    return page, frame


async def window_before_ticket(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    """Our window, before our frame has told it where to go."""
    await page.route("**/connect/session/authorization", never)
    frame = await asked(page, there, await there.session())
    async with page.context.expect_page() as opening:
        await click(frame, onward(there.provider))
    window = await opening.value
    await expect(heading(window)).to_have_text("One moment")
    return window, window


async def window_without_opener(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    await page.goto(f"{there.url}/connect/authorization")
    await expect(heading(page)).to_have_text("Start again from the app")
    return page, page


async def returned(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    await page.context.add_init_script("window.close = () => {}")
    window = await to_the_provider(await asked(page, there, await there.session()), there.provider)
    await consent(window, there.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")
    return window, window


async def returned_without_success(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    await page.context.add_init_script("window.close = () => {}")
    window = await to_the_provider(await asked(page, there, await there.session()), there.provider)
    await deny(window, there.provider, ALICE)
    await expect(heading(window)).to_have_text("Nothing was connected")
    await expect(window.get_by_text("The person said no.")).to_be_visible()
    return window, window


async def in_the_whole_window(page: Page, there: Served) -> None:
    """At the form of a session by link."""
    await page.goto((await there.window(mode="link", end_user_name="Ada Lovelace"))["connect_url"])
    await page.get_by_role("button", name=CONFIRM).click()
    await expect(page.get_by_role("button", name=onward(there.provider))).to_be_visible()


async def leaving(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    await page.route(f"{there.provider.url}/**", lambda route: route.abort("aborted"))  # which keeps the page
    await in_the_whole_window(page, there)
    await page.get_by_role("button", name=onward(there.provider)).click()
    await expect(heading(page)).to_have_text(f"On to {there.name}")
    await page.wait_for_load_state("load")  # its style is there
    return page, page


async def denied_in_the_whole_window(page: Page, there: Served) -> tuple[Page, Frame | Page]:
    await in_the_whole_window(page, there)
    await page.get_by_role("button", name=onward(there.provider)).click()
    await page.wait_for_url(f"{there.provider.url}/**")
    await deny(page, there.provider, ALICE)
    await expect(page.get_by_role("alert")).to_be_visible()
    return page, page


REACHED: list[Reach] = [
    asking, waiting, blocked, unavailable, denied, another_account, window_before_ticket, window_without_opener,
    returned, returned_without_success, leaving, denied_in_the_whole_window,
]  # fmt: skip


@each("oidc")
@pytest.mark.parametrize("reach", REACHED)
async def test_axe_finds_nothing_and_nothing_is_wider_than_a_small_phone(
    page: Page, there: Served, reach: Reach
) -> None:
    shown, where = await reach(page, there)
    assert await violations(shown, where) == []
    await shown.set_viewport_size({"width": 320, "height": 568})
    assert await where.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@each("oidc")
@pytest.mark.parametrize("reach", [waiting, blocked, another_account, returned_without_success, leaving])
async def test_controls_are_a_finger_wide(page: Page, there: Served, reach: Reach) -> None:
    _, where = await reach(page, there)
    assert await where.evaluate(TOO_SMALL) == []
