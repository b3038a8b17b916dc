"""One Runtime on a port of its own with foreign providers, a customer's site of another origin, and its backend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from pydantic import SecretStr

from one_runtime.context import Installation
from one_runtime.egress.client import Egress
from one_runtime.encryption.vault import new_key
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.events import Actor
from tests.application import SetClock, refuse_open_transaction, running
from tests.foreign.plain_client import PlainClient
from tests.foreign.providers import OAuthClient, Provider, catalog_with
from tests.journeys.site import Site, running_site
from tests.ports import free_port

NORTHWIND: Final = "Northwind"
END_USER: Final = "user_123"


@dataclass(frozen=True, slots=True)
class Served:
    """A running installation whose catalog has a provider. `http` is the customer's backend."""

    url: str
    provider: Provider
    site: Site
    http: httpx2.AsyncClient
    clock: SetClock

    @property
    def slug(self) -> str:
        """The provider's entry."""
        return self.provider.entry.slug

    @property
    def name(self) -> str:
        """Name of the provider."""
        return self.provider.entry.name

    async def session(self, **more: Any) -> dict[str, Any]:
        """Create a session for the customer's page."""
        return await self._session({"allowed_origins": [self.site.origin], **more})

    async def window(self, **more: Any) -> dict[str, Any]:
        """Create a top-level session: `redirect`, or `mode="link"`."""
        place = {} if more.get("mode") == "link" else {"return_url": self.site.return_url}
        return await self._session(place | more)

    async def _session(self, more: dict[str, Any]) -> dict[str, Any]:
        body = {"integration_slug": self.slug, "end_user_id": END_USER, **more}
        return await self.post("/v1/hosted-connection-sessions", body)

    async def state(self, session: dict[str, Any]) -> dict[str, Any]:
        """Return the state of a session."""
        return await self.get(f"/v1/hosted-connection-sessions/{session['id']}")

    async def status(self, end_user_id: str = END_USER) -> str:
        """Return the provider's status in the list."""
        listed = await self.get("/v1/integrations", end_user_id=end_user_id, slug=self.slug, logo="none")
        return str(listed["integrations"][0]["status"])

    async def connections(self, end_user_id: str = END_USER) -> list[dict[str, Any]]:
        """Return an end user's connections."""
        connections: list[dict[str, Any]] = (await self.get("/v1/connections", end_user_id=end_user_id))["connections"]
        return connections

    async def token(self, connection_id: str) -> str:
        """Return a fresh access token."""
        body = await self.get(f"/v1/connections/{connection_id}/credentials")
        return str(body["credentials"]["access_token"])

    async def disconnect(self) -> dict[str, Any]:
        """Disconnect the end user."""
        return await self.post("/v1/disconnect", {"integration_slug": self.slug, "end_user_id": END_USER})

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """Return the response of the API."""
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the response of the API."""
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def register(self, provider: Provider, redirect_uri: str | None = None) -> OAuthClient:
        """Register a client at the provider and in One Runtime, by default with One Runtime's redirect URI."""
        path = f"/v1/integrations/{provider.entry.slug}/oauth-client"
        client = provider.register_client(redirect_uri or f"{self.url}/connect/callback/{provider.entry.slug}")
        pair = {"client_id": client.client_id, "client_secret": client.client_secret}
        answer = await self.http.put(path, json=pair)
        assert answer.status_code == 200, answer.text
        assert redirect_uri or answer.json()["redirect_url"] == client.redirect_uri
        return client

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[PlainClient]:
        """A client that calls the provider directly with a token."""
        async with PlainClient(self.provider, OAuthClient("nobody", "", "")) as plain:
            yield plain


@asynccontextmanager
async def served(database_url: str, provider: Provider, *others: Provider) -> AsyncIterator[Served]:
    """Run an installation until the block ends. The organization has a client at each provider."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    allowed = frozenset(("127.0.0.1", listed.port) for listed in (provider, *others))
    settings = Settings.model_validate(
        {
            "public_url": url,
            "database_url": SecretStr(database_url),
            "encryption_keys": SecretStr(new_key()),
            "egress_allow": allowed,
            "rate_limit": 0,
        }
    )
    clock = SetClock()
    egress = Egress(allow=allowed, before_request=refuse_open_transaction)
    app = create_app(settings, catalog_with(provider, *others), clock=clock, egress=egress)
    async with running(app, port):
        with running_site(url) as site:
            key = await make_key(app.services.installation)
            headers = {"authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(base_url=url, headers=headers) as http:
                runtime = Served(url, provider, site, http, clock)
                for listed in (provider, *others):
                    await runtime.register(listed)
                place = {"allowed_origins": [site.origin], "return_urls": [site.return_url]}
                assert (await http.put("/v1/organization", json={"display_name": NORTHWIND} | place)).status_code == 200
                yield runtime


async def make_key(installation: Installation) -> str:
    """Create an organization and return an API key with every scope."""
    async with installation.database.write() as tx:
        now = installation.clock()
        organization = await organizations.create(tx, NORTHWIND, now)
        _, token = await api_keys.create(tx, Actor(organization.id, "system"), "test", api_keys.SCOPES, now)
    return token.secret
