"""Steps of a person on a provider's pages in a real browser: log in, and allow or deny."""

from playwright.async_api import Page

from tests.foreign.person import Person
from tests.foreign.providers import Provider


async def consent(page: Page, provider: Provider, person: Person) -> None:
    """Log in as this person on the provider's first page and allow access. Returns before the callback has loaded."""
    if is_emulated(provider):
        await page.get_by_role("button").filter(has_text=person.email).click()
        return
    await log_in(page, person)
    await page.get_by_role("button", name="Authorize").or_(page.get_by_role("button", name="Allow")).click()


async def deny(page: Page, provider: Provider, person: Person) -> None:
    """Log in as this person on the provider's first page and deny access. Vendors of `emulate` have no such page."""
    assert not is_emulated(provider), "emulate has no way to say no"
    await log_in(page, person)
    await page.get_by_role("button", name="Cancel").or_(page.get_by_role("button", name="Deny")).click()


async def log_in(page: Page, person: Person) -> None:
    """Submit name and password on a log-in form, which leads to the consent page."""
    await page.get_by_label("Username").fill(person.name)
    await page.get_by_label("Password").fill(person.password)
    await page.get_by_role("button", name="Log in").click()


def is_emulated(provider: Provider) -> bool:
    """Return True if the provider's page lists people, each a button that logs in and consents at once."""
    return provider.entry.slug.startswith("emulated-")
