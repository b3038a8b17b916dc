"""Tokens of connections that are gone: sealed, and kept for nothing but to be revoked, a day at the most (P9)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update

from one_runtime.connections.credentials import TokenMetadata
from one_runtime.db.engine import Row, Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import revocations
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import KeyNotInRing, SealBroken, SealContext, Sealed, Vault

TABLE: Final = "revocations"
KEPT: Final = timedelta(days=1)
"""How long a provider that does not answer is asked again."""
LEASE: Final = timedelta(minutes=2)
"""For how long whoever revokes has a row to themselves; longer than the requests may take."""

_VERSION: Final = 1  # a row's secret is written once


@dataclass(frozen=True, slots=True)
class PendingRevocation:
    """What is to be revoked of one connection. `tokens`: by kind, and the customer's own client where it is theirs."""

    id: str
    organization_id: str
    connection_id: str | None
    integration_slug: str
    oauth_client_id: str | None
    params: Mapping[str, str]
    tokens: Mapping[str, str] = field(repr=False)
    attempts: int
    give_up_at: datetime
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class RevocableTokens:
    """Tokens to be revoked, with what it takes to do it."""

    integration_slug: str
    grant: TokenMetadata
    params: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    connection_id: str | None = None


_INSERT = insert(revocations)
_DELETE = delete(revocations).where(revocations.c.id == bindparam("revocation"))
_POSTPONE = (
    update(revocations)
    .where(revocations.c.id == bindparam("revocation"), revocations.c.attempts == bindparam("made"))
    .values(due_at=bindparam("next"))
)
_CLAIM = (
    update(revocations)
    .where(revocations.c.id == bindparam("revocation"), revocations.c.attempts == bindparam("made"))
    .values(attempts=revocations.c.attempts + 1, due_at=bindparam("next"))
)
_DUE = (
    select(revocations)
    .where(revocations.c.due_at <= bindparam("now"))
    .order_by(revocations.c.due_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_EXPIRED = delete(revocations).where(revocations.c.give_up_at <= bindparam("now"))
_KINDS: Final = ("refresh_token", "access_token", "client_id", "client_secret")


async def store(
    tx: Transaction, vault: Vault, organization_id: str, tokens: RevocableTokens, now: datetime
) -> PendingRevocation:
    """Keep tokens until they are revoked. Whoever stores them revokes them first: they are due once that has failed."""
    letting = PendingRevocation(
        id=new_id(),
        organization_id=organization_id,
        connection_id=tokens.connection_id,
        integration_slug=tokens.integration_slug,
        oauth_client_id=tokens.grant.oauth_client_id,
        params=tokens.params,
        tokens={kind: tokens.secrets[kind] for kind in _KINDS if kind in tokens.secrets},
        attempts=1,
        give_up_at=now + KEPT,
        audience=tokens.grant.audience,
    )
    plaintext = json.dumps(dict(letting.tokens)).encode()
    sealed = await key_ring.seal(tx, vault, organization_id, plaintext, SealContext(TABLE, letting.id, _VERSION))
    await tx.execute(
        _INSERT,
        id=letting.id,
        organization_id=organization_id,
        connection_id=letting.connection_id,
        integration_slug=letting.integration_slug,
        oauth_client_id=letting.oauth_client_id,
        params=dict(letting.params),
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=_VERSION,
        attempts=letting.attempts,
        due_at=now + LEASE,
        give_up_at=letting.give_up_at,
        audience=letting.audience,
    )
    return letting


async def claim(tx: Transaction, vault: Vault, now: datetime, limit: int) -> list[PendingRevocation]:
    """Take what is due, so that nobody else does for a while. What does not open is deleted: it is of no use."""
    claimed = []
    await tx.execute(_EXPIRED, now=now)
    for row in await tx.all(_DUE, now=now, limit=limit):
        if not await tx.execute(_CLAIM, revocation=row.id, made=row.attempts, next=now + LEASE):
            continue
        try:
            claimed.append(_opened(vault, row, row.attempts + 1))
        except KeyNotInRing:  # another server may have the key: it is due again later
            continue
        except SealBroken:
            await settle(tx, row.id)
    return claimed


async def settle(tx: Transaction, revocation_id: str) -> None:
    """It is over: the tokens are deleted."""
    await tx.execute(_DELETE, revocation=revocation_id)


async def postpone(tx: Transaction, letting: PendingRevocation, due_at: datetime) -> None:
    """Try again later, unless another has taken it since."""
    await tx.execute(_POSTPONE, revocation=letting.id, made=letting.attempts, next=due_at)


def _opened(vault: Vault, row: Row, attempts: int) -> PendingRevocation:
    sealed = Sealed(row.key_id, row.sealed)
    tokens = json.loads(vault.open(row.organization_id, sealed, SealContext(TABLE, row.id, row.version)))
    return PendingRevocation(
        row.id,
        row.organization_id,
        row.connection_id,
        row.integration_slug,
        row.oauth_client_id,
        row.params,
        tokens,
        attempts,
        row.give_up_at,
        row.audience,
    )
