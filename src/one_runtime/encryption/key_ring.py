"""The keys that the database knows: which one seals, which may be missing from a ring; and how that changes (P3).

Which key seals is decided here, in the database, and not by the order of anybody's setting: promoting one takes effect
in every process with its next transaction.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Select, Table, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT compiles for SQLite too
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from one_runtime.db.engine import Row, Transaction
from one_runtime.db.schema import (
    consents,
    credentials,
    key_ring,
    oauth_clients,
    revocations,
    unredeemed_connections,
)
from one_runtime.encryption.vault import SealContext, Sealed, Vault
from one_runtime.errors import ConfigurationError, Conflict, NotFound, Unavailable
from one_runtime.jobs import instances
from one_runtime.jobs.instances import ServerInstance

SEALED_TABLES: Final[tuple[Table, ...]] = (
    credentials,
    unredeemed_connections,
    oauth_clients,
    consents,
    revocations,
)
"""Every table with sealed values: each has the columns `organization_id`, `sealed`, `key_id` and `version`, and its
rows are sealed for the place that its name, its primary key and `version` make. A test holds this to the schema."""

_SEALED_NAMES: Final = frozenset(table.name for table in SEALED_TABLES)

State: TypeAlias = Literal["sealing", "ready", "retired", "new"]

_SHORTEST: Final = 6  # characters that a key may be named by, where no other begins with them

_LOCK: Final = 0x6F6E655F6B6579  # the advisory lock of whoever changes the ring


class _Exclusively(FunctionElement[Any]):
    """Waits for its turn to change the ring, and has it until the transaction ends."""

    inherit_cache = True


@compiles(_Exclusively, "postgresql")
def _lock(element: _Exclusively, compiler: SQLCompiler, **options: object) -> str:  # noqa: ARG001
    return f"pg_advisory_xact_lock({_LOCK})"


@compiles(_Exclusively, "sqlite")
def _writers_take_turns(element: _Exclusively, compiler: SQLCompiler, **options: object) -> str:  # noqa: ARG001
    return "NULL"


_newest = key_ring.alias()
_SEALS: Final = (
    select(_newest.c.key_id)
    .where(_newest.c.promoted_at.is_not(None), _newest.c.retired_at.is_(None))
    .order_by(_newest.c.promoted_at.desc(), _newest.c.key_id)
    .limit(1)
    .scalar_subquery()
)
# FOR KEY SHARE: whoever has read which key seals, and has not committed yet, keeps `retire` waiting (FOR UPDATE). The
# test of `retired_at` stands outside the sub-query too: PostgreSQL repeats it on the row as it is once the lock is had.
_SEALING = (
    select(key_ring.c.key_id)
    .where(key_ring.c.key_id == _SEALS, key_ring.c.retired_at.is_(None))
    .with_for_update(read=True, key_share=True)
)
_EXCLUSIVELY = select(_Exclusively())
_ALL = select(key_ring).order_by(key_ring.c.created_at, key_ring.c.key_id)
_HOLD = select(key_ring.c.key_id).where(key_ring.c.key_id == bindparam("key")).with_for_update()
_ADD = (
    insert(key_ring)
    .values(key_id=bindparam("key"), created_at=bindparam("now"), promoted_at=None, retired_at=None)
    .on_conflict_do_nothing()
)
_PROMOTE = (
    update(key_ring).where(key_ring.c.key_id == bindparam("key")).values(promoted_at=bindparam("now"), retired_at=None)
)
_RETIRE = update(key_ring).where(key_ring.c.key_id == bindparam("key")).values(retired_at=bindparam("now"))


def _counting(table: Table) -> Select[Any]:
    counted = select(table.c.key_id, func.count().label("rows")).group_by(table.c.key_id)
    return counted.where(table.c.key_id.is_not(None))  # a row whose secret was wiped


def _needing(table: Table) -> Select[Any]:
    return select(table.c.key_id).where(table.c.key_id == bindparam("key")).limit(1)


_COUNTS: Final = tuple(_counting(table) for table in SEALED_TABLES)
_NEEDING: Final = tuple(_needing(table) for table in SEALED_TABLES)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the ring at hand, or of the database, or both; `rows`: how many are sealed under it."""

    id: str
    state: State
    in_ring: bool
    rows: int
    held_by: int
    noted_at: datetime | None
    promoted_at: datetime | None
    retired_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ring:
    """Every key, and how many servers there are to hold them."""

    keys: list[Key] = field(default_factory=list)
    servers: int = 0


