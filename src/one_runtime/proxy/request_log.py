"""Which calls went through the proxy: when, whose, where to, how it ended. Never a body, a query value or a credential.

Calls are noted in memory and written in batches beside them, so that none waits for its own line. What a process has
noted and not written is lost with it: for a second's worth of lines nobody waits.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import structlog
from sqlalchemy import Select, bindparam, insert, select, update

from one_runtime.context import Installation
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.ids import lowest_id
from one_runtime.db.schema import connections, end_users
from one_runtime.db.schema import requests as rows
from one_runtime.errors import Unavailable
from one_runtime.jobs.queue import batched_delete, delete_in_batches
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.telemetry import metrics

PAUSE: Final = 1.0
"""Seconds between two looks at what is to be written."""

MAX_PATH: Final = 500
LOOKED_THROUGH: Final = 10_000
"""Lines among which a page looks for what no index tells."""

_BATCH: Final = 100
"""Lines of one transaction: on SQLite everybody waits for it, so it is short."""

_MOST: Final = 20_000
"""Lines that a process keeps while the database is away."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One call. Times in milliseconds, sizes in bytes of bodies; `error`: our code where the failure is ours."""

    id: str
    organization_id: str
    at: datetime
    end_user_id: str | None
    connection_id: str
    integration_slug: str
    method: str
    path: str
    status: int
    error: str | None
    attempts: int
    request_bytes: int
    response_bytes: int
    duration_ms: int
    upstream_ms: int | None


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """What to list: None takes all."""

    end_user_id: str | None = None
    connection_id: str | None = None
    integration_slug: str | None = None
    status: int | None = None


_COLUMNS = tuple(rows.c[name] for name in LoggedRequest.__dataclass_fields__)
_MINE = rows.c.organization_id == bindparam("organization")
_STILL_THERE = select(end_users.c.end_user_id).where(
    end_users.c.organization_id == bindparam("organization"), end_users.c.end_user_id == bindparam("end_user")
)  # who was deleted since the call stays forgotten
_INSERT = insert(rows).values(
    {name: bindparam(name) for name in LoggedRequest.__dataclass_fields__}
    | {"organization_id": bindparam("organization"), "end_user_id": _STILL_THERE.scalar_subquery()}
)
_RENAMED: Final = {"organization_id": "organization", "end_user_id": "end_user"}
_PARAMS: Final = tuple(_RENAMED.get(name, name) for name in LoggedRequest.__dataclass_fields__)
_VALUES: Final = attrgetter(*LoggedRequest.__dataclass_fields__)  # `asdict` copies each value, deeply
_PURGE = batched_delete(rows, rows.c.id < bindparam("before"))
_USED = (
    update(connections)
    .where(connections.c.organization_id == bindparam("organization"), connections.c.id == bindparam("connection"))
    .values(last_used_at=bindparam("at"))
)


async def list_newest(
    tx: Transaction, organization_id: str, wanted: RequestFilter, *, limit: int, before: str | None
) -> tuple[list[LoggedRequest], str | None]:
    """At most `limit` calls, newest first, from before the one with the id `before`; and from before which one to go
    on, where there may be more. By status or integration, a page is what is found among the next `LOOKED_THROUGH`."""
    looked = select(*_COLUMNS).where(rows.c.organization_id == organization_id)
    for column, value in ((rows.c.end_user_id, wanted.end_user_id), (rows.c.connection_id, wanted.connection_id)):
        if value is not None:
            looked = looked.where(column == value)
    if before:
        looked = looked.where(rows.c.id < before)
    looked = looked.order_by(rows.c.id.desc())
    found = [LoggedRequest(*row) for row in await tx.all(_narrowed(looked, wanted).limit(limit + 1))]
    if len(found) > limit:
        return found[:limit], found[limit - 1].id
    last = await tx.one(looked.with_only_columns(rows.c.id).offset(LOOKED_THROUGH - 1).limit(1))
    return found, last.id if last is not None else None


def _narrowed(looked: Select[Any], wanted: RequestFilter) -> Select[Any]:
    """What is wanted by columns that no index has, among so many lines; where nothing is, the database needs no more
    lines than the page has."""
    conditions = {"integration_slug": wanted.integration_slug, "status": wanted.status}
    given = {name: value for name, value in conditions.items() if value is not None}
    if not given:
        return looked
    inner = looked.limit(LOOKED_THROUGH).subquery()
    statement = select(*(inner.c[name] for name in LoggedRequest.__dataclass_fields__)).order_by(inner.c.id.desc())
    return statement.where(*(inner.c[name] == value for name, value in given.items()))


async def purge(installation: Installation) -> int:
    """Delete logged requests older than the setting allows; return their number."""
    before = installation.clock() - timedelta(days=installation.settings.request_retention_days)
    return await delete_in_batches(installation.database, _PURGE, before=lowest_id(before))


PURGE_REQUESTS: Final[PeriodicTask[Installation]] = PeriodicTask("purge_requests", 3600.0, purge)


class RequestLog:
    """Notes calls, and writes them in the background; `kept`: whether anything is written but when a connection was
    used last."""

    def __init__(self, database: Database, *, kept: bool) -> None:
        self._database, self._kept = database, kept
        self._noted: deque[LoggedRequest] = deque()
        self._writing = asyncio.Lock()

    def note(self, request: LoggedRequest) -> None:
        """Keep a line until it is written; where there are too many, the oldest is given up."""
        self._noted.append(request)
        if len(self._noted) > _MOST:
            self._noted.popleft()
            metrics.requests_unlogged.inc()

    async def run(self) -> None:
        """Write every second, until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            try:
                await asyncio.shield(self.flush())  # a batch that is being written is not lost to a shutdown
            except Exception:  # a loop of background work: what cannot be written does not keep the next from it
                log.exception("requests_not_logged")

    async def flush(self) -> None:
        """Write what was noted; what cannot be written now is written later."""
        async with self._writing:
            await self._flush()

    async def _flush(self) -> None:
        while self._noted:
            batch = [self._noted.popleft() for _ in range(min(_BATCH, len(self._noted)))]
            try:
                async with self._database.write() as tx:
                    await self._write(tx, batch)
            except Unavailable as error:
                log.warning("requests_not_logged_yet", code=error.code)
                self._noted.extendleft(reversed(batch))
                return
            except Exception:
                metrics.requests_unlogged.inc(len(batch))
                raise
            await asyncio.sleep(0)  # the calls that are under way come first

    async def _write(self, tx: Transaction, batch: list[LoggedRequest]) -> None:
        if self._kept:
            await tx.execute_many(_INSERT, [dict(zip(_PARAMS, _VALUES(one), strict=True)) for one in batch])
        last = {(one.organization_id, one.connection_id): one.at for one in batch}
        used = [{"organization": whose, "connection": which, "at": at} for (whose, which), at in sorted(last.items())]
        await tx.execute_many(_USED, used)
