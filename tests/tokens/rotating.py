"""The rotating provider as tests use it: families, their manners, its log; and connections made of its tokens."""

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

from one_runtime.app import create_app
from one_runtime.auth_types import OAuth2Method
from one_runtime.catalog.loader import Catalog, load_yaml
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, NewConnection
from one_runtime.connections.credentials import ConnectionKey, ProviderAccount, StoredCredential, TokenMetadata
from one_runtime.context import Installation, Timing
from one_runtime.egress import Egress
from one_runtime.encryption import key_ring
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import NewOAuthClient
from one_runtime.oauth.token_response import Tokens
from one_runtime.settings import Settings
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.revocation import revoke_due
from one_runtime.tokens.state import UsableCredential
from tests.application import Application, Client, RunningAcme, SetClock, refuse_open_transaction, settings_for
from tests.foreign.process import running
from tests.foreign.providers import LOGO
from tests.tokens.provider import CLIENT_ID, CLIENT_SECRET

SLUG = "rotating"
ENTRY = Path(__file__).parent / "entry.yaml"


@dataclass(frozen=True, slots=True)
class Asked:
    """A line of the provider's log: what was presented, and what was answered."""

    at: float
    family: str
    presented: int
    answer: str
    granted: int | None


@dataclass(frozen=True, slots=True)
class Rotating:
    """The running provider."""

    url: str
    log_file: Path
    http: httpx2.Client = field(repr=False)
    """Speaks to it. One for all: a client takes its time to be made."""

    @property
    def port(self) -> int:
        """For the way out's allow-list."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def catalog(self) -> Catalog:
        """This provider alone."""
        return catalog_at(self.url)

    def make(self, count: int = 1, **manners: Any) -> list[dict[str, Any]]:
        """First tokens of new families."""
        made: list[dict[str, Any]] = self.http.post(f"{self.url}/families", json={"count": count, **manners}).json()
        return made

    def behave(self, family: str = "all", **manners: Any) -> None:
        """Have a family's requests answered otherwise from now on."""
        assert self.http.patch(f"{self.url}/families/{family}", json=manners).status_code == 200

    def look(self, family: str) -> dict[str, Any]:
        """How a family stands."""
        told: dict[str, Any] = self.http.get(f"{self.url}/families/{family}").json()
        return told

    def is_taken(self, token: str) -> bool:
        """Whether the API takes the access token."""
        answer = self.http.get(f"{self.url}/me", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code in {200, 401}
        return answer.status_code == 200

    def log(self, family: str | None = None) -> list[Asked]:
        """Every token request that was answered, in order; of this family, or of all."""
        lines = [Asked(**json.loads(line)) for line in self.log_file.read_text().splitlines()]
        return [line for line in lines if family in {None, line.family}]

    def answers(self, family: str) -> list[str]:
        """What a family's token requests were answered."""
        return [line.answer for line in self.log(family)]


def catalog_at(url: str) -> Catalog:
    """The provider alone, at this address."""
    entry = load_yaml(ENTRY, allow_http=True, replace={"url": url})
    return Catalog.of((entry,), {SLUG: LOGO.encode()}, "rotating")


@contextmanager
def running_provider(folder: Path) -> Iterator[Rotating]:
    """The provider, until the block ends."""
    log_file = folder / "tokens.jsonl"
    log_file.touch()
    with (
        running([sys.executable, "-m", "tests.tokens.provider", "--log", str(log_file)], folder) as process,
        httpx2.Client() as http,
    ):
        yield Rotating(process.said["url"], log_file, http)


def generation_of(token: str) -> int:
    """Which generation of its family a token is."""
    return int(token.split(".")[2])


@dataclass(frozen=True, slots=True)
class Seeded:
    """A connection whose tokens are of this family."""

    key: ConnectionKey
    family: str
    end_user_id: str


async def register_client(installation: Installation, organization_id: str) -> None:
    """The OAuth client that the provider knows."""
    entry = installation.catalog.get(SLUG)
    assert entry is not None
    async with installation.database.write() as tx:
        new = NewOAuthClient(CLIENT_ID, CLIENT_SECRET)
        await oauth_clients.put(tx, installation.vault, organization_id, entry, new, installation.clock())


async def connect(
    installation: Installation, organization_id: str, end_user_id: str, made: dict[str, Any], account: str | None = None
) -> Seeded:
    """A connection with these tokens, as a consent makes it; the end user's present one is renewed in place."""
    async with installation.database.write() as tx:
        client = await oauth_clients.find_for(tx, installation.vault, organization_id, SLUG)
        assert client is not None
        now = installation.clock()
        tokens = Tokens(
            made["access_token"], made["refresh_token"], now + timedelta(seconds=made["expires_in"]), ("read",)
        )
        secrets = {name: made[name] for name in ("access_token", "refresh_token")}
        method = OAuth2Method(auth_of(installation))
        new = NewConnection(
            end_user_id=end_user_id,
            integration_slug=SLUG,
            auth_type="oauth2",
            name=None,
            params={},
            secrets=secrets,
            account=ProviderAccount(account or made["family"], None),
            metadata={},
            agreed=True,
            scopes=("read",),
            expires_at=tokens.expires_at,
            token_metadata=TokenMetadata(client.id, method.refresh_due_at(secrets, tokens, now)),
        )
        actor = Actor(organization_id, "system")
        connection, _ = await connections.create_or_replace(
            tx, installation.vault, installation.catalogs, actor, new, now
        )
    return Seeded(connection.key, made["family"], end_user_id)


def auth_of(installation: Installation) -> OAuth2Auth:
    """The entry's oauth2."""
    entry = installation.catalog.get(SLUG)
    assert entry is not None
    auth = entry.auth_of("oauth2")
    assert isinstance(auth, OAuth2Auth)
    return auth


async def held(installation: Installation, key: ConnectionKey) -> tuple[Connection, StoredCredential]:
    """What the database holds at this moment."""
    async with installation.database.read() as tx:
        return await connections.get_with_credential(tx, installation.vault, key)


def token_of(usable: UsableCredential) -> str:
    """The access token."""
    return usable.values.credentials["access_token"]


@dataclass(frozen=True, slots=True)
class There:
    """The application with the rotating provider, and a caller of an organization with a client there. No
    worker is at work beside it: each refresh is the test's own."""

    application: Application
    client: Client
    provider: Rotating
    organization_id: str

    @property
    def installation(self) -> Installation:
        """The application's insides."""
        return self.application.installation

    @property
    def another_process(self) -> Installation:
        """Another process on the same database: it shares no flights."""
        return replace(self.installation, flights=type(self.installation.flights)(), timing=Timing(poll=0.01))

    async def connect(self, end_user_id: str = "user_123", account: str | None = None, **manners: Any) -> Seeded:
        """A connection with first tokens."""
        made = self.provider.make(**manners)[0]
        return await connect(self.installation, self.organization_id, end_user_id, made, account)

    async def revoke_due(self) -> int:
        """The worker's turn that revokes what is let go of."""
        return await revoke_due(self.installation)

    async def look(self, seeded: Seeded) -> dict[str, Any]:
        """The connection as the API shows it."""
        answer = await self.client.get(f"/v1/connections/{seeded.key.connection_id}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """Events of a type."""
        answer = await self.client.get("/v1/events", type=f"connection.{kind}")
        told: list[dict[str, Any]] = answer.json()["events"]
        return told


def settings_with(database_url: str, acme: RunningAcme, provider: Rotating) -> Settings:
    """Settings of an installation that may reach this provider."""
    return settings_for(database_url, acme, egress_allow=frozenset({("127.0.0.1", provider.port)}))


@asynccontextmanager
async def rotating_application(database_url: str, acme: RunningAcme, provider: Rotating) -> AsyncIterator[There]:
    """The application with this provider, until the block ends; without its background work."""
    settings, clock = settings_with(database_url, acme, provider), SetClock()
    egress = Egress(allow=settings.egress_allow, before_request=refuse_open_transaction)
    app = create_app(settings, provider.catalog, clock=clock, egress=egress)
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


async def arrive(application: Application, provider: Rotating) -> There:
    """A caller of a new organization that has a client at the provider."""
    organization_id = await application.organization()
    client = application.client(await application.key(organization_id))
    await register_client(application.installation, organization_id)
    return There(application, client, provider, organization_id)