async def register(tx: Transaction, vault: Vault, now: datetime) -> None:
    """Note every key of the ring, after making sure that it is complete. The first ring that a database ever sees has
    its first key promoted.

    Raises: ConfigurationError.
    """
    await tx.all(_EXCLUSIVELY)
    await require_complete(tx, vault)
    for key in vault.key_ids:
        await tx.execute(_ADD, key=key, now=now)
    if not any(row.promoted_at for row in await tx.all(_ALL)):
        await tx.execute(_PROMOTE, key=vault.key_ids[0], now=now)


async def require_complete(tx: Transaction, vault: Vault) -> None:
    """Refuse a ring that lacks what may be needed: a key that was promoted and not retired, or that rows are sealed
    under. A key that another server has brought along and nobody promoted is not: servers get it one after another,
    and those that wait for it may have to start again meanwhile.

    Raises: ConfigurationError.
    """
    lacking = [row for row in await tx.all(_ALL) if row.retired_at is None and row.key_id not in vault.key_ids]
    missing = [row.key_id for row in lacking if row.promoted_at is not None or await _is_needed(tx, row.key_id)]
    if missing:
        raise ConfigurationError(
            f"The key ring is not the one this database was sealed with: {', '.join(missing)} is missing. "
            "Put that key back into ONE_RUNTIME_ENCRYPTION_KEYS; new keys may stand beside it. A key that nothing "
            "needs any more is let go by `one-runtime keys retire`."
        )


async def active_key(tx: Transaction) -> str:
    """The id of the key that seals now. It cannot be retired before this transaction ends, which has to be a writing
    one where something is sealed. Raises: Unavailable.
    """
    for _ in range(3):  # none where it was retired while we waited for its row: the next statement sees what seals now
        row = await tx.one(_SEALING)
        if row is not None:
            return str(row.key_id)
    raise Unavailable("No encryption key was promoted. Start the server, or run `one-runtime keys promote`.")


async def seal(tx: Transaction, vault: Vault, organization_id: str, plaintext: bytes, place: SealContext) -> Sealed:
    """Seal under the key that seals now; what stores a sealed value calls this, in the transaction that stores it.

    Raises: KeyNotInRing where this process lacks that key: nothing is ever sealed under another one. Unavailable.
    """
    if place.table not in _SEALED_NAMES:
        raise ValueError(f"{place.table} is not among SEALED_TABLES: nobody would count its rows, or reseal them.")
    return vault.seal(await active_key(tx), organization_id, plaintext, place)


async def _is_needed(tx: Transaction, key: str) -> bool:
    return any([await tx.one(statement, key=key) for statement in _NEEDING])


async def count_rows(tx: Transaction) -> Counter[str]:
    """How many rows are sealed under each key."""
    counts: Counter[str] = Counter()
    for statement in _COUNTS:
        counts.update({row.key_id: row.rows for row in await tx.all(statement)})
    return counts


async def find_all(tx: Transaction, vault: Vault, now: datetime) -> Ring:
    """Every key that the database or this ring knows, in the order of their noting, and then of the ring."""
    place = {key: number for number, key in enumerate(vault.key_ids)}
    rows = sorted(await tx.all(_ALL), key=lambda row: (row.created_at, place.get(row.key_id, len(place))))
    noted = {row.key_id: row for row in rows}
    live, counts = await instances.list_live(tx, now), await count_rows(tx)
    sealing = _newest_promoted(noted)
    keys = [_key(key, noted.get(key), sealing, vault, counts, live) for key in dict.fromkeys([*noted, *vault.key_ids])]
    return Ring(keys, len(live))


def _newest_promoted(noted: dict[str, Row]) -> str | None:
    promoted = [row for row in noted.values() if row.promoted_at is not None and row.retired_at is None]
    return max(promoted, key=lambda row: row.promoted_at).key_id if promoted else None


