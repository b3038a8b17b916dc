"""Write and read the request log: one entry for each accepted proxy call, without the call's body, query or credential.

One Runtime collects entries in memory and writes the entries every second, so that no call waits for the database. A
killed process loses the collected entries. While the database is unavailable, a process collects up to 20,000 entries.
The transaction of a batch also counts the calls of each hour (`usage`). The same loop writes the last uses of API keys
and end-user tokens (`tenancy/key_uses.py`).
"""

import asyncio
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from sqlalchemy import ColumnElement, and_, bindparam, insert, or_, select, update

from one_runtime.db.engine import Database, Transaction
from one_runtime.db.ids import is_id, lowest_id
from one_runtime.db.scanning import SCANNED_ROWS, Page, Values, matches, read_page, several, within
from one_runtime.db.schema import connections, end_users, organizations
from one_runtime.db.schema import requests as rows
from one_runtime.errors import NotFound, Unavailable
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.proxy import usage
from one_runtime.telemetry import metrics
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy.key_uses import KeyUses

if TYPE_CHECKING:  # commands import this module, and need none of the modules that `context` imports
    from one_runtime.context import Installation

PAUSE: Final = 1.0
"""Seconds between two writes."""

MAX_PATH: Final = 500

_BATCH: Final = 100
"""Maximum number of entries in one transaction.

On SQLite, all other writes wait until the transaction ends. So the transaction must be short.
"""

_MAX_PENDING: Final = 20_000
"""Maximum number of entries that a process keeps in memory while the database is unavailable."""

log = Logger()


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One proxy call. Durations are in milliseconds, sizes in bytes. `error`: the code of One Runtime's own error.

    - `api_key_id`, `end_user_token_id`, `member_id`: the API key or the end-user token of the caller, or the member who
      made the call in the dashboard.
    - `request_id`: the caller's HTTP request. None if an older version of One Runtime logged the call.
    - `run_id`: the run of an agent's program that made the call, or None.
    """

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
    api_key_id: str | None
    request_id: str | None
    end_user_token_id: str | None = None
    run_id: str | None = None
    member_id: str | None = None


Outcome: TypeAlias = Literal["failed", "2xx", "3xx", "4xx", "5xx", "cancelled"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Selects entries. The value None in a field selects every entry.

    - `since`, `until`: select calls that ended at or after `since`, and before `until`.
    - `outcome`: the class of the status, or `failed` for all failures (`usage.is_failure`).
    - `of_agents`: select only the calls of agents, which have an end-user token or belong to a run.
    """

    end_user_id: Values[str] = None
    connection_id: Values[str] = None
    integration_slug: Values[str] = None
    status: Values[int] = None
    api_key_id: Values[str] = None
    end_user_token_id: Values[str] = None
    run_id: Values[str] = None
    error: Values[str] = None
    outcome: Outcome | None = None
    of_agents: bool = False
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, columns: Any, names: Collection[str]) -> list[ColumnElement[bool]]:
        """Return the conditions for the columns with these names."""
        equal = [condition for name in names for condition in matches(columns[name], getattr(self, name))]
        if self.outcome is not None and "status" in names:
            equal.append(_has_outcome(columns, self.outcome))
        if self.of_agents and "run_id" in names:
            equal.append(or_(columns.end_user_token_id.is_not(None), columns.run_id.is_not(None)))
        return equal

    def split(self, organization_id: str | None) -> tuple[list[str], list[str]]:
        """Return the names of the filters that an index supports, and the names of the other filters.

        The indexes begin with the organization. An index returns the entries of one value in the order of their ids.
        """
        names = list(_INDEXED_OF_ORGANIZATION) if organization_id is not None else []
        indexed = [name for name in names if not several(getattr(self, name))]
        return indexed, [name for name in (*_INDEXED_OF_ORGANIZATION, *_UNINDEXED) if name not in indexed]


_COLUMNS = tuple(rows.c[name] for name in LoggedRequest.__dataclass_fields__)
_INDEXED_OF_ORGANIZATION: Final = ("end_user_id", "connection_id", "request_id")
_UNINDEXED: Final[tuple[str, ...]] = (
    "integration_slug",
    "status",
    "api_key_id",
    "end_user_token_id",
    "run_id",
    "error",
)
_OF_ORGANIZATION = rows.c.organization_id == bindparam("organization")
# The subquery yields NULL if the end user was deleted after the call. The lock (FOR KEY SHARE) makes a later deletion
# of the end user wait for this write. So the deletion also removes the identifier from the new entries.
_EXISTING_END_USER = (
    select(end_users.c.end_user_id)
    .where(end_users.c.organization_id == bindparam("organization"), end_users.c.end_user_id == bindparam("end_user"))
    .with_for_update(read=True, key_share=True)
)
_RENAMED: Final = {"organization_id": "organization", "end_user_id": "end_user"}
# The statement inserts nothing if the organization was deleted after the call. Otherwise, the foreign key would refuse
# the whole batch, with the entries of other organizations.
_OF_EXISTING_ORGANIZATION = (
    select(
        *(
            _EXISTING_END_USER.scalar_subquery()
            if name == "end_user_id"
            else bindparam(_RENAMED.get(name, name), type_=rows.c[name].type)
            for name in LoggedRequest.__dataclass_fields__
        )
    )
    .select_from(organizations)
    .where(organizations.c.id == bindparam("organization"))
    .with_for_update(read=True, key_share=True, of=organizations)
)
_INSERT = insert(rows).from_select(list(LoggedRequest.__dataclass_fields__), _OF_EXISTING_ORGANIZATION)
_PARAMS: Final = tuple(_RENAMED.get(name, name) for name in LoggedRequest.__dataclass_fields__)
_VALUES: Final = attrgetter(*LoggedRequest.__dataclass_fields__)  # faster than `asdict`, which copies each value
_ONE = select(*_COLUMNS).where(_OF_ORGANIZATION, rows.c.id == bindparam("id"))
_PURGE = batched_delete(rows, rows.c.id < bindparam("before"))
_SET_LAST_USED = (
    update(connections)
    .where(connections.c.organization_id == bindparam("organization"), connections.c.id == bindparam("connection"))
    .values(last_used_at=bindparam("at"))
)


