"""Credentials of connections: sealed at rest, opened at the point of use, checked with the provider."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT compiles for SQLite too

from one_runtime.db.engine import Row, Transaction
from one_runtime.db.schema import credentials
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import SealContext, Sealed, Vault
from one_runtime.errors import NotFound, OneRuntimeError

TABLE = "credentials"
INVALIDATED_AUDIENCE: Final = "moved"
"""The audience of credentials whose integration has moved: nobody's, also where it moves back."""


class CredentialsRefused(OneRuntimeError):
    """The provider said no to these credentials. `provider_reason`: its own words, plain text, or None."""

    code, status, title = "credentials_refused", 422, "The provider does not accept these credentials"

    def __init__(self, detail: str, provider_reason: str | None) -> None:
        super().__init__(detail)
        self.provider_reason = provider_reason


class ProviderUnavailable(OneRuntimeError):
    """The provider gave no usable answer: nothing is known about the credentials. `retry_after`: seconds, where the
    provider asks for them, or we wait of our own accord."""

    code, status, title = "provider_unavailable", 502, "The provider does not answer as it should"

    def __init__(self, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """Whose account the credentials open, as far as the provider tells."""

    id: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionKey:
    """The row that credentials belong to."""

    organization_id: str
    connection_id: str


@dataclass(frozen=True, slots=True)
class TokenMetadata:
    """What is known of tokens beside them: the OAuth client that they were given to (None: the customer's own), and
    when to renew them (None: never). `audience`: whom they may be sent to, where the integration is the organization's
    own and may change."""

    oauth_client_id: str | None = None
    refresh_due_at: datetime | None = None
    audience: str | None = None


NO_TOKEN_METADATA: Final = TokenMetadata()


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """Credentials as they are held, opened, with how their renewal stands. `version` counts what was stored."""

    secrets: Mapping[str, str] = field(repr=False)
    version: int
    token_metadata: TokenMetadata
    lease: str | None
    leased_until: datetime | None
    retry_at: datetime | None
    failures: int


CREDENTIAL_COLUMNS: Final = tuple(
    credentials.c[name]
    for name in (
        "sealed", "key_id", "version", "oauth_client_id", "refresh_due_at", "lease", "leased_until", "retry_at",
        "failures", "audience",
    )
)  # fmt: skip
"""What `decrypt` reads."""

_STORED = ("sealed", "key_id", "version", "oauth_client_id", "refresh_due_at", "audience")
_SETTLED = {"lease": None, "leased_until": None, "retry_at": None, "failures": 0}
_UPSERT = insert(credentials)
_UPSERT = _UPSERT.on_conflict_do_update(
    index_elements=[credentials.c.connection_id],
    set_={**{name: _UPSERT.excluded[name] for name in _STORED}, **_SETTLED},
)
_VERSION = select(credentials.c.version).where(credentials.c.connection_id == bindparam("connection"))
_MINE = (
    credentials.c.organization_id == bindparam("organization"),
    credentials.c.connection_id == bindparam("connection"),
)
_ONE = select(*CREDENTIAL_COLUMNS).where(*_MINE)
_LOCKED = _ONE.with_for_update()
_CHANGE = update(credentials).where(*_MINE)
_LEASE = _CHANGE.where(
    credentials.c.version == bindparam("held_version"),
    credentials.c.failures == bindparam("held_failures"),
    credentials.c.refresh_due_at.is_not_distinct_from(bindparam("held_due_at")),
    credentials.c.leased_until.is_(None) | (credentials.c.leased_until <= bindparam("now")),
).values(lease=bindparam("new_lease"), leased_until=bindparam("until"))
_LEASED = _CHANGE.where(credentials.c.lease == bindparam("held_lease"))
_TROUBLE = _LEASED.values(
    lease=None, leased_until=None, retry_at=bindparam("until"), failures=credentials.c.failures + 1
)
_GIVE_BACK = _LEASED.values(lease=None, leased_until=None)
_GIVE_UP = _CHANGE.values(lease=None, leased_until=None, retry_at=None, refresh_due_at=None)
_CONDEMN = _CHANGE.values(
    audience=INVALIDATED_AUDIENCE, lease=None, leased_until=None, retry_at=None, refresh_due_at=None
)
_HURRY = _CHANGE.values(refresh_due_at=bindparam("now"), retry_at=None)
_POSTPONE = _CHANGE.values(retry_at=bindparam("until"))
_DUE = (
    select(credentials.c.organization_id, credentials.c.connection_id)
    .where(
        credentials.c.refresh_due_at <= bindparam("now"),
        credentials.c.leased_until.is_(None) | (credentials.c.leased_until <= bindparam("now")),
        credentials.c.retry_at.is_(None) | (credentials.c.retry_at <= bindparam("now")),
    )
    .order_by(credentials.c.refresh_due_at)
    .limit(bindparam("limit"))
)


async def store(
    tx: Transaction,
    vault: Vault,
    key: ConnectionKey,
    secrets: Mapping[str, str],
    token_metadata: TokenMetadata = NO_TOKEN_METADATA,
) -> None:
    """Seal and keep, over what was kept for this connection; each time under the next version. Whoever renews them at
    this moment has lost the lease. Raises: KeyNotInRing."""
    row = await tx.one(_VERSION, connection=key.connection_id)
    version = row.version + 1 if row else 1
    place = SealContext(TABLE, key.connection_id, version)
    sealed = await key_ring.seal(tx, vault, key.organization_id, json.dumps(dict(secrets)).encode(), place)
    await tx.execute(
        _UPSERT,
        connection_id=key.connection_id,
        organization_id=key.organization_id,
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=version,
        oauth_client_id=token_metadata.oauth_client_id,
        refresh_due_at=token_metadata.refresh_due_at,
        audience=token_metadata.audience,
        **_SETTLED,
    )


async def load(tx: Transaction, vault: Vault, key: ConnectionKey, *, lock: bool = False) -> StoredCredential:
    """Open what is kept; `lock`: nobody else changes it until the transaction ends.

    Raises: NotFound, and SealBroken where it was tampered with.
    """
    one = _LOCKED if lock else _ONE
    row = await tx.one(one, organization=key.organization_id, connection=key.connection_id)
    if row is None:
        raise NotFound("There are no credentials of this connection.")
    return decrypt(row, vault, key)


def decrypt(row: Row, vault: Vault, key: ConnectionKey) -> StoredCredential:
    """What a row holds that has these columns, opened. Raises: SealBroken."""
    place = SealContext(TABLE, key.connection_id, row.version)
    opened = json.loads(vault.open(key.organization_id, Sealed(row.key_id, row.sealed), place))
    grant = TokenMetadata(row.oauth_client_id, row.refresh_due_at, row.audience)
    return StoredCredential(opened, row.version, grant, row.lease, row.leased_until, row.retry_at, row.failures)


async def lock(tx: Transaction, key: ConnectionKey) -> None:
    """Nobody else changes these until the transaction ends. Whoever writes a connection and its credentials begins with
    this, or with `load` and its `lock`: in the other order two of them wait for each other."""
    await tx.all(_LOCKED, organization=key.organization_id, connection=key.connection_id)


async def acquire_lease(
    tx: Transaction, key: ConnectionKey, stored: StoredCredential, lease_id: str, now: datetime, until: datetime
) -> bool:
    """Take the right to renew these very credentials; False where another has it, or where they were changed, refused
    or not to be renewed meanwhile."""
    ids = {"organization": key.organization_id, "connection": key.connection_id}
    due_at = stored.token_metadata.refresh_due_at
    seen = {"held_version": stored.version, "held_failures": stored.failures, "held_due_at": due_at}
    return await tx.execute(_LEASE, **ids, **seen, new_lease=lease_id, now=now, until=until) > 0


async def record_failure(tx: Transaction, key: ConnectionKey, lease_id: str, retry_at: datetime) -> bool:
    """A renewal told nothing: not again before `retry_at`. False where the lease is another's by now."""
    ids = {"organization": key.organization_id, "connection": key.connection_id}
    return await tx.execute(_TROUBLE, **ids, held_lease=lease_id, until=retry_at) > 0


async def invalidate(tx: Transaction, key: ConnectionKey) -> None:
    """Use these credentials for nothing any more: their integration sends them elsewhere than they were given for."""
    await tx.execute(_CONDEMN, organization=key.organization_id, connection=key.connection_id)


async def stop_refreshing(tx: Transaction, key: ConnectionKey) -> None:
    """Renew these credentials no more: the provider has refused them."""
    await tx.execute(_GIVE_UP, organization=key.organization_id, connection=key.connection_id)


async def release_lease(tx: Transaction, key: ConnectionKey, lease_id: str) -> None:
    """Let go of a lease without having asked the provider."""
    ids = {"organization": key.organization_id, "connection": key.connection_id}
    await tx.execute(_GIVE_BACK, **ids, held_lease=lease_id)


async def refresh_now(tx: Transaction, key: ConnectionKey, now: datetime) -> None:
    """Have these credentials renewed at the next opportunity."""
    await tx.execute(_HURRY, organization=key.organization_id, connection=key.connection_id, now=now)


async def postpone(tx: Transaction, key: ConnectionKey, until: datetime) -> None:
    """Do not renew these credentials before then."""
    await tx.execute(_POSTPONE, organization=key.organization_id, connection=key.connection_id, until=until)


async def list_due(tx: Transaction, now: datetime, limit: int) -> list[ConnectionKey]:
    """Credentials to renew, the longest due first; those that somebody renews, or that have to wait, are left out."""
    return [ConnectionKey(row.organization_id, row.connection_id) for row in await tx.all(_DUE, now=now, limit=limit)]
