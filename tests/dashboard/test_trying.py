"""A member connects a test account in the popup, on the page of the integration."""

import re

import pytest
from playwright.async_api import Page, expect

from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS
from tests.browser import is_firefox, type_text
from tests.dashboard.served import ACME_APP, ACME_SECRET, ServedTeam
from tests.demo.steps import choose_key, choose_signing_in
from tests.running_demo import find_popup


@pytest.mark.firefox_soak
async def test_member_registers_a_client_and_connects_in_the_popup(page: Page, served_team: ServedTeam) -> None:
    """The page allows scripts of its own origin only. Each violation of its policy fails the test."""
    # Both browsers share the server. So each has a member of its own, and the second registers the same client again.
    await served_team.sign_in(page.context, "admin" if is_firefox(page) else "owner")
    path = f"{served_team.url}/o/{served_team.organization_id}/integrations"
    await page.goto(path)
    await page.get_by_role("searchbox", name="Search").fill("acme c")
    await expect(page.get_by_role("status").first).to_have_text("1 integration")
    await expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    await page.get_by_role("link", name="Acme CRM").click()
    await page.get_by_label("Client id").fill(ACME_APP)
    await page.get_by_label("Client secret").fill(ACME_SECRET)
    await page.get_by_role("button", name=re.compile("Register the client|Save")).click()
    await expect(page.get_by_text("Your end users can connect Acme CRM (API key or OAuth).")).to_be_visible()

    await page.get_by_role("button", name="Connect a test account").click()
    popup = await find_popup(page)
    await popup.get_by_role("button", name="Close").click()
    await expect(page.get_by_text("You closed the popup before an account was connected.")).to_be_visible()
    await expect(page.get_by_role("button", name="Connect a test account")).to_be_focused()

    await page.get_by_role("button", name="Connect a test account").click()
    popup = await find_popup(page)
    async with page.expect_popup() as opening:
        await choose_signing_in(popup)
    window = await opening.value
    await window.get_by_role("radio", name="Globex Corporation").check()
    await window.get_by_role("button", name="Allow", exact=True).click()
    await expect(page.get_by_text("Your test account is connected.")).to_be_visible()
    await page.get_by_role("button", name="Check it").click()
    await expect(page.get_by_text("The provider accepted the credential")).to_be_visible()

    await page.get_by_role("button", name="Connect again").click()
    popup = await find_popup(page)
    await choose_key(popup)
    await type_text(popup.get_by_label("API key", exact=True), ACME_KEYS[GLOBEX])
    await popup.get_by_role("button", name="Reconnect Acme CRM", exact=True).click()
    await expect(page.get_by_text("Your test account is connected.")).to_be_visible()
    await expect(page.get_by_text("Your test connection:")).to_be_visible()
