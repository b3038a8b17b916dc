"""Pipelined reads: each read has its own result, error and cancellation."""

import asyncio

import psycopg
import pytest
from sqlalchemy import bindparam, cast, func, literal, select
from sqlalchemy.types import Integer
from structlog.testing import CapturingLogger

from one_runtime.db import postgres
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Database
from one_runtime.db.failed_statement import message_for_operator
from one_runtime.errors import Unavailable
from tests.waiting import eventually

pytestmark = pytest.mark.only_database("postgresql")

ECHO = select(cast(bindparam("number"), Integer).label("number"))
DIVIDE = select((literal(1) / cast(bindparam("by"), Integer)).label("result"))
BACKEND = select(func.pg_backend_pid().label("pid"))
SLEEP = select(func.pg_sleep(bindparam("seconds")))
CANCEL_ITSELF = select(func.pg_cancel_backend(func.pg_backend_pid()), func.pg_sleep(10))


async def echo(database: Database, number: int) -> int:
    async with database.read() as tx:
        row = await tx.one(ECHO, number=number)
        assert row is not None
        answer: int = row.number
        return answer


async def opened(url: str) -> Database:
    database = create_database(url)
    await database.open()
    return database


async def test_concurrent_reads_get_their_own_results(database_url: str) -> None:
    database = await opened(database_url)
    assert await asyncio.gather(*(echo(database, number) for number in range(500))) == list(range(500))
    await database.close()


async def test_failing_read_does_not_affect_other_reads(database_url: str) -> None:
    database = await opened(database_url)

    async def divide(by: int) -> int:
        async with database.read() as tx:
            row = await tx.one(DIVIDE, by=by)
            assert row is not None
            answer: int = row.result
            return answer

    for _ in range(3):  # parsed for the first time, then prepared
        answers = await asyncio.gather(divide(1), divide(0), divide(1), echo(database, 7), return_exceptions=True)
        assert [answers[0], answers[2], answers[3]] == [1, 1, 7]
        assert isinstance(answers[1], psycopg.errors.DivisionByZero)
    await database.close()


async def test_reason_of_an_unavailable_database_is_logged(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "log", log := CapturingLogger())
    database = await opened(database_url)
    with pytest.raises(Unavailable, match="took too long") as stopped:
        async with database.read() as tx:
            await tx.execute(CANCEL_ITSELF)
    await database.close()
    assert "statement_timeout (30 seconds" in message_for_operator(stopped.value)
    assert log.calls == [("warning", ("database_unavailable",), {"reason": "QueryCanceled"})]


async def test_lost_connection_is_replaced_transparently(database_url: str) -> None:
    database = await opened(database_url)
    async with database.read() as tx:
        pids = {row.pid for row in [await tx.one(BACKEND) for _ in range(10)] if row}
    with psycopg.connect(database_url, autocommit=True) as other:
        for pid in pids:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        await eventually(
            lambda: not other.execute("SELECT FROM pg_stat_activity WHERE pid = ANY(%s)", [list(pids)]).rowcount
        )
    assert await asyncio.gather(*(echo(database, number) for number in range(20))) == list(range(20))
    await database.close()


async def test_cancelled_read_does_not_cancel_other_reads(database_url: str) -> None:
    database = await opened(database_url)
    cancelled = [asyncio.ensure_future(echo(database, number)) for number in range(50)]
    uncancelled = [asyncio.ensure_future(echo(database, number)) for number in range(50)]
    await asyncio.wait({uncancelled[0]}, timeout=0)
    for task in cancelled:
        task.cancel()
    assert await asyncio.gather(*uncancelled) == list(range(50))
    assert await echo(database, 99) == 99
    await database.close()


async def test_running_reads_fail_when_the_database_is_closed(database_url: str) -> None:
    database = await opened(database_url)

    async def read_slowly() -> None:
        async with database.read() as tx:
            await tx.one(SLEEP, seconds=30.0)

    waiting = asyncio.ensure_future(read_slowly())
    with psycopg.connect(database_url, autocommit=True) as other:
        await eventually(
            lambda: (
                other.execute(
                    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(%' "
                    "AND pid <> pg_backend_pid()"
                ).rowcount
            )
        )
    await database.close()
    with pytest.raises(Unavailable):
        await waiting


async def test_read_that_has_not_started_fails_when_the_database_is_closed(database_url: str) -> None:
    database = await opened(database_url)
    waiting = asyncio.ensure_future(echo(database, 1))
    closing = asyncio.ensure_future(database.close())  # runs before the first step of the task that runs the read
    await closing
    done, _ = await asyncio.wait({waiting}, timeout=5)
    waiting.cancel()
    assert done
    with pytest.raises(Unavailable):
        await waiting
