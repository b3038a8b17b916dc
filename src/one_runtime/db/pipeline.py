"""Batches concurrent PostgreSQL reads with psycopg's pipeline mode.

One round trip serves all reads that arrived while the previous batch was running. With sixteen callers, batches
double the reads per second (docs/decisions/0010-reads-in-pipelines.md). The connections belong to the pool.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Rows: TypeAlias = list[tuple[Any, ...]]

_CONCURRENT_BATCHES: Final = 3
"""Maximum number of batches that run in parallel. A slow read delays only the reads of its own batch."""

_BATCH_SIZE: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A statement with its parameters, and the future that its caller awaits."""

    text: str
    values: Mapping[str, object]
    answer: "asyncio.Future[Rows]"

    def settle(self, rows: Rows) -> None:
        if not self.answer.done():  # the caller may have been cancelled
            self.answer.set_result(rows)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class ReadPipeline:
    """Runs reads in batches."""

    def __init__(self, pool: "AsyncConnectionPool[Connection]") -> None:
        self._pool = pool
        self._waiting: list[_Read] = []
        self._lanes: set[asyncio.Task[None]] = set()

    async def run(self, text: str, values: Mapping[str, object]) -> Rows:
        """Run a statement in a batch and return its rows. Raises: psycopg.Error, PoolTimeout."""
        read = _Read(text, values, asyncio.get_running_loop().create_future())
        self._waiting.append(read)
        if len(self._lanes) < _CONCURRENT_BATCHES:
            lane = asyncio.create_task(self._drain())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await read.answer

    async def close(self) -> None:
        """Cancel the reads in progress. Their callers receive an OperationalError."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._take_batch()
        finally:  # a done callback alone is too late: a read that arrives before it would wait for an ended task
            lane = asyncio.current_task()
            assert lane is not None  # noqa: S101 - a coroutine runs in a task
            self._lanes.discard(lane)

    async def _take_batch(self) -> None:
        batch, self._waiting = self._waiting[:_BATCH_SIZE], self._waiting[_BATCH_SIZE:]
        try:
            await self._run_with_retry(batch)
        except asyncio.CancelledError:
            for read in (*batch, *self._waiting):
                read.fail(psycopg.OperationalError("the database was closed"))
            raise
        except (psycopg.Error, PoolTimeout) as error:
            for read in batch:
                read.fail(error)

    async def _run_with_retry(self, batch: list[_Read]) -> None:
        """Run a batch, and run it again if the connection was lost, for example in a restart of PostgreSQL."""
        try:
            await self._run_batch(batch)
        except psycopg.OperationalError:
            await self._pool.check()
            await self._run_batch(batch)

    async def _run_batch(self, batch: list[_Read]) -> None:
        if len(batch) > 1 and await self._run_pipelined(batch):
            return
        async with self._pool.connection() as connection:
            for read in batch:
                await _run_alone(connection, read)

    async def _run_pipelined(self, batch: list[_Read]) -> bool:
        """Return True if all reads succeeded. If one read fails, the batch fails, and its reads then run one by one."""
        async with self._pool.connection() as connection:
            try:
                await _run_in_pipeline(connection, batch)
            except psycopg.Error:
                if connection.closed:
                    raise
                # PostgreSQL skipped statements, but psycopg counts their PREPAREs as done. So close this connection.
                await connection.close()
                return False
        return True


async def _run_in_pipeline(connection: Connection, batch: list[_Read]) -> None:
    async with connection.pipeline() as pipeline:
        cursors = [await connection.execute(read.text, read.values) for read in batch]
        await pipeline.sync()
        answers = [await cursor.fetchall() for cursor in cursors]
    for read, rows in zip(batch, answers, strict=True):
        read.settle(rows)


async def _run_alone(connection: Connection, read: _Read) -> None:
    if read.answer.done():
        return
    try:
        cursor = await connection.execute(read.text, read.values)
        read.settle(await cursor.fetchall())
    except psycopg.Error as error:
        if connection.closed:
            raise
        read.fail(error)