def _has_outcome(columns: Any, outcome: Outcome) -> ColumnElement[bool]:
    if outcome == "failed":
        return usage.failure_condition(columns)
    if outcome == "cancelled":
        return matches(columns.status, 0)[0]
    lowest = int(outcome[0]) * 100
    return and_(columns.status >= lowest, columns.status < lowest + 100)


async def get(tx: Transaction, organization_id: str, entry_id: str) -> LoggedRequest:
    """Return the entry of a call. Raises: NotFound."""
    found = await tx.one(_ONE, LoggedRequest, organization=organization_id, id=entry_id) if is_id(entry_id) else None
    if found is None:
        raise NotFound("There is no such call in the request log. One Runtime deletes the entries of old calls.")
    return found


async def list_newest(
    tx: Transaction,
    organization_id: str | None,
    matching: RequestFilter,
    *,
    limit: int,
    before: str | None,
    scanned: int = SCANNED_ROWS,
) -> Page[LoggedRequest]:
    """Return at most `limit` entries, newest first. Also return the cursor of the next page, or None at the end.

    `organization_id`: None for the entries of all organizations. If `before` is the id of an entry, return only older
    entries. If no index supports a filter, search only the next `scanned` entries.
    """
    indexed, searched = matching.split(organization_id)
    statement = select(*_COLUMNS).where(*within(rows.c.id, matching.since, matching.until))
    if organization_id is not None:
        statement = statement.where(rows.c.organization_id == organization_id, *matching.conditions(rows.c, indexed))
    if before:
        statement = statement.where(rows.c.id < before)
    conditions = partial(matching.conditions, names=searched)
    return await read_page(tx, statement, conditions, LoggedRequest, limit=limit, scanned=scanned)


async def purge(installation: "Installation") -> int:
    """Delete entries that are older than `request_retention_days`. Return the number of deleted entries."""
    before = installation.clock() - timedelta(days=installation.settings.request_retention_days)
    return await run_in_batches(installation.database, _PURGE, before=lowest_id(before))


class RequestLog:
    """Collects entries, and writes them in the background.

    With `kept=False`, the process stores no entries. The process stores only the counts of each hour (`usage`), and the
    time of each connection's last use.

    `key_uses`: the uses of API keys and of end-user tokens, which the log writes too.
    """

    def __init__(self, database: Database, *key_uses: KeyUses, kept: bool) -> None:
        self._database, self._key_uses, self._kept = database, key_uses, kept
        self._pending: deque[LoggedRequest] = deque()
        self._lock = asyncio.Lock()

    def note(self, request: LoggedRequest) -> None:
        """Keep an entry until the next write. If too many entries wait, drop the oldest entry."""
        self._pending.append(request)
        if len(self._pending) > _MAX_PENDING:
            self._pending.popleft()
            metrics.requests_unlogged.inc()

    async def run(self) -> None:
        """Write every second until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            try:
                await asyncio.shield(self.flush())  # a shutdown does not interrupt a write
            except Exception:  # the loop continues, because later writes can succeed
                log.exception("requests_not_logged")

    async def flush(self) -> None:
        """Write the collected entries and key uses. If the database is unavailable, keep both for the next write."""
        async with self._lock:
            await self._flush()
            for uses in self._key_uses:
                await uses.flush()

    async def _flush(self) -> None:
        while self._pending:
            batch = [self._pending.popleft() for _ in range(min(_BATCH, len(self._pending)))]
            try:
                async with self._database.write() as tx:
                    await self.write(tx, batch)
            except Unavailable as error:
                log.warning("requests_not_logged_yet", code=error.code)
                self._pending.extendleft(reversed(batch))
                return
            except Exception:
                metrics.requests_unlogged.inc(len(batch))
                raise
            await asyncio.sleep(0)  # let the calls in progress continue first

    async def write(self, tx: Transaction, batch: list[LoggedRequest]) -> None:
        """Write the entries, the counts of each hour, and the time of each connection's last use.

        Omit the entries of organizations that were deleted after the call. The statements lock organizations, counts
        and connections in this order. The deletion of an organization also locks the organization first, so that the
        two transactions cannot deadlock.
        """
        if self._kept:
            await tx.execute_many(_INSERT, [dict(zip(_PARAMS, _VALUES(entry), strict=True)) for entry in batch])
        await usage.add(tx, batch)
        last = {(entry.organization_id, entry.connection_id): entry.at for entry in batch}
        used = [
            {"organization": organization_id, "connection": connection_id, "at": at}
            for (organization_id, connection_id), at in sorted(last.items())
        ]
        await tx.execute_many(_SET_LAST_USED, used)
