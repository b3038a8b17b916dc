"""The dashboard without a mouse: the order and the visibility of the focus, menus, and forms that are sent once."""

import asyncio
from typing import Any, Final

import pytest
from playwright.async_api import Page, Route, expect

from tests.dashboard.served import ServedTeam

PAGES: Final = (
    "",
    "/connections",
    "/connections/{connection_id}",
    "/integrations/{integration_slug}",
    "/members",
    "/playground/calls",
    "/requests",
    "/settings",
)
_MOST_STOPS: Final = 200

_TABBABLE: Final = """() => {
  const selector = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  const isStop = (element) => !element.disabled
    && element.type !== "hidden"
    && element.checkVisibility({ visibilityProperty: true })
    && (element.type !== "radio" || element.checked);
  return [...document.querySelectorAll(selector)].filter(isStop).map((element, index) => {
    element.dataset.stop = index;
    return element.outerHTML.slice(0, 120);
  });
}"""
"""Marks the elements that Tab must reach, and returns them in the order of the document."""

_FOCUS: Final = """() => {
  const element = document.activeElement;
  if (element === document.body || element.tagName === "IFRAME") return null;
  const style = getComputedStyle(element);
  const [box] = element.getClientRects();
  const at = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height / 2, 20));
  const covered = !at || !(element.contains(at) || at.contains(element) || element.labels?.[0]?.contains(at));
  return {
    stop: Number(element.dataset.stop),
    problem: (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1 ? "no outline " : "")
      + (covered ? `covered by ${at?.outerHTML.slice(0, 80)}` : ""),
  };
}"""

_PRESS_TWICE: Final = """(button) => {
  button.click();
  setTimeout(() => {
    button.click();
    console.log("pressed again");  // while the first request waits, Playwright does not run functions in the page
  }, 200);
}"""


async def stops(page: Page) -> list[dict[str, Any]]:
    """Press Tab until the focus leaves the page. Return the elements that had the focus."""
    reached: list[dict[str, Any]] = []
    while len(reached) < _MOST_STOPS:
        await page.keyboard.press("Tab")
        focus = await page.evaluate(_FOCUS)
        if focus is None:
            return reached
        if not reached or reached[-1]["stop"] != focus["stop"]:  # a date has a stop for each of its parts
            reached.append(focus)
    raise AssertionError("the focus does not leave the page")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 360])
async def test_focus_reaches_everything_in_order_and_is_always_visible(
    page: Page, served_team: ServedTeam, width: int
) -> None:
    await served_team.sign_in(page.context)
    await page.set_viewport_size({"width": width, "height": 760})
    for path in PAGES:
        await page.goto(served_team.url + served_team.paths[f"GET /o/{{organization_id}}{path}"])
        elements, reached = await page.evaluate(_TABBABLE), await stops(page)
        assert [focus["stop"] for focus in reached] == list(range(len(elements))), path
        problems = [f"{elements[focus['stop']]}: {focus['problem']}" for focus in reached if focus["problem"].strip()]
        assert problems == [], path


async def test_skip_link_and_menus_need_no_mouse(page: Page, served_team: ServedTeam) -> None:
    await served_team.sign_in(page.context)
    await page.set_viewport_size({"width": 360, "height": 760})
    await page.goto(served_team.url + served_team.paths["GET /o/{organization_id}/members"])
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    for menu, entry in (("Menu", "Overview"), ("Account of", "Account")):
        button = page.locator("summary").filter(has_text=menu)
        link = page.get_by_role("link", name=entry, exact=True)
        await button.focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await expect(link).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()
        await expect(link).to_be_hidden()
        await page.keyboard.press("Enter")
        await expect(link).to_be_visible()
        await page.locator("main a").first.focus()
        await expect(link).to_be_hidden()


async def test_form_is_sent_once(page: Page, served_team: ServedTeam) -> None:
    await served_team.sign_in(page.context)
    await page.goto(served_team.url + served_team.paths["GET /o/{organization_id}/connections/{connection_id}"])
    sent, is_pressed_again = list[str](), asyncio.Event()

    async def hold(route: Route) -> None:
        sent.append(route.request.url)
        await is_pressed_again.wait()
        await route.continue_()

    await page.route("**/check", hold)
    page.on("console", lambda _: is_pressed_again.set())
    await page.get_by_role("button", name="Check now").evaluate(_PRESS_TWICE)
    await expect(page.get_by_text("The check failed")).to_be_visible()
    assert len(sent) == 1
