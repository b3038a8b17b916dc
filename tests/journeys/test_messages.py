"""The popup's message: a page needs no other information, and connect.js accepts only messages of the popup's frame."""

from typing import Any

import pytest
from playwright.async_api import Frame, Page, expect

from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    add_frame,
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
from tests.running_demo import Demo, find_popup, popups
from tests.waiting import eventually

POST: str = "(message) => parent.postMessage(message, '*')"


def forged(request: str, **more: Any) -> dict[str, Any]:
    """Return a forged message."""
    absent = {"error": None, "connectionName": "Forged", "integrationSlug": "acme"}
    outcome = {"source": "one-runtime", "requestId": request, "status": "connected", "connectionId": "forged"}
    return {**absent, **outcome, **more}


async def heard(page: Page, message: dict[str, Any]) -> str:
    """Wait until the page's window has received the message. Return the message's origin."""

    async def origin() -> Any:
        origins = [received["origin"] for received in await messages(page) if received["data"] == message]
        return origins[0] if origins else None

    return str(await eventually(origin))


async def test_embedder_needs_only_two_parameters_and_the_message(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token(), "/embedder")
    await submit_key(frame, demo.acme_key)
    (connection,) = await _connected(backend)
    assert await outcome(page) == {
        "source": "one-runtime",
        "requestId": request_id(frame),
        "status": "connected",
        "connectionId": connection["id"],
        "integrationSlug": "acme",
        "connectionName": "Globex Corporation",
        "error": None,
    }


async def _connected(backend: Backend) -> list[dict[str, Any]]:
    return await eventually(backend.connections)


async def test_embedder_without_connect_js_receives_cancellation_and_errors(
    page: Page, site: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token(), "/embedder")
    await key_field(frame).press("Escape")
    assert (await outcome(page))["status"] == "cancelled"
    frame = await open_popup(page, site, "orcs_nothing", "/embedder")
    await button(frame, "Close").last.click()
    result = await outcome(page)
    assert (result["status"], result["error"]["code"]) == ("error", "session_unknown")


async def test_outcome_is_sent_once_and_only_to_allowed_origins(
    page: Page, demo: Demo, site: Site, foreign: Site, backend: Backend
) -> None:
    origins = [foreign.origin, site.origin, "https://app.example.com"]
    frame = await open_popup(page, site, await backend.token(allowed_origins=origins))
    await submit_key(frame, demo.acme_key)
    await outcome(page)
    outcomes = [received for received in await messages(page) if received["data"].get("source") == "one-runtime"]
    assert [(received["origin"], received["data"]["status"]) for received in outcomes] == [(demo.url, "connected")]


@pytest.mark.firefox
async def test_browser_logs_nothing_when_several_origins_are_allowed(
    page: Page, demo: Demo, site: Site, foreign: Site, backend: Backend
) -> None:
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    origins = [foreign.origin, site.origin, "https://app.example.com"]
    for path in ("/", "/embedder"):
        frame = await open_popup(page, site, await backend.token(allowed_origins=origins), path)
        await submit_key(frame, demo.acme_key)
        await outcome(page)
        assert logged == [], path


@pytest.mark.promise("P6")
async def test_connect_js_hands_the_token_only_to_the_popups_page(
    page: Page, site: Site, foreign: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token(), "/relaxed")
    hello = {"type": "one-runtime-hello", "requestId": request_id(frame), "sender": "the page of another site"}
    await frame.evaluate("(address) => { location.href = address; }", f"{foreign.origin}/relaxed")
    await expect(heading(frame)).to_have_text("Settings")
    await frame.evaluate(POST, hello)
    assert await heard(page, hello) == foreign.origin
    await frame.evaluate("() => new Promise((heard) => setTimeout(heard))")  # the frame handles its messages
    assert await messages_of(frame) == []


async def messages_of(frame: Frame) -> list[str]:
    """Return every message that a page of a site received in a frame."""
    return await frame.locator("#messages li").all_text_contents()


@pytest.mark.promise("P6")
async def test_connect_js_ignores_messages_of_another_window_origin_or_request(
    page: Page, site: Site, foreign: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token(), "/relaxed")
    news = forged(request_id(frame))

    await page.evaluate("(message) => window.postMessage(message, '*')", news)  # the window of the page itself
    assert await heard(page, news) == site.origin

    # This page has our origin, but is not the popup's frame. Any site may frame this page, because it has no session.
    await add_frame(page, f"{site.one_runtime}/connect?session_token=orcs_x&request_id=x")
    await eventually(lambda: len(popups(page)) == 2)
    (other,) = (popup for popup in popups(page) if popup != frame)
    await expect(heading(other)).to_be_visible()
    news = {**news, "connectionName": "Of another window"}
    await other.evaluate(POST, news)
    assert await heard(page, news) == site.one_runtime

    for wrong in (forged("of-another-request"), forged(request_id(frame), status="done"), {"source": "one-runtime"}):
        await frame.evaluate(POST, wrong)  # the popup's frame and our origin
        assert await heard(page, wrong) == site.one_runtime

    assert await page.locator("#outcome").inner_text() == ""
    await expect(key_field(frame)).to_be_visible()
    await key_field(frame).press("Escape")
    assert (await outcome(page))["status"] == "cancelled"


@pytest.mark.promise("P6")
async def test_connect_js_ignores_its_frame_after_it_navigated_to_another_origin(
    page: Page, site: Site, foreign: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token(), "/relaxed")
    news = forged(request_id(frame))
    await frame.evaluate("(address) => { location.href = address; }", f"{foreign.origin}/relaxed")
    await expect(heading(frame)).to_have_text("Settings")
    await frame.evaluate(POST, news)
    assert await heard(page, news) == foreign.origin
    assert await page.locator("#outcome").inner_text() == ""


async def test_frame_accepts_a_cancel_only_from_its_embedder_and_for_its_request(
    page: Page, site: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token(), "/embedder")
    cancel = {"source": "one-runtime-host", "type": "cancel", "requestId": request_id(frame)}
    child = "(message) => document.querySelector('iframe').contentWindow.postMessage(message, '*')"
    await frame.evaluate("(message) => window.postMessage(message, '*')", cancel)  # from the frame itself
    for wrong in ({**cancel, "requestId": "another"}, {**cancel, "source": "somebody"}, {**cancel, "type": "connect"}):
        await page.evaluate(child, wrong)
    await frame.evaluate("() => new Promise((heard) => setTimeout(heard))")  # the frame handles its messages
    assert await page.locator("#outcome").inner_text() == ""
    await page.evaluate(child, cancel)
    assert (await outcome(page))["status"] == "cancelled"


async def test_success_mark_stays_for_a_moment_unless_the_next_popup_opens(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, demo.acme_key)
    await outcome(page)
    await expect(heading(frame)).to_have_text("Connected")
    assert popups(page) == [frame]
    await expect_closed(page)
    await visit(page, site, await backend.token())
    await press_connect(page)
    await click(await find_popup(page), "Cancel and close")
