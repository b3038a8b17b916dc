"""Let go: of an end user's connections at one integration, of one connection, of an end user."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from one_runtime import connections, end_users, events
from one_runtime.connections import Connection
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound
from one_runtime.events import Actor, Subject
from one_runtime.installation import Installation

ALL: Final = 10_000
"""More connections than one end user can have in practice; what is left after it goes with the next call."""

Outcome: TypeAlias = Literal["revoked", "refused", "unreachable", "not_supported"]


@dataclass(frozen=True, slots=True)
class Revocation:
    """What became of one connection's credential at the provider. Keys that an end user typed can only be revoked by
    them, in the provider's own settings: `not_supported`."""

    connection_id: str
    outcome: Outcome


async def disconnect(
    installation: Installation, actor: Actor, integration_slug: str, end_user_id: str
) -> list[Revocation]:
    """Delete every connection of an end user at an integration, also those that need to be authorized again."""
    async with installation.database.write() as tx:
        found = await connections.list_present(tx, actor.organization_id, end_user_id, integration_slug)
        return await _remove(tx, installation, actor, found)


async def delete_connection(installation: Installation, actor: Actor, connection_id: str) -> Revocation:
    """Delete one connection. Raises: NotFound."""
    async with installation.database.write() as tx:
        found = await connections.get(tx, actor.organization_id, connection_id)
        removed = await _remove(tx, installation, actor, [found])
    if not removed:
        raise NotFound(f"There is no connection {connection_id!r}.")
    return removed[0]


async def forget_end_user(installation: Installation, actor: Actor, end_user_id: str) -> list[Revocation]:
    """Delete an end user with all that is theirs and take them out of the trail, but for the one event that says they
    are gone. Raises: NotFound."""
    now = installation.clock()
    async with installation.database.write() as tx:
        if not await end_users.lock(tx, actor.organization_id, end_user_id):
            raise NotFound(f"There is no end user {end_user_id[:64]!r}.")
        wanted = connections.ConnectionFilter(end_user_id=end_user_id)
        found = await connections.list_page(tx, actor.organization_id, wanted, limit=ALL)
        removed = await _remove(tx, installation, actor, found)
        await end_users.remove(tx, actor.organization_id, end_user_id)
        subject = Subject(end_user_id, None, {"deleted_connections": len(removed)})
        await events.forget_end_user(tx, actor.organization_id, end_user_id)
        await events.record(tx, actor, "end_user.deleted", now, subject)
    return removed


async def _remove(
    tx: Transaction, installation: Installation, actor: Actor, found: list[Connection]
) -> list[Revocation]:
    now = installation.clock()
    return [
        Revocation(connection.id, "not_supported")
        for connection in found
        if await connections.remove(tx, actor, connection, now)
    ]
