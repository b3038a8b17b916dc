"""The connection pool of PostgreSQL during an outage of PostgreSQL."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from one_runtime.db.access import read_access
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Database
from one_runtime.db.migrations import migrate
from one_runtime.errors import Unavailable
from tests import postgres
from tests.ports import free_port
from tests.waiting import async_attempts, eventually

OUTAGE = 35.0
"""Seconds. A pool with the default settings tries to connect after about 31 and 63 seconds."""
PATIENCE = 15.0


class Server:
    """A PostgreSQL server that a test can stop."""

    def __init__(self) -> None:
        self.running = postgres.start_server()
        self.url = f"postgresql://postgres@127.0.0.1:{self.running.port}/postgres"

    def start_again(self) -> None:
        self.running = self.running.restart()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.running.stop()


@asynccontextmanager
async def pinging(database: Database) -> AsyncIterator[list[float]]:
    """Ping the database in several tasks until the block ends. Yield the times of the answers."""
    answers: list[float] = []

    async def ping() -> None:
        async for _ in async_attempts(600):
            with suppress(Unavailable):
                await database.ping()
                answers.append(time.monotonic())

    tasks = [asyncio.create_task(ping()) for _ in range(4)]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.soak
@pytest.mark.timeout(180)
async def test_database_answers_soon_after_a_long_outage(server: Server) -> None:
    database = create_database(server.url)
    await database.open()
    try:
        async with pinging(database) as answers:
            await eventually(lambda: answers)
            await asyncio.to_thread(server.running.stop_process)
            begun = time.monotonic()
            await eventually(lambda: time.monotonic() > begun + OUTAGE, 2 * OUTAGE)
            await asyncio.to_thread(server.start_again)
            count = len(answers)
            await eventually(lambda: len(answers) > count, PATIENCE)
    finally:
        await database.close()


def with_first_host(url: str, port: int) -> str:
    """Return the URL of a database with another host before its own one."""
    address = f"127.0.0.1:{urlsplit(url).port}"
    return url.replace(address, f"127.0.0.1:{port},{address}") + "?target_session_attrs=read-write"


async def test_url_with_several_hosts_reaches_the_host_that_is_a_primary(empty_postgres_url: str) -> None:
    url = with_first_host(empty_postgres_url, free_port())
    assert migrate(url)
    assert read_access(url).obstacle_to_use() is None
    database = create_database(url)
    await database.open()
    try:
        await database.ping()
    finally:
        await database.close()


@pytest.mark.slow
async def test_server_starts_although_the_first_of_two_hosts_does_not_answer(empty_postgres_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = create_database(with_first_host(empty_postgres_url, silent.getsockname()[1]))
        await database.open()
        try:
            await database.ping()
        finally:
            await database.close()
