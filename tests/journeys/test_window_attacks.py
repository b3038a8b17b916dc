"""P6 in a real browser, modes `redirect` and `link`: attacks of other pages, and forwarded links."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import PageProblems
from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import add_frame, heading, visit
from tests.journeys.test_framing import expect_refused
from tests.journeys.test_window import CONFIRM, paste, pressed, return_params
from tests.running_demo import Demo

pytestmark = pytest.mark.promise("P6")

# A form of a foreign page that submits itself. It contains every field that a foreign page can fill in.
SUBMIT = """([action, fields, target]) => {
  const form = Object.assign(document.createElement("form"), { method: "post", action, target });
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(form);
  form.submit();
  form.remove();
}"""
KEY = "acme_of_the_attacker"


@pytest.mark.parametrize("step", ["confirm", "show", "connect", "resume"])
@pytest.mark.parametrize("path", ["/", "/relaxed"])
async def test_cross_site_form_cannot_skip_the_confirmation(
    page: Page, foreign: Site, backend: Backend, step: str, path: str
) -> None:
    session = await backend.window(mode="link")
    await visit(page, foreign, "", path)
    fields = {"session_token": session["session_token"], "step": step, "auth_type": "api_key"}
    await page.evaluate(SUBMIT, [f"{foreign.one_runtime}/connect", {**fields, "credentials.api_key": KEY}, ""])
    await expect(heading(page)).to_have_text("This step was stopped")
    assert await page.locator("form, input").count() == 0
    assert (await backend.state(session))["status"] == "pending"


async def test_allowed_page_of_the_organization_cannot_skip_the_confirmation(
    page: Page, site: Site, backend: Backend
) -> None:
    session = await backend.window(mode="link")
    await visit(page, site, "", "/relaxed")
    fields = {"session_token": session["session_token"], "step": "confirm"}
    await page.evaluate(SUBMIT, [f"{site.one_runtime}/connect", fields, ""])
    await expect(heading(page)).to_have_text("This step was stopped")
    await page.goto(session["connect_url"])
    await expect(page.get_by_role("button", name=CONFIRM)).to_be_visible()


@pytest.mark.parametrize("mode", ["link", "redirect"])
async def test_no_page_can_frame_it_by_url_or_by_a_form(
    page: Page, site: Site, backend: Backend, page_problems: PageProblems, mode: str
) -> None:
    """This also holds for a page of an origin that may frame the popup."""
    backend.register(site.return_url)
    session = await backend.window(**({"mode": "link"} if mode == "link" else {}))
    await visit(page, site, "", "/relaxed")
    await add_frame(page, session["connect_url"])
    await expect_refused(page, page_problems)
    named = "() => { document.body.append(Object.assign(document.createElement('iframe'), { name: 'inside' })); }"
    await page.evaluate(named)
    fields = {"session_token": session["session_token"], "step": "show"}
    await page.evaluate(SUBMIT, [f"{site.one_runtime}/connect", fields, "inside"])
    await expect_refused(page, page_problems)
    assert (await backend.state(session))["status"] == "pending"


async def test_forwarded_link_names_the_other_person_and_can_be_stopped(
    browser: Browser, site: Site, backend: Backend
) -> None:
    """An attacker creates a session for the attacker's own end user, and forwards the link to a victim."""
    session = await backend.window(mode="link", end_user_name="Mallory", end_user_email="mallory@example.com")
    async with await browser.new_context() as victim:
        page = await victim.new_page()
        await page.goto(session["connect_url"])
        for detail in ("Fernhill", "Mallory", "mallory@example.com", "Acme CRM"):
            await expect(page.locator(".facts")).to_contain_text(detail)
        await expect(page.get_by_text("If that isn’t you, or you don’t know why you got this link")).to_be_visible()
        assert await page.locator("input:visible").count() == 0
        await pressed(page, "Stop here")
        await expect(heading(page)).to_have_text("This was cancelled")
    assert await backend.status() == "not_connected"


async def test_forwarded_redirect_attaches_nothing_to_its_sender(page: Page, demo: Demo, backend: Backend) -> None:
    """The browser returns to the app. There, the victim is signed in as another end user than that of the session."""
    backend.register(backend.site.return_url)
    session = await backend.window()
    await page.goto(session["connect_url"])
    await paste(page, demo.acme_key)
    await expect(heading(page)).to_have_text("Back in the app")
    refused = await backend.redeem(session, return_params(page)["code"], "the_victim")
    assert (refused.status_code, refused.json()["code"]) == (409, "end_user_mismatch")
    again = await backend.redeem(session, return_params(page)["code"], backend.end_user_id)
    assert again.status_code == 409
    assert await backend.connections() == []
    assert (await backend.state(session))["status"] == "failed"
    assert await backend.status() == "not_connected"


async def test_unredeemed_redirect_attaches_nothing(page: Page, demo: Demo, backend: Backend) -> None:
    backend.register(backend.site.return_url)
    session = await backend.window()
    await page.goto(session["connect_url"])
    await paste(page, demo.acme_key)
    await expect(heading(page)).to_have_text("Back in the app")
    await page.goto(session["connect_url"])
    await expect(heading(page)).to_have_text("This has already been used")
    assert await backend.connections() == []
    assert await backend.status() == "not_connected"


async def test_window_opened_by_another_page_has_no_opener(page: Page, site: Site, backend: Backend) -> None:
    session = await backend.window(mode="link")
    await visit(page, site, "", "/relaxed")
    async with page.expect_popup() as opening:
        await page.evaluate("(address) => { window.opened = window.open(address); }", session["connect_url"])
    window = await opening.value
    await expect(window.get_by_role("button", name=CONFIRM)).to_be_visible()
    assert await window.evaluate("() => window.opener") is None
    assert await page.evaluate("() => window.opened.closed")
