"""Cancel the popup: with Escape inside and outside of the frame, and with the close button, at any time."""

import asyncio
from functools import partial
from typing import Any

import pytest
from playwright.async_api import Frame, Page, Route, expect

from tests.browser import type_text
from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    button,
    click,
    expect_closed,
    heading,
    key_field,
    messages,
    open_popup,
    outcome,
    press_connect,
    request_id,
    submit_key,
    visit,
)
from tests.running_demo import Demo, find_popup
from tests.waiting import eventually


def cancelled(request: str) -> dict[str, Any]:
    """Return the complete outcome of a cancellation."""
    absent = dict.fromkeys(("connectionId", "integrationSlug", "connectionName", "error"))
    return {"source": "one-runtime", "requestId": request, "status": "cancelled", **absent}


async def expect_cancelled(page: Page, backend: Backend, session: dict[str, Any], request: str) -> None:
    """Check that the JavaScript promise reports a cancellation, nothing was connected, and the page is as before."""
    assert await outcome(page) == cancelled(request)
    await expect_closed(page)
    await expect(page.get_by_role("button", name="Connect")).to_be_focused()
    assert (await backend.state(session))["status"] == "cancelled"
    assert await backend.status() == "not_connected"
    assert await page.evaluate("() => document.documentElement.style.overflow") == ""


async def escape_inside_the_frame(page: Page, frame: Frame) -> None:
    await expect(key_field(frame)).to_be_focused()
    assert await page.evaluate("() => document.documentElement.style.overflow") == "hidden"
    await key_field(frame).press("Escape")


async def escape_in_the_page(page: Page, _: Frame) -> None:
    await page.evaluate("() => window.focus()")  # the window of the page, not of the frame
    await page.keyboard.press("Escape")


async def the_close_button(_: Page, frame: Frame) -> None:
    await click(frame, "Cancel and close")


@pytest.mark.firefox
async def test_escape_and_the_close_button_cancel_and_return_the_focus(
    page: Page, site: Site, backend: Backend
) -> None:
    heard: list[dict[str, Any]] = []

    def note(data: dict[str, Any]) -> None:
        heard.append(data)

    await page.expose_function("heard", note)
    for leave in (escape_inside_the_frame, escape_in_the_page, the_close_button):
        session = await backend.session()
        frame = await open_popup(page, site, session["session_token"])
        request = request_id(frame)
        heard.clear()
        await frame.evaluate("() => addEventListener('message', (event) => heard(event.data))")
        await leave(page, frame)
        await expect_cancelled(page, backend, session, request)
        outcomes = [message["data"] for message in await messages(page) if message["data"].get("source")]
        assert outcomes == [cancelled(request)], leave
        asked = {"source": "one-runtime-host", "type": "cancel", "requestId": request}
        assert heard == ([asked] if leave is escape_in_the_page else []), leave


async def test_escape_before_the_frame_has_loaded_closes_at_once(page: Page, site: Site, backend: Backend) -> None:
    await page.route("**/connect?*", lambda route: None)  # a server that never responds
    await visit(page, site, await backend.token())
    await page.get_by_role("button", name="Connect").click()
    await eventually(lambda: page.evaluate("() => document.documentElement.style.overflow === 'hidden'"))
    await page.keyboard.press("Escape")
    result = await outcome(page)
    assert (result["status"], result["error"]["code"]) == ("error", "load_failed")
    await expect(page.get_by_role("button", name="Connect")).to_be_focused()


async def test_unresponsive_frame_is_removed_after_two_seconds(page: Page, site: Site, backend: Backend) -> None:
    await page.clock.install()
    await open_popup(page, site, await backend.token())
    await page.clock.pause_at(4_102_444_800)  # makes the two seconds independent of the machine's speed
    await page.route("**/connect/session/**", lambda route: None)  # the server never responds to the frame
    await page.evaluate("() => window.focus()")
    await page.keyboard.press("Escape")
    await eventually(lambda: page.evaluate("() => document.documentElement.style.overflow === ''"))
    assert await page.locator("#outcome").inner_text() == ""
    await page.clock.fast_forward(2_000)
    assert (await outcome(page))["status"] == "cancelled"


