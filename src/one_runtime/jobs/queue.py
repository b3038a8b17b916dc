"""Queue: the one shape of background work. A row with `due_at` is work; `attempts` is the fencing token; a claim is a
lease (docs/decisions/0025-queue.md).

`due_at` in the past: claimable. In the future: leased, or waiting for its next attempt. The worker finds work by a
poll each second, and at once after a commit of its own process that called `wake_on_commit`.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Delete,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from one_runtime.clock import Clock, system_clock
from one_runtime.db.engine import Database, Row, Transaction
from one_runtime.db.schema import TIME

BATCH: Final = 1000
"""Rows that one statement of `run_in_batches` changes. SQLite runs statements on the event loop: a larger batch
would delay every request."""


_CLOCK_RESOLUTION: Final = timedelta(milliseconds=1)
"""`system_clock` cuts the time to milliseconds; PostgreSQL's clock has microseconds."""


class _DatabaseNow(FunctionElement[datetime]):
    """The clock of the database at this moment, not at the start of the transaction."""

    type = TIME
    inherit_cache = True


@compiles(_DatabaseNow, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:
    return "clock_timestamp()"


@compiles(_DatabaseNow, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:
    return "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"


_NOW: Final = select(_DatabaseNow().label("now"))


class _ClockRow(NamedTuple):
    now: datetime


async def clock_skew(tx: Transaction) -> timedelta:
    """Return how far the database's clock is ahead of this process's. Zero if the round trip could explain it."""
    before = system_clock()
    row = await tx.one(_NOW, _ClockRow)
    after = system_clock() + _CLOCK_RESOLUTION
    assert row is not None  # noqa: S101 - the statement returns one row
    return max(row.now - after, timedelta()) + min(row.now - before, timedelta())


async def database_now(tx: Transaction, clock: Clock) -> datetime:
    """Return the time by the database's clock. Leases compare this time, so that a wrong clock cannot end a lease.

    `clock` is the seam of tests. Its own deviation from the system's clock stays.
    """
    return clock() + await clock_skew(tx)


class Queue:
    """A table whose rows are work to claim: it has a primary key, `due_at` and `attempts`.

    Run the methods of one instance only; statements are compiled once for each.
    """

    def __init__(self, table: Table, lease: timedelta, *only: ColumnElement[bool]) -> None:
        """`lease` has to outlast the work on a claimed row. `only`: which rows belong to this queue, if not all."""
        self._lease = lease
        key = _key(table)
        due = lock_due(table, *only).with_only_columns(*table.primary_key.columns).cte("due", nesting=True)
        mine = (*(column == bindparam(f"key_{column.name}") for column in table.primary_key.columns),)
        fenced = table.c.attempts == bindparam("fence")
        self._key_names = [column.name for column in table.primary_key.columns]
        self._claim = (
            update(table)
            .where(key.in_(select(*due.c)))
            .values(attempts=table.c.attempts + 1, due_at=bindparam("until"))
            .returning(*table.c)
        )
        self._settle = delete(table).where(*mine, fenced)
        self._postpone = update(table).where(*mine, fenced).values(due_at=bindparam("until"))

    async def claim(self, tx: Transaction, clock: Clock, limit: int) -> list[Row]:
        """Lease the rows that are due, the longest due first. Rows that another process is claiming are skipped."""
        now = await database_now(tx, clock)
        return await tx.all(self._claim, now=now, limit=limit, until=now + self._lease)

    async def settle(self, tx: Transaction, *key: str, attempts: int) -> bool:
        """Delete finished work. False, and no change, if another process has claimed the row since."""
        return await tx.execute(self._settle, **self._named(key), fence=attempts) > 0

    async def postpone(self, tx: Transaction, clock: Clock, *key: str, attempts: int, delay: timedelta) -> bool:
        """Make a row due again after a delay. False, and no change, if another process has claimed the row since."""
        until = await database_now(tx, clock) + delay
        return await tx.execute(self._postpone, **self._named(key), fence=attempts, until=until) > 0

    def _named(self, key: tuple[str, ...]) -> dict[str, str]:
        return {f"key_{name}": value for name, value in zip(self._key_names, key, strict=True)}


def lock_due(table: Table, *only: ColumnElement[bool], due: ColumnElement[datetime] | None = None) -> Select[Any]:
    """Select due rows (`now`, `limit`) and lock them until the transaction ends; locked rows are skipped.

    For work that the same transaction finishes, which needs no lease. `due`: the column, where it is not `due_at`.
    """
    due_at = table.c.due_at if due is None else due
    statement = select(table).where(due_at <= bindparam("now"), *only).order_by(due_at).limit(bindparam("limit"))
    return statement.with_for_update(skip_locked=True, of=table)


def batched_delete(table: Table, *expired: ColumnElement[bool]) -> Delete:
    """Build a statement for `run_in_batches` that deletes the expired rows."""
    return delete(table).where(_in_batch(table, expired))


def batched_update(table: Table, values: Mapping[str, object], *due: ColumnElement[bool]) -> Update:
    """Build a statement for `run_in_batches` that updates the due rows, which must not be due with these values."""
    return update(table).where(_in_batch(table, due)).values(values)


def _in_batch(table: Table, only: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Select at most `limit` rows and lock them; locked rows are skipped."""
    ids = select(*table.primary_key.columns).where(*only).limit(bindparam("limit"))
    batch = ids.with_for_update(skip_locked=True, of=table).cte("batch", nesting=True)
    return _key(table).in_(select(*batch.c))


async def run_in_batches(
    database: Database, statement: Delete | Update, *, batch: int = BATCH, **params: object
) -> int:
    """Change rows, each batch in a transaction of its own, and let other work run in between; return their number."""
    changed = 0
    while True:
        async with database.write() as tx:
            rows = await tx.execute(statement, limit=batch, **params)
        changed += rows
        if rows < batch:
            return changed
        await asyncio.sleep(0)


def _key(table: Table) -> ColumnElement[Any]:
    columns = list(table.primary_key.columns)
    return columns[0] if len(columns) == 1 else tuple_(*columns)


class _Wakeup:
    """An event of the worker's loop that any thread may set."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.event.set)


_wakeups: Final[dict[str, set[_Wakeup]]] = {}
"""The worker tasks of this process that wait for work, by table."""


def wake_on_commit(tx: Transaction, table: Table) -> None:
    """Have this process's worker look at a table as soon as the transaction commits."""

    def wake() -> None:
        for wakeup in _wakeups.get(table.name, ()):
            wakeup.set()

    tx.committed.append(wake)


@contextmanager
def wakeups_of(table: Table | None) -> Iterator[asyncio.Event]:
    """Yield the event that `wake_on_commit` sets."""
    wakeup = _Wakeup()
    if table is None:
        yield wakeup.event
        return
    waiting = _wakeups.setdefault(table.name, set())
    waiting.add(wakeup)
    try:
        yield wakeup.event
    finally:
        waiting.discard(wakeup)
