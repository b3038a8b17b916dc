"""Effects of scripts on the top-level pages: the URL, reloads, checks before a submit, no second submit."""

import pytest
from playwright.async_api import BrowserContext, Page, Request, expect

from tests.browser import type_text
from tests.journeys.backend import Backend
from tests.journeys.steps import MASKED, VISIBLE, WRONG_KEY, heading
from tests.journeys.test_window import CONFIRM, confirmed, paste, pressed, wait_for_script
from tests.running_demo import Demo

KEY = "API key"


@pytest.fixture(autouse=True)
def registered(backend: Backend) -> None:
    """Register the return URL of the tests."""
    backend.register(backend.site.return_url)


@pytest.mark.promise("P11")
@pytest.mark.firefox
async def test_token_is_removed_from_the_url_and_sent_only_in_bodies(
    page: Page, browser_context: BrowserContext, demo: Demo, backend: Backend
) -> None:
    requests: list[Request] = []
    console: list[str] = []

    def note(request: Request) -> None:
        requests.append(request)

    browser_context.on("request", note)
    browser_context.on("console", lambda message: console.append(message.text))
    session = await confirmed(page, backend)
    await paste(page, WRONG_KEY)
    await expect(page.get_by_role("alert")).to_be_visible()
    await wait_for_script(page)
    assert page.url == f"{demo.url}/connect?session={session['id']}"
    await paste(page, demo.acme_key)
    await expect(heading(page)).to_have_text("Connected")
    await wait_for_script(page)
    assert page.url == f"{demo.url}/connect?session={session['id']}"
    token = session["session_token"]
    with_token = [request.url for request in requests if token in request.url]
    assert len(with_token) == 1  # the first URL of the page; One Runtime does not log this URL
    assert not [request.url for request in requests if (await request.all_headers()).get("referer")]
    assert {request.url.split("/")[2] for request in requests if not request.url.startswith("data:")} == {
        demo.url.removeprefix("http://")
    }
    secrets = (token, WRONG_KEY, demo.acme_key)
    assert not [text for text in console if any(secret in text for secret in secrets)]
    assert await page.evaluate("() => [localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


@pytest.mark.firefox
async def test_reload_of_a_redirect_continues(page: Page, demo: Demo, backend: Backend) -> None:
    session = await backend.window()
    await page.goto(session["connect_url"])
    await expect(page.get_by_label(KEY, exact=True)).to_be_visible()
    for _ in range(2):
        await page.reload()
        await expect(page.get_by_label(KEY, exact=True)).to_be_visible()
    await paste(page, demo.acme_key)
    await expect(heading(page)).to_have_text("Back in the app")


@pytest.mark.promise("P6")
@pytest.mark.firefox_soak
async def test_reload_of_a_link_requires_a_new_confirmation(page: Page, backend: Backend) -> None:
    await confirmed(page, backend)
    await page.reload()
    await expect(page.get_by_role("button", name=CONFIRM)).to_be_visible()
    assert await page.locator("input:visible").count() == 0


@pytest.mark.firefox
async def test_browsers_back_button_continues_the_session(page: Page, backend: Backend) -> None:
    session = await backend.window(None)
    await page.goto(session["connect_url"])
    await page.get_by_role("button", name="Acme CRM").click()
    await expect(page.get_by_role("button", name="API key")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("button", name="Acme CRM")).to_be_visible()


@pytest.mark.firefox_soak
async def test_session_url_in_another_window_links_back_to_the_app(page: Page, backend: Backend) -> None:
    session = await backend.window()
    await page.goto(f"{backend.demo.url}/connect?session={session['id']}")
    await expect(heading(page)).to_have_text("Open this from Fernhill again")
    assert await page.locator("input:visible").count() == 0
    await page.get_by_role("link", name="Back to Fernhill").click()
    await expect(heading(page)).to_have_text("Back in the app")


async def test_form_is_validated_before_sending_and_keeps_its_secret(page: Page, backend: Backend) -> None:
    await confirmed(page, backend, "zendesk")
    bodies: list[str] = []

    def note(request: Request) -> None:
        bodies.append(request.method)

    page.on("request", note)
    await pressed(page, "Connect Zendesk")
    await expect(page.locator(".field-error:visible")).to_have_count(3)
    await expect(page.get_by_label("Subdomain")).to_be_focused()
    await type_text(page.get_by_label("Subdomain"), " https://acme.zendesk.com/agent ")
    await type_text(page.get_by_label("API token", exact=True), "t" * 40)
    await expect(page.get_by_label("Subdomain")).to_have_value("acme")
    await pressed(page, "Connect Zendesk")
    await expect(page.get_by_label("Email")).to_be_focused()
    await expect(page.get_by_label("API token", exact=True)).to_have_value("t" * 40)
    assert "POST" not in bodies


async def test_secret_is_shown_on_request(page: Page, backend: Backend) -> None:
    await confirmed(page, backend)
    field = page.get_by_label(KEY, exact=True)
    await expect(field).to_have_css(*MASKED)
    assert await page.locator("input[type=password]").count() == 0
    await type_text(field, "acme_half")
    await pressed(page, "Show API key")
    await expect(field).to_have_css(*VISIBLE)
    await pressed(page, "Hide API key")
    await expect(field).to_have_css(*MASKED)


async def test_button_is_busy_during_the_check_and_submits_once(page: Page, demo: Demo, backend: Backend) -> None:
    session = await confirmed(page, backend)
    requests: list[Request] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            requests.append(request)

    page.on("request", note)
    await type_text(page.get_by_label(KEY, exact=True), demo.acme_key)
    pressing = """() => {
      const button = document.querySelector(".credentials .primary");
      for (const _ of "123") button.click();
      return [button.textContent, button.getAttribute("aria-disabled")];
    }"""
    assert await page.evaluate(pressing) == ["Checking with Acme CRM…", "true"]
    await expect(heading(page)).to_have_text("Connected")
    assert len(requests) == 1
    assert (await backend.state(session))["status"] == "connected"
