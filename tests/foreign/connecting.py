"""Connect to a foreign provider over the application's own routes, as the popup's page and its window do it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from one_runtime.catalog.loader import load_catalog
from tests.application import PUBLIC_URL, Application, Client, RunningAcme, settings_for, started
from tests.foreign.person import ALICE, Person
from tests.foreign.providers import LOGO, Provider
from tests.foreign.visitor import Visitor

OUR_PAGE = {"sec-fetch-site": "same-origin"}
"""What a browser says of a request that our own page makes."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A browser on its way: where it was sent, and the cookie that it took along."""

    authorization_id: str
    url: str
    cookie: str

    @property
    def asked(self) -> dict[str, str]:
        """The authorization request's query."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Connecting:
    """An application whose catalog has a foreign provider, and a caller of an organization with a client there."""

    application: Application
    client: Client
    provider: Provider

    @property
    def slug(self) -> str:
        """The provider's entry."""
        return self.provider.entry.slug

    async def session(self, end_user_id: str = "user_123", **more: Any) -> dict[str, Any]:
        """A session to connect the provider."""
        return await self.client.session(end_user_id, integration_slug=self.slug, **more)

    async def prepare(self, token: str, **more: Any) -> httpx2.Response:
        """What the popup's page asks when the button is pressed."""
        return await self.client.popup("/authorization", token, {"auth_type": "oauth2", **more})

    async def leave(self, ticket: str) -> httpx2.Response:
        """What the window asks when it has heard from the frame."""
        return await self.client.post("/connect/authorization/start", {"ticket": ticket}, **OUR_PAGE)

    async def depart(self, token: str, **more: Any) -> Trip:
        """From the button to the provider's address."""
        prepared = await self.prepare(token, **more)
        assert prepared.status_code == 200, prepared.text
        left = await self.leave(prepared.json()["ticket"])
        assert left.status_code == 200, left.text
        cookie = left.headers["set-cookie"].partition(";")[0]
        return Trip(prepared.json()["authorization_id"], left.json()["url"], cookie)

    async def come_back(self, callback: dict[str, str], cookie: str | None, slug: str | None = None) -> httpx2.Response:
        """The browser's way back, with its cookie or without."""
        headers = {"cookie": cookie} if cookie else {}
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.application.app), base_url=PUBLIC_URL
        ) as browser:
            return await browser.get(f"/connect/callback/{slug or self.slug}?{urlencode(callback)}", headers=headers)

    async def outcome(self, token: str, authorization_id: str) -> dict[str, Any]:
        """What the popup's page is told."""
        answer = await self.client.popup("/outcome", token, {"authorization_id": authorization_id})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def connect(self, end_user_id: str = "user_123", person: Person = ALICE, **more: Any) -> dict[str, Any]:
        """The whole way to a connection, as the API shows it. `more` goes with the session."""
        token = (await self.session(end_user_id, **more))["session_token"]
        trip = await self.depart(token)
        async with Visitor() as visitor:
            callback = await visitor.consent(trip.url, person)
        page = await self.come_back(callback, trip.cookie)
        assert page.status_code == 200, page.text
        told = await self.outcome(token, trip.authorization_id)
        assert told["state"] == "connected", told
        found = await self.client.get(f"/v1/connections/{told['connection']['connection_id']}")
        connection: dict[str, Any] = found.json()
        return connection

    async def token(self, connection_id: str) -> str:
        """A fresh access token, as a customer's backend reads it."""
        answer = await self.client.get(f"/v1/connections/{connection_id}/credentials")
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["credentials"]["access_token"]
        return token


@asynccontextmanager
async def connecting(database_url: str, acme: RunningAcme, provider: Provider) -> AsyncIterator[Connecting]:
    """The application with this provider, until the block ends."""
    allowed = frozenset({("127.0.0.1", acme.port), ("127.0.0.1", provider.port)})
    settings = settings_for(database_url, acme, egress_allow=allowed)
    catalog = load_catalog().with_extra(provider.entry, LOGO)
    async with started(settings, acme, catalog) as application:
        client = application.client(await application.key(await application.organization()))
        made = Connecting(application, client, provider)
        await register(client, provider)
        yield made


async def register(client: Client, provider: Provider) -> dict[str, Any]:
    """Register a client with the provider, at the address that One Runtime says, and with One Runtime."""
    slug = provider.entry.slug
    redirect_url = f"{PUBLIC_URL}/connect/callback/{slug}"
    made = provider.register_client(redirect_url)
    body = {"client_id": made.client_id, "client_secret": made.client_secret}
    answer = await client.send("PUT", f"/v1/integrations/{slug}/oauth-client", body)
    assert answer.status_code == 200, answer.text
    registered: dict[str, Any] = answer.json()
    assert registered["redirect_url"] == redirect_url
    return registered
