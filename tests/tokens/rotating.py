"""Controls of the rotating provider: families, their behaviour, its log; and connections made from its tokens."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.loader import Catalog
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, NewConnection
from one_runtime.connections.credentials import ConnectionKey, ProviderAccount, StoredCredential, TokenMetadata
from one_runtime.context import Installation, Timing
from one_runtime.egress.client import Egress
from one_runtime.encryption import key_ring
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import NewOAuthClient, OAuthClient
from one_runtime.jobs.single_flight import SingleFlight
from one_runtime.jobs.token_hosts import TokenHosts
from one_runtime.oauth.token_response import TokenSet
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.revocation import revoke_due
from one_runtime.tokens.state import UsableCredential
from tests.application import Application, Client, RunningAcme, SetClock, refuse_open_transaction, settings_for
from tests.foreign.process import running
from tests.foreign.providers import LOGO
from tests.tokens.provider import CLIENT_ID, CLIENT_SECRET

SLUG = "rotating"
CLOSED_PORT = 9
"""The discard service: nothing listens on this port."""
ENTRY = Path(__file__).parent / "entry.yaml"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A line of the provider's log: the presented generation and the response."""

    at: float
    family: str
    presented: int
    answer: str
    granted: int | None


@dataclass(frozen=True, slots=True)
class RotatingProvider:
    """The running provider."""

    url: str
    log_file: Path
    http: httpx2.Client = field(repr=False)
    """A client of the provider, shared because creating a client is slow."""

    @property
    def port(self) -> int:
        """Return the port, for the allow-list of the egress."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def catalog(self) -> Catalog:
        """Return a catalog of only this provider."""
        return catalog_at(self.url)

    def make(self, count: int = 1, **behaviour: Any) -> list[dict[str, Any]]:
        """Create families and return their first tokens."""
        tokens: list[dict[str, Any]] = self.http.post(f"{self.url}/families", json={"count": count, **behaviour}).json()
        return tokens

    def behave(self, family: str = "all", **behaviour: Any) -> None:
        """Change the behaviour of a family, or of all."""
        assert self.http.patch(f"{self.url}/families/{family}", json=behaviour).status_code == 200

    def look(self, family: str) -> dict[str, Any]:
        """Return the state of a family."""
        state: dict[str, Any] = self.http.get(f"{self.url}/families/{family}").json()
        return state

    def look_at_all(self) -> dict[str, tuple[str, int]]:
        """Return the refresh token, empty if the family is dead, and the number of waiting requests of each family."""
        return {
            name: (token, waiting) for name, (token, waiting) in self.http.get(f"{self.url}/families").json().items()
        }

    def accepts(self, token: str) -> bool:
        """Return True if the API accepts the access token."""
        answer = self.http.get(f"{self.url}/me", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code in {200, 401}
        return answer.status_code == 200

    def log(self, family: str | None = None) -> list[TokenRequest]:
        """Return the answered token requests in order, of this family or of all."""
        lines = [TokenRequest(**json.loads(line)) for line in self.log_file.read_text().splitlines()]
        return [line for line in lines if family in {None, line.family}]

    def answers(self, family: str) -> list[str]:
        """Return the responses to a family's token requests."""
        return [line.answer for line in self.log(family)]


def catalog_at(url: str) -> Catalog:
    """Return a catalog of only the provider at this address."""
    entry = load_yaml(ENTRY, allow_http=True, replace={"url": url})
    return Catalog.of((entry,), {SLUG: LOGO.encode()}, "rotating")


@contextmanager
def running_provider(folder: Path) -> Iterator[RotatingProvider]:
    """Run the provider until the block ends."""
    log_file = folder / "tokens.jsonl"
    log_file.touch()
    with (
        running([sys.executable, "-m", "tests.tokens.provider", "--log", str(log_file)], folder) as process,
        httpx2.Client() as http,
    ):
        yield RotatingProvider(process.announcement["url"], log_file, http)


def generation_of(token: str) -> int:
    """Return the generation of a token within its family."""
    return int(token.split(".")[2])


@dataclass(frozen=True, slots=True)
class Seeded:
    """A connection with tokens of this family."""

    key: ConnectionKey
    family: str
    end_user_id: str


async def register_client(installation: Installation, organization_id: str) -> None:
    """Store the OAuth client that the provider knows."""
    entry = installation.catalog.get(SLUG)
    assert entry is not None
    async with installation.database.write() as tx:
        new = NewOAuthClient(CLIENT_ID, CLIENT_SECRET)
        await oauth_clients.put(tx, installation.vault, organization_id, entry, new, installation.clock())


