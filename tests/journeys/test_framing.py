"""P6 in a real browser: only pages of allowed origins can show the form. A top-level window does not show the form."""

import hashlib
from typing import Final

import pytest
from playwright.async_api import Page, Route, expect

from one_runtime.connect.texts import ENGLISH
from tests.browser import PageProblems
from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    add_frame,
    expect_closed,
    heading,
    key_field,
    open_popup,
    outcome,
    press_connect,
    submit_key,
    visit,
)
from tests.running_demo import find_popup, popups
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P6")


async def expect_refused(page: Page, problems: PageProblems) -> None:
    """Check that the browser refused to show the frame, and that no frame of the page contains a form."""
    await eventually(lambda: any("frame-ancestors" in problem for problem in problems))
    problems.clear()
    for frame in page.frames:
        assert not frame.url.startswith("http") or await frame.locator("form").count() == 0


async def test_foreign_page_cannot_frame_the_popup_and_shows_a_hint(
    page: Page, foreign: Site, backend: Backend, page_problems: PageProblems
) -> None:
    session = await backend.session()
    for key in ("Enter", "Escape"):  # the focus is on the button of the hint
        await visit(page, foreign, session["session_token"])
        async with page.expect_console_message(lambda message: "One Runtime" in message.text, timeout=20_000) as logged:
            await page.get_by_role("button", name="Connect").click()
        sentence = (await logged.value).text
        assert f"Add {foreign.origin} to the allowed origins" in sentence
        await expect_refused(page, page_problems)
        assert "This couldn’t be opened" in await shown_names(page)
        assert "Loading" not in await shown_names(page)  # the spinner has gone
        await page.keyboard.press(key)
        error = (await outcome(page))["error"]
        assert (error["code"], error["message"]) == ("load_failed", sentence.removeprefix("One Runtime: "))
    state = await backend.state(session)
    assert (state["status"], await backend.status()) == ("pending", "not_connected")


async def test_page_whose_own_policy_blocks_the_frame_learns_the_directive(
    page: Page, site: Site, backend: Backend, page_problems: PageProblems
) -> None:
    await visit(page, site, await backend.token(), "/frameless")
    async with page.expect_console_message(lambda message: message.text.startswith("One Runtime:")):
        await page.get_by_role("button", name="Connect").click()
    assert any("frame-src" in problem for problem in page_problems)
    page_problems.clear()
    await page.keyboard.press("Escape")
    error = (await outcome(page))["error"]
    assert error["code"] == "load_failed"
    assert f"Add {site.one_runtime} to its directive frame-src" in error["message"]


async def shown_names(page: Page) -> set[str]:
    """Return the accessible names of the page. They include the closed shadow root of connect.js."""
    session = await page.context.new_cdp_session(page)
    tree = await session.send("Accessibility.getFullAXTree")
    return {node["name"]["value"] for node in tree["nodes"] if "name" in node and not node["ignored"]}


@pytest.mark.firefox
async def test_page_with_an_embedder_policy_connects(page: Page, site: Site, backend: Backend) -> None:
    for path in ("/require-corp", "/credentialless"):
        frame = await open_popup(page, site, await backend.token(), path)
        await submit_key(frame, backend.demo.acme_key)
        assert (await outcome(page))["status"] == "connected", path


async def test_foreign_page_cannot_frame_the_popup_by_session_id(
    page: Page, foreign: Site, backend: Backend, page_problems: PageProblems
) -> None:
    session = await backend.session()
    await visit(page, foreign, "", "/relaxed")
    src = f"{foreign.one_runtime}/connect?session={session['id']}&request_id=r"
    await add_frame(page, src)
    await expect_refused(page, page_problems)


async def test_foreign_page_around_an_allowed_page_cannot_show_the_popup(
    page: Page, foreign: Site, site: Site, backend: Backend, page_problems: PageProblems
) -> None:
    await visit(page, foreign, "", "/relaxed")
    inside = f"{site.origin}/#{await backend.token()}"
    await add_frame(page, inside)
    await page.frame_locator("iframe").get_by_role("button", name="Connect").click()
    await expect_refused(page, page_problems)


