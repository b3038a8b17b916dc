"""Count the connections whose provider replaces the refresh token at each refresh.

Such a provider accepts a refresh token only once. If production has refreshed the tokens after a backup, the refresh
tokens in the backup are invalid, and the end users have to connect again.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import and_, bindparam, case, func, select

from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import connections, credentials


@dataclass(frozen=True, slots=True)
class RotatingConnections:
    """Number of connections of one integration. `due`: the number of connections whose refresh was due before now."""

    integration_slug: str
    connections: int
    due: int


class _Row(NamedTuple):
    organization_id: str
    integration_slug: str
    connections: int
    due: int


_COUNT: Final = (
    select(
        connections.c.organization_id,
        connections.c.integration_slug,
        func.count().label("connections"),
        func.sum(case((credentials.c.refresh_due_at <= bindparam("now"), 1), else_=0)).label("due"),
    )
    .join(credentials, credentials.c.connection_id == connections.c.id)
    .where(
        and_(
            connections.c.auth_type == "oauth2",
            connections.c.status == "active",
            credentials.c.refresh_due_at.is_not(None),
        )
    )
    .group_by(connections.c.organization_id, connections.c.integration_slug)
    .order_by(connections.c.organization_id, connections.c.integration_slug)
)


async def count_rotating(tx: Transaction, catalogs: OrganizationCatalogs, now: datetime) -> list[RotatingConnections]:
    """Return the active connections of each integration that replaces refresh tokens, in the order of the slugs."""
    total, due = Counter[str](), Counter[str]()
    for row in await tx.all(_COUNT, _Row, now=now):
        integration = await catalogs.get(tx, row.organization_id, row.integration_slug)
        auth = integration.oauth2 if integration is not None else None
        if auth is not None and auth.refresh in {"rotates", "optional"}:
            total[row.integration_slug] += row.connections
            due[row.integration_slug] += row.due
    return [RotatingConnections(slug, total[slug], due[slug]) for slug in sorted(total)]
