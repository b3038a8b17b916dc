"""Queue: tables whose rows are background work for one process at a time (docs/decisions/0025-queue.md).

A process claims a row whose `due_at` has passed: it sets `due_at` to the end of the lease, and increases `attempts`.
The number `attempts` is a fencing token: if another process has claimed the row after the lease, the number differs.
The first process can then no longer change the row. The worker polls each second, and immediately after a commit whose
transaction called `wake_on_commit`.
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
"""Maximum number of rows that one statement of `run_in_batches` changes.

SQLite runs statements on the event loop, so a larger batch would delay every request.
"""


_CLOCK_RESOLUTION: Final = timedelta(milliseconds=1)
"""`system_clock` truncates the time to milliseconds, but PostgreSQL's clock has microseconds."""


class _DatabaseNow(FunctionElement[datetime]):
    """The time of the database's clock at this moment, not at the start of the transaction."""

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
    """Return the time by which the database's clock is ahead of this process's clock.

    Return zero if the duration of the round trip can explain the difference.
    """
    before = system_clock()
    row = await tx.one(_NOW, _ClockRow)
    after = system_clock() + _CLOCK_RESOLUTION
    assert row is not None  # noqa: S101 - the statement returns one row
    return max(row.now - after, timedelta()) + min(row.now - before, timedelta())


async def database_now(tx: Transaction, clock: Clock) -> datetime:
    """Return the time by the database's clock. Leases use this time, so that a server's wrong clock cannot end a lease.

    `clock`: tests pass a clock that differs from the system's clock. The result then has the same difference.
    """
    return clock() + await clock_skew(tx)


class Queue:
    """A table with rows that processes claim. The table must have a primary key, `due_at` and `attempts`.

    Create one instance for each table: an instance compiles its statements only once.
    """

    def __init__(self, table: Table, lease: timedelta, *only: ColumnElement[bool]) -> None:
        """`lease`: a time that is longer than the work on a claimed row.

        `only`: conditions for the queue's rows, if not all rows of the table belong to the queue.
        """
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
        """Claim due rows, ordered by due time. Skip rows that another process is claiming."""
        now = await database_now(tx, clock)
        return await tx.all(self._claim, now=now, limit=limit, until=now + self._lease)

    async def settle(self, tx: Transaction, *key: str, attempts: int) -> bool:
        """Delete a finished row. Return False, and change nothing, if another process has claimed the row meanwhile."""
        return await tx.execute(self._settle, **self._named(key), fence=attempts) > 0

    async def postpone(self, tx: Transaction, clock: Clock, *key: str, attempts: int, delay: timedelta) -> bool:
        """Make a row due again after a delay. If another process has claimed the row, change nothing; return False."""
        until = await database_now(tx, clock) + delay
        return await tx.execute(self._postpone, **self._named(key), fence=attempts, until=until) > 0

    def _named(self, key: tuple[str, ...]) -> dict[str, str]:
        return {f"key_{name}": value for name, value in zip(self._key_names, key, strict=True)}


def lock_due(table: Table, *only: ColumnElement[bool], due: ColumnElement[datetime] | None = None) -> Select[Any]:
    """Build a statement that selects due rows and locks them until the transaction ends. It skips locked rows.

    The work on the rows must end in the same transaction, so no lease is needed. `due`: the column with the due
    time, if this is not `due_at`. The statement's parameters are `now` and `limit`.
    """
    due_at = table.c.due_at if due is None else due
    statement = select(table).where(due_at <= bindparam("now"), *only).order_by(due_at).limit(bindparam("limit"))
    return statement.with_for_update(skip_locked=True, of=table)


def batched_delete(table: Table, *expired: ColumnElement[bool]) -> Delete:
    """Build a statement for `run_in_batches` that deletes the expired rows."""
    return delete(table).where(_in_batch(table, expired))


def batched_update(table: Table, values: Mapping[str, object], *due: ColumnElement[bool]) -> Update:
    """Build a statement for `run_in_batches` that updates the due rows. After the update, a row must not be due."""
    return update(table).where(_in_batch(table, due)).values(values)


def _in_batch(table: Table, only: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Build a condition that selects and locks at most `limit` rows. It skips locked rows."""
    ids = select(*table.primary_key.columns).where(*only).limit(bindparam("limit"))
    batch = ids.with_for_update(skip_locked=True, of=table).cte("batch", nesting=True)
    return _key(table).in_(select(*batch.c))


async def run_in_batches(
    database: Database, statement: Delete | Update, *, batch: int = BATCH, **params: object
) -> int:
    """Change rows, one transaction for each batch. Other work can run between batches. Return the number of rows."""
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
    """An event of the worker's event loop that any thread can set."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.event.set)


_wakeups: Final[dict[str, set[_Wakeup]]] = {}
"""Events of this process's worker tasks that wait for work, by table."""


def wake_on_commit(tx: Transaction, table: Table) -> None:
    """Start this process's worker task for a table as soon as the transaction commits."""

    def wake() -> None:
        for wakeup in _wakeups.get(table.name, ()):
            wakeup.set()

    tx.committed.append(wake)


@contextmanager
def wakeups_of(table: Table | None) -> Iterator[asyncio.Event]:
    """Yield the event that `wake_on_commit` sets for this table."""
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
