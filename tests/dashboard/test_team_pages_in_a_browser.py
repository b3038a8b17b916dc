"""Forms of members and API keys in a browser: the pages after a form are accessible, and the copy buttons work."""

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from tests.dashboard.served import ServedTeam
from tests.dashboard.test_pages_in_a_browser import findings


@pytest.mark.slow
async def test_secret_pages_forms_with_errors_and_open_questions_are_accessible(
    page: Page, served_team: ServedTeam
) -> None:
    await served_team.sign_in(page.context)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served_team.url)
    script, found = Axe().axe_script, list[str]()

    async def look(name: str) -> None:
        await page.evaluate(script)
        await page.evaluate("scrollTo(0, 0)")  # the bar at the top must not cover a link
        for scheme, width in (("light", 320), ("dark", 1280)):
            found.extend(f"{name}: {each}" for each in await findings(page, scheme, width))

    await page.goto(served_team.url + served_team.paths["GET /o/{organization_id}/members"])
    await page.get_by_text("Revoke…").first.click()
    await look("question")
    await page.get_by_label("E-mail address").fill("grace@northwind.example")
    await page.get_by_role("button", name="Create the link").click()
    link = await page.locator(".copy code").inner_text()
    await page.get_by_role("button", name="Copy the invitation link").click()
    await expect(page.get_by_role("button", name="Copy the invitation link")).to_have_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == link
    await look("link")

    await page.goto(served_team.url + served_team.paths["GET /o/{organization_id}/api-keys"])
    for name in ("Read", "Connect", "Use"):
        await page.get_by_label(name, exact=True).uncheck()
    await page.get_by_label("Name").fill("Reports")
    await page.get_by_role("button", name="Create the key").click()
    await expect(page.get_by_role("alert")).to_be_focused()
    await look("error")
    await page.get_by_label("Read", exact=True).check()
    await page.get_by_role("button", name="Create the key").click()
    secret = await page.locator(".copy code").inner_text()
    await page.get_by_role("button", name="Copy the command").click()
    await expect(page.get_by_role("button", name="Copy the command")).to_have_text("Copied")
    assert secret in await page.evaluate("navigator.clipboard.readText()")
    await look("key")

    await page.goto(served_team.url + served_team.paths["GET /o/{organization_id}/audit"] + "?since=yesterday")
    await expect(page.get_by_role("alert")).to_be_focused()
    await look("filter")
    await page.goto(served_team.url + served_team.paths["GET /o/{organization_id}/audit"])
    async with page.expect_download() as download:
        await page.get_by_role("button", name="CSV").click()
    assert (await download.value).suggested_filename.endswith(".csv")
    assert found == []
