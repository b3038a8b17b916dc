"""A drill: server processes and PostgreSQL are killed at the same moment, while callers create connections."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from one_runtime.encryption.vault import new_key
from tests.figures import Figures
from tests.operating.backups import client
from tests.operating.callers import Callers
from tests.operating.load import all_connections
from tests.operating.test_lost_workers import Database, ready, until_a_start_fails, until_both_ready
from tests.promises.serving import Serving, make_key, serving
from tests.waiting import async_attempts, eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.fixture
def database() -> Iterator[Database]:
    """Provide a PostgreSQL server whose commits survive the death of its processes."""
    created = Database()
    with psycopg.connect(created.url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE one_runtime SET synchronous_commit = 'on'")
    yield created
    created.remove()


async def start_again(database: Database) -> None:
    """Start PostgreSQL as its supervisor does: again, while processes of the killed server still end."""
    async for _ in async_attempts(60):
        with suppress(RuntimeError):
            await asyncio.to_thread(database.start)
            return


@pytest.mark.parametrize("killed", [1, 2], ids=["one of two processes", "both processes"])
async def test_killed_processes_and_postgresql_lose_no_acknowledged_write(
    database: Database, tmp_path: Path, figures: Figures, killed: int
) -> None:
    settings = {"ONE_RUNTIME_ENCRYPTION_KEYS": new_key(), "ONE_RUNTIME_RATE_LIMIT": "0"}
    key = await make_key(database.url)
    async with serving(Serving(database.url, workers=2, settings=settings), tmp_path) as served:
        await eventually(lambda: len(ready(served)) == 2)
        callers = Callers(lambda: client(served, key))
        async with callers.running():
            await callers.more()
            for worker in ready(served)[:killed]:
                os.kill(worker, signal.SIGKILL)
            database.kill()
            begun = time.monotonic()
            await until_a_start_fails(served, 0)
            await until_a_start_fails(served, 1)
            await start_again(database)
            started = time.monotonic()
            await until_both_ready(served)
            back = time.monotonic()
            await callers.more()
        assert callers.failures(since=back + 1) == []
        async with client(served, key) as http:
            stored = {connection["id"] for connection in await all_connections(http)}
    assert callers.acknowledged.keys() <= stored
    refused = [answer for answer in callers.failures() if answer.status]
    assert {answer.code for answer in refused} <= {"unavailable", "database_busy"}
    first = min(answer.at for answer in callers.answers if answer.is_success and answer.at > started)
    figures(
        f"PostgreSQL was away for {started - begun:.1f} s; the first request succeeded {first - started:.1f} s later, "
        f"and all processes were ready {back - started:.1f} s later; "
        f"{len(callers.acknowledged)} acknowledged connections, 0 missing; "
        f"{len(refused)} requests got 503, {len(callers.failures()) - len(refused)} got no response"
    )
