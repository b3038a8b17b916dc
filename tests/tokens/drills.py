"""Controls of the drills of a refresh: refreshes that wait at each of its steps, and their outcome at the provider."""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import psycopg
from sqlalchemy import select

from one_runtime.clock import system_clock
from one_runtime.context import Installation
from one_runtime.db.schema import credentials
from one_runtime.jobs.queue import database_now
from tests.promises.serving import Served, Serving, start
from tests.tokens.rotating import RotatingApplication, Seeded, generation_of, read_stored
from tests.tokens.served_with_provider import Drill, Gate
from tests.waiting import async_attempts


class _Leased(NamedTuple):
    connection_id: str
    leased_until: datetime


class Step(StrEnum):
    """The step of a refresh at which a disturbance comes."""

    UNLEASED = "before the lease"
    UNSENT = "between lease and request"
    SENT = "during the request"
    ARRIVED = "response in the socket"
    READ = "response read, not stored"
    STORED = "stored, caller not answered"


GATES: Final[dict[Step, Gate]] = {
    Step.UNLEASED: "called",
    Step.UNSENT: "connecting",
    Step.READ: "answered",
    Step.STORED: "answering",
}
HOLDS: Final = {Step.SENT: "before", Step.ARRIVED: "after"}
_ORDER: Final = (Step.SENT, Step.ARRIVED, Step.READ, Step.STORED, Step.UNSENT, Step.UNLEASED)


@dataclass(slots=True)
class Gates:
    """Connections of the server's process, which wait until the gates open."""

    port: int = 0
    waiting: dict[str, asyncio.StreamWriter] = field(default_factory=dict)
    is_open: bool = False

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep a connection until the gates open."""
        connection = (await reader.readline()).decode().strip()
        self.waiting[connection] = writer
        if self.is_open:
            self.open([connection])

    def open(self, connections: Collection[str]) -> None:
        """Let these connections go on."""
        for connection in connections:
            if connection in self.waiting:
                self.waiting[connection].close()


@asynccontextmanager
async def opened_gates() -> AsyncIterator[Gates]:
    """Serve the gates until the block ends."""
    gates = Gates()
    listener = await asyncio.start_server(gates.hold, "127.0.0.1", 0, backlog=4096)
    gates.port = listener.sockets[0].getsockname()[1]
    try:
        yield gates
    finally:
        gates.open(list(gates.waiting))
        listener.close()


async def until(probe: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Call the probe until it returns True. Raises: TimeoutError."""
    async for _ in async_attempts(seconds):
        if await probe():
            return


class RowLock:
    """A transaction of the test that locks rows of credentials. On SQLite, it locks the database for other writers."""

    def __init__(self, database_url: str, connections: Collection[str]) -> None:
        self._connection: sqlite3.Connection | psycopg.Connection[Any]
        if database_url.startswith("sqlite"):
            self._connection = sqlite3.connect(
                database_url.removeprefix("sqlite:///"), isolation_level=None, timeout=10
            )
            self._connection.execute("BEGIN IMMEDIATE")
        else:
            self._connection = psycopg.connect(database_url)
            self._connection.execute(
                "SELECT FROM credentials WHERE connection_id::text = ANY(%s) FOR UPDATE", [list(connections)]
            )

    def release(self) -> None:
        """End the transaction."""
        self._connection.rollback()
        self._connection.close()


