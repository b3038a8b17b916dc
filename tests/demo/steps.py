"""Common steps of the browser tests of the playground."""

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Frame, Locator, Page, expect

from tests.running_demo import Demo, find_popup, popups
from tests.waiting import eventually


async def open_settings_page(page: Page, demo: Demo, end_user: str) -> Page:
    """The settings page of an end user, loaded."""
    await page.goto(f"{demo.playground}/?end_user_id={end_user}")
    await expect(page.locator(".card:not(.skeleton)").first).to_be_visible()
    return page


def card(page: Page, name: str = "Acme CRM") -> Locator:
    """One integration's card."""
    return page.get_by_role("listitem", name=name, exact=True)


async def choose_key(place: Frame | Page) -> None:
    """Of the two ways to connect Acme CRM, take the key."""
    await place.get_by_role("button", name="API key").click()


async def choose_signing_in(place: Frame | Page) -> None:
    """Of the two ways to connect Acme CRM, sign in there."""
    await place.get_by_role("button", name="Sign in").click()


async def type_key(place: Frame | Page, key: str) -> None:
    """Connect Acme CRM with a key, from the choice between the ways on."""
    await choose_key(place)
    await place.get_by_label("API key", exact=True).fill(key)
    await place.get_by_role("button", name="Connect Acme CRM", exact=True).click()


async def connect(page: Page, key: str) -> None:
    """Connect Acme CRM in the popup."""
    await card(page).get_by_role("button", name="Connect Acme CRM", exact=True).click()
    await type_key(await find_popup(page), key)
    await expect(page.locator("#connected").get_by_role("heading", name="Acme CRM")).to_be_visible()
    await eventually(lambda: not popups(page))  # it shows the good news for a moment


async def find_violations(page: Page) -> list[str]:
    """Return the violations that axe finds."""
    results = await Axe().run(page)
    return [f"{violation['id']}: {violation['nodes'][0]['html']}" for violation in results.response["violations"]]
