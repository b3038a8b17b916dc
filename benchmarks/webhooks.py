"""Webhooks: deliveries per second, the time from an event to its receipt, and the cost of an event."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import uvloop
from sqlalchemy import bindparam, insert, select

from benchmarks.processes import Server, served
from benchmarks.proxy.load import Call, content_length
from benchmarks.rows import NewDatabase, Target
from benchmarks.steady import Steady, figures, steady
from one_runtime.clock import rfc3339, system_clock
from one_runtime.db import schema
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Database
from one_runtime.db.ids import new_id
from one_runtime.db.migrations import migrate
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.tenancy import api_keys, end_users, events, organizations
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.webhooks import endpoints, secrets
from tests.ports import free_port

LIST_RATE: Final = 200.0
"""Requests of the list per second."""
USER: Final = "user_1"
_BATCH: Final = 1000
_AGE: Final = timedelta(minutes=10)
"""Age of the events of a backlog."""
_ANY_EVENT: Final = select(schema.events)
_INSERT_EVENT: Final = insert(schema.events)
_NEWEST: Final = (
    select(schema.events.c.occurred_at).order_by(schema.events.c.id.desc()).offset(bindparam("offset")).limit(1)
)
_WARM: Final = 50
_PATIENCE: Final = 1800.0
_ROUNDS: Final = 6
_WARM_UP: Final = 2.0
"""Seconds of requests after the start of a server that do not count."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Size of the measurements: number of waiting deliveries, of single events, and seconds of each round of load."""

    backlog: int
    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of one database.

    - `rate`: deliveries per second of a backlog, without other work.
    - `delays`: seconds from an event to its receipt on an idle server.
    - `alone`: list requests to a server without deliveries. `beside`: list requests while a server delivers a backlog.
    - `elsewhere`: as `alone`, while another program sends as many messages to the receiver.
    - `replayed`, `replay`: number of deliveries that one request queues again, and seconds until their receipt.
    - `fan_out`: seconds that webhooks add to an event of an organization without endpoints.
    """

    database: str
    backlog: int
    rate: float
    cpu: float
    delays: list[float]
    alone: Steady
    beside: Steady
    beside_rate: float
    elsewhere: Steady
    replayed: int
    replay: float
    fan_out: float


@dataclass(slots=True)
class Receipts:
    """The messages that the receiver has accepted. `delays`: seconds from each event to its receipt."""

    count: int = 0
    delays: list[float] = field(default_factory=list)
    last: bytes = b""
    """The last request, with its head."""
    _awaited: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, body: bytes) -> None:
        """Add a message."""
        written = datetime.fromisoformat(json.loads(body)["timestamp"])
        self.delays.append((system_clock() - written).total_seconds())
        self.count += 1
        if self.count == self._awaited:
            self._arrived.set()

    async def wait_for(self, count: int) -> None:
        """Wait until there are this many messages. Raises: TimeoutError."""
        self._awaited = count
        self._arrived.clear()
        if self.count < count:
            async with asyncio.timeout(_PATIENCE):
                await self._arrived.wait()


class _Receiver(asyncio.Protocol):
    """Accepts every message."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment] # of a TCP server
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if separator and len(body) == content_length(head):
            self._receipts.last, self._received = self._received, b""
            self._receipts.add(body)
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Ground:
    """A server, its database, and an organization whose endpoint is the receiver."""

    server: Server
    receipts: Receipts
    receiver_port: int
    database: Database
    actor: Actor
    token: str
    endpoint_id: str

    async def queue(self, number: int) -> int:
        """Write events in few transactions. Return the number of messages after which all have arrived."""
        causes = [(self.actor, Subject(USER, data={"changed": ["metadata"]}))] * _BATCH
        for _ in range(number // _BATCH):
            async with self.database.write() as tx:
                await events.record_many(tx, EventType.END_USER_UPDATED, system_clock() - _AGE, causes)
        return self.receipts.count + number

    async def newest(self, number: int) -> str:
        """Return the time of the event with this place from the end, as text."""
        async with self.database.read() as tx:
            event = await tx.one(_NEWEST, offset=number - 1)
        assert event is not None
        return rfc3339(event.occurred_at)

    def start(self) -> None:
        self.server.start()
        self.server.wait_for(Target(self.token, USER))

    def call(self, line: str, body: bytes = b"") -> Call:
        fields = [
            f"{line} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        return Call(self.server.port, "\r\n".join([*fields, "", ""]).encode() + body)


def measure(database: str, new: NewDatabase, extent: Extent) -> Measured:
    """Measure on a new database."""
    name = f"webhooks_{database.lower()}"
    return uvloop.run(_measure(database, new(name), new(f"{name}_control"), extent))


async def _measure(database: str, url: str, control_url: str, extent: Extent) -> Measured:
    fan_out = await _fan_out(url)
    migrate(control_url)
    async with _ground(url) as ground:
        await ground.queue(extent.backlog)
        rate, cpu = await _drain(ground, extent.backlog)
        delays = await _delays(ground, extent.events)
        replayed, replay = await _replay(ground, extent.backlog // 10)
        await asyncio.to_thread(ground.server.stop)
        await ground.queue(extent.backlog)
        async with _ground(control_url) as control:
            await asyncio.to_thread(control.start)
            alone, beside, elsewhere, beside_rate = await _beside(ground, control, extent.seconds)
    return Measured(
        database, extent.backlog, rate, cpu, delays, alone, beside, beside_rate, elsewhere, replayed, replay, fan_out
    )


async def _steady(ground: Ground, seconds: float) -> list[float]:
    """Request the list at a steady rate. Return the durations in milliseconds."""
    listed = ground.call(f"GET /v1/integrations?end_user_id={USER}&logo=url").request
    async with steady(ground.server.port, listed, LIST_RATE) as requests:
        await asyncio.sleep(seconds)
    return requests.took


async def _beside(ground: Ground, control: Ground, seconds: float) -> tuple[Steady, Steady, Steady, float]:
    """Request the list of a server with a backlog, and of a server without deliveries, in turn.

    Other programs of the machine influence both servers, because each round is short. Return the figures `alone`,
    `beside` and `elsewhere`, and the deliveries per second.
    """
    alone, beside, elsewhere, rates = list[float](), list[float](), list[float](), list[float]()
    for _ in range(_ROUNDS):
        await asyncio.to_thread(control.server.stop)
        await asyncio.to_thread(control.start)  # both servers have just started
        await _steady(control, _WARM_UP)
        alone += await _steady(control, seconds)
        await asyncio.to_thread(ground.start)
        await _steady(ground, _WARM_UP)
        begun, first = time.perf_counter(), ground.receipts.count
        beside += await _steady(ground, seconds)
        rates.append((ground.receipts.count - first) / (time.perf_counter() - begun))
        await asyncio.to_thread(ground.server.stop)
        async with steady(ground.receiver_port, ground.receipts.last, rates[-1]):
            elsewhere += await _steady(control, seconds)
    return figures(alone), figures(beside), figures(elsewhere), statistics.mean(rates)


async def _replay(ground: Ground, number: int) -> tuple[int, float]:
    """Replay the newest events. Return their number, and the seconds from the request to the last receipt."""
    since = await ground.newest(number)
    body = json.dumps({"since": since, "status": "all"}).encode()
    begun, first = time.perf_counter(), ground.receipts.count
    reader, writer = await asyncio.open_connection("127.0.0.1", ground.server.port)
    writer.write(ground.call(f"POST /v1/webhook-endpoints/{ground.endpoint_id}/replay", body).request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 202 " in head, head
    queued = int(json.loads(await reader.readexactly(content_length(head)))["queued_deliveries"])
    writer.close()
    await ground.receipts.wait_for(first + queued)
    return queued, time.perf_counter() - begun


async def _drain(ground: Ground, backlog: int) -> tuple[float, float]:
    """Start the server. Return its deliveries per second of a backlog, and its CPU seconds per delivery."""
    await asyncio.to_thread(ground.start)
    begun, cpu, first = time.perf_counter(), ground.server.cpu_seconds(), ground.receipts.count
    await ground.receipts.wait_for(backlog)
    delivered = backlog - first
    return delivered / (time.perf_counter() - begun), (ground.server.cpu_seconds() - cpu) / delivered


async def _delays(ground: Ground, number: int) -> list[float]:
    """Change an end user this many times, each time after the receipt of the previous event. Return the sorted times.

    The first events are not measured.
    """
    first = ground.receipts.count
    reader, writer = await asyncio.open_connection("127.0.0.1", ground.server.port)
    for event in range(number + _WARM):
        body = json.dumps({"metadata": {"event": str(event)}}).encode()
        writer.write(ground.call(f"PATCH /v1/end-users/{USER}", body).request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
        await reader.readexactly(content_length(head))
        await ground.receipts.wait_for(first + event + 1)
    writer.close()
    return sorted(ground.receipts.delays[first + _WARM :])


async def _fan_out(url: str) -> float:
    """Return the seconds by which `events.record` takes longer than the bare INSERT of an event, without endpoints."""
    migrate(url)
    database = create_database(url, pool_size=2)
    await database.open()
    try:
        now = system_clock()
        async with database.write() as tx:
            organization = await organizations.create(tx, "Without endpoints", now)
        actor, bare, recorded = Actor(organization.id, "system"), list[float](), list[float]()
        async with database.write() as tx:
            await events.record(tx, actor, EventType.END_USER_UPDATED, now, Subject(USER))
            event = await tx.one(_ANY_EVENT)
            assert event is not None
            for _ in range(2000):
                values = {**event._asdict(), "id": new_id()}
                begun = time.perf_counter()
                await tx.execute(_INSERT_EVENT, **values)
                between = time.perf_counter()
                await events.record(tx, actor, EventType.END_USER_UPDATED, now, Subject(USER))
                bare.append(between - begun)
                recorded.append(time.perf_counter() - between)
        return statistics.median(recorded) - statistics.median(bare)
    finally:
        await database.close()


@asynccontextmanager
async def _ground(url: str) -> AsyncIterator[Ground]:
    key, port, now = new_key(), free_port(), system_clock()
    vault, database = Vault(parse_keys(key)), create_database(url, pool_size=4)
    receipts = Receipts()
    receiver = await asyncio.get_running_loop().create_server(lambda: _Receiver(receipts), "127.0.0.1", port)
    await database.open()
    async with database.write() as tx:
        await key_ring.register(tx, vault, now)
        organization = await organizations.create(tx, "Benchmark", now)
        actor = Actor(organization.id, "system")
        _, token = await api_keys.create(tx, actor, "benchmark", api_keys.SCOPES, now)
        await end_users.ensure(tx, organization.id, EndUser(USER, None, None, now, now))
        address = f"http://127.0.0.1:{port}/"
        endpoint = endpoints.new(organization.id, url=address, description="", include=[], now=now)
        await endpoints.create(tx, actor, endpoint, ["end_user.updated"])
        await secrets.create(tx, vault, endpoint, now)
    server = served(url, key)
    server.environment = {"ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{port}"}
    try:
        yield Ground(server, receipts, port, database, actor, token.secret, endpoint.id)
    finally:
        await asyncio.to_thread(server.stop)
        await database.close()
        receiver.close()


def table(measured: list[Measured]) -> Iterator[str]:
    """Render the results as Markdown."""
    yield "### Webhooks"
    yield ""
    yield (
        "| database | deliveries/s | server CPU per delivery | p50 from event to receipt | p99 "
        "| cost of an event without endpoints | replayed deliveries/s |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for result in measured:
        p50, p99 = (result.delays[int((len(result.delays) - 1) * part)] * 1000 for part in (0.5, 0.99))
        yield (
            f"| {result.database} | **{result.rate:,.0f}** | {result.cpu * 1_000_000:,.0f} µs | **{p50:.1f} ms** "
            f"| {p99:.1f} ms | {result.fan_out * 1_000_000:.0f} µs | {result.replayed / result.replay:,.0f} |"
        )
    yield ""
    yield f"The list, requested {LIST_RATE:g} times per second:"
    yield ""
    yield "| database | besides the list | messages/s | p50 of the list | p99 | p99 in relation to the list alone |"
    yield "|---|---|---:|---:|---:|---:|"
    for result in measured:
        cases = (
            ("nothing", 0.0, result.alone),
            ("the server delivers a backlog", result.beside_rate, result.beside),
            ("another program sends the messages", result.beside_rate, result.elsewhere),
        )
        for name, rate, listed in cases:
            yield (
                f"| {result.database} | {name} | {rate:,.0f} | {listed.p50:.2f} ms | {listed.p99:.2f} ms "
                f"| **{listed.p99 / result.alone.p99:.2f}** |"
            )
    yield ""
    yield (
        f"- Each backlog has {measured[0].backlog:,} deliveries to one endpoint. The receiver answers at once, and "
        "shares the cores with the server."
    )
    for result in measured:
        yield (
            f"- {result.database}: A replay of {result.replayed:,} deliveries takes {result.replay:.1f} s, from the "
            "request to the last receipt."
        )
