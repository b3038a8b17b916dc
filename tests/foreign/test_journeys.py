"""OAuth connections in a real Chromium: from a customer's page of another origin to an account in use and back."""

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from playwright.async_api import Frame, Page, expect

from tests.foreign.consent import consent, deny
from tests.foreign.person import ALICE, BOB, Person
from tests.foreign.providers import VENDORS, Provider
from tests.foreign.served import END_USER, Served, served
from tests.foreign.windows import agreed
from tests.journeys.steps import button, click, gone, heading, opened, outcome

pytestmark = pytest.mark.foreign

BOTH = ("django", "oidc")


@pytest_asyncio.fixture(loop_scope="session")
async def there(
    migrated_sqlite_url: str,
    django_provider: Provider,
    oidc_provider: Provider,
    emulated: Mapping[str, Provider],
    request: pytest.FixtureRequest,
) -> AsyncIterator[Served]:
    """One Runtime with the provider that the test names."""
    provider: Provider = {"django": django_provider, "oidc": oidc_provider, **emulated}[request.param]
    async with served(migrated_sqlite_url, provider) as there:
        yield there


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("there", names, indirect=True)


async def connected(page: Page, there: Served, person: Person = ALICE, **more: str) -> dict[str, object]:
    """What the page's promise came to, for a person who says yes."""
    session = await there.session(**more)
    frame = await opened(page, there.site, session["session_token"])
    await agreed(frame, there.provider, person)
    told = await outcome(page)
    assert (await there.state(session))["status"] == "connected"
    return told


@each(*BOTH, *VENDORS)
async def test_a_page_of_another_origin_connects_an_account_that_is_used_refreshed_and_let_go(
    page: Page, there: Served
) -> None:
    told = await connected(page, there)
    (connection,) = await there.connections()
    assert told == {
        "source": "one-runtime",
        "requestId": told["requestId"],
        "status": "connected",
        "connectionId": connection["id"],
        "integrationSlug": there.slug,
        "connectionName": connection["name"],
        "error": None,
    }
    await gone(page)
    assert len(page.context.pages) == 1
    assert await there.status() == "connected"
    first = await there.token(connection["id"])
    there.clock.advance(hours=2)
    second = await there.token(connection["id"])
    assert (first != second) == (there.provider.auth.refresh != "none")
    async with there.asking() as plain:
        assert (await plain.whoami(second)).ok
        let_go = await there.disconnect()
        assert let_go["status"] == "disconnected"
        if there.provider.auth.revocation is not None:
            assert {one["outcome"] for one in let_go["revocations"]} == {"revoked"}
            assert (await plain.whoami(second)).refused
    assert await there.status() == "not_connected"
