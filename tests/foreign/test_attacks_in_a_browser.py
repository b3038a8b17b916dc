"""Attacks by a foreign page in the browser of an end user who connects: all fail (P5, P6)."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, Request, expect

from tests.browser import PageProblems
from tests.foreign.authorizations import prepare, start
from tests.foreign.consent import consent
from tests.foreign.person import ALICE
from tests.foreign.served import Served
from tests.foreign.windows import continue_button, each, open_provider_window, open_sign_in
from tests.journeys.steps import add_frame, heading, messages, outcome
from tests.waiting import eventually

pytestmark = [pytest.mark.foreign, pytest.mark.promise("P5", "P6")]

LOST = "Start again from the app"
START = "/connect/authorization/start"
# Opens our window from a foreign page and sends it the messages of our frame.
OPEN_AND_POST = """async ([address, ticket]) => {
  const opened = window.open(address);
  for (let tried = 0; tried < 40; tried += 1) {
    opened.postMessage({ type: "one-runtime-ticket", ticket }, "*");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}"""
NEXT_MESSAGE = (
    "() => new Promise((resolve) => addEventListener('message', ({ data }) => resolve(data.type), { once: true }))"
)
# A request without CORS preflight, with all cookies.
SEND_BLINDLY = """([address, ticket]) =>
  fetch(address, { method: "POST", mode: "no-cors", credentials: "include", body: JSON.stringify({ ticket }) })"""


def record_requests(page: Page, path: str) -> list[Request]:
    """Record requests to one of our URLs, in any window, from now on."""
    requests: list[Request] = []
    page.context.on("request", lambda request: requests.append(request) if urlsplit(request.url).path == path else None)
    return requests


async def open_foreign_page(page: Page, runtime: Served) -> None:
    """Open a page of another origin without a policy."""
    await page.goto(f"{runtime.site.origin}/relaxed")


@each("oidc", "google")
async def test_provider_page_has_no_reference_to_the_page_that_opened_its_window(page: Page, runtime: Served) -> None:
    frame = await open_sign_in(page, runtime, await runtime.session())
    window = await open_provider_window(frame, runtime.provider)
    assert await window.evaluate("() => window.opener") is None
    assert await window.evaluate("() => document.referrer") == ""


@each("oidc")
async def test_forwarded_start_link_does_nothing(page: Page, runtime: Served) -> None:
    start_requests = record_requests(page, START)
    await page.goto(f"{runtime.url}/connect/authorization?ticket=orct_made-up")
    await expect(heading(page)).to_have_text(LOST)
    assert start_requests == []
    assert await page.context.cookies() == []


@each("oidc")
async def test_our_window_accepts_no_ticket_from_another_origin(page: Page, runtime: Served) -> None:
    """Otherwise the victim would connect an account to the session of the attacker who opened the window."""
    start_requests = record_requests(page, START)
    prepared = await prepare(runtime, await runtime.session(end_user_id="mallory"))
    await open_foreign_page(page, runtime)
    async with page.context.expect_page() as opening:
        await page.evaluate(
            f"(values) => {{ ({OPEN_AND_POST})(values); }}",
            [f"{runtime.url}/connect/authorization", prepared["ticket"]],
        )
    window = await opening.value
    await window.wait_for_load_state("load")  # our script is listening
    assert await window.evaluate(NEXT_MESSAGE) == "one-runtime-ticket"
    await expect(heading(window)).to_have_text("One moment")
    assert start_requests == []
    assert await messages(page) == []  # our window sends no message to that page
    assert (await start(runtime, prepared["ticket"])).status_code == 200


@each("oidc")
async def test_our_frame_sends_its_ticket_to_no_other_origin(page: Page, runtime: Served) -> None:
    await page.add_init_script("window.open = () => null")
    frame = await open_sign_in(page, runtime, await runtime.session(), "/embedder")
    async with page.expect_response(f"{runtime.url}/connect/session/authorization") as preparing:
        await frame.get_by_role("button", name=continue_button(runtime.provider)).click()
    ticket = (await (await preparing.value).json())["ticket"]
    await page.evaluate("() => frames[0].postMessage({ type: 'one-runtime-authorization' }, '*')")
    assert await frame.evaluate("() => new Promise((resolve) => setTimeout(resolve)).then(() => document.title)")
    assert ticket not in str(await messages(page))
    assert (await start(runtime, ticket)).status_code == 200


@each("oidc")
async def test_foreign_page_cannot_use_a_ticket_or_set_our_cookie(page: Page, runtime: Served) -> None:
    prepared = await prepare(runtime, await runtime.session(end_user_id="mallory"))
    await open_foreign_page(page, runtime)
    async with page.expect_response(f"{runtime.url}{START}") as refusing:
        await page.evaluate(SEND_BLINDLY, [f"{runtime.url}{START}", prepared["ticket"]])
    assert (await refusing.value).status == 409
    assert await page.context.cookies() == []
    assert (await start(runtime, prepared["ticket"])).status_code == 200


@each("oidc")
@pytest.mark.parametrize("path", ["/connect/authorization", "/connect/callback/oidc-provider?code=c&state=s"])
async def test_neither_our_window_nor_a_callback_can_be_framed(
    page: Page, page_problems: PageProblems, runtime: Served, path: str
) -> None:
    await open_foreign_page(page, runtime)
    async with page.expect_response(f"{runtime.url}{path}") as refusing:
        await add_frame(page, f"{runtime.url}{path}")
    refused = await refusing.value
    assert refused.status == 403
    assert "frame-ancestors 'none'" in (await refused.header_value("content-security-policy") or "")
    await eventually(lambda: len(page.frames) == 2 and page.frames[1].url.startswith("chrome-error:"))
    page_problems.clear()


@each("oidc")
async def test_no_url_contains_a_secret_after_its_page_has_loaded(page: Page, runtime: Served) -> None:
    await page.context.add_init_script("window.close = () => {}")
    callbacks = record_requests(page, f"/connect/callback/{runtime.slug}")
    session = await runtime.session()
    frame = await open_sign_in(page, runtime, session)
    window = await open_provider_window(frame, runtime.provider)
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Connected")
    (callback,) = callbacks
    secrets = [*parse_qs(urlsplit(callback.url).query).values()]
    assert len(secrets) == 3  # code, state, iss
    await expect(window).to_have_url(f"{runtime.url}/connect/callback/{runtime.slug}?session={session['id']}")
    assert session["session_token"] not in frame.url
    assert await window.evaluate("() => document.cookie") == ""
    assert (await outcome(page))["status"] == "connected"
    await window.reload()
    await expect(heading(window)).to_have_text(LOST)
    assert not [cookie for cookie in await page.context.cookies() if "or-authorization-" in (cookie.get("name") or "")]
