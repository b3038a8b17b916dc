"""Environment of the calls: simulated providers, a server, and an end user who is connected to each provider."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Final

import httpx2

from benchmarks.processes import ROOT, Server
from benchmarks.proxy.load import Call
from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database
from one_runtime.db.migrations import migrate
from one_runtime.encryption.vault import new_key
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.events import Actor
from tests.egress.certificates import tls_contexts
from tests.mcp.conftest import message
from tests.ports import free_port

PATIENCE: Final = 30.0
SLUGS: Final = ("plain", "tls", "hanging")


@dataclass(frozen=True, slots=True)
class Ground:
    """A running server, a bare relay and the simulated providers, which receive proxied, relayed and direct calls."""

    server: Server
    bare_relay: Server
    ports: dict[str, int]
    trust: SSLContext
    token: str

    def proxied(self, line: str, slug: str, body: bytes = b"") -> Call:
        """Return a proxied call. `line`: method and path, such as `GET /soon`."""
        method, path = line.split(" ")
        ours = (f"Authorization: Bearer {self.token}", "One-Runtime-End-User: user")
        return Call(self.server.port, _request(f"{method} /v1/proxy/{slug}{path}", self.server.port, body, *ours))

    def relayed(self, line: str, slug: str, body: bytes = b"") -> Call:
        """Return the same call through the bare relay."""
        method, path = line.split(" ")
        port = self.bare_relay.port
        return Call(port, _request(f"{method} /{slug}{path}", port, body))

    def call_read(self, slug: str, path: str) -> Call:
        """Return a call of an agent's tool `call_read`, with the API key and the same end user."""
        return self._agent("tools/call", name="call_read", arguments={"integration": slug, "path": path})

    def tools(self) -> Call:
        """Return a request of an agent for the list of its tools."""
        return self._agent("tools/list")

    def _agent(self, method: str, **params: object) -> Call:
        body, headers = message(method, **params)
        ours = (f"Authorization: Bearer {self.token}", "One-Runtime-End-User: user")
        fields = [f"{name}: {value}" for name, value in headers.items()]
        return Call(self.server.port, _request("POST /v1/mcp", self.server.port, body, *ours, *fields))

    def direct(self, line: str, slug: str, body: bytes = b"") -> Call:
        """Return the same call without the proxy."""
        method, path = line.split(" ")
        request = _request(f"{method} /api{path}", self.ports[slug], body)
        return Call(self.ports[slug], request, self.trust if slug == "tls" else None)


@contextmanager
def ground(url: str, workers: int = 1) -> Iterator[Ground]:
    """Run the providers, and a server on a new database, until the block ends."""
    key = new_key()
    migrate(url)
    token = asyncio.run(_key(url))
    ports = {slug: free_port() for slug in SLUGS}
    with tempfile.TemporaryDirectory(prefix="one-runtime-benchmarks-") as folder:
        _, trust = tls_contexts(Path(folder), "localhost")
        certificate = str(Path(folder) / "certificate.pem")
        settings = {"ONE_RUNTIME_WORKERS": str(workers), "ONE_RUNTIME_PROXY_CALLS": "1000"}
        where = {"BENCHMARK_UPSTREAMS": ",".join(map(str, ports.values())), "SSL_CERT_FILE": certificate}
        command = [sys.executable, "-m", "benchmarks.proxy.server"]
        server = Server(command, url, key, environment={**settings, **where})
        bare_relay = Server([sys.executable, "-m", "benchmarks.proxy.bare_relay"], url, key, environment=where)
        arguments = [*map(str, ports.values()), certificate]
        upstream = subprocess.Popen([sys.executable, "-m", "benchmarks.proxy.upstream", *arguments], cwd=ROOT)
        server.start()
        bare_relay.start()
        try:
            _wait_for(server, "/healthz")
            _wait_for(bare_relay, "/plain/")
            _connect(server, token)
            yield Ground(server, bare_relay, ports, trust, token)
        finally:
            server.stop()
            bare_relay.stop()
            upstream.kill()
            upstream.wait()


async def _key(url: str) -> str:
    database = create_database(url, pool_size=1)
    await database.open()
    try:
        async with database.write() as tx:
            organization = await organizations.create(tx, "Benchmark", system_clock())
            actor = Actor(organization.id, "system")
            _, token = await api_keys.create(tx, actor, "benchmark", api_keys.SCOPES, system_clock())
        return token.secret
    finally:
        await database.close()


def _wait_for(server: Server, path: str) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            httpx2.get(f"http://127.0.0.1:{server.port}{path}")
        except httpx2.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _connect(server: Server, token: str) -> None:
    """Connect the end user to each provider."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        for slug in SLUGS:
            body = {"integration_slug": slug, "end_user_id": "user", "auth_type": "api_key", "check": False}
            connection = {**body, "credentials": {"api_key": "k" * 40}}
            answer = client.post("/v1/connections", json=connection, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 201, answer.text


def _request(line: str, port: int, body: bytes, *headers: str) -> bytes:
    length = (f"Content-Length: {len(body)}",) if body else ()
    head = [f"{line} HTTP/1.1", f"Host: 127.0.0.1:{port}", *length, *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + body
