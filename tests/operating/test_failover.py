"""A drill: PostgreSQL's primary dies or is replaced twenty times, while callers use two servers of One Runtime.

Patroni, etcd and HAProxy run with the files of `deploy/`. One server reaches PostgreSQL through HAProxy, and the other
one has the addresses of both PostgreSQL servers in its URL.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path

import httpx2
import psycopg
import pytest

from one_runtime.db.migrations import migrate
from one_runtime.encryption.vault import new_key
from tests.application import RunningAcme
from tests.figures import Figures
from tests.operating.backups import client, with_acme
from tests.operating.callers import Callers, rest
from tests.operating.cluster import Cluster, Node, cluster
from tests.operating.load import all_connections
from tests.operating.production import acme_with_lasting_tokens, connect_grant, register_client
from tests.operating.test_drill import refresh
from tests.promises.serving import Served, make_key, serving
from tests.waiting import async_attempts

pytestmark = [pytest.mark.soak, pytest.mark.alone, pytest.mark.foreign, pytest.mark.timeout(3600)]

ROUNDS = 20
SWITCHOVER_EVERY = 5
"""In each such round, an operator switches over. In all other rounds, the primary dies."""
GRANTS = 20
"""Connections of each server whose refresh token Acme replaces at each refresh. Acme ends a grant at a reuse."""
REFRESH_PAUSE = 0.1
LIMIT = 60.0
"""Seconds within which both servers answer again. Patroni waits 20 seconds before it replaces a dead primary."""


@dataclass
class Service:
    """A server of One Runtime with its callers. `rotated`: ids of connections whose refresh tokens are replaced."""

    name: str
    served: Served
    key: str
    callers: Callers
    rotated: list[str]
    refreshes: Counter[tuple[int, str | None]] = field(default_factory=Counter)

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """Create and read connections, and refresh tokens, until the block ends."""
        ending = asyncio.Event()
        async with self.callers.running(), asyncio.TaskGroup() as group:
            group.create_task(self._refresh(ending))
            try:
                yield
            finally:
                ending.set()

    async def _refresh(self, ending: asyncio.Event) -> None:
        async with client(self.served, self.key) as http:
            for connection_id in cycle(self.rotated):
                if ending.is_set():
                    return
                try:
                    self.refreshes[await refresh(http, connection_id)] += 1
                except httpx2.TransportError as error:
                    self.refreshes[0, type(error).__name__] += 1
                await rest(REFRESH_PAUSE)

    async def ready(self) -> bool:
        async with httpx2.AsyncClient(base_url=self.served.url) as http:
            return (await http.get("/readyz")).status_code == 200

    def longest_gap(self, since: float, until: float) -> float:
        """Return the longest time without a successful response."""
        successes = [answer.at for answer in self.callers.answers if answer.is_success and since <= answer.at <= until]
        return max(after - before for before, after in pairwise([since, *successes, until]))


@dataclass(frozen=True, slots=True)
class Round:
    """Result of a round, in seconds after its begin. `gaps`: the longest time without a success, by service."""

    kind: str
    new_primary: float
    ready: float
    gaps: tuple[float, ...]
    failed: int
    requests: int


@pytest.fixture
def running_cluster() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@asynccontextmanager
async def services(running: Cluster, acme: RunningAcme, folder: Path) -> AsyncIterator[list[Service]]:
    """Run a server through HAProxy, and another one with the addresses of both PostgreSQL servers."""
    urls = {"HAProxy": running.proxied_url, "two hosts": running.several_hosts_url}
    await asyncio.to_thread(migrate, running.several_hosts_url)
    keys, key = new_key(), await make_key(running.several_hosts_url)
    started = list[Service]()
    async with AsyncExitStack() as stack:
        for name, url in urls.items():
            place = folder / name.replace(" ", "-")
            place.mkdir()
            served = await stack.enter_async_context(serving(with_acme(url, acme, keys), place))
            callers = Callers(partial(client, served, key), 3, name=name.replace(" ", "_"), pause=0.2)
            started.append(Service(name, served, key, callers, []))
        async with client(started[0].served, key) as http:
            client_id = await register_client(http, acme.acme)
            for number in range(GRANTS * len(started)):
                rotated = await connect_grant(http, acme.acme, client_id, number)
                started[number % len(started)].rotated.append(rotated)
        yield started


async def run_round(running: Cluster, both: list[Service], kind: str) -> Round:
    """Kill or replace the primary. Return when both servers answer, and the cluster has two PostgreSQL servers."""
    primary, standby = await running.until_synchronous()
    seen = [len(service.callers.answers) for service in both]
    begun = time.monotonic()
    if kind == "kill":
        await asyncio.to_thread(primary.kill)
    else:
        await running.switch_over(primary, standby)
    await until_primary(standby)
    new_primary = time.monotonic() - begun
    await until_ready(both)
    ready = time.monotonic() - begun
    for service in both:
        await service.callers.more(20)
    if kind == "kill":
        primary.start()
    await running.until_synchronous()
    ended = time.monotonic()
    answers = [
        answer for service, number in zip(both, seen, strict=True) for answer in service.callers.answers[number:]
    ]
    gaps = tuple(service.longest_gap(begun, ended) for service in both)
    return Round(kind, new_primary, ready, gaps, sum(not answer.is_success for answer in answers), len(answers))


async def lost_grants(both: list[Service]) -> list[str]:
    """Refresh every grant once more at the provider. Return the connections whose end user has to connect again."""
    lost = list[str]()
    for service in both:
        async with client(service.served, service.key) as http:
            for connection_id in service.rotated:
                status, code = await final_refresh(http, connection_id)
                if status != 200:
                    lost.append(f"{connection_id} {code}")
    return lost


async def final_refresh(http: httpx2.AsyncClient, connection_id: str) -> tuple[int, str | None]:
    """Refresh a connection, and try again while a refresh of an earlier time ends. Return the last result."""
    async for _ in async_attempts(120):
        with suppress(httpx2.TimeoutException):
            result = await refresh(http, connection_id)
            if result[0] in {200, 409}:
                return result
    raise AssertionError("unreachable: the attempts end with TimeoutError")


def created_events(running: Cluster) -> set[str]:
    """Return the connections that have an event `connection.created`."""
    with psycopg.connect(running.several_hosts_url) as connection:
        rows = connection.execute("SELECT connection_id FROM events WHERE type = 'connection.created'").fetchall()
    return {str(connection_id) for (connection_id,) in rows}


def report(figures: Figures, rounds: list[Round], both: list[Service], acknowledged: int) -> None:
    """Print the results of the rounds."""
    for number, result in enumerate(rounds, 1):
        gaps = ", ".join(f"{service.name} {gap:.1f} s" for service, gap in zip(both, result.gaps, strict=True))
        figures(
            f"round {number}, {result.kind}: new primary after {result.new_primary:.1f} s, both servers ready after "
            f"{result.ready:.1f} s; longest time without a success: {gaps}; "
            f"{result.failed} of {result.requests} requests failed"
        )
    refreshed = sum(service.refreshes[200, None] for service in both)
    figures(
        f"{acknowledged} acknowledged connections and their events, 0 missing; {refreshed} refreshes that replaced the "
        f"refresh token, 0 of {GRANTS * len(both)} grants lost; "
        + "; ".join(f"{service.name}: {service.callers.summary()}" for service in both)
    )


async def until_primary(node: Node) -> None:
    async for _ in async_attempts(LIMIT):
        if await asyncio.to_thread(node.has_role, "leader"):
            return


async def until_ready(both: list[Service]) -> None:
    async for _ in async_attempts(LIMIT):
        if all(await asyncio.gather(*(service.ready() for service in both))):
            return


async def test_failovers_lose_no_acknowledged_write_and_no_rotating_token(
    running_cluster: Cluster, tmp_path: Path, figures: Figures
) -> None:
    rounds = list[Round]()
    async with acme_with_lasting_tokens() as acme, services(running_cluster, acme, tmp_path) as both:
        async with AsyncExitStack() as stack:
            for service in both:
                await stack.enter_async_context(service.in_use())
            for number in range(1, ROUNDS + 1):
                kind = "switchover" if number % SWITCHOVER_EVERY == 0 else "kill"
                rounds.append(await run_round(running_cluster, both, kind))
        lost = await lost_grants(both)
        async with client(both[0].served, both[0].key) as http:
            stored = {connection["id"] for connection in await all_connections(http)}
        acknowledged = set[str]().union(*(service.callers.acknowledged for service in both))
        with_event = created_events(running_cluster)
    assert acknowledged <= stored
    assert acknowledged <= with_event
    assert lost == []
    failures = {(answer.status, answer.code) for service in both for answer in service.callers.failures()}
    assert failures <= {(503, "unavailable"), (503, "database_busy")}
    assert max(max(result.gaps) for result in rounds) < LIMIT
    report(figures, rounds, both, len(acknowledged))
