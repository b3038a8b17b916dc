"""Steps of a person between the popup and the window of a provider that it opens."""

from playwright.async_api import Frame, Page

from tests.foreign.consent import consent
from tests.foreign.person import Person
from tests.foreign.providers import Provider
from tests.journeys.steps import click


async def to_the_provider(frame: Frame, provider: Provider, press: str | None = None) -> Page:
    """Press the popup's button; the window that it opens, once the provider's first page is there."""
    async with frame.page.context.expect_page() as opening:
        await click(frame, press or f"Continue to {provider.entry.name}")
    window = await opening.value
    await at_the_provider(window, provider)
    return window


async def at_the_provider(window: Page, provider: Provider) -> None:
    """Wait for the provider's first page."""
    await window.wait_for_url(f"{provider.url}/**")


async def agreed(frame: Frame, provider: Provider, person: Person) -> None:
    """From the popup's button to a yes in the provider's window."""
    window = await to_the_provider(frame, provider)
    await consent(window, provider, person)
