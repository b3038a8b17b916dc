"""Store the credentials of connections. One Runtime encrypts credentials before storage, and decrypts them for use.

Before a process refreshes the credentials of a connection, the process takes a lease: a reservation for a limited time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import bindparam, func, select, update

from one_runtime.clock import Clock
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import TIME, credentials
from one_runtime.db.upsert import insert
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import KeyNotInRing, SealContext, Sealed, Vault
from one_runtime.errors import NotFound, OneRuntimeError
from one_runtime.jobs.queue import database_now

TABLE = "credentials"
INVALIDATED_AUDIENCE: Final = "moved"
"""Value of `TokenMetadata.audience` for invalidated credentials.

One Runtime uses credentials only if their audience equals the integration's audience. No integration has this audience.
So the credentials stay unusable, even if an organization restores the integration's old definition.
"""


Refusals: TypeAlias = Literal["single", "unclear", "repeated", "lasting"]
"""Consecutive refreshes that the provider possibly refused, judged at the last of these refreshes.

The value depends on the time between the first and the last of these refreshes:

- `lasting`: at least a day.
- `unclear`: less than a day, and at least one response has another likely cause (`OAuthErrorResponse.has_other_cause`).
- `repeated`: at least a minute and less than a day, and no response has another likely cause.
- `single`: less than a minute, and no response has another likely cause.
"""


class CheckFailed(OneRuntimeError):
    """Base class: the provider answered the check, and did not accept the credentials.

    `provider_reason`: the provider's message as plain text, or None.
    """

    def __init__(self, detail: str, provider_reason: str | None) -> None:
        super().__init__(detail)
        self.provider_reason = provider_reason

    @property
    def summary(self) -> str:
        """Return the message that a connection or session stores."""
        return self.provider_reason or self.detail


class CredentialsRefused(CheckFailed):
    """The provider refused these credentials."""

    code, status, title = "credentials_refused", 422, "The provider does not accept these credentials"
    documentation = (
        "The provider refused the credential. One Runtime stored nothing.",
        "Ask the end user for a valid credential.",
    )


class PermissionMissing(CheckFailed):
    """The credentials are valid, but lack a permission. `permission`: the permission's name, or None if unknown."""

    code, status, title = "permission_missing", 422, "The credentials lack a permission"
    documentation = (
        (
            "The credential is valid, but lacks a permission that the check needs. `detail` names the permission if "
            "the integration defines the name. One Runtime stored nothing."
        ),
        "Add the permission and try again.",
    )

    def __init__(self, detail: str, provider_reason: str | None, permission: str | None) -> None:
        super().__init__(detail, provider_reason)
        self.permission = permission

    @property
    def summary(self) -> str:
        """Return the message that a connection or session stores. It names the permission, if the name is known."""
        return self.detail if self.permission is not None else super().summary


