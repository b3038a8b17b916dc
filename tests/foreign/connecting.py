"""Connect to a foreign provider over the application's own routes, as the popup's page and its window do it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from one_runtime.catalog.loader import load_catalog
from tests.application import PUBLIC_URL, Client, RunningAcme, settings_for, started
from tests.authorizations import Authorizing
from tests.foreign.person import ALICE, Person
from tests.foreign.providers import LOGO, Provider
from tests.foreign.visitor import Visitor


@dataclass(frozen=True)
class Connecting(Authorizing):
    """An application with a foreign provider, and a caller of an organization with a client at the provider."""

    provider: Provider

    async def connect(self, end_user_id: str = "user_123", person: Person = ALICE, **more: Any) -> dict[str, Any]:
        """Make a connection by a whole authorization and return it. `more` goes into the session."""
        token = (await self.session(end_user_id, **more))["session_token"]
        attempt = await self.authorize(token)
        async with Visitor() as visitor:
            callback = await visitor.consent(attempt.url, person)
        page = await self.call_back(callback, attempt.cookie)
        assert page.status_code == 200, page.text
        outcome = await self.outcome(token, attempt.authorization_id)
        assert outcome["state"] == "connected", outcome
        answer = await self.client.get(f"/v1/connections/{outcome['connection']['connection_id']}")
        connection: dict[str, Any] = answer.json()
        return connection

    async def token(self, connection_id: str) -> str:
        """Read a fresh access token as a customer's backend does."""
        answer = await self.client.get(f"/v1/connections/{connection_id}/credentials")
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["credentials"]["access_token"]
        return token


@asynccontextmanager
async def connecting(database_url: str, acme: RunningAcme, provider: Provider) -> AsyncIterator[Connecting]:
    """Run the application with this provider, without a worker, until the block ends."""
    allowed = frozenset({("127.0.0.1", acme.port), ("127.0.0.1", provider.port)})
    settings = settings_for(database_url, acme, egress_allow=allowed)
    catalog = load_catalog().with_extra(provider.entry, LOGO)
    async with started(settings, acme, catalog, worker=False) as application:
        client = application.client(await application.key(await application.organization()))
        runtime = Connecting(application, client, provider.entry.slug, provider)
        await register(client, provider)
        yield runtime


async def register(client: Client, provider: Provider) -> dict[str, Any]:
    """Register a client with the provider, at One Runtime's redirect address, and with One Runtime."""
    slug = provider.entry.slug
    redirect_url = f"{PUBLIC_URL}/connect/callback/{slug}"
    oauth_client = provider.register_client(redirect_url)
    body = {"client_id": oauth_client.client_id, "client_secret": oauth_client.client_secret}
    answer = await client.send("PUT", f"/v1/integrations/{slug}/oauth-client", body)
    assert answer.status_code == 200, answer.text
    registered: dict[str, Any] = answer.json()
    assert registered["redirect_url"] == redirect_url
    return registered


def target_of(page: httpx2.Response) -> str:
    """Return the target of a page's automatic redirect."""
    assert page.status_code == 200, page.text
    return page.text.partition('http-equiv="refresh" content="0;url=')[2].partition('"')[0].replace("&amp;", "&")
