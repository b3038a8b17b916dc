"""Pages around the popup: their styles, their dialogs, their focus, and pages that close or remove the popup."""

from typing import Any, Final

import pytest
from playwright.async_api import Frame, Page, expect

from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import click, expect_closed, heading, key_field, outcome, submit_key, visit
from tests.running_demo import Demo, find_popup, popups
from tests.waiting import eventually

# Starts the popup, and records the outcome in `window.results`.
_OPEN: Final = """async ([baseUrl, sessionToken]) => {
  const { createOneRuntime } = await import(`${baseUrl}/connect.js`);
  window.connections = createOneRuntime({ baseUrl }).connections;
  window.results ??= [];
  window.abort = new AbortController();
  window.connections.open({ sessionToken, signal: window.abort.signal }).then(
    (result) => results.push(result.status), (error) => results.push(error.message));
}"""
_REMOVALS: Final = (
    "document.body.lastElementChild.remove()",
    "document.body.replaceChildren()",
    "document.documentElement.replaceChild(document.createElement('body'), document.body)",
)
# Every inherited property that makes an element invisible, unusable or unreadable, as dialog libraries and themes set.
_HOSTILE: Final = """
  html { scrollbar-gutter: stable; }
  body { pointer-events: none; visibility: hidden; direction: rtl; user-select: none; cursor: wait; color: transparent;
    font: 3px/0 cursive; letter-spacing: 1em; }
  body * { pointer-events: none !important; display: none !important; }
  main, main * { pointer-events: auto !important; visibility: visible; display: revert !important; }
"""


async def start(page: Page, site: Site, backend: Backend, **more: Any) -> Frame:
    """Open the popup from a page without a policy, and wait until the popup is visible."""
    if not page.url.startswith(site.origin):
        await visit(page, site, "", "/relaxed")
    await page.evaluate(_OPEN, [site.one_runtime, await backend.token(**more)])
    frame = await find_popup(page)
    await expect(heading(frame)).to_be_visible()
    return frame


async def results(page: Page, count: int = 1) -> list[str]:
    """Wait until `count` promises have resolved. Return their results."""
    await page.wait_for_function("(count) => window.results.length >= count", arg=count)
    statuses: list[str] = await page.evaluate("() => window.results")
    return statuses


async def is_free(page: Page) -> bool:
    """Return True if the page scrolls again, and the popup has left nothing in the page."""
    style: str = await page.evaluate("() => document.documentElement.style.cssText")
    return style == "" and not popups(page)


@pytest.mark.firefox
async def test_popup_inherits_no_style_of_the_page(page: Page, demo: Demo, site: Site, backend: Backend) -> None:
    await visit(page, site, await backend.token(), "/relaxed")
    await page.add_style_tag(content=_HOSTILE)
    await page.get_by_role("button", name="Connect").click()
    frame = await find_popup(page)
    await expect(key_field(frame)).to_be_focused()
    await frame.get_by_text("Where do I find this?").click()
    await expect(frame.get_by_role("link", name="Open Acme CRM")).to_be_visible()
    await key_field(frame).click()
    await key_field(frame).press_sequentially(demo.acme_key)
    await expect(key_field(frame)).to_have_value(demo.acme_key)
    await click(frame, "Connect Acme CRM")
    assert (await outcome(page))["status"] == "connected"


@pytest.mark.firefox_soak
async def test_popup_that_the_page_removes_is_cancelled_and_the_page_is_free(
    page: Page, site: Site, backend: Backend
) -> None:
    for removals, change in enumerate(_REMOVALS, start=1):
        await start(page, site, backend)
        await page.evaluate(f"() => {{ {change}; }}")
        assert await results(page, removals) == ["cancelled"] * removals, change
        assert await is_free(page), change
    await start(page, site, backend)
    await page.evaluate("() => window.connections.close()")
    assert await results(page, len(_REMOVALS) + 1) == ["cancelled"] * (len(_REMOVALS) + 1)


async def test_popup_opens_in_the_same_step_that_removes_the_previous_popup(
    page: Page, site: Site, backend: Backend
) -> None:
    await start(page, site, backend)
    token = await backend.token()
    refused = """(sessionToken) => {
      document.body.replaceChildren();
      const refused = (error) => results.push(error.message);
      window.connections.open({ sessionToken }).then((result) => results.push(result.status), refused);
    }"""
    await page.evaluate(refused, token)
    assert await results(page) == ["cancelled"]
    await expect(key_field(await find_popup(page))).to_be_visible()