@dataclass(slots=True)
class Story:
    """Connections whose refreshes wait at the steps, and the servers of the installation."""

    app: RotatingApplication
    database_url: str
    folder: Path
    drill: Drill
    gates: Gates
    http: aiohttp.ClientSession
    api_key: str
    steps: dict[Step, list[Seeded]]
    keys: str
    reader: Installation
    servers: list[Served] = field(default_factory=list)
    calls: dict[str, "asyncio.Task[int | None]"] = field(default_factory=dict)
    lock: RowLock | None = None

    @property
    def is_sqlite(self) -> bool:
        """Return True if the installation has one server, because the database is SQLite."""
        return self.database_url.startswith("sqlite")

    @property
    def seeded(self) -> list[Seeded]:
        """Return all connections."""
        return [seeded for group in self.steps.values() for seeded in group]

    async def serve(self, name: str, drill: Drill, keys: str) -> Served:
        """Start a server."""
        folder = self.folder / name
        folder.mkdir()
        settings = {
            "ONE_RUNTIME_ENCRYPTION_KEYS": keys,
            "ONE_RUNTIME_RATE_LIMIT": "0",
            "ONE_RUNTIME_LOG_LEVEL": "info",
        }
        served = await start(Serving(self.database_url, drill.words(), settings=settings), folder)
        self.servers.append(served)
        return served

    async def call(self, served: Served, seeded: Seeded) -> int | None:
        """Refresh a connection by the API. Return the status, or None if the server was killed."""
        url = f"{served.url}/v1/connections/{seeded.key.connection_id}/refresh"
        try:
            async with self.http.post(url, headers={"authorization": f"Bearer {self.api_key}"}) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientError:
            return None

    async def bring_to_the_steps(self, served: Served, *, lock: bool) -> None:
        """Call the server for each connection, and wait until each refresh is at its step.

        `lock`: True if the refreshes without a lease wait in the database, for the transaction that acquires the lease.
        """
        for step in sorted(self.steps, key=_ORDER.index):
            for seeded in self.steps[step]:
                self.calls[seeded.key.connection_id] = asyncio.create_task(self.call(served, seeded))
            await until(partial(self.are_at, step), max(60.0, self.drill.lease))
        unleased = [seeded.key.connection_id for seeded in self.steps.get(Step.UNLEASED, [])]
        if unleased and lock:
            self.lock = RowLock(self.database_url, unleased)
            self.gates.open(unleased)
        await self._check_steps()

    async def are_at(self, step: Step) -> bool:
        """Return True if the refreshes of this step wait there."""
        connections = {seeded.key.connection_id for seeded in self.steps[step]}
        if step is Step.UNSENT:  # the first one resolves the name of the provider for all
            return not connections.isdisjoint(self.gates.waiting) and connections <= await self.leased()
        if step in GATES:
            return connections <= self.gates.waiting.keys()
        states = self.app.provider.look_at_all()
        return all(states[seeded.family][1] == 1 for seeded in self.steps[step])

    async def _check_steps(self) -> None:
        """Check in the database and at the provider that each refresh is where the drill wants it."""
        leased, states = await self.leased(), self.app.provider.look_at_all()
        for step, group in self.steps.items():
            expected_lease = step not in {Step.UNLEASED, Step.STORED}
            assert {seeded.key.connection_id in leased for seeded in group} == {expected_lease}, step
            rotated = step in {Step.ARRIVED, Step.READ, Step.STORED}
            assert {generation_of(states[seeded.family][0]) for seeded in group} == {int(rotated)}, step
            stored = {await self.generation(seeded) for seeded in group}
            assert stored == {int(step is Step.STORED)}, step

    async def generation(self, seeded: Seeded) -> int:
        """Return the generation of the stored refresh token."""
        _, stored = await read_stored(self.reader, seeded.key)
        return generation_of(stored.secrets["refresh_token"])

    async def leased(self) -> set[str]:
        """Return the connections whose lease has not ended, by the database's clock."""
        query = select(credentials.c.connection_id, credentials.c.leased_until).where(credentials.c.lease.is_not(None))
        async with self.reader.database.read() as tx:
            now = await database_now(tx, system_clock)
            rows = await tx.all(query, _Leased)
        return {row.connection_id for row in rows if row.leased_until > now}

    async def leases_ended(self) -> None:
        """Wait for the end of all leases."""

        async def have_ended() -> bool:
            return not await self.leased()

        await until(have_ended, self.drill.lease + 30)

    def release(self) -> None:
        """Let all refreshes go on."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None
        self.app.provider.behave(hold=None)
        self.gates.is_open = True
        self.gates.open(list(self.gates.waiting))

    async def not_current(self) -> list[Seeded]:
        """Return the connections whose stored refresh token is not the one that the provider accepts."""
        states = self.app.provider.look_at_all()
        outdated = []
        for seeded in self.seeded:
            _, stored = await read_stored(self.reader, seeded.key)
            if stored.secrets["refresh_token"] != states[seeded.family][0]:
                outdated.append(seeded)
        return outdated

    async def settled(self, may_be_lost: Collection[str]) -> None:
        """Wait until every stored refresh token is the provider's, but for connections that can be lost."""

        async def is_settled() -> bool:
            return all(seeded.key.connection_id in may_be_lost for seeded in await self.not_current())

        await asyncio.gather(*self.calls.values())
        await until(is_settled, 60)

    async def refresh_again(self, served: Served, seeded: Seeded) -> int:
        """Refresh a connection until the answer is definite: the stored refresh token works, or the account is lost."""

        async for _ in async_attempts(self.drill.lease + 60):
            status = await self.call(served, seeded)
            if status == 200 or status == 409:  # noqa: PLR1714 - narrows the type
                return status
        raise AssertionError("unreachable: the attempts end with TimeoutError")

    async def lost(self, served: Served, *, every: int) -> "dict[Step, list[Seeded]]":
        """Return the lost connections, by step. Refresh the connections with other tokens, and a part of the rest."""
        outdated = {seeded.key.connection_id for seeded in await self.not_current()}
        tried = [
            (step, seeded)
            for step, group in self.steps.items()
            for number, seeded in enumerate(group)
            if number % every == 0 or seeded.key.connection_id in outdated
        ]
        statuses = await asyncio.gather(*(self.refresh_again(served, seeded) for _, seeded in tried))
        lost = defaultdict[Step, list[Seeded]](list)
        for (step, seeded), status in zip(tried, statuses, strict=True):
            connection, _ = await read_stored(self.reader, seeded.key)
            if status == 200:
                assert connection.status == "active"
                continue
            assert connection.status == "needs_reauth"  # the end user has to know, and why
            assert connection.error is not None
            assert connection.error["code"] == "invalid_grant"
            assert "used before" in connection.error["message"] or "revoked" in connection.error["message"]
            lost[step].append(seeded)
        return lost
