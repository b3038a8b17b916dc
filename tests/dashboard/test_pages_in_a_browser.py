"""Every page of the dashboard in a browser: axe, the Content-Security-Policy, and width."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page

from one_runtime.dashboard.application import PAGES
from scripts.dashboard_states import STATES
from tests.browser import PageProblems, new_window
from tests.dashboard.served import ServedTeam
from tests.waiting import eventually

_CALLBACK: Final = "GET /sign-in/oidc/callback"  # only the OpenID provider opens it
NAMES: Final = [spec.name for spec in PAGES if spec.method == "GET" and spec.name != _CALLBACK]
PREVIEW: Final = "GET /o/{organization_id}/settings/branding/preview"
"""The page of a frame. Its content is inert, so axe finds no landmark. tests/journeys examine the same popup."""
_DARK: Final = "(dark) => matchMedia('(prefers-color-scheme: dark)').matches === dark"
_TOO_WIDE: Final = """() => [...document.querySelectorAll(":root, .list, .panel, .card, .problem, .note")]
  .filter((element) => element.scrollWidth > element.clientWidth)
  .map((element) => `${element.tagName} ${element.className}: ${element.scrollWidth} > ${element.clientWidth}`)"""
"""Returns the boxes whose content is wider. A list would cut it off."""
_AXE: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_AXE_COLORS: Final = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


@pytest_asyncio.fixture(loop_scope="session")
async def owner_page(page: Page, served_team: ServedTeam) -> AsyncIterator[Page]:
    await served_team.sign_in(page.context)
    yield page


async def findings(page: Page, scheme: str, width: int, *, colors_only: bool = False) -> list[str]:
    """Return the violations that axe finds, and what is wider than the window.

    `colors_only`: check only colors. The two color schemes differ only in colors.
    """
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    await page.set_viewport_size({"width": width, "height": 760})
    await eventually(partial(page.evaluate, _DARK, scheme == "dark"))
    results = await page.evaluate("(options) => axe.run(options)", _AXE_COLORS if colors_only else _AXE)
    found = [
        f"{scheme} {width}: {violation['id']}: {node['html']}"
        for violation in results["violations"]
        for node in violation["nodes"]
    ]
    return found + [f"{scheme} {width}: too wide: {box}" for box in await page.evaluate(_TOO_WIDE)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "looks",
    [
        pytest.param((("light", 320), ("dark", 1280)), id="two"),
        pytest.param((("dark", 320), ("light", 1280), ("light", 768)), id="others", marks=pytest.mark.soak),
    ],
)
async def test_every_page_is_accessible_and_fits(
    owner_page: Page, served_team: ServedTeam, looks: tuple[tuple[str, int], ...]
) -> None:
    script, found = Axe().axe_script, dict[str, list[str]]()
    for name in NAMES:
        if name == PREVIEW:
            continue
        await owner_page.goto(served_team.url + served_team.paths[name])
        await owner_page.evaluate(script)
        problems = []
        for scheme, width in looks:
            problems += await findings(owner_page, scheme, width, colors_only=(scheme, width) == ("dark", 1280))
        if problems:
            found[name] = problems
    assert found == {}


@pytest.mark.soak
async def test_states_and_pages_without_data_are_accessible_and_fit(page: Page, served_team: ServedTeam) -> None:
    script, found = Axe().axe_script, dict[str, list[str]]()

    async def look(name: str) -> None:
        await page.evaluate(script)
        await page.evaluate("scrollTo(0, 0)")  # the bar at the top must not cover a link
        problems = [
            each for scheme, width in (("light", 320), ("dark", 1280)) for each in await findings(page, scheme, width)
        ]
        if problems:
            found[name] = problems

    for state in STATES:
        await page.context.clear_cookies()
        if state.role is not None:
            await served_team.sign_in(page.context, state.role)
        await state.show(page, served_team)
        await look(state.name)
    empty = await served_team.empty()
    await empty.sign_in(page.context)
    for name, path in empty.paths.items():
        if name.startswith("GET") and name != PREVIEW:
            await page.goto(empty.url + path)
            await look(f"empty {name}")
    assert found == {}


async def test_every_page_opens_without_javascript(
    browser: Browser, page_problems: PageProblems, served_team: ServedTeam
) -> None:
    async with new_window(browser, page_problems, scripts=False) as page:
        await served_team.sign_in(page.context)
        for name in NAMES:
            answer = await page.goto(served_team.url + served_team.paths[name])
            assert answer is not None
            assert answer.status == 200, name
            assert await page.locator("h1").count() == 1, name


async def test_member_signs_in_at_the_openid_provider_without_javascript(
    browser: Browser, page_problems: PageProblems, served_team: ServedTeam
) -> None:
    async with new_window(browser, page_problems, scripts=False) as page:
        await page.goto(f"{served_team.url}/organizations")
        await page.get_by_role("button", name="Sign in with 127.0.0.1").click()
        await page.wait_for_url(f"{served_team.url}/organizations")
        assert await page.get_by_role("link", name="Northwind Traders Support").is_visible()