async def connect(
    installation: Installation,
    organization_id: str,
    end_user_id: str,
    first_tokens: dict[str, Any],
    account: str | None = None,
    client: OAuthClient | None = None,
    *,
    identified: bool = True,
) -> Seeded:
    """Store these tokens as an authorization does; a connection of the end user is reconnected in place.

    `client`: the client of the tokens; None for the organization's own client. `identified`: False if the provider
    names no account.
    """
    async with installation.database.write() as tx:
        client = client or await oauth_clients.find_own(tx, installation.vault, organization_id, SLUG)
        assert client is not None
        now = installation.clock()
        tokens = TokenSet(
            first_tokens["access_token"],
            first_tokens["refresh_token"],
            now + timedelta(seconds=first_tokens["expires_in"]),
            ("read",),
        )
        secrets = {name: first_tokens[name] for name in ("access_token", "refresh_token")}
        new = NewConnection(
            end_user_id=end_user_id,
            integration_slug=SLUG,
            auth_type="oauth2",
            name=None,
            params={},
            secrets=secrets,
            account=ProviderAccount((account or first_tokens["family"]) if identified else None),
            metadata={},
            agreed=True,
            scopes=("read",),
            expires_at=tokens.expires_at,
            token_metadata=TokenMetadata(client.id, auth_of(installation).refresh_due_at(secrets, tokens, now)),
        )
        actor = Actor(organization_id, "system")
        connection, _ = await connections.create_or_replace(
            tx, installation.vault, installation.catalogs, actor, new, now
        )
    return Seeded(connection.key, first_tokens["family"], end_user_id)


def auth_of(installation: Installation) -> OAuth2Auth:
    """Return the entry's OAuth 2.0 configuration."""
    entry = installation.catalog.get(SLUG)
    assert entry is not None
    auth = entry.oauth2
    assert auth is not None
    return auth


async def read_stored(installation: Installation, key: ConnectionKey) -> tuple[Connection, StoredCredential]:
    """Read a connection and its credentials from the database."""
    async with installation.database.read() as tx:
        return await connections.get_with_credential(tx, installation.vault, key)


def token_of(usable: UsableCredential) -> str:
    """Return the access token."""
    return usable.values.credentials["access_token"]


@dataclass(frozen=True, slots=True)
class RotatingApplication:
    """The application with the rotating provider, and a caller of an organization with a client of it.

    No worker runs beside it: each refresh is started by the test.
    """

    application: Application
    client: Client
    provider: RotatingProvider
    organization_id: str

    @property
    def installation(self) -> Installation:
        """The installation of the application."""
        return self.application.installation

    @property
    def another_process(self) -> Installation:
        """An installation as another process has: the same database, no shared flights."""
        return replace(self.installation, flights=SingleFlight(), token_hosts=TokenHosts(), timing=Timing(poll=0.01))

    async def connect(self, end_user_id: str = "user_123", account: str | None = None, **behaviour: Any) -> Seeded:
        """Create a connection with the first tokens of a new family."""
        first_tokens = self.provider.make(**behaviour)[0]
        return await connect(self.installation, self.organization_id, end_user_id, first_tokens, account)

    async def revoke_due(self) -> int:
        """Run the worker's task that sends pending revocations."""
        return await revoke_due(self.installation)

    async def look(self, seeded: Seeded) -> dict[str, Any]:
        """Read the connection from the API."""
        answer = await self.client.get(f"/v1/connections/{seeded.key.connection_id}")
        assert answer.status_code == 200, answer.text
        connection: dict[str, Any] = answer.json()
        return connection

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """Return events of a type."""
        answer = await self.client.get("/v1/events", type=f"connection.{kind}")
        events: list[dict[str, Any]] = answer.json()["events"]
        return events


def settings_with(database_url: str, acme: RunningAcme, provider: RotatingProvider) -> Settings:
    """Return settings of an installation that may reach this provider and the closed port."""
    allowed = frozenset({(host, provider.port) for host in ("127.0.0.1", "localhost")} | {("127.0.0.1", CLOSED_PORT)})
    return settings_for(database_url, acme, egress_allow=allowed)


@asynccontextmanager
async def rotating_application(
    database_url: str, acme: RunningAcme, provider: RotatingProvider, catalog: Catalog | None = None
) -> AsyncIterator[RotatingApplication]:
    """Run the application with this provider, without periodic tasks, until the block ends."""
    settings, clock = settings_with(database_url, acme, provider), SetClock()
    egress = Egress(allow=settings.egress_allow, before_request=refuse_open_transaction)
    app = create_app(settings, catalog or provider.catalog, clock=clock, egress=egress)
    installation: Installation = app.services.installation
    await installation.database.open()
    try:
        async with installation.database.write() as tx:
            await key_ring.register(tx, installation.vault, clock())
        yield await arrive(Application(app, installation, clock, acme), provider)
        await installation.flights.land()
    finally:
        await egress.close()
        await installation.database.close()


async def arrive(application: Application, provider: RotatingProvider) -> RotatingApplication:
    """Create an organization with a client at the provider, and a caller of it."""
    organization_id = await application.organization()
    client = application.client(await application.key(organization_id))
    await register_client(application.installation, organization_id)
    return RotatingApplication(application, client, provider, organization_id)
