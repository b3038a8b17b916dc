"""Abandon a lost encryption key: delete or reset every value that only this key can decrypt.

A connection becomes `needs_reauth` and keeps its id. An OAuth client loses its secret. Unredeemed connections,
authorization attempts, pending revocations and stored responses are deleted.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam

from one_runtime.clock import Clock
from one_runtime.connecting import redirect_mode, sessions
from one_runtime.connections.discarding import KEY_LOST, discard_lost
from one_runtime.db import schema
from one_runtime.db.engine import Database, Transaction
from one_runtime.encryption import key_ring, key_rotation
from one_runtime.encryption.key_rotation import SealedRow
from one_runtime.encryption.vault import Vault
from one_runtime.explanations.stored_errors import error_note
from one_runtime.integrations.client_reset import ResetClient, reset_secret
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.installation_events import InstallationEventType, record_for_installation

_LOWEST: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(slots=True)
class AbandonedKey:
    """The result. `rows`: number of deleted or reset rows by table. `clients`: active clients to register again."""

    key_id: str
    active_key_id: str
    rows: Counter[str] = field(default_factory=Counter)
    clients: list[ResetClient] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Context:
    tx: Transaction
    vault: Vault
    now: datetime
    operator: str
    result: AbandonedKey

    def actor(self, row: SealedRow) -> Actor:
        """Return the actor of the event about a row."""
        return Actor(row.organization_id, "system", self.operator)


async def count_lost(tx: Transaction, vault: Vault, name: str, clock: Clock) -> tuple[str, int]:
    """Return the id of a lost key, and the number of rows that only this key can decrypt. Raises: NotFound; Conflict.

    `name`: the key's id or the beginning of the id.
    """
    key = await key_rotation.find_lost(tx, vault, name, clock)
    return key, (await key_ring.count_rows(tx))[key]


async def abandon(
    database: Database, vault: Vault, name: str, clock: Clock, operator: str, *, batch: int
) -> AbandonedKey:
    """Delete or reset the rows of a lost key in transactions of `batch` rows, and disable the key.

    `operator`: the name of the person who runs the command, for the events.

    If this ring lacks the active key, first activate the ring's first key. After a crash, a new run continues.

    Raises: NotFound; Conflict if the key is not lost.
    """
    async with database.write() as tx:
        key = await key_rotation.replace_lost(tx, vault, name, clock)
        result = AbandonedKey(key, await key_ring.active_key(tx))
    result.rows[schema.credentials.name] = await _discard_credentials(database, vault, key, clock, operator, batch)
    for table in key_ring.SEALED_TABLES:
        if table is schema.credentials:
            continue
        discard = _DISCARD.get(table.name)
        if discard is None:
            statement = batched_delete(table, table.c.key_id == bindparam("key"))
            result.rows[table.name] = await run_in_batches(database, statement, batch=batch, key=key)
            continue
        while True:
            async with database.write() as tx:
                rows = await key_rotation.find(tx, table, key, _LOWEST, batch)
                for row in rows:
                    await discard(_Context(tx, vault, clock(), operator, result), row)
            if not rows:
                break
            result.rows[table.name] += len(rows)
    async with database.write() as tx:
        await key_rotation.disable(tx, key, clock())
        await record_for_installation(
            tx, operator, InstallationEventType.ENCRYPTION_KEY_ABANDONED, clock(), {"key_id": key}
        )
    return result


async def _discard_credentials(
    database: Database, vault: Vault, key: str, clock: Clock, operator: str, batch: int
) -> int:
    """Discard all credentials of the key. Return their number."""
    count = 0
    while True:
        async with database.write() as tx:
            discarded = await discard_lost(tx, vault, key, operator, clock(), batch)
        if not discarded:
            return count
        count += discarded


async def _discard_unredeemed(context: _Context, row: SealedRow) -> None:
    session = await sessions.get(context.tx, row.organization_id, row.id)
    note = error_note(KEY_LOST, "The operator lost the encryption key of the stored credential.", context.now)
    await sessions.abandon(context.tx, session.id, "failed", note, context.now)
    await redirect_mode.discard_unredeemed(context.tx, session.id)
    data = {"session_id": session.id, "integration_slug": session.integration_slug, "reason": KEY_LOST}
    subject = Subject(session.end_user_id, None, data)
    await events.record(
        context.tx, context.actor(row), EventType.HOSTED_CONNECTION_SESSION_FAILED, context.now, subject
    )


async def _reset_client(context: _Context, row: SealedRow) -> None:
    client = await reset_secret(context.tx, context.vault, row.id, context.operator, context.now)
    if client is not None and client.retired_at is None:
        context.result.clients.append(client)


_DISCARD: Final[dict[str, Callable[[_Context, SealedRow], Awaitable[None]]]] = {
    schema.unredeemed_connections.name: _discard_unredeemed,
    schema.oauth_clients.name: _reset_client,
}
"""By table, the function for each row. `abandon` deletes the rows of the other sealed tables."""
