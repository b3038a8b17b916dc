"""A pool of connections that refuses further operations while the database gives no connections.

An operation that waits for a connection occupies a request, a socket, and a place in every proxy on the way. During a
failover of 20 seconds, waiting requests would fill all these places. So only the operations of the first seconds wait.
The pool refuses all others at once, and their callers repeat them after `Retry-After`.
"""

import asyncio
import select
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from one_runtime.db.engine import Busy
from one_runtime.telemetry.logger import Logger

Connection: TypeAlias = psycopg.AsyncConnection[Any]

TICK: Final = 0.5
"""Seconds between two looks at the waiting operations. A process that was paused for a minute misses only one look."""

STALLED: Final = 2
"""Number of ticks without a new connection after which at most `MAX_WAITING` operations wait."""

AWAY: Final = 6
"""Number of ticks without a new connection after which the database counts as away, and no further operation waits."""

MAX_WAITING: Final = 100

RETRY_AFTER: Final = 10
"""Seconds after which a refused caller should try again. With three such waits, a client outlasts a usual failover."""

_PROBE_PAUSE: Final = 0.5

log = Logger()


class WatchedPool:
    """A pool, the number of operations that wait for a connection, and the time since one received a connection."""

    def __init__(self, pool: "AsyncConnectionPool[Connection]") -> None:
        self.pool = pool
        self._waiting = 0
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._probing: asyncio.Task[None] | None = None
        self._away_since = 0.0

    def enqueue(self, *, essential: bool = False) -> None:
        """Count an operation that begins to wait. `connection` ends the wait.

        `essential`: True for an operation that the pool must not refuse.

        Raises: Busy if the database is away, or if too many operations wait for a database that does not answer.
        """
        stalled = self._ticks >= STALLED and self._waiting >= MAX_WAITING
        if (stalled or self._probing is not None) and not essential:
            raise no_connection()
        self._waiting += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def forget(self, count: int) -> None:
        """End the wait of operations that need no connection any more."""
        self._waiting -= count

    @asynccontextmanager
    async def connection(self, count: int = 1) -> AsyncIterator[Connection]:
        """Yield a connection. End the wait of `count` operations. Raises: PoolTimeout."""
        waiting, deadline = count, time.monotonic() + self.pool.timeout
        try:
            while True:
                async with self.pool.connection(timeout=deadline - time.monotonic()) as connection:
                    if _is_lost(connection):
                        await connection.close()  # the pool opens another connection
                        continue
                    self._waiting, waiting = self._waiting - waiting, 0
                    self._end_outage()
                    yield connection
                    return
        except PoolTimeout:
            if waiting:
                self._begin_outage()
            raise
        finally:
            self._waiting -= waiting

    async def close(self) -> None:
        """Stop the watch, and close the pool."""
        if self._timer is not None:
            self._timer.cancel()
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        await self.pool.close()

    def _tick(self) -> None:
        self._timer = None
        if not self._waiting:
            self._ticks = 0
            return
        self._ticks += 1
        if self._ticks >= AWAY:
            self._begin_outage()
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _begin_outage(self) -> None:
        if self._probing is None:
            log.warning("database_away", waiting=self._waiting)
            self._away_since = time.monotonic()
            self._probing = asyncio.create_task(self._await_database())

    def _end_outage(self) -> None:
        self._ticks, probing = 0, self._probing
        if probing is not None:
            self._probing = None
            probing.cancel()
            log.info("database_back", seconds=round(time.monotonic() - self._away_since, 1))

    async def _await_database(self) -> None:
        """Use connections until one works. Without a waiting operation, the pool would not try to connect."""
        while True:
            with suppress(psycopg.Error):  # includes PoolTimeout
                async with self.pool.connection() as connection:
                    await connection.execute("")
                self._end_outage()
                return
            await asyncio.sleep(_PROBE_PAUSE)


def _is_lost(connection: Connection) -> bool:
    """Return True if the server has closed an idle connection. The server sends nothing else to an idle connection."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def no_connection() -> Busy:
    """Return the error for an operation that received no connection."""
    error = Busy(f"The database gives no connection at the moment. Try again in {RETRY_AFTER} seconds.")
    error.retry_after = RETRY_AFTER
    return error
