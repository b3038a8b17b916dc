"""Sign-in in Chromium, with passkeys of its virtual authenticator."""

import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import CDPSession, Page, Route, expect

from one_runtime.team.sign_in import totp
from tests.browser import PageProblems
from tests.dashboard.served import ServedTeam
from tests.dashboard.test_pages_in_a_browser import findings

PASSWORD: Final = "seven quiet herons"
ELSEWHERE: Final = "http://localhost:9"
"""Another origin of the same host. Browsers use the same passkeys there."""

_OPTIONS: Final = "async (path) => (await fetch(path, { method: 'POST' })).json()"
_USE: Final = """async (options) => {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return (await navigator.credentials.get({ publicKey })).toJSON();
}"""
_SEND: Final = """async ([path, credential]) => {
  const body = new URLSearchParams({ credential: JSON.stringify(credential) });
  const response = await fetch(path, { method: "POST", body });
  return [response.status, new URL(response.url).pathname, await response.text()];
}"""


@dataclass(frozen=True, slots=True)
class Device:
    """Chromium's virtual authenticator."""

    cdp: CDPSession
    id: str

    async def verify_user(self, verified: bool) -> None:
        """Decide if the device recognizes the person, for example by the fingerprint."""
        await self.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": verified})

    async def passkeys(self) -> list[dict[str, Any]]:
        found = await self.cdp.send("WebAuthn.getCredentials", {"authenticatorId": self.id})
        return list(found["credentials"])

    async def set_counter(self, counter: int) -> None:
        """Replace the counter of the only passkey."""
        (passkey,) = await self.passkeys()
        named = {"authenticatorId": self.id, "credentialId": passkey["credentialId"]}
        await self.cdp.send("WebAuthn.removeCredential", named)
        changed = {**passkey, "signCount": counter}
        await self.cdp.send("WebAuthn.addCredential", {"authenticatorId": self.id, "credential": changed})


@pytest_asyncio.fixture(loop_scope="session")
async def device(page: Page) -> AsyncIterator[Device]:
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    added = await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield Device(cdp, str(added["authenticatorId"]))


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


async def register(page: Page, served_team: ServedTeam, email: str) -> None:
    """Open the link of an invitation, and add a passkey."""
    await page.goto(await served_team.invite(email))
    await press(page, "Join Northwind Traders")
    await press(page, "Add a passkey")
    await expect(page.get_by_role("status")).to_have_text("Your passkey is added.")


@pytest.mark.slow
async def test_passkey_registers_signs_in_and_confirms(
    page: Page, served_team: ServedTeam, device: Device, page_problems: PageProblems
) -> None:
    await register(page, served_team, "ada@example.com")
    (passkey,) = await device.passkeys()
    assert passkey["isResidentCredential"]
    await page.get_by_role("link", name="Go to the dashboard").click()
    await expect(page).to_have_url(f"{served_team.url}/o/{served_team.organization_id}")

    await page.goto(f"{served_team.url}/account")
    await press(page, "Add a passkey")  # the same device again
    await expect(page.locator("form[data-passkey] .problem")).to_have_text(
        "This device already has a passkey for your account."
    )
    await page.locator("summary", has_text="Rename").click()
    await page.get_by_label("New name").fill("Laptop <1>")
    await press(page, "Rename")
    await expect(page.get_by_text("Laptop <1>", exact=True).first).to_be_visible()
    await page.locator("summary", has_text="Remove").click()
    await press(page, "Remove")
    await expect(page.get_by_text("This is your last way to sign in")).to_be_visible()

    await page.goto(f"{served_team.url}/sign-in/again?next=/account")
    await press(page, "Use a passkey")
    await expect(page).to_have_url(f"{served_team.url}/account")

    await device.verify_user(False)
    await press(page, "Sign out")
    await expect(page.get_by_role("status")).to_have_text("You are signed out.")
    await press(page, "Sign in with a passkey")
    await expect(page.locator("form[data-passkey] .problem")).to_have_text("The browser did not finish. Try again.")
    await device.verify_user(True)
    await press(page, "Sign in with a passkey")
    await expect(page).to_have_url(f"{served_team.url}/o/{served_team.organization_id}")

    await page.goto(f"{served_team.url}/account")
    await press(page, "Sign out")  # the virtual authenticator selects the passkey that the browser offers in the field
    await expect(page).to_have_url(f"{served_team.url}/o/{served_team.organization_id}")
    assert page_problems == []


