"""Steps of a person between the popup and the provider's window that the popup opens."""

from typing import Final

import pytest
from playwright.async_api import Frame, Locator, Page, expect

from tests.foreign.consent import consent
from tests.foreign.person import Person
from tests.foreign.providers import Provider
from tests.foreign.served import Served
from tests.journeys.steps import button, open_popup, wait_until_settled

BOTH: Final = ("django", "oidc")
"""The two providers with all features."""
OTHER_VENDORS: Final = ("github", "linear", "microsoft", "okta")
"""Providers whose consent pages resemble Google's. Tests without a browser connect all of them in `make test`."""


def each(*names: object) -> pytest.MarkDecorator:
    """Run the test with each of these providers, as the parameter of the fixture `runtime`."""
    return pytest.mark.parametrize("runtime", names, indirect=True)


def in_soak(*names: str) -> list[object]:
    """Return the providers for `each`, with which the test runs in `make soak` only."""
    return [pytest.param(name, marks=pytest.mark.soak) for name in names]


async def open_sign_in(page: Page, runtime: Served, session: dict[str, str], path: str = "/") -> Frame:
    """Open the popup in the customer's page, up to the button that leads to the provider."""
    frame = await open_popup(page, runtime.site, session["session_token"], path)
    await expect(sign_in_button(frame, runtime.provider)).to_be_visible()
    return frame


def sign_in_button(frame: Frame, provider: Provider) -> Locator:
    """Return the button that opens the provider's window: in the form, or in the choice between auth types."""
    return button(frame, continue_button(provider)).or_(frame.get_by_role("button").filter(has_text="Sign in at"))


def continue_button(provider: Provider) -> str:
    """Return the text of the button."""
    return f"Continue to {provider.entry.name}"


async def open_provider_window(frame: Frame, provider: Provider, press: str | None = None) -> Page:
    """Press the popup's button; return its window once it shows the provider's first page."""
    async with frame.page.context.expect_page() as opening:
        await wait_until_settled(frame)
        await (button(frame, press) if press else sign_in_button(frame, provider)).click()
    window = await opening.value
    await expect_provider_page(window, provider)
    return window


async def expect_provider_page(window: Page, provider: Provider) -> None:
    """Wait for the provider's first page."""
    await window.wait_for_url(f"{provider.url}/**")


async def allow_in_window(frame: Frame, provider: Provider, person: Person) -> None:
    """Press the popup's button and allow access in the provider's window."""
    await consent(await open_provider_window(frame, provider), provider, person)
