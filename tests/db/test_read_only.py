"""A read-only database: writes fail, `/readyz` says so, and the server recovers without a restart."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest_asyncio
from psycopg import sql
from sqlalchemy import bindparam, insert

from one_runtime.clock import system_clock
from one_runtime.db.engine import Database, WritesRefused
from one_runtime.db.ids import new_id
from one_runtime.db.schema import key_ring
from one_runtime.db.sqlite import SqliteDatabase
from one_runtime.errors import Unavailable
from one_runtime.settings import Settings
from tests.application import Application, RunningAcme, started
from tests.waiting import async_attempts

ADD = insert(key_ring).values(key_id=bindparam("key_id"), created_at=bindparam("created_at"))
END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme) -> AsyncIterator[Application]:
    """An application without worker. The worker's writes would note the state of the database."""
    async with started(settings, acme, worker=False) as application:
        yield application


@contextmanager
def read_only(database: Database, url: str) -> Iterator[None]:
    """Make a database read-only. In PostgreSQL, this applies to new connections, so end the present connections."""
    if isinstance(database, SqliteDatabase):
        database._writing.execute("PRAGMA query_only = ON")
        yield
        database._writing.execute("PRAGMA query_only = OFF")
        return
    change = "ALTER DATABASE {} {} default_transaction_read_only"
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL(change + " = on").format(name, sql.SQL("SET")))
        try:
            connection.execute(END_SESSIONS)
            yield
        finally:
            connection.execute(sql.SQL(change).format(name, sql.SQL("RESET")))


async def write(database: Database) -> type[Unavailable] | None:
    """Insert a row. Return the class of the error."""
    try:
        async with database.write() as tx:
            await tx.execute(ADD, key_id=new_id(), created_at=system_clock())
    except Unavailable as error:
        return type(error)
    return None


async def test_read_only_database_fails_readiness_until_a_write_succeeds(
    application: Application, database_url: str
) -> None:
    client, database = application.client(), application.installation.database
    with read_only(database, database_url):
        async for _ in async_attempts():
            if await write(database) is WritesRefused:
                break
        with suppress(WritesRefused):
            async with database.write():
                pass  # PostgreSQL accepts a transaction that changes nothing
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "refuses writes" in answer.json()["detail"]
        assert (await client.get("/v1/catalog/integrations")).status_code == 200
    async for _ in async_attempts():
        if await write(database) is None:
            break
    assert (await client.get("/readyz")).status_code == 200
