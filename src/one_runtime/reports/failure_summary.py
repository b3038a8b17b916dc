"""Summarize the failures of each integration over all organizations."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, Text, and_, case, func, literal_column, select

from one_runtime.connections.diagnosis import PROVIDER_TROUBLE, REFRESH_REFUSED
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import connections, credentials


class FailureReason(NamedTuple):
    """A reason with the number of connections that have this reason."""

    code: str
    connections: int


@dataclass(frozen=True, slots=True)
class IntegrationFailures:
    """Numbers of one integration's connections.

    `failing`: active connections that cannot refresh their tokens at the moment. `affected_organizations`: the
    organizations of the connections that have a reason. `reasons`: the most frequent reason is first.
    """

    integration_slug: str
    organizations: int
    active: int
    needs_reauth: int
    failing: int
    affected_organizations: int
    reasons: tuple[FailureReason, ...]


class _Counts(NamedTuple):
    integration_slug: str
    organizations: int
    active: int
    needs_reauth: int
    failing: int
    affected_organizations: int


class _ReasonRow(NamedTuple):
    integration_slug: str
    code: str
    connections: int


_IS_ACTIVE: Final = connections.c.status == "active"
_IS_FAILING: Final = and_(_IS_ACTIVE, credentials.c.failures > 0)
# The same rules as in the module `diagnosis`.
_CODE: Final[ColumnElement[str]] = func.coalesce(
    # `->>` and its right side are the same text in PostgreSQL and in SQLite.
    connections.c.error.op("->>", return_type=Text())(literal_column("'code'")),
    case((and_(_IS_FAILING, credentials.c.refusals.is_not(None)), REFRESH_REFUSED), (_IS_FAILING, PROVIDER_TROUBLE)),
)
_SLUG: Final = connections.c.integration_slug


def _count(condition: Any, name: str) -> Any:
    return func.sum(case((condition, 1), else_=0)).label(name)


_COUNTS: Final[Select[Any]] = select(
    _SLUG,
    func.count(connections.c.organization_id.distinct()).label("organizations"),
    _count(_IS_ACTIVE, "active"),
    _count(connections.c.status == "needs_reauth", "needs_reauth"),
    _count(_IS_FAILING, "failing"),
    func.count(case((_CODE.is_not(None), connections.c.organization_id)).distinct()).label("affected_organizations"),
).group_by(_SLUG)
_REASONS: Final[Select[Any]] = (
    select(_SLUG, _CODE.label("code"), func.count().label("connections"))
    .where(_CODE.is_not(None))
    .group_by(_SLUG, _CODE)
    .order_by(func.count().desc(), _CODE)
)


async def summarize_failures(
    tx: Transaction, *, organization_id: str | None, integration_slug: str | None
) -> list[IntegrationFailures]:
    """Return the numbers of each integration with connections. The integration with the most failures is first.

    `organization_id`, `integration_slug`: count only connections of this organization or integration, unless None.
    """

    def within(statement: Select[Any]) -> Select[Any]:
        statement = statement.select_from(connections).join(
            credentials, credentials.c.connection_id == connections.c.id
        )
        if organization_id is not None:
            statement = statement.where(connections.c.organization_id == organization_id)
        if integration_slug is not None:
            statement = statement.where(connections.c.integration_slug == integration_slug)
        return statement

    reasons = defaultdict[str, list[FailureReason]](list)
    for row in await tx.all(within(_REASONS), _ReasonRow):
        reasons[row.integration_slug].append(FailureReason(row.code, row.connections))
    failures = [
        IntegrationFailures(*counts, tuple(reasons[counts.integration_slug]))
        for counts in await tx.all(within(_COUNTS), _Counts)
    ]
    return sorted(failures, key=lambda row: (-sum(reason.connections for reason in row.reasons), row.integration_slug))
