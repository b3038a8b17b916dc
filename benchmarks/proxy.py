"""Calls through the proxy against the same calls without it: what it adds, and how many it makes a second."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx2
import uvloop

from benchmarks.processes import ROOT, Server, free_port
from benchmarks.rows import NewDatabase
from one_runtime import api_keys, organizations
from one_runtime.clock import system_clock
from one_runtime.db.engine import create_database
from one_runtime.db.migrations import migrate
from one_runtime.events import Actor
from one_runtime.vault import new_key

CALLERS: Final = (1, 16, 64)
PATIENCE: Final = 30.0
_BODY: Final = b"x" * 10_000


@dataclass(frozen=True, slots=True)
class Load:
    """Calls a second, and of one call the median and the 99th percentile, in milliseconds."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of call by so many callers, without the proxy and through it; its processor time for a call."""

    database: str
    kind: str
    callers: int
    direct: Load
    proxied: Load
    cpu: float


@dataclass(frozen=True, slots=True)
class _Call:
    kind: str
    direct: bytes
    proxied: bytes
    callers: tuple[int, ...] = CALLERS


def measure(database: str, new: NewDatabase, seconds: float) -> list[Measured]:
    """On a database of its own."""
    url, key = new(f"proxy_{database.lower()}"), new_key()
    migrate(url)
    token = asyncio.run(_key(url))
    with _upstream() as upstream:
        server = Server([sys.executable, "-m", "benchmarks.relay", str(upstream)], url, key)
        server.start()
        try:
            _connect(server, token)
            found = []
            for call in _calls(upstream, server.port, token):
                for callers in call.callers:
                    direct = uvloop.run(_load(upstream, call.direct, callers, seconds))
                    before = server.cpu_seconds()
                    proxied = uvloop.run(_load(server.port, call.proxied, callers, seconds))
                    cpu = (server.cpu_seconds() - before) / max(1.0, proxied.rate * seconds)
                    found.append(Measured(database, call.kind, callers, direct, proxied, cpu))
            return found
        finally:
            server.stop()


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


@contextmanager
def _upstream() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.upstream", str(port)], cwd=ROOT)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _connect(server: Server, token: str) -> None:
    body = {"integration_slug": "raw", "end_user_id": "user", "auth_type": "api_key", "check": False}
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = httpx2.post(
                f"http://127.0.0.1:{server.port}/v1/connections",
                json={**body, "credentials": {"api_key": "k" * 40}},
                headers={"Authorization": f"Bearer {token}"},
            )
        except httpx2.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            assert answer.status_code == 201, answer.text
            return


def _calls(upstream: int, port: int, token: str) -> Iterator[_Call]:
    ours = (f"Authorization: Bearer {token}", "One-Runtime-End-User: user")
    for kind, line, body, callers in (
        ("GET, 1 kB", "GET {} HTTP/1.1", b"", CALLERS),
        ("POST, 10 kB", "POST {} HTTP/1.1", _BODY, CALLERS),
        ("GET, 10 MB", "GET {}/large HTTP/1.1", b"", (1,)),
    ):
        length = (f"Content-Length: {len(body)}",) if body else ()
        yield _Call(
            kind,
            _request(line.format("/api"), f"127.0.0.1:{upstream}", *length) + body,
            _request(line.format("/v1/proxy/raw"), f"127.0.0.1:{port}", *length, *ours) + body,
            callers,
        )


def _request(line: str, host: str, *headers: str) -> bytes:
    return ("\r\n".join([line, f"Host: {host}", *headers]) + "\r\n\r\n").encode()


async def _load(port: int, request: bytes, callers: int, seconds: float) -> Load:
    """A closed loop of so many callers, each on a connection that it keeps."""
    took: list[float] = []

    async def call() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024 * 1024)
        end = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
            took.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(call() for _ in range(callers)))
    took.sort()
    return Load(len(took) / seconds, took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000)


def table(measured: list[Measured]) -> Iterator[str]:
    """As Markdown."""
    yield "### The proxy"
    yield ""
    yield "| database | call | callers | calls/s | p50 | p99 | directly: p50 | p99 | added: p50 | CPU of a call |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for one in measured:
        ours, theirs = one.proxied, one.direct
        yield (
            f"| {one.database} | {one.kind} | {one.callers} | **{ours.rate:,.0f}** | {ours.p50:.2f} ms "
            f"| {ours.p99:.2f} ms | {theirs.p50:.2f} ms | {theirs.p99:.2f} ms | **{ours.p50 - theirs.p50:.2f} ms** "
            f"| {one.cpu * 1_000_000:,.0f} µs |"
        )
