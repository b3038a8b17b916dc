"""Read and change the database's list of encryption keys. The list contains only ids and times of keys, not the keys.

The ring of a process consists of the keys in its setting ONE_RUNTIME_ENCRYPTION_KEYS. One Runtime encrypts every new
value with the active key. On a new database, the first key of the ring becomes active. Later, only the command
`keys activate` changes the active key.

Every transaction that encrypts a value reads the id of the active key from the database. So a newly activated key takes
effect in all processes at once (promise P3 of docs/security.md).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import Table, bindparam, func, select, union_all, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from one_runtime.clock import Clock
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import (
    agent_runs,
    approval_requests,
    consents,
    credentials,
    idempotency_keys,
    key_ring,
    oauth_clients,
    revocations,
    totp_secrets,
    unredeemed_connections,
    webhook_secrets,
)
from one_runtime.db.upsert import insert
from one_runtime.encryption.vault import SealContext, Sealed, Vault
from one_runtime.errors import ConfigurationError, Unavailable
from one_runtime.jobs import instances
from one_runtime.telemetry.logger import Logger

SEALED_TABLES: Final[tuple[Table, ...]] = (
    credentials,
    unredeemed_connections,
    oauth_clients,
    consents,
    revocations,
    idempotency_keys,
    webhook_secrets,
    agent_runs,
    approval_requests,
    totp_secrets,
)
"""Every table with sealed (encrypted) values. A test compares this list with the schema.

Each table has the columns `organization_id`, `sealed`, `key_id` and `version`. Each sealed value is bound to its table,
to the row's primary key and to the row's `version`. If the value is moved, its decryption fails.
"""

_SEALED_NAMES: Final = frozenset(table.name for table in SEALED_TABLES)

_NO_ACTIVE_KEY: Final = "No encryption key is active. Start the server, or run `one-runtime keys activate`."
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

log = Logger()

State: TypeAlias = Literal["active", "ready", "disabled", "new"]

_LOCK: Final = 0x6F6E655F6B6579  # advisory lock for changes to the database's list


class _LockRing(FunctionElement[Any]):
    """Acquires the lock for changes to the database's list of keys. The lock ends with the transaction."""

    inherit_cache = True


@compiles(_LockRing, "postgresql")
def _lock_postgresql(element: _LockRing, compiler: SQLCompiler, **options: object) -> str:  # noqa: ARG001
    return f"pg_advisory_xact_lock({_LOCK})"


@compiles(_LockRing, "sqlite")
def _lock_sqlite(element: _LockRing, compiler: SQLCompiler, **options: object) -> str:  # noqa: ARG001
    return "NULL"  # SQLite has only one writing transaction at a time


_newest = key_ring.alias()
ACTIVE_ID: Final = (
    select(_newest.c.key_id)
    .where(_newest.c.promoted_at.is_not(None), _newest.c.retired_at.is_(None))
    .order_by(_newest.c.promoted_at.desc(), _newest.c.key_id)
    .limit(1)
    .scalar_subquery()
)
"""Subquery that returns the id of the active key, without a lock."""
# FOR KEY SHARE locks the row of the active key until the transaction ends. `disable` locks this row with FOR UPDATE, so
# `disable` waits for every transaction that encrypts with this key. This SELECT can also wait for `disable`. After such
# a wait, PostgreSQL evaluates only the outer condition again. So the outer condition must contain `retired_at`.
_ACTIVE = (
    select(key_ring.c.key_id)
    .where(key_ring.c.key_id == ACTIVE_ID, key_ring.c.retired_at.is_(None))
    .with_for_update(read=True, key_share=True)
)
_ACTIVE_NOW = select(key_ring.c.key_id).where(key_ring.c.key_id == ACTIVE_ID)
_HOLD_ENABLED = (
    select(key_ring.c.key_id)
    .where(key_ring.c.key_id == bindparam("key"), key_ring.c.retired_at.is_(None))
    .with_for_update(read=True, key_share=True)
)
LOCK_RING = select(_LockRing())
_ALL = select(key_ring).order_by(key_ring.c.created_at, key_ring.c.key_id)
ADD = (
    insert(key_ring)
    .values(key_id=bindparam("key"), created_at=bindparam("now"), promoted_at=None, retired_at=None)
    .on_conflict_do_nothing()
)
ACTIVATE = (
    update(key_ring).where(key_ring.c.key_id == bindparam("key")).values(promoted_at=bindparam("now"), retired_at=None)
)


