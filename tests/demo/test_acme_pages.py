"""Acme's pages in a real browser: the consent page and the switches work without scripts and fit everywhere."""

import re
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from one_runtime.demo.acme import GLOBEX, INITECH, Acme, new_key
from one_runtime.demo.acme.faults import Faults
from tests.application import RunningAcme, running
from tests.demo.acme_app import ALL, App, challenge
from tests.demo.steps import find_violations

KEYS = {GLOBEX: new_key(), INITECH: new_key()}
SWITCHES: tuple[tuple[str, str, Callable[[Faults], bool]], ...] = (
    ("The next consent is denied", "On, once", lambda faults: faults.deny_next_consent),
    ("The token endpoint is slow", "On", lambda faults: faults.token_delay == 5),
    ("The token endpoint is down", "On", lambda faults: faults.token_status == 500),
    ("The next refresh is refused", "On, once", lambda faults: faults.refuse_next_refresh),
    ("Refusals have no error code", "On", lambda faults: faults.omit_error_codes),
)
LOOKS = (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 320))


@pytest_asyncio.fixture(loop_scope="session")
async def running_acme() -> AsyncIterator[RunningAcme]:
    """Acme on a port of its own."""
    acme = Acme(KEYS)
    async with running(acme.app) as port:
        yield RunningAcme(f"http://127.0.0.1:{port}", port, acme)


@pytest_asyncio.fixture(loop_scope="session")
async def plain(browser: Browser) -> AsyncIterator[Page]:
    """A window of a browser without scripts."""
    async with await browser.new_context(java_script_enabled=False) as context:
        yield await context.new_page()


def consent_page(running_acme: RunningAcme, **more: str) -> str:
    """The address of the consent page, for an app whose callback is an address of Acme's own that it does not have."""
    callback = f"{running_acme.url}/gone"
    client_id, _ = running_acme.acme.register_client(callback, name="Fernhill <b>", client_id="acmeci_of_tests")
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": callback,
        "scope": ALL,
        "state": '"><script>',
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    }
    return f"{running_acme.url}/oauth/authorize?{urlencode(parameters | more)}"


async def fits(page: Page) -> bool:
    """Return true if nothing is wider than the window."""
    return bool(await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"))


async def test_consent_page_shows_the_request_and_returns_to_the_app(plain: Page, running_acme: RunningAcme) -> None:
    await plain.goto(consent_page(running_acme, scope="contacts:read account:read"))
    await expect(plain.get_by_role("heading", level=1)).to_have_text("Fernhill <b> wants access to your Acme CRM")
    await expect(plain.get_by_role("radio", name="Globex Corporation")).to_be_checked()
    await expect(plain.get_by_role("list").get_by_role("listitem")).to_have_text(
        [re.compile(r"its name and plan\s*account:read"), re.compile(r"Read all contacts\s*contacts:read")]
    )
    await expect(plain.get_by_text("After your choice")).to_contain_text(f"return to 127.0.0.1:{running_acme.port}.")
    await plain.get_by_text("Initech", exact=False).first.click()
    await plain.get_by_role("button", name="Allow").click()
    await plain.wait_for_url(f"{running_acme.url}/gone?code=*&state=%22%3E%3Cscript%3E&iss=*")


async def test_denial_on_the_consent_page_returns_to_the_app(plain: Page, running_acme: RunningAcme) -> None:
    await plain.goto(consent_page(running_acme))
    await plain.get_by_role("button", name="Deny").click()
    await plain.wait_for_url(f"{running_acme.url}/gone?error=access_denied*")


async def test_consent_page_works_with_the_keyboard_alone(page: Page, running_acme: RunningAcme) -> None:
    await page.goto(consent_page(running_acme))
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("radio", name="Globex Corporation")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio", name="Initech")).to_be_checked()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Deny")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{running_acme.url}/gone?code=*")


async def test_enter_in_the_account_selection_grants_nothing(page: Page, running_acme: RunningAcme) -> None:
    await page.goto(consent_page(running_acme))
    await page.get_by_role("radio", name="Initech").press("Enter")
    await page.wait_for_url(f"{running_acme.url}/gone?error=access_denied*")


