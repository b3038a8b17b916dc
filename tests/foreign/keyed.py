"""A pytest plugin: real programs that check a key or a password, each in its own process on loopback.

`ntfy` is Debian's, `localstripe` is PyPI's. They live as long as the session.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.model import Integration
from tests import programs
from tests.application import Client as Caller
from tests.application import RunningAcme, settings_for, started
from tests.foreign.process import ForeignProcess, running
from tests.foreign.providers import LOGO, entry_for


@dataclass(frozen=True, slots=True)
class Program:
    """A running program: its URL, its catalog entry, and its start-up message."""

    url: str
    entry: Integration
    process: ForeignProcess

    def plain(self, **more: Any) -> httpx2.AsyncClient:
        """Return an HTTP client of the program, without One Runtime."""
        return httpx2.AsyncClient(base_url=self.url, **more)


@dataclass(frozen=True, slots=True)
class Calling:
    """An application whose catalog has the program, and a caller of an organization."""

    client: Caller
    program: Program

    async def connect(self, auth_type: str = "api_key", *, check: bool = True, **credentials: str) -> httpx2.Response:
        """Connect an end user."""
        body = {"integration_slug": self.program.entry.slug, "end_user_id": "user_123", "auth_type": auth_type}
        return await self.client.post("/v1/connections", {**body, "credentials": credentials, "check": check})

    async def call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Call the program through the proxy for the end user."""
        headers = {"One-Runtime-End-User": "user_123", **more.pop("headers", {})}
        address = f"/v1/proxy/{self.program.entry.slug}{path}"
        return await self.client.http.request(method, address, headers=headers, **more)


@asynccontextmanager
async def calling(database_url: str, acme: RunningAcme, program: Program) -> AsyncIterator[Calling]:
    """Run the application with this program until the block ends."""
    port = urlsplit(program.url).port
    assert port is not None
    settings = settings_for(database_url, acme, egress_allow=frozenset({("127.0.0.1", port)}))
    catalog = load_catalog().with_extra(program.entry, LOGO)
    async with started(settings, acme, catalog) as application:
        yield Calling(application.client(await application.key(await application.organization())), program)


@pytest.fixture(scope="session")
def ntfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Debian's ntfy, with one user."""
    folder = tmp_path_factory.mktemp("ntfy")
    command = [sys.executable, "-m", "tests.foreign.ntfy_server", programs.program("ntfy"), str(folder)]
    with running(command, folder) as process:
        url = process.announcement["url"]
        yield Program(url, entry_for("ntfy", url), process)


@pytest.fixture(scope="session")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """PyPI's localstripe, with nothing in it."""
    folder = tmp_path_factory.mktemp("localstripe")
    with running([sys.executable, "-m", "tests.foreign.localstripe_server"], folder) as process:
        url = process.announcement["url"]
        yield Program(url, entry_for("localstripe", url), process)
