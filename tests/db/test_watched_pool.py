"""Operations that wait for PostgreSQL: few wait during an outage, all others are refused at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from one_runtime.api.system import READY_WITHIN
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Busy, Database
from one_runtime.db.migrations import migrate
from one_runtime.db.watched_pool import AWAY, MAX_WAITING, RETRY_AFTER, TICK
from one_runtime.errors import Unavailable
from tests.application import RunningAcme, settings_for, started
from tests.db.test_postgres import Server
from tests.waiting import async_attempts, eventually

LONGEST_WAIT = 10.0
"""Seconds that the pool waits for a connection."""

BETWEEN = 0.02
"""Seconds between two reads of a load."""

pytestmark = [pytest.mark.only_database("postgresql"), pytest.mark.timeout(120), pytest.mark.slow]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.running.stop()


@pytest.fixture
async def database(server: Server) -> AsyncIterator[Database]:
    database = create_database(server.url)
    await database.open()
    yield database
    await database.close()


class Load:
    """Reads that begin at regular times, whether the earlier ones have ended or not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running = set[asyncio.Task[None]]()
        self.most_running = 0
        self.read = 0
        self.refused = 0
        self.seconds_until_refusal = 0.0
        """Seconds that the latest refused read took."""

    @classmethod
    @asynccontextmanager
    async def on(cls, database: Database) -> AsyncIterator["Load"]:
        load = cls(database)
        load._begin_read()
        try:
            yield load
        finally:
            load._next.cancel()
            await asyncio.gather(*load._running, return_exceptions=True)

    def _begin_read(self) -> None:
        self._next = asyncio.get_running_loop().call_later(BETWEEN, self._begin_read)
        task = asyncio.create_task(self._read())
        self._running.add(task)
        self.most_running = max(self.most_running, len(self._running))
        task.add_done_callback(self._running.discard)

    async def _read(self) -> None:
        begun = time.monotonic()
        try:
            await self._database.ping()
        except Unavailable:
            self.refused += 1
            self.seconds_until_refusal = time.monotonic() - begun
        else:
            self.read += 1


async def refused(database: Database) -> Busy | None:
    """Return the error if the database refuses a read and a transaction at once."""
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await database.ping()
    with pytest.raises(Unavailable) as refusal:
        async with database.write():
            pass
    error = refusal.value
    return error if isinstance(error, Busy) and time.monotonic() < begun + 1 else None


async def test_outage_of_the_database_refuses_further_operations_at_once(server: Server, database: Database) -> None:
    async with Load.on(database) as load:
        await eventually(lambda: load.read > 10)
        await asyncio.to_thread(server.running.stop_process)
        begun = time.monotonic()
        await eventually(lambda: load.refused > 3 * MAX_WAITING and load.seconds_until_refusal < 0.5)
        assert time.monotonic() < begun + LONGEST_WAIT, "the operations of the first seconds wait no longer than before"
        error = await refused(database)
        assert error is not None
        assert error.retry_after == RETRY_AFTER
        assert load.most_running < 2 * MAX_WAITING + AWAY * TICK / BETWEEN, "further reads wait for the database"

        await asyncio.to_thread(server.start_again)
        count = load.read
        await eventually(lambda: load.read > count + 10)
    await database.ping()


async def test_operations_of_the_first_seconds_outlast_a_short_outage(server: Server, database: Database) -> None:
    await database.ping()
    await asyncio.to_thread(server.running.stop_process)
    waiting = [asyncio.create_task(database.ping()) for _ in range(20)]

    async def write() -> None:
        async with database.write():
            pass

    waiting.append(asyncio.create_task(write()))
    await asyncio.wait(waiting, timeout=4 * TICK)
    await asyncio.to_thread(server.start_again)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [result for result in results if result is not None] == []


async def test_reads_never_wait_twice_for_a_connection(server: Server, database: Database) -> None:
    await asyncio.to_thread(server.running.stop_process)
    begun = time.monotonic()
    results = await asyncio.gather(*(database.ping() for _ in range(700)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert time.monotonic() < begun + 1.5 * LONGEST_WAIT


async def test_transaction_with_new_tokens_waits_during_an_outage(server: Server, database: Database) -> None:
    await asyncio.to_thread(server.running.stop_process)
    async with Load.on(database) as load:
        await eventually(lambda: load.refused > 0 and load.seconds_until_refusal < 0.5)

        async def store() -> None:
            async with database.write(use_reserve=True):
                pass

        storing = asyncio.create_task(store())
        await asyncio.wait([storing], timeout=2 * TICK)
        await asyncio.to_thread(server.start_again)
        await storing


async def test_readiness_answers_within_seconds_while_the_database_hangs(server: Server, acme: RunningAcme) -> None:
    await asyncio.to_thread(migrate, server.url)
    async with started(settings_for(server.url, acme), acme, worker=False) as application:
        client = application.client()
        assert (await client.get("/readyz")).status_code == 200
        with server.running.frozen():
            begun = time.monotonic()
            answer = await client.get("/readyz")
            assert time.monotonic() < begun + 3 * READY_WITHIN
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
        async for _ in async_attempts():
            if (await client.get("/readyz")).status_code == 200:
                break
