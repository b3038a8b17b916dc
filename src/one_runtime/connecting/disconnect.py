"""Let go: of an end user's connections at one integration, of one connection, of an end user (P9).

Our copy is deleted first, in one transaction; what is to be revoked is kept apart until the provider has answered. So a
crash in between leaves nothing that could be used, and nothing that is forgotten.
"""

from dataclasses import dataclass, replace
from typing import Final

from one_runtime.connecting import account_selection, redirect_mode
from one_runtime.connections import connections, pending_revocations
from one_runtime.connections.connections import Connection
from one_runtime.connections.pending_revocations import PendingRevocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.encryption.vault import SealBroken
from one_runtime.errors import NotFound
from one_runtime.integrations import custom
from one_runtime.tenancy import end_users, events
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tokens.revocation import NOT_SUPPORTED, RevocationResult, can_be_revoked, revoke_all

ALL: Final = 10_000
"""More connections than one end user can have in practice; what is left after it goes with the next call."""

_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class DisconnectedConnection:
    """A connection that was deleted, and what became of its tokens at the provider."""

    connection_id: str
    revocations: tuple[RevocationResult, ...]


@dataclass(frozen=True, slots=True)
class _Removed:
    """A connection that is deleted; `letting`: what is to be revoked, where the provider offers a way."""

    connection_id: str
    letting: PendingRevocation | None
    broken: bool = False


async def disconnect(
    installation: Installation, actor: Actor, integration_slug: str, end_user_id: str
) -> list[DisconnectedConnection]:
    """Delete every connection of an end user at an integration, also those that need to be authorized again."""
    async with installation.database.write() as tx:
        found = await connections.list_at_integration(tx, actor.organization_id, end_user_id, integration_slug)
        removed = await _remove(tx, installation, actor, found)
    return await _revoked(installation, removed)


async def delete_connection(installation: Installation, actor: Actor, connection_id: str) -> DisconnectedConnection:
    """Delete one connection. Raises: NotFound."""
    async with installation.database.write() as tx:
        found = await connections.get(tx, actor.organization_id, connection_id)
        removed = await _remove(tx, installation, actor, [found])
    if not removed:
        raise NotFound(f"There is no connection {connection_id!r}.")
    return (await _revoked(installation, removed))[0]


async def delete_integration(installation: Installation, actor: Actor, slug: str) -> None:
    """Delete an integration of the organization's own with every connection to it. Raises: NotFound."""
    await custom.get(installation, actor.organization_id, slug)
    wanted = connections.ConnectionFilter(integration_slug=slug)
    while True:
        async with installation.database.write() as tx:
            found = await connections.list_page(tx, actor.organization_id, wanted, limit=_BATCH)
            removed = await _remove(tx, installation, actor, found)
        await _revoked(installation, removed)
        if len(found) < _BATCH:
            break
    await custom.delete(installation, actor, slug)


async def forget_end_user(installation: Installation, actor: Actor, end_user_id: str) -> list[DisconnectedConnection]:
    """Delete an end user with all that is theirs and take them out of the trail, but for the one event that says they
    are gone. Raises: NotFound."""
    now = installation.clock()
    async with installation.database.write() as tx:
        if not await end_users.lock(tx, actor.organization_id, end_user_id):
            raise NotFound(f"There is no end user {end_user_id[:64]!r}.")
        wanted = connections.ConnectionFilter(end_user_id=end_user_id)
        found = await connections.list_page(tx, actor.organization_id, wanted, limit=ALL)
        removed = await _remove(tx, installation, actor, found)
        unfinished = [
            *await account_selection.purge_of_end_user(tx, installation, actor.organization_id, end_user_id),
            *await redirect_mode.purge_of_end_user(tx, installation, actor.organization_id, end_user_id),
        ]
        await end_users.remove(tx, actor.organization_id, end_user_id)
        subject = Subject(end_user_id, None, {"deleted_connections": len(removed)})
        await events.forget_end_user(tx, actor.organization_id, end_user_id)
        await events.record(tx, actor, "end_user.deleted", now, subject)
    told = await _revoked(installation, removed)
    await revoke_all(installation, unfinished)
    return told


async def _remove(tx: Transaction, installation: Installation, actor: Actor, found: list[Connection]) -> list[_Removed]:
    now, removed = installation.clock(), []
    for connection in found:
        one = await _kept_to_revoke(tx, installation, connection)
        if await connections.remove(tx, actor, connection, now):
            removed.append(one)
        elif one.letting is not None:  # another was faster, and revokes it
            await pending_revocations.settle(tx, one.letting.id)
    return removed


async def _kept_to_revoke(tx: Transaction, installation: Installation, connection: Connection) -> _Removed:
    """Move the tokens to where they are good for being revoked only."""
    integration = await installation.catalogs.get(tx, connection.organization_id, connection.integration_slug)
    if not can_be_revoked(integration, connection.auth_type):
        return _Removed(connection.id, None)
    try:
        # Locked: whoever renews them at this moment has committed what they got, or finds the row gone.
        # And read again: the end user may have connected again since, elsewhere or otherwise.
        connection, held = await connections.get_with_credential(tx, installation.vault, connection.key, lock=True)
    except NotFound:
        return _Removed(connection.id, None)
    except SealBroken:
        return _Removed(connection.id, None, broken=True)
    if "access_token" not in held.secrets:
        return _Removed(connection.id, None)
    tokens = pending_revocations.RevocableTokens(
        connection.integration_slug, held.token_metadata, connection.params, held.secrets, connection.id
    )
    letting = await pending_revocations.store(
        tx, installation.vault, connection.organization_id, tokens, installation.clock()
    )
    return _Removed(connection.id, letting)


async def _revoked(installation: Installation, removed: list[_Removed]) -> list[DisconnectedConnection]:
    lettings = [one.letting for one in removed if one.letting is not None]
    told = dict(zip([one.id for one in lettings], await revoke_all(installation, lettings), strict=True))
    return [
        DisconnectedConnection(one.connection_id, tuple(told[one.letting.id]) if one.letting else _untold(one))
        for one in removed
    ]


def _untold(one: _Removed) -> tuple[RevocationResult, ...]:
    if one.broken:
        return (replace(NOT_SUPPORTED, outcome="failed", reason="The stored tokens cannot be opened."),)
    return (NOT_SUPPORTED,)