async def test_allowed_page_cannot_show_a_session_for_another_origin(
    page: Page, site: Site, foreign: Site, backend: Backend, page_problems: PageProblems
) -> None:
    await visit(page, site, await backend.token(allowed_origins=[foreign.origin]))
    await page.get_by_role("button", name="Connect").click()
    await expect_refused(page, page_problems)


async def test_popup_at_top_level_shows_no_form(page: Page, backend: Backend) -> None:
    session = await backend.session()
    for address in (session["connect_url"], f"{backend.demo.url}/connect?session={session['id']}"):
        await page.goto(address)
        await expect(heading(page)).to_have_text("Open this from Fernhill")
        await expect(page.locator("body")).to_have_attribute("data-state", "top_level")  # the server sent this text
        assert await page.locator("form, input").count() == 0
        assert session["session_token"] not in page.url
    assert (await backend.state(session))["status"] == "pending"


async def test_popup_at_top_level_shows_no_form_without_sec_fetch_dest(page: Page, backend: Backend) -> None:
    async def without_destination(route: Route) -> None:
        headers = {name: value for name, value in route.request.headers.items() if name != "sec-fetch-dest"}
        await route.fulfill(response=await route.fetch(headers=headers))

    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.method))
    await page.route("**/connect?*", without_destination)
    session = await backend.session()
    await page.goto(session["connect_url"])
    await expect(heading(page)).to_have_text("Open this from Fernhill")
    assert await page.locator("form, input").count() == 0
    assert "POST" not in requests


async def test_incomplete_link_at_top_level_says_that_it_does_not_work(page: Page, backend: Backend) -> None:
    session = await backend.session()
    await page.goto(session["connect_url"][:-5])
    await expect(page.locator("body")).to_have_attribute("data-state", "unknown")
    await page.wait_for_function("() => !location.search.includes('session_token')")  # the script has run
    await expect(heading(page)).to_have_text("This link doesn’t work")


async def test_window_opened_by_an_allowed_page_shows_no_form(page: Page, site: Site, backend: Backend) -> None:
    session = await backend.session()
    await visit(page, site, "")
    async with page.expect_popup() as opening:
        await page.evaluate("(address) => { window.open(address); }", session["connect_url"])
    window = await opening.value
    await expect(heading(window)).to_have_text("Open this from Fernhill")
    assert await window.locator("form, input").count() == 0
    assert await window.evaluate("() => window.opener") is None


async def test_allowed_page_shows_the_popup(page: Page, site: Site, backend: Backend) -> None:
    """Without this test, the tests of this file would pass even if the popup was never visible."""
    frame = await open_popup(page, site, await backend.token())
    await expect(key_field(frame)).to_be_visible()
    assert popups(page) == [frame]
    await key_field(frame).press("Escape")
    await expect_closed(page)
    await page.evaluate("(token) => { location.hash = token; }", await backend.token())
    await expect(key_field(await press_connect(page))).to_be_visible()


HANDED: Final = """([address, token]) => {
  const frame = Object.assign(document.createElement("iframe"), { src: address });
  addEventListener("message", ({ source, data }) => {
    if (source !== frame.contentWindow || data.type !== "one-runtime-hello") return;
    const answer = { source: "one-runtime-host", type: "session", requestId: data.requestId, sessionToken: token };
    source.postMessage(answer, "*");
  });
  document.body.append(frame);
}"""
"""An embedding page that answers the popup with a token of its choice."""


@pytest.mark.parametrize("place", ["message", "address"])
async def test_page_that_may_show_one_session_cannot_show_the_form_of_another(
    page: Page, foreign: Site, backend: Backend, place: str
) -> None:
    session, own = await backend.session(), await backend.token(allowed_origins=[foreign.origin])
    if place == "message":
        query = {"token_digest": hashlib.sha256(own.encode()).hexdigest()}
    else:  # the server reads the last value, and a script the first
        query = {"session_token": f"{session['session_token']}&session_token={own}"}
    ((name, value),) = query.items()
    address = f"{foreign.one_runtime}/connect?request_id=r&{name}={value}"
    await visit(page, foreign, "", "/relaxed")
    await page.evaluate(HANDED, [address, session["session_token"]])
    frame = await find_popup(page)
    await expect(heading(frame)).to_be_visible()
    await expect(heading(frame)).to_have_text(ENGLISH["notice.unknown.title"])
    assert (await backend.state(session))["expires_at"] == session["expires_at"], "the session was opened"
