"""P11: the popup removes the session token from its URL at once. No other URL, log or storage contains the token.

The popup still works after a reload.
"""

import asyncio
from typing import Final, TypeVar

import pytest
from playwright.async_api import BrowserContext, Page, Request, expect

from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    REFUSAL,
    WRONG_KEY,
    add_frame,
    heading,
    key_field,
    open_popup,
    outcome,
    request_id,
    submit_key,
    visit,
)
from tests.running_demo import Demo, find_popup
from tests.waiting import eventually

T = TypeVar("T")

# A browser can block storage in a frame of another site. The popup has to work without storage.
_KEPT: Final = """async () => {
  const stores = [
    () => localStorage.length, () => sessionStorage.length, async () => (await indexedDB.databases()).length,
    async () => (await caches.keys()).length, () => document.cookie.length, () => window.name.length,
  ];
  const denied = (error) => {
    if (!["SecurityError", "UnknownError"].includes(error.name)) throw error;
    return 0;
  };
  return Promise.all(stores.map((store) => Promise.resolve().then(store).catch(denied)));
}"""


@pytest.mark.promise("P11")
async def test_token_is_removed_from_the_url_before_the_first_request(page: Page, site: Site, backend: Backend) -> None:
    addresses: list[str] = []
    requested = asyncio.Event()

    def hold(_: object, request: Request) -> None:
        addresses.append(request.frame.url)
        requested.set()

    await page.route("**/connect/session", hold)
    session = await backend.session()
    await visit(page, site, session["session_token"])
    await page.get_by_role("button", name="Connect").click()
    await requested.wait()
    frame = await find_popup(page)
    assert await frame.evaluate("() => location.href") == (
        f"{site.one_runtime}/connect?session={session['id']}&request_id={request_id(frame)}"
    )
    assert await frame.evaluate("() => history.length") == await page.evaluate("() => history.length")


async def test_reload_of_the_frame_continues_the_session(page: Page, demo: Demo, site: Site, backend: Backend) -> None:
    session = await backend.session()
    frame = await open_popup(page, site, session["session_token"])
    before = request_id(frame)
    for _ in range(2):
        async with page.expect_response("**/connect/session"):
            await frame.evaluate("() => location.reload()")
        await expect(heading(frame)).to_have_text("Fernhill wants to connect your Acme CRM account")
    await submit_key(frame, demo.acme_key)
    result = await outcome(page)
    assert (result["status"], result["requestId"]) == ("connected", before)
    assert await backend.status() == "connected"


@pytest.mark.promise("P11")
async def test_no_third_party_request_and_no_secret_in_a_url_or_on_the_console(
    page: Page, browser_context: BrowserContext, demo: Demo, site: Site, backend: Backend
) -> None:
    requests: list[Request] = []
    console: list[str] = []
    browser_context.on("request", lambda request: _note(requests, request))
    browser_context.on("console", lambda message: _note(console, message.text))
    token = await backend.token()
    frame = await open_popup(page, site, token)
    await submit_key(frame, WRONG_KEY)
    await expect(frame.get_by_role("alert")).to_contain_text(REFUSAL)
    await submit_key(frame, demo.acme_key)
    await outcome(page)

    addresses = [request.url for request in requests]
    assert {address.split("/")[2] for address in addresses if not address.startswith(("data:", "about:"))} == {
        site.origin.removeprefix("http://"),
        demo.url.removeprefix("http://"),
    }
    with_token = [address for address in addresses if token in address.partition("#")[0]]
    assert not with_token
    entries = "() => performance.getEntries().map(({ name }) => name)"  # scripts of other vendors read these
    assert not [name for name in await page.evaluate(entries) if token in name and name != page.url]
    for secret in (WRONG_KEY, demo.acme_key):
        assert not [text for text in (*addresses, *console) if secret in text]
    assert not [text for text in console if token in text]
    referrers = [(await request.all_headers()).get("referer") or "" for request in requests if demo.url in request.url]
    assert not [referrer for referrer in referrers if token in referrer]


def _note(notes: list[T], what: T) -> None:
    notes.append(what)


async def test_frame_uses_no_cookie_and_no_storage(
    page: Page, browser_context: BrowserContext, demo: Demo, site: Site, backend: Backend
) -> None:
    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, WRONG_KEY)
    await expect(frame.get_by_role("alert")).to_contain_text(REFUSAL)
    assert await frame.evaluate(_KEPT) == [0, 0, 0, 0, 0, 0]
    await submit_key(frame, demo.acme_key)
    await outcome(page)
    assert await browser_context.cookies() == []


async def test_copied_url_of_a_loaded_frame_does_not_show_the_form(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token())
    await eventually(lambda: "session_token" not in frame.url)
    other = await page.context.new_page()
    await visit(other, site, "orcs_nothing", "/relaxed")
    await add_frame(other, frame.url)
    copy = await find_popup(other)
    await expect(heading(copy)).to_have_text("This link doesn’t work")
    await expect(key_field(frame)).to_be_visible()
