"""Find the last failure of each integration of an organization, in one statement.

Three kinds of failures count: an error of a connection, an error of a session, and failed calls. The statement reads a
limited number of rows of each kind. So in a large organization, old failures can be missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, Select, Table, Text, bindparam, cast, func, null, select, union_all
from sqlalchemy import literal_column as literal

from one_runtime.clock import parse_rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import lowest_id
from one_runtime.db.schema import ID, TIME, connections, usage_hours
from one_runtime.db.schema import hosted_connection_sessions as sessions
from one_runtime.proxy import usage
from one_runtime.reports.overview import FAILING_SHARE

SCANNED: Final = 500
"""Maximum number of connections with an error, and of sessions, that the statement reads, newest first."""

PERIOD: Final = timedelta(days=30)
"""Age of the oldest session that counts."""

FailureKind: TypeAlias = Literal["connection", "session", "calls"]


@dataclass(frozen=True, slots=True)
class LastFailure:
    """The last failure of an integration.

    - `at`: time of the error. For calls, start of the last hour in which calls failed.
    - `id`: the id of the connection or the session. None for calls.
    - `status`: the status of the connection, or None.
    - `code`, `message`: the stored error. None for calls.
    - `calls`, `failures`: numbers of the last 24 hours. 0 for the other kinds.
    """

    integration_slug: str
    kind: FailureKind
    at: datetime
    id: str | None
    status: str | None
    code: str | None
    message: str | None
    calls: int
    failures: int


class _FailureRow(NamedTuple):
    kind: FailureKind
    integration_slug: str
    id: str | None
    status: str | None
    code: str | None
    message: str | None
    error_at: str | None
    hour: datetime | None
    calls: int
    failures: int


def _select(kind: FailureKind, **columns: ColumnElement[Any]) -> Select[Any]:
    """Select the columns of `_FailureRow`. A column without a value is null or 0."""
    values: dict[str, ColumnElement[Any]] = {
        "integration_slug": cast(null(), Text),
        "id": cast(null(), ID),
        **dict.fromkeys(("status", "code", "message", "error_at"), cast(null(), Text)),
        "hour": cast(null(), TIME),
        **dict.fromkeys(("calls", "failures"), cast(literal("0"), BigInteger)),
        **columns,
    }
    text: ColumnElement[str] = literal(f"'{kind}'", Text)
    return select(text.label("kind"), *(value.label(name) for name, value in values.items()))


def _stored_errors(kind: FailureKind, table: Table, error: ColumnElement[Any], *conditions: Any) -> Select[Any]:
    """Select the latest error of each integration among the newest rows of the table."""

    def part(name: str) -> ColumnElement[str]:
        # `->>` and its right side are the same text in PostgreSQL and in SQLite.
        return error.op("->>", return_type=Text())(literal(f"'{name}'"))

    newest = (
        select(
            table.c.id,
            table.c.integration_slug,
            table.c.status,
            *(part(name).label(name) for name in ("code", "message", "at")),
        )
        .where(table.c.organization_id == bindparam("organization", type_=ID), *conditions)
        .order_by(table.c.id.desc())
        .limit(literal(str(SCANNED)))
        .subquery()
    )
    rank = func.row_number().over(partition_by=newest.c.integration_slug, order_by=(newest.c.at.desc(), newest.c.id))
    ranked = select(newest, rank.label("rank")).where(newest.c.at.is_not(None)).subquery()
    names = ("integration_slug", "id", "status", "code", "message")
    columns = {name: ranked.c[name] for name in names}
    return _select(kind, **columns, error_at=ranked.c.at).where(
        ranked.c.rank == literal("1"), ranked.c.integration_slug.is_not(None)
    )


def _failed_calls() -> Select[Any]:
    """Select the integrations of which many calls failed since the hour `since`."""
    calls, failures = func.sum(usage_hours.c.calls), func.sum(usage_hours.c.failures)
    last = func.max(usage_hours.c.hour).filter(usage_hours.c.failures > literal("0"))
    counts = (
        select(usage_hours.c.integration_slug, last.label("hour"), calls.label("calls"), failures.label("failures"))
        .where(
            usage_hours.c.organization_id == bindparam("organization", type_=ID),
            usage_hours.c.hour >= bindparam("since", type_=TIME),
            usage_hours.c.integration_slug != literal(f"'{usage.ALL}'"),
        )
        .group_by(usage_hours.c.integration_slug)
        .having(failures > 0, failures * FAILING_SHARE >= calls)
        .subquery()
    )
    return _select("calls", **{name: counts.c[name] for name in ("integration_slug", "hour", "calls", "failures")})


_STATEMENT: Final = union_all(
    _stored_errors("connection", connections, connections.c.error, connections.c.error.is_not(None)),
    _stored_errors("session", sessions, sessions.c.last_error, sessions.c.id >= bindparam("oldest", type_=ID)),
    _failed_calls(),
)


async def find_last_failures(tx: Transaction, organization_id: str, now: datetime) -> Mapping[str, LastFailure]:
    """Return the last failure of each integration that has failures, by slug.

    Failed calls count if at least a tenth of the integration's calls of the last 24 hours failed. Of such calls, only
    the hour is known. So an error of the same hour is the last failure, because the error says more.
    """
    since = usage.start_of_hour(now - usage.DAY)
    values = {"organization": organization_id, "since": since, "oldest": lowest_id(now - PERIOD)}
    last = dict[str, LastFailure]()
    for failure in map(_failure, await tx.all(_STATEMENT, _FailureRow, **values)):
        other = last.get(failure.integration_slug)
        if other is None or failure.at > other.at:
            last[failure.integration_slug] = failure
    return last


def _failure(row: _FailureRow) -> LastFailure:
    at = row.hour if row.hour is not None else parse_rfc3339(row.error_at or "")
    return LastFailure(
        row.integration_slug, row.kind, at, row.id, row.status, row.code, row.message, row.calls, row.failures
    )