@pytest.mark.firefox
async def test_leaving_during_the_check_reports_the_servers_decision(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    session = await backend.session()
    frame = await open_popup(page, site, session["session_token"])
    requested = asyncio.Event()

    async def is_over() -> Any:
        return (await backend.state(session))["status"] == "cancelled"

    async def hold(route: Route) -> None:
        requested.set()
        await eventually(is_over)
        await route.continue_()

    await page.route("**/connect/session/connect", hold)
    await type_text(key_field(frame), demo.acme_key)
    await key_field(frame).press("Enter")
    await expect(button(frame, "Checking with Acme CRM…")).to_have_attribute("aria-disabled", "true")
    await requested.wait()
    request = request_id(frame)
    await frame.locator("body").press("Escape")
    await click(frame, "Leave")
    await expect_cancelled(page, backend, session, request)
    assert await backend.connections() == []


async def test_user_who_has_typed_is_asked_before_the_popup_closes(page: Page, site: Site, backend: Backend) -> None:
    session = await backend.session()
    frame = await open_popup(page, site, session["session_token"])
    await key_field(frame).fill("half of a key")
    await page.evaluate("() => window.focus()")
    from_the_page = page.keyboard.press
    for leave in (partial(from_the_page, "Escape"), partial(click, frame, "Cancel and close")):
        await leave()
        await expect(heading(frame)).to_have_text("Leave without connecting?")
        await expect(heading(frame)).to_be_focused()
        await frame.locator("body").press("Escape")  # stays, as the button does
        await expect(key_field(frame)).to_have_value("half of a key")
    await key_field(frame).press("Escape")
    await click(frame, "Stay")
    await expect(key_field(frame)).to_be_focused()
    assert await page.locator("#outcome").inner_text() == ""
    request = request_id(frame)
    await key_field(frame).press("Escape")
    await click(frame, "Leave")
    await expect_cancelled(page, backend, session, request)


async def test_page_that_cancels_is_not_asked(page: Page, site: Site, backend: Backend) -> None:
    session = await backend.session()
    frame = await open_popup(page, site, session["session_token"], "/embedder")
    await key_field(frame).fill("half of a key")
    cancel = {"source": "one-runtime-host", "type": "cancel", "requestId": request_id(frame)}
    await page.evaluate("(data) => document.querySelector('iframe').contentWindow.postMessage(data, '*')", cancel)
    assert (await outcome(page))["status"] == "cancelled"


@pytest.mark.parametrize("leave", ["Done", "Escape", "Enter"])
async def test_success_mark_closes_by_its_button_and_by_keys(
    page: Page, demo: Demo, site: Site, backend: Backend, leave: str
) -> None:
    await page.clock.install()
    frame = await open_popup(page, site, await backend.token())
    await page.clock.pause_at(4_102_444_800)  # so the popup does not close by itself
    await submit_key(frame, demo.acme_key)
    await expect(heading(frame)).to_be_focused()
    await expect(heading(frame)).to_have_text("Connected")
    await (click(frame, "Done") if leave == "Done" else heading(frame).press(leave))
    await expect_closed(page)
    await expect(page.get_by_role("button", name="Connect")).to_be_focused()


@pytest.mark.firefox_soak
async def test_popup_can_be_opened_again_after_closing(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token())
    await key_field(frame).press("Escape")
    await outcome(page)
    await expect_closed(page)
    await page.evaluate("(token) => { location.hash = token; }", await backend.token())
    again: Frame = await press_connect(page)
    await expect(key_field(again)).to_be_focused()
    await click(again, "Cancel and close")
    await expect_closed(page)


async def test_second_popup_is_refused_while_one_is_open(page: Page, site: Site, backend: Backend) -> None:
    await open_popup(page, site, await backend.token())
    refusal = await page.evaluate(
        """async (baseUrl) => {
          const { createOneRuntime } = await import(`${baseUrl}/connect.js`);
          return createOneRuntime({ baseUrl }).connections.open({ sessionToken: "x" }).catch(String);
        }""",
        site.one_runtime,
    )
    assert "open already" in refusal
    assert len([frame for frame in page.frames if frame.parent_frame]) == 1
    await click(await find_popup(page), "Cancel and close")
