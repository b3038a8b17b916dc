"""Measure the connections of an installation for Prometheus: their statuses, and their overdue refreshes.

These metrics need queries that read many rows. So only one process of a server runs the queries, once a minute.
"""

import asyncio
import operator
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Final, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.sql import ClauseElement

from one_runtime.connections.due_credentials import START, list_due
from one_runtime.context import Installation
from one_runtime.db.engine import Database
from one_runtime.db.schema import connections
from one_runtime.telemetry import metrics
from one_runtime.telemetry.metrics_server import is_measuring_process

PAGE: Final = 10_000
"""Number of connections that one statement counts. It reads only an index, in 1 ms on SQLite and 2 ms on PostgreSQL.

On SQLite, a statement stops all requests of the process.
"""

PAUSE: Final = 0.01
"""Seconds between two pages. At 10 million connections, all pauses together take ten seconds."""

OVERDUE_PAGE: Final = 200
"""Number of overdue refreshes that one statement reads. On SQLite, a statement stops all requests of the process."""

MAX_OVERDUE: Final = 100_000
"""Maximum number of overdue refreshes that One Runtime counts."""

_STATES: Final = ("waiting", "paused")
_START: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(slots=True)
class OverdueCount:
    """Number of overdue refreshes that have a state, and the earliest due time."""

    refreshes: int
    oldest: datetime


class _CountedPage(NamedTuple):
    """Number of connections of a page, and the key of the last one. The key consists of all columns of the order."""

    connections: int
    last: str | None


def _page(*order: Column[str], where: Sequence[ColumnElement[bool]] = ()) -> ClauseElement:
    """Return a statement that counts a page of connections, in the order of an index with exactly these columns."""
    after = [bindparam(f"after_{number}", type_=column.type) for number, column in enumerate(order)]
    rows = (
        select(*(cast(column, Text).label(f"key_{number}") for number, column in enumerate(order)))
        .where(tuple_(*order) > tuple_(*after), *where)
        .order_by(*order)
        .limit(bindparam("limit"))
        .subquery()
    )
    # Before version 18, PostgreSQL has no maximum of UUIDs. As texts, they have the same order and the same length.
    key = reduce(operator.add, rows.columns)
    return select(func.count().label("connections"), func.max(key).label("last"))


# Ids contain the time of their creation. So a page reads neighbouring rows of the table, if it has to read the table.
_PAGE = _page(connections.c.id)
_PAGE_IN_NEED = _page(
    connections.c.organization_id, connections.c.id, where=[connections.c.status == literal_column("'needs_reauth'")]
)


async def count_by_status(database: Database, *, page: int = PAGE, pause: float = PAUSE) -> dict[str, int]:
    """Count the connections of all organizations by status, in pages. Changes during the count can be missing.

    No index has the status of every connection. So the count of the active ones is the difference of two counts, which
    both read only an index.
    """
    in_need = await _count(database, _PAGE_IN_NEED, 2, page, pause)
    total = await _count(database, _PAGE, 1, page, pause)
    return {"active": max(0, total - in_need), "needs_reauth": in_need}


async def _count(database: Database, statement: ClauseElement, columns: int, page: int, pause: float) -> int:
    """Return the number of connections. `columns`: the number of columns of the statement's order."""
    counted, key = 0, _START * columns
    while True:
        after = {f"after_{number}": key[number * len(_START) :][: len(_START)] for number in range(columns)}
        async with database.read() as tx:
            row = await tx.one(statement, _CountedPage, limit=page, **after)
        if row is None or row.last is None:
            return counted
        counted, key = counted + row.connections, row.last
        if row.connections < page:
            return counted
        await asyncio.sleep(pause)


async def count_overdue(
    database: Database,
    now: datetime,
    disabled: Collection[str] = (),
    *,
    limit: int = MAX_OVERDUE,
    page: int = OVERDUE_PAGE,
    pause: float = PAUSE,
) -> dict[str, OverdueCount]:
    """Count the refreshes whose due time has passed by state, in pages. Stop after the page that reaches the limit.

    `disabled`: the slugs of the disabled integrations, whose refreshes do not count.
    """
    counts, counted, after = dict[str, OverdueCount](), 0, START
    while True:
        async with database.read() as tx:
            rows = await list_due(tx, now, page, after)
        for row in rows:
            if row.integration_slug not in disabled:
                state = "paused" if row.state == "paused" else "waiting"
                counts.setdefault(state, OverdueCount(0, row.refresh_due_at)).refreshes += 1
                counted += 1
        if len(rows) < page or counted >= limit:
            return counts
        after = rows[-1].position
        await asyncio.sleep(pause)


async def measure_statuses(installation: Installation) -> int:
    """Set the metric of the connections by status. Return 0, because a measurement changes no row."""
    if is_measuring_process():
        counts = await count_by_status(installation.database)
        for status, number in counts.items():
            metrics.connections.labels(status).set(number)
    return 0


async def measure_overdue(installation: Installation) -> int:
    """Set the metrics of the overdue refreshes. Return 0, because a measurement changes no row."""
    if not is_measuring_process():
        return 0
    now = installation.clock()
    counts = await count_overdue(installation.database, now, installation.disabled.slugs)
    for state in _STATES:
        count = counts.get(state)
        metrics.refreshes_overdue.labels(state).set(count.refreshes if count else 0)
        metrics.oldest_overdue.labels(state).set((now - count.oldest).total_seconds() if count else 0)
    return 0