class ProviderUnavailable(OneRuntimeError):
    """The provider gave no usable response. The credentials can still be valid. `retry_after`: seconds to wait.

    `reason`: the reason for developers, such as an invalid TLS certificate. `detail` is also for end users, who cannot
    do anything about it.
    """

    code, status, title = "provider_unavailable", 502, "The provider does not answer as it should"
    documentation = (
        "The provider gave no usable answer. One Runtime stored nothing.",
        "Try again later. If the response has the header `Retry-After`, wait for this number of seconds.",
    )

    def __init__(self, detail: str, retry_after: int | None = None, reason: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after, self.reason = retry_after, reason


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """The id and label of an account at the provider. None stands for a value that the provider does not return."""

    id: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectionKey:
    """The ids that identify a connection and its stored credential."""

    organization_id: str
    connection_id: str


@dataclass(frozen=True, slots=True)
class TokenMetadata:
    """Data that One Runtime stores with the tokens.

    `oauth_client_id`: the registered OAuth client of the tokens; None if the end user entered the client.
    `refresh_due_at`: the time of the next refresh; None if One Runtime does not refresh the tokens. `audience`: None
    for a built-in integration. For a custom integration, the audience is a digest of the hosts that receive the
    credentials, and of the place of the credentials in a request (`AuthBase.audience`).
    """

    oauth_client_id: str | None = None
    refresh_due_at: datetime | None = None
    audience: str | None = None


NO_TOKEN_METADATA: Final = TokenMetadata()


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """Decrypted credentials, with data about their refresh. Each call of `store` increases `version` by 1.

    `refused_client_version`: the version of the OAuth client, if the provider refused the client in the last refresh.
    `refused_since`: the first of the latest consecutive refreshes that the provider possibly refused
    (`OAuthErrorResponse.possible_refusal`). `refusals`: the judgement about these refreshes.
    """

    secrets: Mapping[str, str] = field(repr=False)
    version: int
    token_metadata: TokenMetadata
    lease: str | None
    retry_at: datetime | None
    failures: int
    refused_client_version: int | None = None
    refused_since: datetime | None = None
    refusals: Refusals | None = None


class CredentialRow(NamedTuple):
    """The columns that `decrypt` reads."""

    sealed: bytes
    key_id: str
    version: int
    oauth_client_id: str | None
    refresh_due_at: datetime | None
    lease: str | None
    retry_at: datetime | None
    failures: int
    refused_client_version: int | None
    refused_since: datetime | None
    refusals: Refusals | None
    audience: str | None


class _StoredVersion(NamedTuple):
    version: int


class _AcquiredLease(NamedTuple):
    active_key: str | None


CREDENTIAL_COLUMNS: Final = tuple(credentials.c[name] for name in CredentialRow._fields)

_STORED = ("sealed", "key_id", "version", "oauth_client_id", "refresh_due_at", "audience")
_NO_REFRESH_STATE = {
    "lease": None,
    "leased_until": None,
    "retry_at": None,
    "failures": 0,
    "refused_client_version": None,
    "refused_since": None,
    "refusals": None,
}
_UPSERT = insert(credentials)
_UPSERT = _UPSERT.on_conflict_do_update(
    index_elements=[credentials.c.connection_id],
    set_={**{name: _UPSERT.excluded[name] for name in _STORED}, **_NO_REFRESH_STATE},
)
_VERSION = select(credentials.c.version).where(credentials.c.connection_id == bindparam("connection"))
_BY_KEY = (
    credentials.c.organization_id == bindparam("organization"),
    credentials.c.connection_id == bindparam("connection"),
)
_BY_CONNECTION = select(*CREDENTIAL_COLUMNS).where(*_BY_KEY)
_LOCKED = _BY_CONNECTION.with_for_update()
_CHANGE = update(credentials).where(*_BY_KEY)
_LEASE = _CHANGE.where(
    credentials.c.version == bindparam("held_version"),
    credentials.c.failures == bindparam("held_failures"),
    credentials.c.refresh_due_at.is_not_distinct_from(bindparam("held_due_at")),
    credentials.c.leased_until.is_(None) | (credentials.c.leased_until <= bindparam("now")),
).values(lease=bindparam("new_lease"), leased_until=bindparam("until"))
_LEASE = _LEASE.returning(key_ring.ACTIVE_ID.label("active_key"))
_LEASED = _CHANGE.where(credentials.c.lease == bindparam("held_lease"))
_RECORD_FAILURE = _LEASED.values(
    lease=None,
    leased_until=None,
    refresh_due_at=func.coalesce(bindparam("due_at", type_=TIME), credentials.c.refresh_due_at),
    retry_at=bindparam("until"),
    failures=credentials.c.failures + 1,
    refused_client_version=bindparam("client_version"),
    refused_since=bindparam("refused_since"),
    refusals=bindparam("refusals"),
)
_RELEASE = _LEASED.values(lease=None, leased_until=None)
_RELEASE_ALL = update(credentials).where(credentials.c.lease.is_not(None)).values(lease=None, leased_until=None)
_STOP_REFRESHING = _CHANGE.values(lease=None, leased_until=None, retry_at=None, refresh_due_at=None)
_INVALIDATE = _CHANGE.values(
    audience=INVALIDATED_AUDIENCE, lease=None, leased_until=None, retry_at=None, refresh_due_at=None
)
_REFRESH_NOW = _CHANGE.values(refresh_due_at=bindparam("now"), retry_at=None)
_POSTPONE = _CHANGE.values(retry_at=bindparam("until"), refused_client_version=None)
_PAUSE_FOR_CLIENT = (
    update(credentials)
    .where(credentials.c.oauth_client_id == bindparam("client"), credentials.c.refresh_due_at.is_not(None))
    .values(retry_at=bindparam("until"), failures=credentials.c.failures + 1, refused_client_version=bindparam("held"))
)


async def store(
    tx: Transaction,
    vault: Vault,
    key: ConnectionKey,
    secrets: Mapping[str, str],
    token_metadata: TokenMetadata = NO_TOKEN_METADATA,
) -> None:
    """Encrypt and store credentials with the next version number, and end any lease.

    Raises: KeyNotInRing if this process lacks the encryption key.
    """
    row = await tx.one(_VERSION, _StoredVersion, connection=key.connection_id)
    version = row.version + 1 if row else 1
    context = SealContext(TABLE, key.connection_id, version)
    sealed = await key_ring.seal(tx, vault, key.organization_id, json.dumps(dict(secrets)).encode(), context)
    await tx.execute(_UPSERT, **_values(key, sealed, version, token_metadata))


async def empty_all(tx: Transaction, vault: Vault, versions: Mapping[ConnectionKey, int]) -> None:
    """Replace stored credentials by empty credentials, with few round trips to the database.

    No refresh and no check can make an empty credential usable. `versions`: the present versions, of locked rows.

    Raises: KeyNotInRing if this process lacks the encryption key.
    """
    places = [(key, SealContext(TABLE, key.connection_id, version + 1)) for key, version in versions.items()]
    sealed = await key_ring.seal_all(tx, vault, [(key.organization_id, b"{}", place) for key, place in places])
    discarded = TokenMetadata(audience=INVALIDATED_AUDIENCE)
    rows = [_values(key, value, place.version, discarded) for (key, place), value in zip(places, sealed, strict=True)]
    await tx.execute_many(_UPSERT, rows)


def _values(key: ConnectionKey, sealed: Sealed, version: int, token_metadata: TokenMetadata) -> dict[str, object]:
    return {
        "connection_id": key.connection_id,
        "organization_id": key.organization_id,
        "sealed": sealed.data,
        "key_id": sealed.key_id,
        "version": version,
        "oauth_client_id": token_metadata.oauth_client_id,
        "refresh_due_at": token_metadata.refresh_due_at,
        "audience": token_metadata.audience,
        **_NO_REFRESH_STATE,
    }


async def load(
    tx: Transaction, vault: Vault, key: ConnectionKey, *, lock: bool = False, known: StoredCredential | None = None
) -> StoredCredential:
    """Return the decrypted credentials. With `lock`, lock the row until `tx` ends.

    `known`: see `decrypt`.

    Raises: NotFound; SealBroken if the credentials cannot be decrypted.
    """
    statement = _LOCKED if lock else _BY_CONNECTION
    row = await tx.one(statement, CredentialRow, organization=key.organization_id, connection=key.connection_id)
    if row is None:
        raise NotFound("This connection has no stored credentials.")
    return decrypt(row, vault, key, known)


def decrypt(
    row: CredentialRow, vault: Vault, key: ConnectionKey, known: StoredCredential | None = None
) -> StoredCredential:
    """Return the decrypted credentials. Raises: SealBroken.

    `known`: the credentials as this process has read them before. Since then, `keys reseal` can have encrypted the row
    with a key that this process does not have. If the version is the same, the secrets are the same.
    """
    context = SealContext(TABLE, key.connection_id, row.version)
    secrets: Mapping[str, str]
    try:
        secrets = json.loads(vault.open(key.organization_id, Sealed(row.key_id, row.sealed), context))
    except KeyNotInRing:
        if known is None or known.version != row.version:
            raise
        secrets = known.secrets
    metadata = TokenMetadata(row.oauth_client_id, row.refresh_due_at, row.audience)
    # An older version of One Runtime resets `failures` after new tokens, but does not know the columns below. So ignore
    # these columns if `failures` is 0.
    failed = row.failures > 0
    return StoredCredential(
        secrets,
        row.version,
        metadata,
        row.lease,
        row.retry_at,
        row.failures,
        row.refused_client_version if failed else None,
        row.refused_since if failed else None,
        row.refusals if failed else None,
    )


async def lock(tx: Transaction, key: ConnectionKey) -> None:
    """Lock the credentials until the transaction ends.

    The caller must lock the credentials before it writes the connection's row. Two transactions that lock the two rows
    in different orders can wait for each other (a deadlock).
    """
    await tx.all(_LOCKED, organization=key.organization_id, connection=key.connection_id)


async def acquire_lease(
    tx: Transaction,
    vault: Vault,
    clock: Clock,
    key: ConnectionKey,
    stored: StoredCredential,
    duration: timedelta,
) -> str | None:
    """Reserve the credentials for a refresh by this process. Return the id of this reservation (the lease).

    Return None if another process holds a lease, or if the row no longer matches `stored`. The database's clock
    decides the end of the lease, because the clocks of two servers can differ.

    The lease prevents two refreshes with the same refresh token. If One Runtime sends a refresh token twice, many
    providers invalidate the token (promise P8 of docs/security.md).

    Raises: KeyNotInRing if this process could not encrypt the new tokens. Unavailable if no key is active. Roll `tx`
    back after these errors, so that other processes can acquire the lease.
    """
    now, lease_id = await database_now(tx, clock), new_id()
    acquired = await tx.one(
        _LEASE,
        _AcquiredLease,
        organization=key.organization_id,
        connection=key.connection_id,
        held_version=stored.version,
        held_failures=stored.failures,
        held_due_at=stored.token_metadata.refresh_due_at,
        new_lease=lease_id,
        now=now,
        until=now + duration,
    )
    if acquired is None:
        return None
    key_ring.require_key(vault, acquired.active_key)
    return lease_id


async def record_failure(
    tx: Transaction, key: ConnectionKey, failed: StoredCredential, lease_id: str, due_at: datetime | None = None
) -> bool:
    """Store the columns of `failed` about a failed refresh, count the failure, and end the lease.

    Allow no refresh before `failed.retry_at`. If `failed.refused_client_version` is set, also allow a refresh after an
    update of the OAuth client. Return False, and change nothing, if this process no longer holds the lease.

    `due_at`: the new due time. With None, the due time stays, because another process can have changed it.
    """
    changed = await tx.execute(
        _RECORD_FAILURE,
        organization=key.organization_id,
        connection=key.connection_id,
        held_lease=lease_id,
        due_at=due_at,
        until=failed.retry_at,
        client_version=failed.refused_client_version,
        refused_since=failed.refused_since,
        refusals=failed.refusals,
    )
    return changed > 0


async def invalidate(tx: Transaction, key: ConnectionKey) -> None:
    """Make these credentials unusable, because the audience of the integration has changed."""
    await tx.execute(_INVALIDATE, organization=key.organization_id, connection=key.connection_id)


async def pause_for_client(tx: Transaction, oauth_client_id: str, version: int, until: datetime) -> None:
    """Pause the refreshes that need an OAuth client, until the client has another version."""
    await tx.execute(_PAUSE_FOR_CLIENT, client=oauth_client_id, held=version, until=until)


async def stop_refreshing(tx: Transaction, key: ConnectionKey) -> None:
    """Stop refreshing these credentials, for example after the provider refused the refresh token."""
    await tx.execute(_STOP_REFRESHING, organization=key.organization_id, connection=key.connection_id)


async def release_lease(tx: Transaction, key: ConnectionKey, lease_id: str) -> None:
    """End a lease during which this process sent no request to the provider."""
    ids = {"organization": key.organization_id, "connection": key.connection_id}
    await tx.execute(_RELEASE, **ids, held_lease=lease_id)


async def release_all_leases(tx: Transaction) -> int:
    """End the leases of processes that no longer run. Return the number of leases.

    The caller must be the only process that uses the database.
    """
    return await tx.execute(_RELEASE_ALL)


async def refresh_now(tx: Transaction, key: ConnectionKey, now: datetime) -> None:
    """Make these credentials due for a refresh now."""
    await tx.execute(_REFRESH_NOW, organization=key.organization_id, connection=key.connection_id, now=now)


async def postpone(tx: Transaction, key: ConnectionKey, until: datetime) -> None:
    """Postpone the refresh of these credentials to `until`. An update of the OAuth client does not end this pause."""
    await tx.execute(_POSTPONE, organization=key.organization_id, connection=key.connection_id, until=until)
