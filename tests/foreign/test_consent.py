"""The steps of `consent.py` work in a real Chromium, at every foreign server, for both people."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.egress.upstream import running_upstream
from tests.foreign.consent import consent, deny
from tests.foreign.person import ALICE, PEOPLE, Person
from tests.foreign.plain_client import Attempt, PlainClient, granted
from tests.foreign.providers import Provider
from tests.foreign.windows import BOTH, OTHER_VENDORS, in_soak

pytestmark = pytest.mark.foreign

Decide = Callable[[Page, Provider, Person], Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="session")
async def plain(
    django_provider: Provider,
    oidc_provider: Provider,
    emulated: Mapping[str, Provider],
    request: pytest.FixtureRequest,
) -> AsyncIterator[PlainClient]:
    provider: Provider = {"django": django_provider, "oidc": oidc_provider, **emulated}[request.param]
    async with running_upstream() as site, PlainClient(provider, provider.register_client(f"{site.url}/back")) as plain:
        yield plain


async def decided(page: Page, plain: PlainClient, decide: Decide, person: Person) -> tuple[Attempt, dict[str, str]]:
    """Run an attempt in the browser and return the callback's query."""
    attempt = plain.attempt()
    await page.goto(attempt.url)
    await decide(page, plain.provider, person)
    await page.wait_for_url(f"{plain.client.redirect_uri}?*")
    return attempt, dict(parse_qsl(urlsplit(page.url).query))


@pytest.mark.parametrize("plain", [*BOTH, "google", "slack", *in_soak(*OTHER_VENDORS)], indirect=True)
async def test_each_person_can_allow_access_in_the_same_browser(page: Page, plain: PlainClient) -> None:
    for person in PEOPLE:
        attempt, callback = await decided(page, plain, consent, person)
        assert callback["state"] == attempt.state
        tokens = granted(await plain.exchange(callback["code"], attempt.verifier))
        assert person.name in ((await plain.whoami(tokens.access_token)).account_label or "")


@pytest.mark.parametrize("plain", ["django", "oidc"], indirect=True)
async def test_person_can_deny_access(page: Page, plain: PlainClient) -> None:
    attempt, callback = await decided(page, plain, deny, ALICE)
    assert (callback["error"], callback["state"]) == ("access_denied", attempt.state)