@pytest.mark.firefox_soak
async def test_page_closes_the_popup_by_a_signal_and_by_close(page: Page, site: Site, backend: Backend) -> None:
    session = await backend.session()
    await visit(page, site, "", "/relaxed")
    await page.evaluate(_OPEN, [site.one_runtime, session["session_token"]])
    await expect(key_field(await find_popup(page))).to_be_visible()
    await page.evaluate("() => window.abort.abort()")
    assert await results(page) == ["cancelled"]
    assert await is_free(page)
    assert (await backend.state(session))["status"] == "cancelled"

    await start(page, site, backend)
    assert await page.evaluate("() => window.connections.close().then(() => window.results.length)") == 2
    assert await is_free(page)
    assert await page.evaluate("() => window.connections.close()") is None  # nothing is open

    aborted = (
        "() => connections.open({ sessionToken: 'x', signal: AbortSignal.abort() }).then((result) => result.status)"
    )
    assert await page.evaluate(aborted) == "cancelled"
    assert not popups(page)
    wrong = "() => connections.open({ sessionToken: 'x', signal: {} }).catch(String)"
    assert "AbortSignal" in await page.evaluate(wrong)


async def test_component_that_is_mounted_twice_opens_one_popup(page: Page, site: Site, backend: Backend) -> None:
    # React's StrictMode runs an effect, its clean-up and the effect again in one step.
    await visit(page, site, "", "/relaxed")
    token = await backend.token()
    twice = f"async (args) => {{ await ({_OPEN})(args); window.abort.abort(); await ({_OPEN})(args); }}"
    await page.evaluate(twice, [site.one_runtime, token])
    frame = await find_popup(page)
    await expect(key_field(frame)).to_be_visible()
    assert await results(page) == ["cancelled"]
    assert len(popups(page)) == 1


async def test_copies_of_connect_js_share_the_open_popup(page: Page, site: Site, backend: Backend) -> None:
    await start(page, site, backend)
    copied = """async ([baseUrl, sessionToken]) => {
      const { createOneRuntime } = await import(`${baseUrl}/connect.js?copy`);
      const { connections } = createOneRuntime({ baseUrl });
      const refusal = await connections.open({ sessionToken }).catch(String);
      await connections.close();
      return refusal;
    }"""
    assert "open already" in await page.evaluate(copied, [site.one_runtime, await backend.token()])
    assert await results(page) == ["cancelled"]


async def test_close_ends_the_success_mark_and_the_page_can_then_move_the_focus(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    frame = await start(page, site, backend)
    await submit_key(frame, demo.acme_key)
    assert await results(page) == ["connected"]
    moved = """async () => {
      const heading = document.querySelector("h1");
      heading.tabIndex = -1;
      await window.connections.close();
      heading.focus();
      return document.activeElement === heading;
    }"""
    assert await page.evaluate(moved)
    assert await is_free(page)


async def test_focus_returns_to_a_button_that_was_disabled_meanwhile(page: Page, site: Site, backend: Backend) -> None:
    await visit(page, site, "", "/relaxed")
    await page.evaluate(
        """async ([baseUrl, sessionToken]) => {
          const { createOneRuntime } = await import(`${baseUrl}/connect.js`);
          const { connections } = createOneRuntime({ baseUrl });
          const button = Object.assign(document.createElement("button"), { textContent: "Slow" });
          document.querySelector("main").append(button);
          button.onclick = async () => {
            button.disabled = true;
            await new Promise(requestAnimationFrame);
            await connections.open({ sessionToken });
            button.disabled = false;
          };
        }""",
        [site.one_runtime, await backend.token()],
    )
    await page.get_by_role("button", name="Slow").press("Enter")
    frame = await find_popup(page)
    await expect(key_field(frame)).to_be_focused()
    await key_field(frame).press("Escape")
    await expect_closed(page)
    await expect(page.get_by_role("button", name="Slow")).to_be_focused()


async def test_page_neither_scrolls_nor_shifts_behind_the_popup(page: Page, site: Site, backend: Backend) -> None:
    styles = (
        "html { overflow-y: scroll !important; } main { height: 3000px; }",
        "html { scrollbar-gutter: stable; } main { height: 3000px; }",
        "main { height: 3000px; }",
    )
    where = "() => document.querySelector('h1').getBoundingClientRect().width"
    for style in styles:
        await page.goto("about:blank")
        await visit(page, site, "", "/relaxed")
        await page.add_style_tag(content=style)
        before = await page.evaluate(where)
        await start(page, site, backend)
        assert await page.evaluate(where) == before
        await page.mouse.move(10, 300)
        await page.mouse.wheel(0, 400)
        await page.evaluate(
            "() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"
        )
        assert await page.evaluate("() => scrollY") == 0
        await page.evaluate("() => window.connections.close()")
        assert await page.evaluate(where) == before


async def test_zoom_of_the_page_does_not_push_the_popup_out_of_the_window(
    page: Page, site: Site, backend: Backend
) -> None:
    await visit(page, site, "", "/relaxed")
    await page.add_style_tag(content="html { zoom: 2; }")
    frame = await start(page, site, backend)
    await eventually(lambda: frame.evaluate("() => innerHeight <= 360 && innerWidth === 440"))
