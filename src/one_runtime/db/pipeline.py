"""Reads of one PostgreSQL database that are asked for at the same time go out together, in psycopg's pipeline mode.

One round trip, and one turn of waiting, serves all that came in while the batch before was on its way: at sixteen
callers that doubles the reads a second (docs/benchmarks.md). Connections come from the pool and go back to it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Rows: TypeAlias = list[tuple[Any, ...]]

_LANES: Final = 3
"""Batches on their way at once: a slow read holds up those of its own batch only."""

_MOST: Final = 64
"""Reads of one batch at the most."""


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What was asked for, and who waits for it."""

    text: str
    values: Mapping[str, object]
    answer: "asyncio.Future[Rows]"

    def settle(self, rows: Rows) -> None:
        if not self.answer.done():  # whoever asked may have left
            self.answer.set_result(rows)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Reading:
    """Answers reads in batches."""

    def __init__(self, pool: "AsyncConnectionPool[Connection]") -> None:
        self._pool = pool
        self._waiting: list[_Read] = []
        self._lanes: set[asyncio.Task[None]] = set()

    async def run(self, text: str, values: Mapping[str, object]) -> Rows:
        """The rows that a statement answers. Raises: psycopg.Error, PoolTimeout."""
        read = _Read(text, values, asyncio.get_running_loop().create_future())
        self._waiting.append(read)
        if len(self._lanes) < _LANES:
            lane = asyncio.create_task(self._drain())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await read.answer

    async def close(self) -> None:
        """Stop what is on its way; whoever waits for it is told."""
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._take_batch()
        finally:  # at once, not when the loop gets to it: whoever asks in between would wait for a lane that has ended
            lane = asyncio.current_task()
            assert lane is not None  # noqa: S101 - it is this one
            self._lanes.discard(lane)

    async def _take_batch(self) -> None:
        batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        try:
            await self._answer_patiently(batch)
        except asyncio.CancelledError:
            for read in (*batch, *self._waiting):
                read.fail(psycopg.OperationalError("the database was closed"))
            raise
        except (psycopg.Error, PoolTimeout) as error:
            for read in batch:
                read.fail(error)

    async def _answer_patiently(self, batch: list[_Read]) -> None:
        """Answer; once more where the connection turned out to be lost, as all are after PostgreSQL was restarted."""
        try:
            await self._answer(batch)
        except psycopg.OperationalError:
            await self._pool.check()
            await self._answer(batch)

    async def _answer(self, batch: list[_Read]) -> None:
        if len(batch) > 1 and await self._answer_together(batch):
            return
        async with self._pool.connection() as connection:
            for read in batch:
                await _alone(connection, read)

    async def _answer_together(self, batch: list[_Read]) -> bool:
        """Whether all could be answered: one that fails takes its batch along, and each goes again, alone."""
        async with self._pool.connection() as connection:
            try:
                await _together(connection, batch)
            except psycopg.Error:
                if connection.closed:
                    raise
                # What was to be prepared and was skipped counts as prepared for psycopg: the connection is of no use.
                await connection.close()
                return False
        return True


async def _together(connection: Connection, batch: list[_Read]) -> None:
    async with connection.pipeline() as pipeline:
        cursors = [await connection.execute(read.text, read.values) for read in batch]
        await pipeline.sync()
        answers = [await cursor.fetchall() for cursor in cursors]
    for read, rows in zip(batch, answers, strict=True):
        read.settle(rows)


async def _alone(connection: Connection, read: _Read) -> None:
    if read.answer.done():
        return
    try:
        cursor = await connection.execute(read.text, read.values)
        read.settle(await cursor.fetchall())
    except psycopg.Error as error:
        if connection.closed:
            raise
        read.fail(error)
