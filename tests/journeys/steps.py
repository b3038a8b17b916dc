"""Steps of a person in front of a page: open the popup, type, read the outcome."""

import asyncio
import json
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Frame, Locator, Page, expect

from tests.browser import type_text
from tests.journeys.site import Site
from tests.running_demo import find_popup, popups
from tests.waiting import eventually

MASKED: Final = ("-webkit-text-security", "disc")
"""The CSS of a field that shows dots. Such a field is not a password field, because browsers save passwords."""
VISIBLE: Final = ("-webkit-text-security", "none")
WRONG_KEY: Final = "acme_of_nobody_at_all"
REFUSAL: Final = "No Acme CRM account has this API key. Copy it again from Settings."

_WCAG: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice")
_AXE: Final = {
    "resultTypes": ["violations"],
    "iframes": False,
    "runOnly": {"type": "tag", "values": list(_WCAG)},
    "rules": {"page-has-heading-one": {"enabled": False}},  # does not apply while a page is loading
}
# The rules that read colours. The style sheets for light and dark differ only in colours, so two looks suffice for the
# other rules.
_AXE_COLOURS: Final = {**_AXE, "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
# Waits until the transition to a color scheme has ended. It does not wait for endless animations.
_SHOWN: Final = """async (scheme) => {
  if (!matchMedia(`(prefers-color-scheme: ${scheme})`).matches) return false;
  const ending = () => document.getAnimations().filter(
    (animation) => animation.playState !== "finished" && animation.effect.getComputedTiming().endTime !== Infinity);
  // An inherited colour starts a transition of the child after the transition of the parent.
  const ended = (async () => {
    while (ending().length) await Promise.all(ending().map((animation) => animation.finished.catch(() => {})));
    return true;
  })();
  // While the browser draws no frame of the page, no animation ends. The caller then evaluates this again.
  return Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1000, false))]);
}"""
_LONGEST_LOOK: Final = 40.0  # seconds
_LOOKS: Final = (("light", 900, _AXE), ("dark", 320, _AXE), ("light", 320, _AXE_COLOURS), ("dark", 900, _AXE_COLOURS))


async def visit(page: Page, site: Site, token: str, path: str = "/") -> None:
    """Open the customer's page with a session."""
    await page.goto("about:blank")  # if only the fragment changed, the browser would not load the page
    await page.goto(f"{site.origin}{path}#{token}")


async def press_connect(page: Page) -> Frame:
    """Press the page's button. Return the popup."""
    await page.get_by_role("button", name="Connect", exact=True).click()
    frame = await find_popup(page)
    await expect(heading(frame)).to_be_visible()
    return frame


async def open_popup(page: Page, site: Site, token: str, path: str = "/") -> Frame:
    """Open the popup from the customer's page."""
    await visit(page, site, token, path)
    return await press_connect(page)


async def add_frame(page: Page, src: str) -> None:
    """Add another frame to the page."""
    script = "(src) => { document.body.append(Object.assign(document.createElement('iframe'), { src })); }"
    await page.evaluate(script, src)


def heading(frame: Frame | Page) -> Locator:
    return frame.get_by_role("heading", level=1)


def key_field(frame: Frame) -> Locator:
    return frame.get_by_label("API key", exact=True)


def button(frame: Frame, name: str) -> Locator:
    return frame.get_by_role("button", name=name, exact=True)


def list_row(frame: Frame | Page, name: str) -> Locator:
    """Return a row of the list of integrations. A selector by role needs seconds of CPU time for 600 rows."""
    return frame.locator(".picks button", has_text=name)


async def wait_until_settled(frame: Frame) -> None:
    """Wait until the popup has the height that it requested, or fills a low window. Until then, its controls move."""
    fits = """(room) => {
      const card = Math.max(240, document.querySelector(".card").offsetHeight);
      return Math.abs(innerHeight - card) <= 1 || (card > innerHeight && innerHeight >= room);
    }"""
    assert frame.page.viewport_size is not None
    await eventually(partial(frame.evaluate, fits, frame.page.viewport_size["height"] - 33))


async def click(frame: Frame, name: str) -> None:
    """Press a button of a popup when the button no longer moves."""
    await wait_until_settled(frame)
    await button(frame, name).click()


async def submit_key(frame: Frame, key: str) -> None:
    await type_text(key_field(frame), key)
    await key_field(frame).press("Enter")


async def outcome(page: Page) -> dict[str, Any]:
    """Return the result of the JavaScript promise on the page."""
    output = page.locator("#outcome")
    await expect(output).not_to_be_empty()
    result: dict[str, Any] = json.loads(await output.inner_text())
    return result


async def messages(page: Page) -> list[dict[str, Any]]:
    """Return every message that the page's window has received."""
    return [json.loads(text) for text in await page.locator("#messages li").all_text_contents()]


async def expect_closed(page: Page) -> None:
    await eventually(lambda: not popups(page))


def request_id(frame: Frame) -> str:
    """Return the request id that the popup uses in its messages."""
    return parse_qs(urlsplit(frame.url).query)["request_id"][0]


async def find_violations(page: Page, frame: Frame | Page) -> list[str]:
    """Return the violations that axe finds (WCAG 2.2 AA and best practices): light and dark, on phone and desktop."""
    lines = []
    await frame.evaluate(Axe().axe_script)
    for scheme, width, options in _LOOKS:
        async with asyncio.timeout(_LONGEST_LOOK):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
            await page.set_viewport_size({"width": width, "height": 760})
            await eventually(partial(frame.evaluate, _SHOWN, scheme))
            results = await frame.evaluate("(options) => axe.run(options)", options)
        for violation in results["violations"]:
            lines += [f"{scheme} {width}: {violation['id']}: {node['html']}" for node in violation["nodes"]]
    return lines
