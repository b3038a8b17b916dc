"""Invalidate the credentials of connections whose integration changed its audience.

The audience of a custom integration says which hosts receive the credentials, and which part of a request contains the
credentials (promise P7 of docs/security.md).
"""

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select

from one_runtime.catalog.auth_types import AuthType
from one_runtime.catalog.model import CustomIntegration
from one_runtime.connections import credentials
from one_runtime.connections.connections import COLUMNS, INTEGRATION_FILTER, Connection, mark_needs_reauth
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import connections
from one_runtime.db.schema import credentials as credentials_table
from one_runtime.tenancy.events import Actor

_WITH_OTHER_AUDIENCE: Final = (
    select(*COLUMNS)
    .join_from(connections, credentials_table, credentials_table.c.connection_id == connections.c.id)
    .where(
        *INTEGRATION_FILTER,
        connections.c.status == "active",
        connections.c.auth_type == bindparam("auth_type"),
        credentials_table.c.audience.is_distinct_from(bindparam("audience")),
    )
)
_OTHER_AUDIENCE: Final = _WITH_OTHER_AUDIENCE.order_by(connections.c.id).limit(bindparam("limit"))
_STILL_OTHER_AUDIENCE: Final = _WITH_OTHER_AUDIENCE.where(connections.c.id == bindparam("connection"))


def error_message(name: str) -> str:
    """Return the error message of a connection with invalidated credentials. `name`: the integration's name."""
    return f"The organization changed the hosts of {name}, or how requests to {name} send credentials."


async def invalidate(tx: Transaction, connection: Connection, message: str, now: datetime) -> None:
    """Set the status `needs_reauth`, and invalidate the credentials. The caller must lock the credentials first.

    Call this function if the integration's audience has changed. The present credentials must not go to the new hosts.
    """
    actor = Actor(connection.organization_id, "system")
    await mark_needs_reauth(tx, actor, connection, "integration_changed", message, now)
    await credentials.invalidate(tx, connection.key)


async def invalidate_all(
    tx: Transaction,
    organization_id: str,
    integration: CustomIntegration,
    auth_type: AuthType,
    now: datetime,
    *,
    limit: int,
) -> int:
    """Find at most `limit` active connections with credentials for an old audience, and invalidate the credentials.

    Return the number of connections found. An end user can connect again at the same time, and the new credentials must
    stay valid. So the function locks the credentials of each connection, and checks the audience again.
    """
    audience = integration.audience(auth_type)
    scope = {"organization": organization_id, "slug": integration.slug, "auth_type": auth_type, "audience": audience}
    outdated = await tx.all(_OTHER_AUDIENCE, Connection, **scope, limit=limit)
    for connection in outdated:
        await credentials.lock(tx, connection.key)
        locked = await tx.one(_STILL_OTHER_AUDIENCE, Connection, **scope, connection=connection.id)
        if locked is not None:
            await invalidate(tx, locked, error_message(integration.name), now)
    return len(outdated)