_COUNTS: Final = union_all(
    *(
        select(table.c.key_id, func.count().label("rows"))
        .where(table.c.key_id.is_not(None))  # null if the secret was deleted
        .group_by(table.c.key_id)
        for table in SEALED_TABLES
    )
)


class _KeyId(NamedTuple):
    key_id: str


class KeyRow(NamedTuple):
    """Row of a key in the database's list.

    `promoted_at`: time of the last activation, or None. `retired_at`: time when the key was disabled, or None.
    """

    key_id: str
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None


class _RowCount(NamedTuple):
    key_id: str
    rows: int


@dataclass(frozen=True, slots=True)
class Key:
    """A key in this process's ring, in the database's list, or in both.

    `required`: True if every server needs the key to start. `rows`: number of rows that are encrypted with the key.
    `held_by`: number of running servers that have the key.
    """

    id: str
    state: State
    in_ring: bool
    required: bool
    rows: int
    held_by: int
    added_at: datetime | None
    activated_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of the database, the keys of this process's ring, and the number of running servers."""

    keys: list[Key]
    servers: int


async def register(tx: Transaction, vault: Vault, now: datetime) -> None:
    """Add the keys of this process's ring to the database. If no key was ever active, activate the ring's first key.

    Raises: ConfigurationError if the ring lacks a required key.
    """
    await tx.all(LOCK_RING)
    await require_complete(tx, vault)
    for key in vault.key_ids:
        await tx.execute(ADD, key=key, now=now)
    if not any(row.promoted_at for row in await list_rows(tx)):
        await tx.execute(ACTIVATE, key=vault.key_ids[0], now=now)


async def require_complete(tx: Transaction, vault: Vault) -> None:
    """Refuse a ring that lacks a required key.

    A disabled key is never required. Any other key is required in two cases: the key was ever active, or rows are
    encrypted with the key. So a server without a new key can restart until an operator activates the new key.

    Raises: ConfigurationError if the ring lacks a required key.
    """
    absent = [row for row in await list_rows(tx) if row.retired_at is None and row.key_id not in vault.key_ids]
    counts = await count_rows(tx) if absent else Counter[str]()
    missing = [row.key_id for row in absent if _is_required(row, counts[row.key_id])]
    if missing:
        raise ConfigurationError(
            f"The key ring lacks keys that this database needs: {', '.join(missing)}. Add the missing keys to "
            "ONE_RUNTIME_ENCRYPTION_KEYS, and keep the present keys. To remove a key later, first run "
            "`one-runtime keys reseal` and `one-runtime keys disable`."
        )


def _is_required(row: KeyRow, encrypted_rows: int) -> bool:
    return row.retired_at is None and (row.promoted_at is not None or encrypted_rows > 0)


async def active_key(tx: Transaction) -> str:
    """Return the id of the active key.

    To encrypt a value, pass a writing transaction. The key cannot be disabled until the writing transaction ends.

    Raises: Unavailable if no key is active.
    """
    # If `disable` has just disabled the key, the statement returns no row. The next attempt reads the new active key.
    for _ in range(3):
        row = await tx.one(_ACTIVE, _KeyId)
        if row is not None:
            return row.key_id
    raise Unavailable(_NO_ACTIVE_KEY)


async def require_active_key(tx: Transaction, vault: Vault) -> None:
    """Check that this process can encrypt new values now.

    Call this function before a request that a provider answers with new tokens. Otherwise, the request could invalidate
    the stored tokens, and this process could not store the new tokens.

    Raises:

    - KeyNotInRing: this process does not have the active key.
    - Unavailable: no key is active.
    """
    row = await tx.one(_ACTIVE_NOW, _KeyId)
    require_key(vault, None if row is None else row.key_id)


def require_key(vault: Vault, active: str | None) -> None:
    """Do the same as `require_active_key`, with the active key that the caller has just read. None: no active key."""
    if active is None:
        raise Unavailable(_NO_ACTIVE_KEY)
    vault.require(active)


