"""Store background work in queues, and claim due work. A queue is a table, and each row is a piece of work.

docs/decisions/0025-queue.md gives the reasons for this design. A row is due if its `due_at` has passed. To claim a due
row, a process sets `due_at` to the end of a lease (a limited reservation) and increases `attempts`. During the lease,
the row is not due, so no other process claims the row.

After the lease, another process can claim the row, and this claim increases `attempts` again. A process can change a
row only while `attempts` has the value of the process's own claim (a fencing token). So the first process can no longer
change the row.

The worker looks for due rows at an interval. `wake_on_commit` makes the worker look immediately after a commit.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
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

from one_runtime.clock import Clock
from one_runtime.db.engine import Database, Row, Transaction
from one_runtime.db.schema import TIME

BATCH: Final = 1000
"""Maximum number of rows that one statement of `run_in_batches` changes.

SQLite statements run on the event loop, so a larger batch would delay every request.
"""


_CLOCK_RESOLUTION: Final = timedelta(milliseconds=1)
"""`clock.system_clock` truncates the time to milliseconds, but PostgreSQL's clock has microseconds."""


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
    """Return the time by which the database's clock is ahead of the clock of this machine (`tx.machine_clock`).

    The clock of the installation has no part in this measurement: a test can set that clock to tomorrow, but neither
    the machine nor the database has skipped a day.

    The result is negative if the database's clock is behind. The result is zero if the duration of the query alone can
    explain the difference.
    """
    before = tx.machine_clock()
    row = await tx.one(_NOW, _ClockRow)
    after = tx.machine_clock() + _CLOCK_RESOLUTION
    assert row is not None  # noqa: S101 - the statement returns one row
    return max(row.now - after, timedelta()) + min(row.now - before, timedelta())


async def database_now(tx: Transaction, clock: Clock) -> datetime:
    """Return the time of the database's clock. Leases use this time, because the clock of a server can be wrong.

    `clock`: the clock of the installation. In production, it is the clock of the machine, so that the result is the
    database's time. If a test passes a clock that is an hour ahead, the result is an hour ahead too.
    """
    return clock() + await clock_skew(tx)


class Queue:
    """A table with rows that processes claim. Columns of the table: a primary key, `due_at` and `attempts`.

    Create only one `Queue` for each table, because each `Queue` object compiles its own statements.
    """

    def __init__(self, table: Table, lease: timedelta, *only: ColumnElement[bool]) -> None:
        """`lease`: duration of a lease. A lease must be longer than the work on a row.

        `only`: conditions that select the queue's rows. Without conditions, the queue has all rows of the table.
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

    async def claim(self, tx: Transaction, clock: Clock, limit: int, **params: object) -> list[Row]:
        """Claim and return at most `limit` due rows. Choose the rows with the earliest `due_at`.

        Skip rows that another process is claiming at the same time. `params`: parameters of the conditions `only`.
        """
        now = await database_now(tx, clock)
        return await tx.all(self._claim, now=now, limit=limit, until=now + self._lease, **params)

    async def settle(self, tx: Transaction, *key: str, attempts: int) -> bool:
        """Delete a finished row. Return False, and change nothing, if another process has claimed the row.

        `attempts`: the value that `claim` returned for the row.
        """
        return await tx.execute(self._settle, **self._named(key), fence=attempts) > 0

    async def postpone(self, tx: Transaction, clock: Clock, *key: str, attempts: int, delay: timedelta) -> bool:
        """Make a row due again after a delay. Return False, and change nothing, if another process has claimed the row.

        `attempts`: the value that `claim` returned for the row.
        """
        until = await database_now(tx, clock) + delay
        return await tx.execute(self._postpone, **self._named(key), fence=attempts, until=until) > 0

    def _named(self, key: tuple[str, ...]) -> dict[str, str]:
        return {f"key_{name}": value for name, value in zip(self._key_names, key, strict=True)}


def lock_due(table: Table, *only: ColumnElement[bool], due: ColumnElement[datetime] | None = None) -> Select[Any]:
    """Build a statement that selects due rows and locks the rows until the transaction ends.

    The statement skips rows that other transactions have locked. If the work on the rows ends in the same transaction,
    no lease is needed. `due`: the column with the due time, by default `due_at`. The statement has the parameters
    `now` and `limit`.
    """
    due_at = table.c.due_at if due is None else due
    statement = select(table).where(due_at <= bindparam("now"), *only).order_by(due_at).limit(bindparam("limit"))
    return statement.with_for_update(skip_locked=True, of=table)


def batched_delete(table: Table, *expired: ColumnElement[bool]) -> Delete:
    """Build a statement for `run_in_batches` that deletes the rows for which all conditions `expired` are true."""
    return delete(table).where(_in_batch(table, expired))


def batched_update(table: Table, values: Mapping[str, object], *due: ColumnElement[bool]) -> Update:
    """Build a statement for `run_in_batches` that updates the rows for which all conditions `due` are true.

    The update must make one of these conditions false. Otherwise `run_in_batches` would never end.
    """
    return update(table).where(_in_batch(table, due)).values(values)


def _in_batch(table: Table, only: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Build a condition that selects and locks at most `limit` rows. The condition skips locked rows."""
    ids = select(*table.primary_key.columns).where(*only).limit(bindparam("limit"))
    batch = ids.with_for_update(skip_locked=True, of=table).cte("batch", nesting=True)
    return _key(table).in_(select(*batch.c))


async def run_in_batches(
    database: Database, statement: Delete | Update, *, batch: int = BATCH, **params: object
) -> int:
    """Run the statement until no matching row is left, and return the number of changed rows.

    Each batch is one transaction, and other work can run between two batches.
    """
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


_wakeups: Final[dict[tuple[str, str], set[_Wakeup]]] = {}
"""Events of this process's waiting tasks, by the name of the queue's table and the part of the queue."""


def wake_on_commit(tx: Transaction, table: Table, part: str = "") -> None:
    """Start this process's worker task for a table as soon as the transaction commits.

    `part`: wake only the tasks that wait for this part of the queue, such as the rows of one webhook endpoint.
    """

    tx.committed.append(partial(wake, table, part))


def wake(table: Table, part: str = "") -> None:
    """Start this process's worker task for a table now. `part`: as in `wake_on_commit`."""
    for wakeup in tuple(_wakeups.get((table.name, part), ())):
        wakeup.set()


@contextmanager
def wakeups_of(table: Table | None, part: str = "") -> Iterator[asyncio.Event]:
    """Yield the event that `wake_on_commit` sets for this table and part. Without a table, the event is never set."""
    wakeup = _Wakeup()
    if table is None:
        yield wakeup.event
        return
    waiting = _wakeups.setdefault((table.name, part), set())
    waiting.add(wakeup)
    try:
        yield wakeup.event
    finally:
        waiting.discard(wakeup)
        if not waiting:
            _wakeups.pop((table.name, part), None)
