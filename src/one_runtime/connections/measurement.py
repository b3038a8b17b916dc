"""Measure the connections of an installation for Prometheus: their statuses, and their overdue refreshes.

These metrics need queries that read many rows. So only one process of a server runs the queries, once a minute.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Text, bindparam, cast, func, select

from one_runtime.connections.due_credentials import START, list_due
from one_runtime.context import Installation
from one_runtime.db.engine import Database
from one_runtime.db.schema import connections
from one_runtime.telemetry import metrics
from one_runtime.telemetry.metrics_server import is_measuring_process

PAGE: Final = 2000
"""Number of connections that one statement counts."""

PAUSE: Final = 0.2
"""Seconds between two pages. With the pauses, a count of millions of connections uses few resources at a time."""

OVERDUE_PAGE: Final = 200
"""Number of overdue refreshes that one statement reads. On SQLite, a statement stops all requests of the process."""

MAX_OVERDUE: Final = 100_000
"""Maximum number of overdue refreshes that One Runtime counts."""

STATUSES: Final = ("active", "needs_reauth")
_STATES: Final = ("waiting", "paused")
_START: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(slots=True)
class OverdueCount:
    """Number of overdue refreshes that have a state, and the earliest due time."""

    refreshes: int
    oldest: datetime


class _StatusCount(NamedTuple):
    """Number of connections of a page that have a status. `last`: the highest id of these connections."""

    status: str
    connections: int
    last: str


# Ids contain the time of their creation. So a page reads neighbouring rows of the table.
_PAGE_ROWS = (
    select(cast(connections.c.id, Text).label("text"), connections.c.status)
    .where(connections.c.id > bindparam("after", type_=connections.c.id.type))
    .order_by(connections.c.id)
    .limit(bindparam("limit"))
    .subquery()
)
_PAGE = select(
    _PAGE_ROWS.c.status,
    func.count().label("connections"),
    func.max(_PAGE_ROWS.c.text).label("last"),  # before version 18, PostgreSQL has no maximum of UUIDs
).group_by(_PAGE_ROWS.c.status)


async def count_by_status(database: Database, *, page: int = PAGE, pause: float = PAUSE) -> Counter[str]:
    """Count the connections of all organizations by status, in pages. Changes during the count can be missing."""
    counts, after = Counter[str](), _START
    while True:
        async with database.read() as tx:
            rows = await tx.all(_PAGE, _StatusCount, after=after, limit=page)
        counts.update({row.status: row.connections for row in rows})
        if sum(row.connections for row in rows) < page:
            return counts
        after = max(row.last for row in rows)
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
        for status in STATUSES:
            metrics.connections.labels(status).set(counts[status])
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
