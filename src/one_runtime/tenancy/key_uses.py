"""Record the times at which API keys and end-user tokens were used, with few writes to the database.

A request only adds its key or token to a set in memory. The request log (`proxy/request_log.py`) calls `flush` every
second. A killed process loses the uses of the last second.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from cachetools import LRUCache
from sqlalchemy import Table, bindparam, or_, update

from one_runtime.clock import Clock
from one_runtime.db.engine import Database
from one_runtime.db.schema import api_keys
from one_runtime.errors import Unavailable

PRECISION: Final = timedelta(minutes=10)
"""Minimum time between two writes for one key. `last_used_at` can be older than the last use by this time."""


class KeyUses:
    """Collects the ids of the API keys that this process has authenticated, or of the end-user tokens.

    `table`: the table of the keys, with the columns `id` and `last_used_at`.
    """

    def __init__(self, database: Database, clock: Clock, table: Table = api_keys, *, capacity: int = 10_000) -> None:
        """`capacity`: number of keys whose last write the process remembers."""
        self._database, self._clock = database, clock
        # The condition limits the writes of several processes together, and the writes after a restart.
        self._set_last_used = (
            update(table)
            .where(
                table.c.id == bindparam("key"),
                or_(table.c.last_used_at.is_(None), table.c.last_used_at <= bindparam("before")),
            )
            .values(last_used_at=bindparam("now"))
        )
        self._used = set[str]()
        self._written: LRUCache[str, datetime] = LRUCache(capacity)

    def note(self, key_id: str) -> None:
        """Note that a request used the key."""
        self._used.add(key_id)

    async def flush(self) -> None:
        """Write the noted uses. If the database is unavailable, keep the uses for the next call."""
        now, used, self._used = self._clock(), self._used, set()
        before = now - PRECISION
        due = sorted(key_id for key_id in used if self._written.get(key_id, before) <= before)
        try:
            await self._write(due, before, now)
        except Unavailable:
            self._used.update(due)

    async def _write(self, due: Collection[str], before: datetime, now: datetime) -> None:
        """`due`: ids in ascending order, so that two processes cannot wait for each other (a deadlock)."""
        if not due:
            return
        async with self._database.write() as tx:
            await tx.execute_many(
                self._set_last_used, [{"key": key_id, "before": before, "now": now} for key_id in due]
            )
        self._written.update(dict.fromkeys(due, now))