async def test_policy_of_the_consent_page_names_only_the_apps_origin(app: App) -> None:
    policy = (await app.ask()).headers["content-security-policy"]
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts.pop("style-src").startswith("'sha256-")
    assert parts == {
        "default-src": "'none'",
        "img-src": "data:",
        "form-action": "'self' https://app.example",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize("path", ["/", "/switches", "/oauth/authorize"])
async def test_pages_have_no_script_or_inline_style_and_cannot_be_stored_or_framed(app: App, path: str) -> None:
    answer = await app.http.get(path)
    assert not re.search(r"<script|\sstyle=|\son[a-z]+=", answer.text)
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_each_switch_is_set_and_reset_and_shows_its_state(plain: Page, running_acme: RunningAcme) -> None:
    await plain.goto(running_acme.url)
    await plain.get_by_role("link", name="switches").click()
    for title, state, is_on in SWITCHES:
        row = plain.get_by_role("listitem").filter(has_text=title)
        await expect(row.locator(".state")).to_have_text("Off")
        await row.get_by_role("button", name="Turn on").click()
        await expect(row.locator(".state")).to_have_text(state)
        assert is_on(running_acme.acme.faults), title
        await row.get_by_role("button", name="Turn off").click()
        await expect(row.locator(".state")).to_have_text("Off")
        assert not is_on(running_acme.acme.faults), title


async def test_button_revokes_the_tokens_of_an_account(plain: Page, running_acme: RunningAcme) -> None:
    for _ in range(2):
        running_acme.acme.grants.start(GLOBEX, "acmeci_of_tests", ("account:read",))
    await plain.goto(f"{running_acme.url}/switches")
    row = plain.get_by_role("listitem").filter(has=plain.get_by_role("button", name="Revoke all")).first
    await expect(row.locator(".state")).to_have_text("2 active grants")
    await row.get_by_role("button", name="Revoke all").click()
    await expect(row.locator(".state")).to_have_text("No active grant")
    await expect(row.get_by_role("button", name="Revoke all")).to_be_disabled()
    assert running_acme.acme.grants.revoke_account(GLOBEX) == 0


async def test_button_revokes_and_restores_the_api_key_of_an_account(plain: Page, running_acme: RunningAcme) -> None:
    await plain.goto(f"{running_acme.url}/switches")
    row = plain.get_by_role("listitem").filter(has_text="Key of Globex Corporation")
    await expect(row.locator(".state")).to_have_text("Valid")
    await row.get_by_role("button", name="Revoke the key").click()
    await expect(row.locator(".state")).to_have_text("Revoked")
    async with httpx2.AsyncClient(base_url=running_acme.url) as http:
        statuses = [
            (await http.get("/v1/me", headers={"authorization": f"Bearer {KEYS[account]}"})).status_code
            for account in (GLOBEX, INITECH)
        ]
    assert statuses == [401, 200]
    await plain.goto(running_acme.url)
    await expect(plain.get_by_text("Revoked", exact=True)).to_have_count(1)
    await plain.goto(f"{running_acme.url}/switches")
    await row.get_by_role("button", name="Restore the key").click()
    await expect(row.locator(".state")).to_have_text("Valid")
    assert not running_acme.acme.accounts[GLOBEX].revoked


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"switch": "none", "to": "on"},
        {"switch": "slow-tokens", "to": "sideways"},
        {"switch": "revoke-key", "to": "acc_nobody"},
        {"switch": "other", "to": GLOBEX},
    ],
)
async def test_unknown_switch_is_refused(app: App, form: dict[str, str]) -> None:
    assert (await app.http.post("/switches", data={**form, "x": "y"})).status_code == 400
    assert app.acme.faults.token_delay == 0


async def test_another_site_cannot_set_a_switch(app: App) -> None:
    form, headers = {"switch": "slow-tokens", "to": "on"}, {"sec-fetch-site": "cross-site"}
    assert (await app.http.post("/switches", data=form, headers=headers)).status_code == 400
    assert app.acme.faults.token_delay == 0
    assert (await app.http.post("/switches", data=form)).status_code == 303
    assert app.acme.faults.token_delay == 5


async def test_the_pages_have_no_accessibility_violation_and_fit(
    page: Page, browser_context: BrowserContext, running_acme: RunningAcme
) -> None:
    running_acme.acme.grants.start(GLOBEX, "acmeci_of_tests", ("account:read",))
    running_acme.acme.faults.deny_next_consent = running_acme.acme.accounts[INITECH].revoked = True
    stopped = consent_page(running_acme, client_id="acmeci_nobody")
    for scheme, width in LOOKS:
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await page.set_viewport_size({"width": width, "height": 760})
        for address in (consent_page(running_acme), f"{running_acme.url}/switches", running_acme.url, stopped):
            await page.goto(address)
            assert await find_violations(page) == [], (scheme, width, address)
            assert await fits(page), (scheme, width, address)