def _key(
    key: str, noted: Row | None, sealing: str | None, vault: Vault, counts: Counter[str], live: list[ServerInstance]
) -> Key:
    held_by = sum(key in server.key_ids for server in live)
    in_ring = key in vault.key_ids
    if noted is None:
        return Key(key, "new", in_ring, counts[key], held_by, None, None, None)
    state: State = "sealing" if key == sealing else "ready" if noted.retired_at is None else "retired"
    times = (noted.created_at, noted.promoted_at, noted.retired_at)
    return Key(key, state, in_ring, counts[key], held_by, *times)


async def activate(tx: Transaction, vault: Vault, name: str, now: datetime, *, force: bool) -> str:
    """Have a key of this ring seal from now on; a retired one comes back. Its id; `name` may be the beginning of it.

    A server cannot start without a promoted key and one that runs is looked up here, both one at a time: so every
    server has it, but for those that `force` leaves behind and those that have shown no life for a minute.

    Raises: NotFound; ConfigurationError for a ring that is not this database's; Conflict where a server lacks the key.
    """
    await tx.all(_EXCLUSIVELY)
    key = _named(name, vault.key_ids, "is not in ONE_RUNTIME_ENCRYPTION_KEYS here. Add it there, on every server")
    if not force:
        await require_complete(tx, vault)
    lacking = [server for server in await instances.list_live(tx, now) if key not in server.key_ids]
    if lacking and not force:
        raise Conflict(
            f"{_servers(lacking)} not have the key {key}. Add it to ONE_RUNTIME_ENCRYPTION_KEYS on every server, "
            "after the others, start each again, and then promote it. A server that ended without a word counts for "
            "one more minute. With --force, servers without it refuse to store credentials."
        )
    await tx.execute(_ADD, key=key, now=now)
    noted = {row.key_id: row for row in await tx.all(_ALL)}
    if _newest_promoted(noted) != key:
        await tx.execute(_PROMOTE, key=key, now=_after(noted, now))
    return key


def _servers(lacking: list[ServerInstance]) -> str:
    return "1 running server does" if len(lacking) == 1 else f"{len(lacking)} running servers do"


def _after(noted: dict[str, Row], now: datetime) -> datetime:
    """Now, or later than every promotion before: a clock that is behind must not undo what is being done."""
    last = max((row.promoted_at for row in noted.values() if row.promoted_at is not None), default=None)
    return now if last is None else max(now, last + timedelta(milliseconds=1))


async def disable(tx: Transaction, name: str, now: datetime) -> str:
    """Let a key go: from now on a ring may lack it. Its id; `name` may be the beginning of it.

    Raises: NotFound; Conflict for the key that seals, and while rows are sealed under the key.
    """
    await tx.all(_EXCLUSIVELY)
    noted = {row.key_id: row for row in await tx.all(_ALL)}
    key = _named(name, tuple(noted), "is not known to this database")
    if key == _newest_promoted(noted):
        raise Conflict(f"The key {key} seals. Promote another one first, and run `one-runtime keys reseal`.")
    # Whoever reads now which key seals waits for us, and we for whoever was about to store something sealed under it;
    # the count is a statement of its own, so that it sees what they stored.
    await tx.all(_HOLD, key=key)
    rows = (await count_rows(tx))[key]
    if rows:
        raise Conflict(f"{rows:,} rows are sealed under the key {key}. Run `one-runtime keys reseal` first.")
    if noted[key].retired_at is None:
        await tx.execute(_RETIRE, key=key, now=now)
    return key


def _named(name: str, known: tuple[str, ...], otherwise: str) -> str:
    """The key of which this is the id, or the beginning of it. Raises: NotFound."""
    found = [key for key in known if key.startswith(name.strip().lower())] if len(name.strip()) >= _SHORTEST else []
    if len(found) == 1:
        return found[0]
    what = f"names {len(found)} keys" if found else otherwise
    raise NotFound(f"{name[:64]!r} {what}. `one-runtime keys list` shows the ids of keys.")
