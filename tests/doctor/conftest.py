"""Installations to examine: a running server behind the public URL, and providers that answer."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from one_runtime.api.middleware import RequestMiddleware
from one_runtime.catalog.loader import load_catalog
from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.engine import Database
from one_runtime.doctor import Finding, examine
from one_runtime.doctor.egress import HOSTS, hosts_of
from one_runtime.egress.network import Network
from one_runtime.encryption.vault import new_key
from one_runtime.serving.application import create_app
from one_runtime.settings import load_settings
from one_runtime.tenancy import organizations
from tests.application import ORIGIN, SetClock, running
from tests.egress.certificates import tls_contexts
from tests.egress.network import PUBLIC
from tests.egress.upstream import Upstream, answer, running_upstream
from tests.ports import free_port

PROVIDERS: Final = hosts_of(load_catalog())[:HOSTS]


class World(Network):
    """The system network, with the hosts of the catalog at `providers` on loopback."""

    def __init__(self, folder: Path) -> None:
        self.server_tls, trust = tls_contexts(folder, *PROVIDERS, "localhost")
        super().__init__(tls=trust)
        self.providers = Upstream()
        self.names: dict[str, str] = dict.fromkeys(PROVIDERS, PUBLIC)
        self.offline = False

    async def resolve(self, host: str, port: int) -> list[str]:
        if host in self.names:
            if self.offline:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return [self.names[host]]
        return await super().resolve(host, port)

    def open_socket(self, family: int, address: str, port: int) -> socket.socket:
        return _Provider(self.providers.port) if address == PUBLIC else super().open_socket(family, address, port)


class _Provider(socket.socket):
    """A socket that connects every address to loopback."""

    def __init__(self, port: int) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._to = port

    def connect(self, _: object) -> None:
        super().connect(("127.0.0.1", self._to))


@dataclass
class Patient:
    """An installation under examination: its environment, network and clock."""

    environ: dict[str, str]
    world: World
    clock: SetClock = field(default_factory=SetClock)

    @property
    def database_url(self) -> str:
        return self.environ["ONE_RUNTIME_DATABASE_URL"]

    @property
    def public_url(self) -> str:
        return self.environ["ONE_RUNTIME_PUBLIC_URL"]

    def app(self, **changes: str) -> RequestMiddleware:
        """Return the application with these settings."""
        return create_app(load_settings(self.environ | changes))

    async def examined(self, **changes: str) -> dict[str, Finding]:
        """Return the findings by check; a problem replaces other findings of its check."""
        findings = await self.all_findings(**changes)
        return {
            finding.check: finding for finding in sorted(findings, key=lambda finding: finding.verdict == "problem")
        }

    async def all_findings(self, **changes: str) -> list[Finding]:
        """Return every finding, with changed settings. An empty value removes a setting."""
        environ = {name: value for name, value in (self.environ | changes).items() if value}
        return await examine(environ, clock=self.clock, network=self.world)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Open the database until the block ends."""
        database = create_database(self.database_url, pool_size=1)
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    async def organization(self, *origins: str) -> str:
        """Create an organization and return its id."""
        async with self.database() as database, database.write() as tx:
            return (await organizations.create(tx, "Northwind", system_clock(), allowed_origins=origins)).id


def patient_on(database_url: str, world: World) -> Patient:
    """An installation on this database whose server is not started."""
    port = free_port()
    return Patient(
        {
            "ONE_RUNTIME_DATABASE_URL": database_url,
            "ONE_RUNTIME_ENCRYPTION_KEYS": new_key(),
            "ONE_RUNTIME_LISTEN": f"127.0.0.1:{port}",
            "ONE_RUNTIME_PUBLIC_URL": f"http://127.0.0.1:{port}",
        },
        world,
    )


@pytest.fixture
def bare_world(tmp_path: Path) -> Iterator[World]:
    """Return the network without providers."""
    world = World(tmp_path)
    yield world
    world.close()


@pytest_asyncio.fixture
async def world(bare_world: World) -> AsyncIterator[World]:
    """Return the network with providers that answer."""
    async with running_upstream(bare_world.server_tls) as providers:
        bare_world.providers, providers.anything = providers, answer(404)
        yield bare_world


@pytest.fixture
def patient(database_url: str, world: World) -> Patient:
    """An installation on either database, its server not started."""
    return patient_on(database_url, world)


@pytest.fixture
def on_sqlite(migrated_sqlite_url: str, world: World) -> Patient:
    """An installation on SQLite, its server not started."""
    return patient_on(migrated_sqlite_url, world)


@asynccontextmanager
async def served(patient: Patient, **changes: str) -> AsyncIterator[None]:
    """Run the installation's server at its public URL."""
    port = int(patient.public_url.rpartition(":")[2])
    async with running(patient.app(**changes), port):
        yield


def sync_commits(url: str, on_or_off: Literal["on", "off"]) -> None:
    """Set whether PostgreSQL syncs the commits of this database. The tests' server does not by default."""
    with psycopg.connect(url, autocommit=True) as connection:
        name, value = sql.Identifier(connection.info.dbname), sql.SQL(on_or_off)
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(name, value))


@pytest_asyncio.fixture
async def healthy(patient: Patient) -> AsyncIterator[Patient]:
    """Run an installation with an organization."""
    if not sqlite_path(patient.database_url):
        sync_commits(patient.database_url, "on")
    await patient.organization(ORIGIN)
    async with served(patient):
        yield patient
