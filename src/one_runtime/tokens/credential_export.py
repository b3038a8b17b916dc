"""Read the stored credentials of many connections for an export, and record each read in the audit log."""

from collections.abc import Mapping, Sequence

from one_runtime.catalog.auth_types import AUTH_TYPES
from one_runtime.connections import credentials
from one_runtime.connections.connections import Connection
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.encryption.vault import SealBroken
from one_runtime.tenancy import events, organizations
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor


async def read_stored_credentials(
    tx: Transaction, installation: Installation, actor: Actor, page: Sequence[Connection]
) -> dict[str, Mapping[str, str]]:
    """Return the stored credentials of active connections of one organization, by the connection's id.

    The values have the form of `read_credentials`: without refresh tokens and client secrets. Refresh no tokens. Omit
    credentials that cannot be decrypted. Commit the events `connection.credentials_read` before the function returns.

    Raises: NotFound if the organization was deleted meanwhile.
    """
    found, now = dict[str, Mapping[str, str]](), installation.clock()
    for connection in page:
        if connection.status == "active":
            try:
                stored = await credentials.load(tx, installation.vault, connection.key)
            except SealBroken:
                continue
            found[connection.id] = AUTH_TYPES[connection.auth_type].exposes(stored.secrets)
    async with installation.database.write() as writing:
        await organizations.get(writing, actor.organization_id)
        for connection in page:
            if connection.id in found:
                await events.record(writing, actor, EventType.CONNECTION_CREDENTIALS_READ, now, connection.subject)
    return found
