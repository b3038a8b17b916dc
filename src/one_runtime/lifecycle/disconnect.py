"""Delete connections, custom integrations and end users, and revoke the tokens at the providers.

One transaction deletes the stored credentials and queues the revocation of the tokens. If the server crashes after the
transaction, the worker revokes the tokens later (promise P9 of docs/security.md).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from one_runtime.connecting import account_selection, redirect_mode
from one_runtime.connections import connections, credentials, pending_revocations
from one_runtime.connections.connections import Connection, ConnectionFilter, revocable_tokens
from one_runtime.connections.pending_revocations import PendingRevocation, can_be_revoked, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.precondition import Precondition
from one_runtime.encryption.vault import SealBroken
from one_runtime.errors import NotFound
from one_runtime.integrations import custom
from one_runtime.integrations.custom import CustomIntegrationResult
from one_runtime.tenancy import end_users, events
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tokens.revocation import NOT_SUPPORTED, RevocationOutcome, RevocationResult, revoke_all

MAX_CONNECTIONS: Final = 10_000  # of one end user: in practice, an end user has fewer connections

_BATCH: Final = 200
_UNREADABLE: Final = replace(NOT_SUPPORTED, outcome="failed", reason="One Runtime cannot decrypt the stored tokens.")


@dataclass(frozen=True, slots=True)
class DisconnectedConnection:
    """A deleted connection as it was, and the result of the revocation for each token."""

    connection: Connection
    revocations: tuple[RevocationResult, ...]


@dataclass(frozen=True, slots=True)
class DeletedCustomIntegration:
    """A deleted custom integration as it was, the number of its deleted connections, and of each outcome of a token."""

    integration: CustomIntegrationResult
    deleted_connections: int
    outcomes: Mapping[RevocationOutcome, int]


@dataclass(frozen=True, slots=True)
class DeletedEndUser:
    """A deleted end user as it was, and the deleted connections."""

    end_user: EndUser
    disconnected: list[DisconnectedConnection]


Removal: TypeAlias = tuple[DisconnectedConnection, list[PendingRevocation]]
"""A deleted connection, and the queued revocations: of its tokens, and of the tokens that were kept with it."""


async def disconnect(
    installation: Installation, actor: Actor, integration_slug: str, end_user_id: str
) -> list[DisconnectedConnection]:
    """Delete every connection of an end user to an integration, and revoke the tokens."""
    async with installation.database.write() as tx:
        present = await connections.list_at_integration(tx, actor.organization_id, end_user_id, integration_slug)
        removals = await remove_connections(tx, installation, actor, present)
    return await _revoke(installation, removals)


async def delete_connection(
    installation: Installation, actor: Actor, connection_id: str, condition: Precondition[Connection] | None = None
) -> DisconnectedConnection:
    """Delete one connection, and revoke its tokens. Raises: NotFound; PreconditionFailed."""
    async with installation.database.write() as tx:
        connection = await connections.get(tx, actor.organization_id, connection_id)
        if condition is not None:
            # A refresh of tokens locks the credentials before the connection. The same order prevents a deadlock.
            await credentials.lock(tx, connection.key)
            connection = await connections.get(tx, actor.organization_id, connection_id, lock=True)
            await condition(tx, connection)
        removals = await remove_connections(tx, installation, actor, [connection])
    if not removals:
        raise NotFound(f"There is no connection {connection_id!r}. GET /v1/connections lists your connections.")
    return (await _revoke(installation, removals))[0]


async def delete_integration(
    installation: Installation,
    actor: Actor,
    slug: str,
    condition: Precondition[CustomIntegrationResult] | None = None,
) -> DeletedCustomIntegration:
    """Delete a custom integration, and every connection to this integration.

    Count the results of the revocations, because there can be millions.

    Raises: NotFound; PreconditionFailed; IntegrationInUse if an end user connects an account during the deletion.
    """
    async with installation.database.read() as tx:
        present = await custom.get(tx, actor.organization_id, slug)
    if condition is not None:
        async with installation.database.read() as tx:
            await condition(tx, present)
    at_integration = ConnectionFilter(integration_slug=slug)
    count, outcomes = 0, Counter[RevocationOutcome]()
    while True:
        async with installation.database.write() as tx:
            page = await connections.list_page(tx, actor.organization_id, at_integration, limit=_BATCH)
            removals = await remove_connections(tx, installation, actor, page)
        for disconnected in await _revoke(installation, removals):
            count += 1
            outcomes.update(result.outcome for result in disconnected.revocations)
        if len(page) < _BATCH:
            break
    deleted = await custom.delete(installation, actor, slug, condition)
    return DeletedCustomIntegration(deleted, count, outcomes)


async def forget_end_user(
    installation: Installation, actor: Actor, end_user_id: str, condition: Precondition[EndUser] | None = None
) -> DeletedEndUser:
    """Delete an end user with all connections and sessions.

    Also remove the end user's identifier from every stored event. Only the deliveries of the event `end_user.deleted`
    to webhook endpoints contain the identifier.

    Raises: NotFound; PreconditionFailed.
    """
    now = installation.clock()
    async with installation.database.write() as tx:
        if not await end_users.lock(tx, actor.organization_id, end_user_id):
            raise NotFound(f"There is no end user {end_user_id[:64]!r}. GET /v1/end-users lists your end users.")
        end_user = await end_users.get(tx, actor.organization_id, end_user_id)
        if condition is not None:
            await condition(tx, end_user)
        removals, unfinished = await remove_end_user(tx, installation, actor, end_user_id)
        subject = Subject(data={"deleted_connections": len(removals)}, deleted_end_user_id=end_user_id)
        await events.forget_end_user(tx, actor.organization_id, end_user_id, now)
        await events.record(tx, actor, EventType.END_USER_DELETED, now, subject)
    disconnected = await _revoke(installation, removals)
    await revoke_all(installation, unfinished)
    return DeletedEndUser(end_user, disconnected)


async def remove_end_user(
    tx: Transaction, installation: Installation, actor: Actor, end_user_id: str
) -> tuple[list[Removal], list[PendingRevocation]]:
    """Delete a locked end user with all connections and sessions, and queue the revocation of the tokens.

    Return the deleted connections, and the queued revocations of tokens that belonged to no connection yet.
    """
    of_end_user = ConnectionFilter(end_user_id=end_user_id)
    page = await connections.list_page(tx, actor.organization_id, of_end_user, limit=MAX_CONNECTIONS)
    removals = await remove_connections(tx, installation, actor, page)
    unfinished = [
        *await account_selection.purge_of_end_user(tx, installation, actor.organization_id, end_user_id),
        *await redirect_mode.purge_of_end_user(tx, installation, actor.organization_id, end_user_id),
    ]
    await end_users.remove(tx, actor.organization_id, end_user_id)
    return removals, unfinished


async def remove_connections(
    tx: Transaction, installation: Installation, actor: Actor, present: list[Connection]
) -> list[Removal]:
    """Delete connections, record the events, and queue the revocation of the tokens.

    Omit the connections that a concurrent request has already deleted.
    """
    now, removals = installation.clock(), list[Removal]()
    for connection in present:
        results, pending = await _queue_revocation(tx, installation, connection)
        if await connections.remove(tx, actor, connection, now):
            kept = await pending_revocations.release(tx, installation.vault, connection.id, now)
            queued = [*([pending] if pending is not None else []), *kept]
            removals.append((DisconnectedConnection(connection, results), queued))
        elif pending is not None:  # a concurrent request has deleted the connection and revokes the tokens
            await pending_revocations.settle(tx, pending)
    return removals


async def _queue_revocation(
    tx: Transaction, installation: Installation, connection: Connection
) -> tuple[tuple[RevocationResult, ...], PendingRevocation | None]:
    """Queue the revocation of the connection's tokens. Return the results to report, and the queued revocation.

    If nothing was queued, return None as the queued revocation. Otherwise, `_revoke` later adds the results.
    """
    vault, catalogs = installation.vault, installation.catalogs
    try:
        # Lock the credential's row. A concurrent refresh commits its tokens before this lock, or finds no row after the
        # deletion. Read the connection again, because the end user could replace the credentials before the lock.
        current, stored = await connections.get_with_credential(tx, vault, connection.key, lock=True)
    except NotFound:
        return (NOT_SUPPORTED,), None
    except SealBroken:
        integration = await catalogs.get(tx, connection.organization_id, connection.integration_slug)
        return (_UNREADABLE if can_be_revoked(integration, connection.auth_type) else NOT_SUPPORTED,), None
    tokens, now = revocable_tokens(current, stored), installation.clock()
    pending = await queue_revocation(tx, vault, catalogs, tokens, "disconnected", now)
    return (NOT_SUPPORTED,) if pending is None else (), pending


async def _revoke(installation: Installation, removals: list[Removal]) -> list[DisconnectedConnection]:
    """Ask the providers to revoke the queued tokens. Call this after the deletion of the connections is committed."""
    claimed = [pending for _, queued in removals for pending in queued]
    results = dict(zip([pending.id for pending in claimed], await revoke_all(installation, claimed), strict=True))
    return [
        replace(
            disconnected,
            revocations=(*disconnected.revocations, *(result for pending in queued for result in results[pending.id])),
        )
        for disconnected, queued in removals
    ]
