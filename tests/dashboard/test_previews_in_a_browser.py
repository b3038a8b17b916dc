"""The settings page and the playground in a browser: the live preview, and the popup in the page."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser import PageProblems, new_window
from tests.dashboard.served import ServedTeam
from tests.running_demo import find_popup


@pytest_asyncio.fixture(loop_scope="session", params=[True, False], ids=["script", "no-script"])
async def owner_window(
    browser: Browser, page_problems: PageProblems, served_team: ServedTeam, request: pytest.FixtureRequest
) -> AsyncIterator[Page]:
    """A window of the owner, once with and once without JavaScript."""
    async with new_window(browser, page_problems, scripts=request.param) as page:
        await served_team.sign_in(page.context)
        yield page


async def test_preview_shows_the_color_of_the_form(owner_window: Page, served_team: ServedTeam) -> None:
    page = owner_window
    await page.emulate_media(color_scheme="light")
    await page.goto(f"{served_team.url}/o/{served_team.organization_id}/settings")
    preview = page.frame_locator("iframe").last
    button, color = preview.locator(".primary"), page.locator("input[name='branding.accent_color']")
    await expect(button).to_have_css("background-color", "rgb(25, 26, 28)")
    has_script = await page.locator("input[type=color]").first.is_visible()
    await color.fill("#8b0000")
    if not has_script:
        await page.get_by_role("button", name="Preview").click()
    await expect(button).to_have_css("background-color", "rgb(139, 0, 0)")
    await expect(page.locator("iframe")).to_have_count(1)
    await color.fill("#ffd400")
    if not has_script:
        await page.get_by_role("button", name="Preview").click()
    await expect(preview.get_by_text("The nearest color with enough contrast is #aa8d00")).to_be_visible()
    if has_script:
        await page.go_back()
        assert not page.url.endswith("/settings"), "a preview adds no step to the history"


async def test_popup_of_the_playground_opens_in_the_page(page: Page, served_team: ServedTeam) -> None:
    await served_team.sign_in(page.context)
    await page.goto(f"{served_team.url}/o/{served_team.organization_id}/playground/sessions")
    await page.get_by_label("End user").fill("user_77")
    await page.get_by_label("Integration").fill("acme")
    await page.get_by_label("Mode").select_option("embed")
    await page.get_by_role("button", name="Create a session").click()
    await page.get_by_role("button", name="Open the popup").click()
    popup = await find_popup(page)
    await expect(popup.get_by_role("heading", level=1)).to_contain_text("Acme CRM")
    await popup.locator(".bar .close").click()
    await expect(page.locator("[data-outcome]")).to_have_text("cancelled")
