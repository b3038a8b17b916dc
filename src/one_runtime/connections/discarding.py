"""Discard the stored credential of a connection. The connection keeps its id, and its end user has to connect again."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from one_runtime.connections import credentials
from one_runtime.connections.connections import (
    COLUMNS,
    Connection,
    get,
    mark_needs_reauth,
    revocable_tokens,
    set_status,
)
from one_runtime.connections.credentials import INVALIDATED_AUDIENCE, ConnectionKey, TokenMetadata
from one_runtime.connections.pending_revocations import RevocableTokens
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import connections
from one_runtime.db.schema import credentials as credentials_table
from one_runtime.encryption.vault import KeyNotInRing, SealBroken, Vault
from one_runtime.explanations.stored_errors import error_note
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor

KEY_LOST: Final = "key_lost"
REQUIRED_BY_OPERATOR: Final = "required_by_operator"
CODES: Final = frozenset({KEY_LOST, REQUIRED_BY_OPERATOR})
"""The error codes of connections whose credential One Runtime has discarded."""

_KEY_LOST_MESSAGE: Final = "The operator lost the encryption key of the stored credential."
_REQUIRED_MESSAGE: Final = "The operator of One Runtime requires a new authorization."


class _LostRow:
    """A connection, and the version of its stored credential."""

    _fields = (*Connection.__dataclass_fields__, "version")

    def __init__(self, *cells: Any) -> None:
        self.connection, self.version = Connection(*cells[:-1]), int(cells[-1])


_LOST: Final = (
    select(*COLUMNS, credentials_table.c.version)
    .join_from(credentials_table, connections, connections.c.id == credentials_table.c.connection_id)
    .where(credentials_table.c.key_id == bindparam("key"))
    .order_by(credentials_table.c.connection_id)
    .limit(bindparam("limit"))
    .with_for_update(of=credentials_table)
)


async def discard_lost(tx: Transaction, vault: Vault, lost_key: str, operator: str, now: datetime, limit: int) -> int:
    """Replace at most `limit` credentials of a lost key by empty credentials. Set the status `needs_reauth`.

    The number of round trips to the database does not depend on the number of credentials. Return this number.
    """
    rows = await tx.all(_LOST, _LostRow, key=lost_key, limit=limit)
    if not rows:
        return 0
    error = error_note(KEY_LOST, _KEY_LOST_MESSAGE, now)
    marked = [row.connection for row in rows if row.connection.status != "needs_reauth"]
    await set_status(tx, marked, "needs_reauth", error, now)
    causes = [(Actor(row.organization_id, "system", operator), row.subject_with(KEY_LOST)) for row in marked]
    await events.record_many(tx, EventType.CONNECTION_NEEDS_REAUTH, now, causes)
    await credentials.empty_all(tx, vault, {row.connection.key: row.version for row in rows})
    return len(rows)


class Discarded(NamedTuple):
    """A discarded credential. `tokens`: the tokens to revoke, or None if the credential cannot be decrypted."""

    tokens: RevocableTokens | None


async def require_reauth(
    tx: Transaction, vault: Vault, actor: Actor, connection_id: str, now: datetime
) -> Discarded | None:
    """Discard a credential that still works, and set the status `needs_reauth` because the operator requires it.

    Only a new authorization makes the connection active again. The caller revokes the tokens. Return None, and change
    nothing, if the credential was discarded before.

    Raises: NotFound; KeyNotInRing, because a server with the key can still revoke the tokens.
    """
    key = ConnectionKey(actor.organization_id, connection_id)
    try:
        stored = await credentials.load(tx, vault, key, lock=True)
    except KeyNotInRing:
        raise
    except SealBroken:  # the row is damaged, but locked
        stored = None
    connection = await get(tx, key.organization_id, key.connection_id)
    if stored is not None and stored.token_metadata.audience == INVALIDATED_AUDIENCE:
        return None
    await mark_needs_reauth(tx, actor, connection, REQUIRED_BY_OPERATOR, _REQUIRED_MESSAGE, now, again=True)
    await credentials.store(tx, vault, key, {}, TokenMetadata(audience=INVALIDATED_AUDIENCE))
    return Discarded(None if stored is None else revocable_tokens(connection, stored))
