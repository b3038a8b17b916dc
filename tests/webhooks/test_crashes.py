"""P10: servers are killed (SIGKILL) at any instant under load, and no event is lost.

Afterwards every endpoint has received every committed event at least once, and nothing else. The long version, with
figures: `make soak ARGS="tests/webhooks"`.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
import pytest
from sqlalchemy import bindparam, func, select, update
from starlette.responses import Response

from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Busy, Database
from one_runtime.db.schema import events, webhook_deliveries
from one_runtime.encryption.vault import new_key
from one_runtime.tenancy import api_keys, end_users, organizations
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from tests.figures import Figures
from tests.promises.serving import Served, Serving, start, stop
from tests.waiting import async_attempts, eventually
from tests.webhooks.receiver import Message, Receiver, receiving

pytestmark = [pytest.mark.promise("P10"), pytest.mark.slow]

CALLERS: Final = 2
END_USERS: Final = 12
PATHS: Final = ("/steady", "/failing")
"""Paths of the two push endpoints. Every tenth message at `/failing` fails."""

_EVENTS: Final = select(events.c.id, events.c.request_id).where(events.c.type == "end_user.updated")
_PENDING: Final = select(func.count().label("rows")).where(webhook_deliveries.c.due_at.is_not(None))
_END_LEASES: Final = (
    update(webhook_deliveries).where(webhook_deliveries.c.due_at.is_not(None)).values(due_at=bindparam("now"))
)


class _EventRow(NamedTuple):
    id: str
    request_id: str | None


class _RowCount(NamedTuple):
    rows: int


class RolledBack(Exception):
    """Ends a transaction that has written an event."""


@dataclass(slots=True)
class Fleet:
    """The servers of one database. `urls`: URLs of the servers, at the same index."""

    database_url: str
    folder: Path
    settings: dict[str, str]
    servers: list[Served] = field(default_factory=list)

    async def add(self) -> None:
        number = len(self.servers)
        (self.folder / str(number)).mkdir()
        self.servers.append(await self._start(number, 0))

    async def kill(self, number: int, delay: float) -> None:
        """Kill a server after some seconds, and start it again."""
        killed = self.servers[number]
        asyncio.get_running_loop().call_later(delay, killed.process.kill)
        await asyncio.to_thread(killed.process.wait)
        self.servers[number] = await self._start(number, killed.port)

    async def _start(self, number: int, port: int) -> Served:
        what = Serving(self.database_url, settings=self.settings, port=port)
        return await start(what, self.folder / str(number))

    async def stop(self) -> None:
        for served in self.servers:
            await stop(served)


@dataclass(slots=True)
class Story:
    """One run. `requests`: ids of the requests that the servers have answered with 200. `pulled`: fetched messages."""

    fleet: Fleet
    database: Database
    receiver: Receiver
    organization_id: str
    http: httpx2.AsyncClient
    requests: set[str] = field(default_factory=set)
    pulled: list[dict[str, Any]] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    pull_path: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=random.Random)
    numbers: "count[int]" = field(default_factory=count)
    has_recovered: bool = False

    def url(self, path: str) -> str:
        return self.chance.choice(self.fleet.servers).url + path

    async def subscribe(self) -> None:
        """Create two push endpoints and a pull endpoint for the events of the load."""
        for path in PATHS:
            self.receiver.answers[path] = self.verify
            self.secrets[path] = (await self.create_endpoint(url=self.receiver.url(path)))["secret"]
        self.pull_path = f"/v1/webhook-endpoints/{(await self.create_endpoint(kind='pull'))['id']}"

    def verify(self, message: Message) -> Response:
        """Verify a message when it arrives, because a verification refuses messages older than five minutes."""
        message.verify(self.secrets[message.path])
        self.counts[f"verified {message.path}"] += 1
        is_tenth = message.path == "/failing" and self.counts["verified /failing"] % 10 == 0
        fails = is_tenth and not self.has_recovered
        return Response(status_code=500 if fails else 204)

    async def create_endpoint(self, **fields: str) -> dict[str, Any]:
        """Create a webhook endpoint for the events of the load."""
        body = {**fields, "event_types": ["end_user.updated"]}
        answer = await self.http.post(self.url("/v1/webhook-endpoints"), json=body)
        assert answer.status_code == 201, answer.text
        endpoint: dict[str, Any] = answer.json()
        return endpoint

    async def change_end_users(self) -> None:
        """Change end users, so that each answered change writes an event. Every fifth change is refused."""
        while True:
            number = next(self.numbers)
            metadata = {"number": str(number)} if number % 5 else {"number": "x" * 20_000}
            url = self.url(f"/v1/end-users/user_{number % END_USERS}")
            with suppress(httpx2.TransportError):
                answer = await self.http.patch(url, json={"metadata": metadata})
                self.counts[f"status {answer.status_code}"] += 1
                if answer.status_code == 200:
                    self.requests.add(answer.headers["request-id"])

    async def roll_back(self) -> None:
        """Write events in transactions that roll back."""
        actor = Actor(self.organization_id, "system")
        while True:
            seen = len(self.receiver.messages)
            with suppress(RolledBack, Busy):
                async with self.database.write() as tx:
                    subject = Subject(end_user_id="user_0", data={"changed": ["rolled back"]})
                    await record(tx, actor, EventType.END_USER_UPDATED, system_clock(), subject)
                    self.counts["rolled back"] += 1
                    raise RolledBack
            await eventually(lambda seen=seen: len(self.receiver.messages) > seen)  # type: ignore[misc]

    async def pull(self) -> None:
        """Fetch and acknowledge messages."""
        while True:
            with suppress(httpx2.TransportError):
                answer = await self.http.get(self.url(f"{self.pull_path}/pending?wait_seconds=1"))
                if answer.status_code == 200 and (messages := answer.json()["messages"]):
                    self.pulled += messages
                    body = {"event_ids": [message["id"] for message in messages]}
                    await self.http.post(self.url(f"{self.pull_path}/acknowledge"), json=body)

    async def kill(self, kills: int) -> None:
        """Kill the servers, each at random moments after a random number of messages.

        Messages count, not seconds: on a busy machine a server may need seconds until its first message.
        """
        servers = range(len(self.fleet.servers))
        async with asyncio.TaskGroup() as group:
            for number in servers:
                group.create_task(self._kill(number, kills // len(servers)))

    async def _kill(self, number: int, kills: int) -> None:
        for _ in range(kills):
            await self._more_messages(self.chance.randint(1, 20))
            await self.fleet.kill(number, self.chance.uniform(0, 0.1))

    async def _more_messages(self, number: int) -> None:
        enough = len(self.receiver.messages) + number
        await eventually(lambda: len(self.receiver.messages) >= enough)

    async def deliver_all(self) -> None:
        """End the leases of killed servers, and wait until no delivery is pending.

        From now on, `/failing` accepts every message. Otherwise, some of many deliveries would fail again and again.
        The servers need as long as they need: only a long time without any progress is a fault.
        """
        self.has_recovered = True
        left = self.counts["pending after the kills"] = await self.pending()
        while left:
            await self.end_leases()
            before, left = left, await self._until_no_progress(left)
            assert left < before, f"{left} deliveries are still pending"

    async def _until_no_progress(self, left: int) -> int:
        """Wait until no delivery is pending, or until their number has not fallen for a while. Return the number."""
        with suppress(TimeoutError):
            while left:
                before = left
                async for _ in async_attempts(40):
                    left = await self.pending()
                    if left < before:
                        break
        return left

    async def pending(self) -> int:
        """Return the number of pending deliveries."""
        async with self.database.read() as tx:
            row = await tx.one(_PENDING, _RowCount)
        assert row is not None
        return row.rows

    async def end_leases(self) -> None:
        """Make all pending deliveries due now."""
        async with self.database.write() as tx:
            await tx.execute(_END_LEASES, now=system_clock())

    async def committed(self) -> set[str]:
        """Return the ids of all committed events of the load."""
        async with self.database.read() as tx:
            return {row.id for row in await tx.all(_EVENTS, _EventRow)}

    async def check(self) -> None:
        """Compare the received messages with the committed events."""
        async with self.database.read() as tx:
            rows = await tx.all(_EVENTS, _EventRow)
        committed = {row.id for row in rows}
        assert self.requests <= {row.request_id for row in rows}
        assert len(committed) > END_USERS
        for path in PATHS:
            messages = self.receiver.at(path)
            assert self.counts.pop(f"verified {path}") == len(messages)
            self._check_messages(path, committed, [(message.id, message.raw) for message in messages])
        self._check_messages("pull", committed, [(message["id"], message) for message in self.pulled])
        assert self.counts["rolled back"] > 0
        assert self.counts["status 422"] > 0
        self.counts["events"] = len(committed)

    def _check_messages(self, place: str, committed: set[str], messages: list[tuple[str, object]]) -> None:
        bodies: dict[str, object] = {}
        for event_id, body in messages:
            assert bodies.setdefault(event_id, body) == body, place
        received = set(bodies)
        assert received == committed, f"{place}: {len(committed - received)} lost, {len(received - committed)} unknown"
        self.counts[f"messages {place}"] = len(messages)
        self.counts[f"duplicates {place}"] = len(messages) - len(bodies)


async def make_organization(database: Database) -> tuple[str, str]:
    """Create an organization with end users. Return its id and an API key."""
    now = system_clock()
    async with database.write() as tx:
        organization = await organizations.create(tx, "Northwind", now)
        _, token = await api_keys.create(tx, Actor(organization.id, "system"), "test", api_keys.SCOPES, now)
        for number in range(END_USERS):
            await end_users.ensure(tx, organization.id, EndUser(f"user_{number}", None, None, now, now))
    return organization.id, token.secret


@asynccontextmanager
async def running_story(database_url: str, folder: Path, servers: int, *allowed_ports: int) -> AsyncIterator[Story]:
    """Start the receiver and the servers of a story. The servers may also send messages to `allowed_ports`."""
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(receiving())
        database = create_database(database_url, pool_size=2)
        await database.open()
        stack.push_async_callback(database.close)
        organization_id, key = await make_organization(database)
        settings = {
            "ONE_RUNTIME_ENCRYPTION_KEYS": new_key(),
            "ONE_RUNTIME_EGRESS_ALLOW": ",".join(f"127.0.0.1:{port}" for port in (receiver.port, *allowed_ports)),
            "ONE_RUNTIME_RATE_LIMIT": "0",
            "ONE_RUNTIME_LOG_LEVEL": "warning",
        }
        fleet = Fleet(database_url, folder, settings)
        stack.push_async_callback(fleet.stop)
        for _ in range(servers):
            await fleet.add()
        headers = {"authorization": f"Bearer {key}"}
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=20))
        yield Story(fleet, database, receiver, organization_id, http)


@asynccontextmanager
async def running_beside(loads: Collection[Any]) -> AsyncIterator[None]:
    """Run endless coroutines during the block. An error in one of them fails the test."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(load) for load in loads]
        yield
        for task in tasks:
            task.cancel()


async def crashes(database_url: str, folder: Path, kills: int) -> str:
    """Run a story from its start to its checks. Return its figures."""
    began = time.monotonic()
    servers = 1 if database_url.startswith("sqlite") else 2  # SQLite allows one process
    async with running_story(database_url, folder, servers) as story:
        await story.subscribe()
        async with running_beside([story.pull()]):
            async with running_beside([story.roll_back(), *(story.change_end_users() for _ in range(CALLERS))]):
                await story.kill(kills)
            await story.deliver_all()
        await story.check()
    counts = ", ".join(f"{name} {number:,}" for name, number in sorted(story.counts.items()))
    return f"{kills} kills of {servers} servers in {time.monotonic() - began:.0f} s: {counts}"


@pytest.mark.timeout(180)
async def test_every_committed_event_is_delivered_and_no_other_after_kills(
    database_url: str, tmp_path: Path, figures: Figures
) -> None:
    figures(await crashes(database_url, tmp_path, kills=20))


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_many_kills_lose_no_event(database_url: str, tmp_path: Path, figures: Figures) -> None:
    figures(await crashes(database_url, tmp_path, kills=300 if database_url.startswith("sqlite") else 1000))
