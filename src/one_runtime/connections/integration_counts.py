"""Count the connections of each integration of an organization, with a bound for large organizations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Subquery, bindparam, func, literal_column, select

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import connections

SCANNED: Final = 10_000
"""Maximum number of connections that one count reads."""


class IntegrationCount(NamedTuple):
    """Numbers of connections of one integration. `needs_reauth`: connections that the end user must connect again."""

    total: int
    needs_reauth: int


@dataclass(frozen=True, slots=True)
class ConnectionCounts:
    """The counts by slug. `is_complete`: False if the organization has more connections than one count reads."""

    by_slug: Mapping[str, IntegrationCount] = field(default_factory=dict)
    is_complete: bool = True


class _StatusRow(NamedTuple):
    integration_slug: str
    status: str
    connections: int


def scanned_connections() -> Subquery:
    """Return the columns `integration_slug` and `status` of at most `SCANNED` connections of an organization.

    One index contains both columns, so the database does not read the rows of the table.
    """
    return (
        select(connections.c.integration_slug, connections.c.status)
        .where(connections.c.organization_id == bindparam("organization"))
        .limit(literal_column(str(SCANNED)))
        .subquery("scanned_connections")
    )


_SCANNED: Final = scanned_connections()
_COUNT: Final = select(_SCANNED.c.integration_slug, _SCANNED.c.status, func.count().label("connections")).group_by(
    _SCANNED.c.integration_slug, _SCANNED.c.status
)


async def count_connections(tx: Transaction, organization_id: str) -> ConnectionCounts:
    """Count the connections of each integration that has connections."""
    rows = await tx.all(_COUNT, _StatusRow, organization=organization_id)
    by_slug = dict[str, IntegrationCount]()
    for row in rows:
        present = by_slug.get(row.integration_slug, IntegrationCount(0, 0))
        needs_reauth = row.connections if row.status == "needs_reauth" else 0
        by_slug[row.integration_slug] = IntegrationCount(
            present.total + row.connections, present.needs_reauth + needs_reauth
        )
    return ConnectionCounts(by_slug, sum(row.connections for row in rows) < SCANNED)
