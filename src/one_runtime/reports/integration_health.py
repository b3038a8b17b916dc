"""Summarize the connections and the newest sessions of one integration of an organization, in one statement."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, Subquery, and_, bindparam, case, func, literal_column, select, true

from one_runtime.connections.integration_counts import SCANNED, scanned_connections
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import lowest_id
from one_runtime.db.schema import connections
from one_runtime.db.schema import hosted_connection_sessions as sessions

PERIOD: Final = timedelta(days=30)
"""Age of the oldest counted session. One Runtime deletes older sessions."""

SCANNED_SESSIONS: Final = 2_000
"""Maximum number of sessions of an organization that one count reads, newest first."""

_ONE: Final[ColumnElement[int]] = literal_column("1")


class IntegrationHealth(NamedTuple):
    """Numbers of one integration.

    - `connections`, `needs_reauth`: the number of connections, and of those that the end user must connect again.
    - `scanned`, `scanned_sessions`: the number of the organization's rows that the count read.
    - `sessions`, `connected`, `failed`: sessions of the last 30 days, by their result. The others are open, cancelled
      or expired.
    - `last_error`: the error of the newest session with an error (`code`, `message`, `at`), or None.
    - `test_id`, `test_name`, `test_status`: the newest connection of the end user `test_end_user`, or None.
    """

    connections: int
    needs_reauth: int
    scanned: int
    sessions: int
    connected: int
    failed: int
    scanned_sessions: int
    last_error: Mapping[str, str] | None
    test_id: str | None
    test_name: str | None
    test_status: str | None

    @property
    def has_all_connections(self) -> bool:
        """Return True if the count read all connections of the organization."""
        return self.scanned < SCANNED

    @property
    def has_all_sessions(self) -> bool:
        """Return True if the count read all sessions of the last 30 days."""
        return self.scanned_sessions < SCANNED_SESSIONS


def _count(*conditions: Any) -> Any:
    return func.coalesce(func.sum(case((and_(*conditions), 1), else_=0)), 0)


def _connection_counts() -> Subquery:
    scanned = scanned_connections()
    of_slug = scanned.c.integration_slug == bindparam("slug")
    return select(
        _count(of_slug).label("connections"),
        _count(of_slug, scanned.c.status == "needs_reauth").label("needs_reauth"),
        func.count().label("scanned"),
    ).subquery("counts")


def _newest_sessions() -> Subquery:
    return (
        select(sessions.c.id, sessions.c.integration_slug, sessions.c.status, sessions.c.last_error)
        .where(sessions.c.organization_id == bindparam("organization"), sessions.c.id >= bindparam("since"))
        .order_by(sessions.c.id.desc())
        .limit(literal_column(str(SCANNED_SESSIONS)))
        .subquery("newest")
    )


def _session_counts(newest: Subquery) -> Subquery:
    of_slug = newest.c.integration_slug == bindparam("slug")
    return select(
        _count(of_slug).label("sessions"),
        _count(of_slug, newest.c.status == "connected").label("connected"),
        _count(of_slug, newest.c.status == "failed").label("failed"),
        func.count().label("scanned_sessions"),
    ).subquery("results")


def _newest_error(newest: Subquery) -> Subquery:
    return (
        select(newest.c.last_error)
        .where(newest.c.integration_slug == bindparam("slug"), newest.c.last_error.is_not(None))
        .order_by(newest.c.id.desc())
        .limit(_ONE)
        .subquery("error")
    )


def _test_connection() -> Subquery:
    columns = [connections.c[name].label(f"test_{name}") for name in ("id", "name", "status")]
    return (
        select(*columns)
        .where(
            connections.c.organization_id == bindparam("organization"),
            connections.c.end_user_id == bindparam("test_end_user"),
            connections.c.integration_slug == bindparam("slug"),
        )
        .order_by(
            connections.c.created_at.desc()
        )  # with the id, SQLite reads all rows of the organization by their ids
        .limit(_ONE)
        .subquery("test")
    )


def _statement() -> Select[Any]:
    newest = _newest_sessions()
    counts, results = _connection_counts(), _session_counts(newest)
    error, test = _newest_error(newest), _test_connection()
    columns = {column.name: column for part in (counts, results, error, test) for column in part.c}
    return select(*(columns[name] for name in IntegrationHealth._fields)).select_from(
        counts.join(results, true()).outerjoin(error, true()).outerjoin(test, true())
    )


_STATEMENT: Final = _statement()


async def summarize_integration(
    tx: Transaction, organization_id: str, slug: str, now: datetime, *, test_end_user: str
) -> IntegrationHealth:
    """Return the numbers of an integration. `test_end_user`: the end user of the member's own test connection."""
    health = await tx.one(
        _STATEMENT,
        IntegrationHealth,
        organization=organization_id,
        slug=slug,
        since=lowest_id(now - PERIOD),
        test_end_user=test_end_user,
    )
    assert health is not None  # noqa: S101 - the counts always have one row
    return health
