"""Pages that only the answer to a form shows: a link, and a refused form. Each works without JavaScript."""

import re

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, expect

from tests.browser import PageProblems, new_window
from tests.dashboard.served import ServedTeam
from tests.dashboard.test_pages_in_a_browser import findings


@pytest.mark.slow
async def test_link_to_connect_again_is_created_and_accessible(
    browser: Browser, page_problems: PageProblems, served_team: ServedTeam
) -> None:
    path = served_team.url + served_team.paths["GET /o/{organization_id}/connections/{connection_id}"]
    async with new_window(browser, page_problems, scripts=True) as page:
        await served_team.sign_in(page.context, "support")
        await page.goto(path)
        await page.get_by_role("button", name="Create a reconnect link").click()
        await expect(page.get_by_role("button", name="Copy the link")).to_be_visible()
        await page.evaluate(Axe().axe_script)
        for scheme, width in (("light", 320), ("dark", 1280)):
            assert await findings(page, scheme, width) == []


async def test_forms_work_without_javascript(
    browser: Browser, page_problems: PageProblems, served_team: ServedTeam
) -> None:
    paths = {name.rpartition("/")[2]: served_team.url + path for name, path in served_team.paths.items()}
    async with new_window(browser, page_problems, scripts=False) as page:
        await served_team.sign_in(page.context)
        await page.goto(paths["{connection_id}"])
        await page.get_by_role("button", name="Create a reconnect link").click()
        mail = page.get_by_role("link", name="Write an e-mail")
        await expect(mail).to_have_attribute("href", re.compile("^mailto:grace@hopper.example"))
        await page.goto(paths["{end_user_id:path}"])
        await page.get_by_label("Integration").fill("nothing")
        await page.get_by_role("button", name="Create a link").click()
        await expect(page.get_by_text("must be the slug of an integration")).to_be_visible()
        await page.get_by_text("Forget this end user…").click()
        await page.get_by_label("Type the identifier to confirm").fill("somebody else")
        await page.get_by_role("button", name="Forget this end user", exact=True).click()
        await expect(page.get_by_text("This is not the identifier of the end user.")).to_be_visible()
        await page.goto(paths["connections"])
        await page.get_by_label("End user").fill("grace hop")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.locator("tbody tr a").first.click()
        await page.get_by_text("Rename, make the default or disconnect").click()
        await page.get_by_text("Disconnect…").click()
        await expect(page.get_by_role("button", name="Disconnect", exact=True)).to_be_visible()
