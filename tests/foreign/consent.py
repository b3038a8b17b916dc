"""Steps of a person on a provider's pages in a real browser: log in, and allow or deny."""

from playwright.async_api import Page

from tests.foreign.person import Person
from tests.foreign.providers import Provider


async def consent(page: Page, provider: Provider, person: Person) -> None:
    """On the provider's first page: log in as this person and say yes. The page is on its way back when this ends."""
    if is_emulated(provider):
        await page.get_by_role("button").filter(has_text=person.email).click()
        return
    await log_in(page, person)
    await page.get_by_role("button", name="Authorize").or_(page.get_by_role("button", name="Allow")).click()


async def deny(page: Page, provider: Provider, person: Person) -> None:
    """On the provider's first page: log in as this person and say no. The vendors of `emulate` do not ask."""
    assert not is_emulated(provider), "emulate has no way to say no"
    await log_in(page, person)
    await page.get_by_role("button", name="Cancel").or_(page.get_by_role("button", name="Deny")).click()


async def log_in(page: Page, person: Person) -> None:
    """On a log-in form: type name and password. What comes next is the page that asks for consent."""
    await page.get_by_label("Username").fill(person.name)
    await page.get_by_label("Password").fill(person.password)
    await page.get_by_role("button", name="Log in").click()


def is_emulated(provider: Provider) -> bool:
    """Return true if the provider's page lists people, each a button that logs in and consents at once."""
    return provider.entry.slug.startswith("emulated-")
