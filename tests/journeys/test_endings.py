"""Ended sessions, and servers that do not answer: the popup explains the problem, and sends a message to the page."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, Route, expect

from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    REFUSAL,
    WRONG_KEY,
    button,
    click,
    expect_closed,
    heading,
    key_field,
    open_popup,
    outcome,
    submit_key,
)
from tests.running_demo import Demo

ATTEMPTS = 10


async def unknown(backend: Backend) -> str:
    return "orcs_of_no_session"


async def expired(backend: Backend) -> str:
    session = await backend.session()
    await backend.expire(session)
    return str(session["session_token"])


async def used(backend: Backend) -> str:
    token = await backend.token()
    assert (await backend.type_key(token, backend.demo.acme_key)).status_code == 200
    return token


async def cancelled(backend: Backend) -> str:
    token = await backend.token()
    await backend.cancel(token)
    return token


async def failed(backend: Backend) -> str:
    token = await backend.token()
    for _ in range(ATTEMPTS):
        assert (await backend.type_key(token, WRONG_KEY)).status_code == 422
    return token


ENDINGS = [
    (unknown, "This link doesn’t work", "session_unknown"),
    (expired, "This took a little too long", "session_expired"),
    (used, "This has already been used", "session_used"),
    (cancelled, "This was cancelled", None),
    (failed, "Too many attempts", "too_many_attempts"),
]
Ending = Callable[[Backend], Awaitable[str]]


@pytest.mark.parametrize("make,title,code", ENDINGS)
async def test_ended_session_shows_the_reason_and_reports_it_when_closed(
    page: Page, site: Site, backend: Backend, make: Ending, title: str, code: str | None
) -> None:
    frame = await open_popup(page, site, await make(backend))
    await expect(heading(frame)).to_have_text(title)
    await expect(heading(frame)).to_be_focused()
    assert await frame.locator("form, input").count() == 0
    assert await page.locator("#outcome").inner_text() == ""
    await button(frame, "Close").last.click()
    result = await outcome(page)
    assert result["status"] == ("cancelled" if code is None else "error")
    assert (result["error"] or {}).get("code") == code
    await expect_closed(page)


@pytest.mark.firefox_soak
async def test_last_failed_attempt_ends_the_session_at_once(page: Page, site: Site, backend: Backend) -> None:
    token = await backend.token()
    for _ in range(ATTEMPTS - 1):
        await backend.type_key(token, WRONG_KEY)
    frame = await open_popup(page, site, token)
    await submit_key(frame, WRONG_KEY)
    await expect(frame.get_by_role("alert")).to_contain_text(REFUSAL)
    await submit_key(frame, backend.demo.acme_key)
    await expect(heading(frame)).to_have_text("Too many attempts")
    await key_field(frame).wait_for(state="detached")
    await frame.locator("body").press("Escape")
    assert (await outcome(page))["error"]["code"] == "too_many_attempts"
    assert await backend.status() == "not_connected"


async def test_session_that_expires_behind_an_open_form_shows_its_end(page: Page, site: Site, backend: Backend) -> None:
    session = await backend.session()
    frame = await open_popup(page, site, session["session_token"])
    await backend.expire(session)
    await submit_key(frame, backend.demo.acme_key)
    await expect(heading(frame)).to_have_text("This took a little too long")
    assert await backend.status() == "not_connected"


async def test_lost_network_keeps_the_input_and_a_retry_connects(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token())
    await page.context.set_offline(True)
    await submit_key(frame, demo.acme_key)
    await expect(frame.get_by_role("alert")).to_contain_text("The network connection was lost")
    assert await key_field(frame).input_value() == demo.acme_key
    await page.context.set_offline(False)
    await click(frame, "Connect Acme CRM")
    assert (await outcome(page))["status"] == "connected"


async def test_network_lost_while_loading_can_be_retried(page: Page, demo: Demo, site: Site, backend: Backend) -> None:
    await page.route("**/connect/session", lambda route: route.abort("internetdisconnected"))
    frame = await open_popup(page, site, await backend.token())
    await expect(heading(frame)).to_have_text("We can’t be reached")
    await page.unroute("**/connect/session")
    await click(frame, "Try again")
    await submit_key(frame, demo.acme_key)
    assert (await outcome(page))["status"] == "connected"


@pytest.mark.parametrize("status,media_type", [(502, "text/html"), (500, "application/problem+json")])
async def test_server_error_is_reported_as_ours_and_keeps_the_input(
    page: Page, demo: Demo, site: Site, backend: Backend, status: int, media_type: str
) -> None:
    async def break_down(route: Route) -> None:
        await route.fulfill(status=status, body="<h1>Bad gateway</h1>", content_type=media_type)

    frame = await open_popup(page, site, await backend.token())
    await page.route("**/connect/session/connect", break_down)
    await submit_key(frame, demo.acme_key)
    await expect(frame.get_by_role("alert")).to_contain_text("it isn’t your fault")
    assert await key_field(frame).input_value() == demo.acme_key
    await page.unroute("**/connect/session/connect")
    await click(frame, "Connect Acme CRM")
    assert (await outcome(page))["status"] == "connected"
