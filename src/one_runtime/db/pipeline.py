"""Send concurrent read statements to PostgreSQL in batches, with psycopg's pipeline mode.

A batch sends all its reads in one round trip. While the maximum number of batches is running, new reads wait for the
next batch. With sixteen concurrent callers, batches double the number of reads per second
(docs/decisions/0010-reads-in-pipelines.md).
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg
from psycopg_pool import PoolTimeout

from one_runtime.db.watched_pool import Connection, WatchedPool

Rows: TypeAlias = list[tuple[Any, ...]]

_CONCURRENT_BATCHES: Final = 3
"""Maximum number of batches that run at the same time. A slow read delays only its own batch."""

_BATCH_SIZE: Final = 64

_REPEATED_WITHIN: Final = 5.0
"""Seconds. If a batch loses its connection later, its callers have waited long enough, so it does not run again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    text: str
    values: Mapping[str, object]
    answer: "asyncio.Future[Rows]"

    def settle(self, rows: Rows) -> None:
        if not self.answer.done():  # after the caller's cancellation, the future is done
            self.answer.set_result(rows)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class ReadPipeline:
    """Runs reads in batches."""

    def __init__(self, connections: WatchedPool) -> None:
        self._connections = connections
        self._waiting: list[_Read] = []
        self._lanes: set[asyncio.Task[None]] = set()

    async def run(self, text: str, values: Mapping[str, object]) -> Rows:
        """Run a statement in a batch and return its rows. Raises: Busy, psycopg.Error, PoolTimeout."""
        self._connections.enqueue()
        read = _Read(text, values, asyncio.get_running_loop().create_future())
        self._waiting.append(read)
        if len(self._lanes) < _CONCURRENT_BATCHES:
            lane = asyncio.create_task(self._drain())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await read.answer

    async def close(self) -> None:
        """Cancel all waiting and running reads. Their callers receive an OperationalError."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        # Some tasks were cancelled before their first step. The reads of these tasks are still in `_waiting`.
        self._fail_waiting(_closed())

    def _fail_waiting(self, error: BaseException) -> None:
        waiting, self._waiting = self._waiting, []
        self._connections.forget(len(waiting))
        for read in waiting:
            read.fail(error)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._take_batch()
        finally:
            # Remove the task before the task ends. A done callback runs too late: `run` could count the ended task as
            # running, and start no task for a new read.
            lane = asyncio.current_task()
            assert lane is not None  # noqa: S101 - a coroutine runs in a task
            self._lanes.discard(lane)

    async def _take_batch(self) -> None:
        batch, self._waiting = self._waiting[:_BATCH_SIZE], self._waiting[_BATCH_SIZE:]
        try:
            await self._run_with_retry(batch)
        except asyncio.CancelledError:
            for read in batch:
                read.fail(_closed())
            raise
        except psycopg.Error as error:  # includes PoolTimeout
            for read in batch:
                read.fail(error)
            if isinstance(error, PoolTimeout):  # the other reads have waited for the same connections
                self._fail_waiting(error)

    async def _run_with_retry(self, batch: list[_Read]) -> None:
        """Run a batch. After an OperationalError, replace lost connections, and run the batch once more.

        For example, a restart of PostgreSQL causes this error. The callers never wait twice for a connection.
        """
        begun = time.monotonic()
        try:
            await self._run_batch(batch, len(batch))
        except PoolTimeout:
            raise
        except psycopg.OperationalError:
            if time.monotonic() > begun + _REPEATED_WITHIN:
                raise
            await self._connections.pool.check()
            self._connections.enqueue(essential=True)
            await self._run_batch(batch, 1)

    async def _run_batch(self, batch: list[_Read], waiting: int) -> None:
        """Run a batch. `waiting`: number of operations that the pool counts as waiting for the first connection."""
        if len(batch) > 1:
            if await self._run_pipelined(batch, waiting):
                return
            waiting = 1
            self._connections.enqueue(essential=True)
        async with self._connections.connection(waiting) as connection:
            for read in batch:
                await _run_alone(connection, read)

    async def _run_pipelined(self, batch: list[_Read], waiting: int) -> bool:
        """Run all reads in one pipeline. Return False if a read failed. The caller then runs the reads one by one."""
        async with self._connections.connection(waiting) as connection:
            try:
                await _run_in_pipeline(connection, batch)
            except psycopg.Error:
                if connection.closed:
                    raise
                # After an error, PostgreSQL skips the other statements of the pipeline, but psycopg counts each skipped
                # PREPARE as successful. So this connection must not be used again.
                await connection.close()
                return False
        return True


def _closed() -> psycopg.OperationalError:
    return psycopg.OperationalError("the database was closed")


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
