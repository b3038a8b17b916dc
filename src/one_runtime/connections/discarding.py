"""Discard the stored credential of a connection. The connection keeps its id, and its end user has to connect again."""

from datetime import datetime
from typing import Final, NamedTuple

from one_runtime.connections import credentials
from one_runtime.connections.connections import get, mark_needs_reauth, revocable_tokens
from one_runtime.connections.credentials import INVALIDATED_AUDIENCE, ConnectionKey, TokenMetadata
from one_runtime.connections.pending_revocations import RevocableTokens
from one_runtime.db.engine import Transaction
from one_runtime.encryption.vault import KeyNotInRing, SealBroken, Vault
from one_runtime.tenancy.events import Actor

KEY_LOST: Final = "key_lost"
REQUIRED_BY_OPERATOR: Final = "required_by_operator"
CODES: Final = frozenset({KEY_LOST, REQUIRED_BY_OPERATOR})
"""The error codes of connections whose credential One Runtime has discarded."""

_KEY_LOST_MESSAGE: Final = "The operator lost the encryption key of the stored credential."
_REQUIRED_MESSAGE: Final = "The operator of One Runtime requires a new authorization."


async def discard_lost(tx: Transaction, vault: Vault, actor: Actor, connection_id: str, now: datetime) -> None:
    """Replace a credential that no key can decrypt by an empty credential. Set the status `needs_reauth`."""
    key = ConnectionKey(actor.organization_id, connection_id)
    await credentials.lock(tx, key)
    connection = await get(tx, key.organization_id, key.connection_id)
    await mark_needs_reauth(tx, actor, connection, KEY_LOST, _KEY_LOST_MESSAGE, now)
    await _empty(tx, vault, key)


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
    await _empty(tx, vault, key)
    return Discarded(None if stored is None else revocable_tokens(connection, stored))


async def _empty(tx: Transaction, vault: Vault, key: ConnectionKey) -> None:
    """Store an empty credential. No refresh and no check can make the connection active again."""
    await credentials.store(tx, vault, key, {}, TokenMetadata(audience=INVALIDATED_AUDIENCE))