async def seal(tx: Transaction, vault: Vault, organization_id: str, plaintext: bytes, place: SealContext) -> Sealed:
    """Encrypt a value with the active key.

    `tx`: the transaction that stores the encrypted value.

    If this process does not have the active key, and `vault` comes from `Vault.for_issued_tokens`, use another key.
    `keys reseal` later encrypts the value with the active key.

    Raises:

    - KeyNotInRing: this process does not have the active key.
    - Unavailable: no key is active.
    """
    (sealed,) = await seal_all(tx, vault, [(organization_id, plaintext, place)])
    return sealed


async def seal_all(tx: Transaction, vault: Vault, values: Sequence[tuple[str, bytes, SealContext]]) -> list[Sealed]:
    """Encrypt values with the active key. A value has an organization, a plaintext and a place. See `seal`."""
    for *_, place in values:
        if place.table not in _SEALED_NAMES:
            raise ValueError(f"{place.table} is not in SEALED_TABLES, so `keys reseal` would miss its rows.")
    key = await active_key(tx)
    if vault.is_for_issued_tokens and key not in vault.key_ids:
        key = await _hold_other_key(tx, vault) or key
    return [vault.seal(key, organization_id, plaintext, place) for organization_id, plaintext, place in values]


async def _hold_other_key(tx: Transaction, vault: Vault) -> str | None:
    """Return the newest key of this ring that all running servers have, and lock the key against `disable`.

    If the servers have no common key, return the newest key of this ring: the servers without this key cannot use the
    value, but the value is not lost. If all keys of this ring are disabled, return None.
    """
    live = await instances.list_live(tx, tx.machine_clock)
    rows = [row for row in await list_rows(tx) if row.key_id in vault.key_ids and row.retired_at is None]
    rows.sort(key=lambda row: (row.promoted_at or _NEVER, row.created_at), reverse=True)
    rows.sort(key=lambda row: all(row.key_id in server.key_ids for server in live), reverse=True)
    for row in rows:
        if await tx.one(_HOLD_ENABLED, _KeyId, key=row.key_id) is not None:
            log.error("sealed_with_another_key", key_id=row.key_id, user_needs="one-runtime keys reseal")
            return row.key_id
    return None


async def count_rows(tx: Transaction) -> Counter[str]:
    """Return the number of rows that are encrypted with each key, by key id."""
    counts: Counter[str] = Counter()
    for row in await tx.all(_COUNTS, _RowCount):
        counts[row.key_id] += row.rows
    return counts


async def find_all(tx: Transaction, vault: Vault, clock: Clock) -> Ring:
    """Return the keys of the database by the time of their addition. Append the keys that only this ring contains."""
    place = {key: number for number, key in enumerate(vault.key_ids)}
    rows = sorted(await list_rows(tx), key=lambda row: (row.created_at, place.get(row.key_id, len(place))))
    known = {row.key_id: row for row in rows}
    live, counts = await instances.list_live(tx, clock), await count_rows(tx)
    active = last_activated(known)
    keys = []
    for key in dict.fromkeys([*known, *vault.key_ids]):
        row = known.get(key)
        state: State = "new"
        if row is not None:
            state = "active" if key == active else "ready" if row.retired_at is None else "disabled"
        keys.append(
            Key(
                id=key,
                state=state,
                in_ring=key in vault.key_ids,
                required=row is not None and _is_required(row, counts[key]),
                rows=counts[key],
                held_by=sum(key in server.key_ids for server in live),
                added_at=row and row.created_at,
                activated_at=row and row.promoted_at,
                disabled_at=row and row.retired_at,
            )
        )
    return Ring(keys, len(live))


async def list_rows(tx: Transaction) -> list[KeyRow]:
    """Return the database's keys, ordered by the time of their addition."""
    return await tx.all(_ALL, KeyRow)


def last_activated(known: dict[str, KeyRow]) -> str | None:
    """Return the id of the active key, or None if no key is active. `known`: the rows of all keys by id."""
    activations = [(row.promoted_at, key) for key, row in known.items() if row.promoted_at and row.retired_at is None]
    return max(activations)[1] if activations else None
