"""Common steps of the browser tests of the sample product."""

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Frame, Locator, Page, expect

from tests.browser import type_text
from tests.running_demo import Demo, find_popup, popups
from tests.waiting import eventually


async def open_settings_page(page: Page, demo: Demo, end_user: str) -> Page:
    """Open the settings page of an end user and wait until it has loaded."""
    await page.goto(f"{demo.product}/?end_user_id={end_user}")
    await expect(page.locator(".card:not(.skeleton)").first).to_be_visible()
    return page


def card(page: Page, name: str = "Acme CRM") -> Locator:
    """Return the card of an integration."""
    return page.get_by_role("listitem", name=name, exact=True)


async def choose_key(place: Frame | Page) -> None:
    """Select the key of the two auth types of Acme CRM."""
    await place.get_by_role("button", name="API key").click()


async def choose_signing_in(place: Frame | Page) -> None:
    """Select signing in of the two auth types of Acme CRM."""
    await place.get_by_role("button", name="Sign in").click()


async def type_key(place: Frame | Page, key: str) -> None:
    """Connect Acme CRM with a key, from the choice of the auth type."""
    await choose_key(place)
    await type_text(place.get_by_label("API key", exact=True), key)
    await place.get_by_role("button", name="Connect Acme CRM", exact=True).click()


async def connect(page: Page, key: str) -> None:
    """Connect Acme CRM in the popup."""
    await card(page).get_by_role("button", name="Connect Acme CRM", exact=True).click()
    await type_key(await find_popup(page), key)
    await expect(page.locator("#connected").get_by_role("heading", name="Acme CRM")).to_be_visible()
    await eventually(lambda: not popups(page))  # it shows the success for a moment


async def find_violations(page: Page) -> list[str]:
    """Return the violations that axe finds."""
    results = await Axe().run(page)
    return [f"{violation['id']}: {violation['nodes'][0]['html']}" for violation in results.response["violations"]]