@pytest.mark.slow
async def test_responses_of_another_origin_or_challenge_and_replays_are_refused(
    page: Page, served_team: ServedTeam, device: Device
) -> None:
    async def serve(route: Route) -> None:
        await route.fulfill(body="<!doctype html><title>Elsewhere</title>", content_type="text/html")

    async def send(credential: object) -> list[Any]:
        answer: list[Any] = await page.evaluate(_SEND, ["/sign-in/passkey", credential])
        return answer

    await page.route(f"{ELSEWHERE}/**", serve)
    await register(page, served_team, "grace@example.com")
    home = f"{served_team.url}/organizations"
    await page.goto(home)

    options = await page.evaluate(_OPTIONS, "/sign-in/passkey/options")
    await page.goto(f"{ELSEWHERE}/")
    stolen = await page.evaluate(_USE, options)
    await page.goto(home)
    status, _, text = await send(stolen)
    assert status == 422
    assert "The passkey was not accepted" in text

    first = await page.evaluate(_OPTIONS, "/sign-in/passkey/options")
    credential = await page.evaluate(_USE, first)
    second = await page.evaluate(_OPTIONS, "/sign-in/passkey/options")
    assert first["challenge"] != second["challenge"]
    assert (await send(credential))[0] == 422  # of another challenge
    credential = await page.evaluate(_USE, second)
    cookies = await page.context.cookies()
    assert (await send(credential))[:2] == [200, f"/o/{served_team.organization_id}"]
    step = [cookie for cookie in cookies if cookie["name"] == "or_passkey"]
    await page.context.add_cookies(step)  # type: ignore[arg-type]
    status, _, text = await send(credential)
    assert status == 422
    assert "was already used" in text

    counter = (await device.passkeys())[0]["signCount"]
    await device.set_counter(counter - 2)
    options = await page.evaluate(_OPTIONS, "/sign-in/passkey/options")
    status, _, text = await send(await page.evaluate(_USE, options))
    assert status == 422
    assert "counter of this passkey went back" in text
    assert json.dumps(options).count(options["challenge"]) == 1


@pytest.mark.slow
async def test_pages_between_the_link_and_the_account_are_accessible_and_need_no_mouse(
    page: Page, served_team: ServedTeam, device: Device, page_problems: PageProblems
) -> None:
    found = list[str]()

    async def check() -> None:
        await page.evaluate(Axe().axe_script)
        for scheme, width in (("light", 320), ("dark", 1280)):
            found.extend(f"{page.url}: {problem}" for problem in await findings(page, scheme, width))

    async def type_into(label: str, text: str) -> None:
        """Move the focus with the Tab key to a field, type, and send the form with Enter."""
        for _ in range(20):
            await page.keyboard.press("Tab")
            if await page.get_by_label(label).evaluate("(field) => field === document.activeElement"):
                break
        await page.keyboard.type(text)

    await page.goto(await served_team.invite("alonzo@example.com"))
    await press(page, "Join Northwind Traders")
    await check()
    await type_into("New password", "short")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").first).to_be_focused()
    await check()
    await type_into("New password", PASSWORD)
    await page.keyboard.press("Enter")
    await press(page, "Set up an authenticator app")
    await check()
    key = (await page.locator(".copy code").inner_text()).replace(" ", "")
    secret, step = base64.b32decode(key), int(time.time()) // totp.PERIOD
    await type_into("Code that the app shows", totp.code_of(secret, step))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Your authenticator app is set up.")
    await page.goto(f"{served_team.url}/account")
    await press(page, "Add a passkey")
    await expect(page.get_by_role("status")).to_have_text("Your passkey is added.")
    await check()
    await page.goto(f"{served_team.url}/sign-in/again?next=/account")
    await check()

    await device.verify_user(False)
    await page.goto(f"{served_team.url}/account")
    await press(page, "Sign out")
    await type_into("E-mail address", "alonzo@example.com")
    await type_into("Password", PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    await check()
    await type_into("Code of your authenticator app", "000000")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").first).to_be_focused()
    await check()
    await type_into("Code of your authenticator app", totp.code_of(secret, step + 1))
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{served_team.url}/o/{served_team.organization_id}")
    assert found == []
    assert page_problems == []


@pytest.mark.slow
async def test_member_of_an_openid_provider_adds_a_passkey_and_keeps_both(
    page: Page, served_team: ServedTeam, device: Device, page_problems: PageProblems
) -> None:
    home, account = f"{served_team.url}/o/{served_team.organization_id}", f"{served_team.url}/account"
    provider = page.get_by_role("button", name="Sign in with 127.0.0.1")
    await page.goto(f"{served_team.url}/sign-in")
    await provider.click()
    await expect(page).to_have_url(home)
    await page.goto(account)
    await page.get_by_role("link", name="confirm that it is you").click()
    await provider.click()
    await expect(page).to_have_url(account)
    await press(page, "Add a passkey")
    await expect(page.get_by_role("status")).to_have_text("Your passkey is added.")
    await press(page, "Sign out")  # the virtual authenticator selects the passkey that the browser offers in the field
    await expect(page).to_have_url(home)
    for _ in range(2):
        await page.goto(account)
        await expect(page.get_by_text("You sign in with your account at 127.0.0.1")).to_be_visible()
        await expect(page.get_by_text("last used")).to_be_visible()
        await page.goto(f"{served_team.url}/sign-in/again?next=/account")
        await provider.click()
        await expect(page).to_have_url(account)
    assert page_problems == []
