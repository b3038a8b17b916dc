"""Rotate encryption keys while servers run: activate a new key, reseal stored values, and disable older keys.

To reseal a value means to decrypt the value and to encrypt the value again with the active key. One transaction reseals
a small number of rows. Each row contains the id of its key. So after a crash, a new run finds the remaining rows.
Rotation is part of the promise P3 of docs/security.md.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, Table, Update, bindparam, select, update

from one_runtime.clock import Clock
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.schema import key_ring as keys_table
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import Conflict, NotFound
from one_runtime.jobs import instances, steps
from one_runtime.jobs.instances import ServerInstance
from one_runtime.jobs.queue import database_now

_MIN_PREFIX: Final = 6  # instead of a key's whole id, commands accept at least this number of its first characters

_IDLE_ROUNDS: Final = 5
"""`reseal` ends if this number of consecutive rounds reseals nothing. One round visits all tables."""

_HOLD = select(keys_table.c.key_id).where(keys_table.c.key_id == bindparam("key")).with_for_update()
_DISABLE = update(keys_table).where(keys_table.c.key_id == bindparam("key")).values(retired_at=bindparam("now"))


async def activate(tx: Transaction, vault: Vault, name: str, clock: Clock, *, force: bool) -> str:
    """Activate a key of this process's ring (its configured keys). The key can be disabled. Return the key's id.

    `name`: the key's id or the beginning of the id. `force`: activate the key without the checks that raise
    ConfigurationError or Conflict.

    Each running server updates its row in the database. After a minute without an update, by the database's clock, the
    server counts as stopped.
    `activate` and a starting server acquire one lock. If the server acquires the lock first, `activate` sees the
    server's keys. If `activate` acquires the lock first, the server needs the new key to start.

    Raises:

    - NotFound: no key of the ring, or more than one key, matches `name`.
    - ConfigurationError: the ring lacks another required key.
    - Conflict: a running server lacks the key.
    """
    await tx.all(key_ring.LOCK_RING)
    key = _require_key(
        name, vault.key_ids, "is not in ONE_RUNTIME_ENCRYPTION_KEYS here. Add the key to this setting on every server"
    )
    if not force:
        await key_ring.require_complete(tx, vault)
    lacking = [server for server in await instances.list_live(tx, clock) if key not in server.key_ids]
    if lacking and not force:
        raise Conflict(
            f"{_count_servers(lacking)} not have the key {key}. Add the key to ONE_RUNTIME_ENCRYPTION_KEYS on every "
            "server, reload or restart each server, and then activate the key. A server that was killed counts as "
            "running for one more minute. After --force, servers without the key refuse to store credentials."
        )
    now = await database_now(tx, clock)
    await tx.execute(key_ring.ADD, key=key, now=now)
    known = {row.key_id: row for row in await key_ring.list_rows(tx)}
    if key_ring.last_activated(known) != key:
        await tx.execute(key_ring.ACTIVATE, key=key, now=_next_activation_time(known, now))
    return key


def _count_servers(lacking: list[ServerInstance]) -> str:
    return "1 running server does" if len(lacking) == 1 else f"{len(lacking)} running servers do"


def _next_activation_time(known: dict[str, key_ring.KeyRow], now: datetime) -> datetime:
    """Return `now`. If the last activation has a later time, return a time just after this time."""
    last = max((row.promoted_at for row in known.values() if row.promoted_at is not None), default=None)
    return now if last is None else max(now, last + timedelta(milliseconds=1))


async def disable(tx: Transaction, name: str, now: datetime) -> str:
    """Disable a key and return the key's id. Servers can start without a disabled key.

    `name`: the key's id or the beginning of the id.

    Raises:

    - NotFound: no key, or more than one key, matches `name`.
    - Conflict: the key is active, or rows are encrypted with the key.
    """
    await tx.all(key_ring.LOCK_RING)
    known = {row.key_id: row for row in await key_ring.list_rows(tx)}
    key = _require_key(name, tuple(known), "is not known to this database")
    if key == key_ring.last_activated(known):
        raise Conflict(
            f"The key {key} is the active key. Activate another key, and run `one-runtime keys reseal`. "
            "You can disable the key after these steps."
        )
    # `_HOLD` waits until no transaction encrypts with the key, and locks the key. The count is a separate statement
    # after the wait. So the count includes the rows of every transaction that has encrypted with the key.
    await tx.all(_HOLD, key=key)
    rows = (await key_ring.count_rows(tx))[key]
    if rows:
        counted = "1 row is" if rows == 1 else f"{rows:,} rows are"
        raise Conflict(f"{counted} encrypted with the key {key}. Run `one-runtime keys reseal` first.")
    if known[key].retired_at is None:
        await tx.execute(_DISABLE, key=key, now=now)
    return key


async def find_lost(tx: Transaction, vault: Vault, name: str, clock: Clock) -> str:
    """Return the id of a key that neither this process's ring nor a running server has.

    `name`: the key's id or the beginning of the id.

    Raises:

    - NotFound: no key of the database, or more than one key, matches `name`.
    - Conflict: the key is not lost.
    """
    known = tuple(row.key_id for row in await key_ring.list_rows(tx))
    key = _require_key(name, known, "is not known to this database")
    if key in vault.key_ids:
        raise Conflict(
            f"The key {key} is not lost: ONE_RUNTIME_ENCRYPTION_KEYS contains the key here. To replace a key, run "
            "`one-runtime keys reseal`. To abandon the key, first remove the key from this setting."
        )
    if any(key in server.key_ids for server in await instances.list_live(tx, clock)):
        raise Conflict(
            f"The key {key} is not lost: a running server has the key. Copy the key from the server's settings, or "
            "stop the server. A server that was killed counts as running for one more minute."
        )
    return key


async def replace_lost(tx: Transaction, vault: Vault, name: str, clock: Clock) -> str:
    """If this ring lacks the active key, activate the ring's first key. Return the id of the lost key.

    Raises: the exceptions of `find_lost`.
    """
    await tx.all(key_ring.LOCK_RING)
    key = await find_lost(tx, vault, name, clock)
    known = {row.key_id: row for row in await key_ring.list_rows(tx)}
    if key_ring.last_activated(known) not in vault.key_ids:
        await activate(tx, vault, vault.key_ids[0], clock, force=True)
    return key


def _require_key(name: str, known: tuple[str, ...], otherwise: str) -> str:
    """Return the only id that begins with `name`. Raises: NotFound if no id begins with `name`, or several ids do."""
    prefix = name.strip().lower()
    matches = [key for key in known if key.startswith(prefix)] if len(prefix) >= _MIN_PREFIX else []
    if len(matches) == 1:
        return matches[0]
    problem = f"matches {len(matches)} keys" if matches else otherwise
    raise NotFound(f"{name[:64]!r} {problem}. `one-runtime keys list` shows the ids of keys.")


class SealedRow(NamedTuple):
    """A row with a sealed value.

    The value is bound to `version`. Resealing does not change `version`.
    """

    id: str
    organization_id: str
    sealed: bytes
    key_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Broken:
    """A row whose value cannot be decrypted."""

    table: str
    id: str
    reason: str


@dataclass(slots=True)
class Progress:
    """Progress of a run.

    `total`: number of resealed rows plus number of remaining rows at the last count. `broken`: rows of the last round
    that could not be decrypted. The keys are table and id.
    """

    total: int = 0
    resealed: int = 0
    broken: dict[tuple[str, str], Broken] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Return the number of rows that the run still has to reseal."""
        return self.total - self.resealed


@dataclass(frozen=True, slots=True)
class _Statements:
    find: Select[Any]
    replace: Update


def _statements(table: Table) -> _Statements:
    (row,) = table.primary_key
    columns = (row.label("id"), table.c.organization_id, table.c.sealed, table.c.key_id, table.c.version)
    find = select(*columns).where(table.c.key_id == bindparam("key"), row > bindparam("after")).order_by(row)
    # Update a row only if the row has not changed since `find`. The transaction locks several rows, and a deletion can
    # lock the rows in a different order. If the transaction waited for a lock, a deadlock would be possible. So SKIP
    # LOCKED prevents the wait.
    other = table.alias()
    (its_row,) = other.primary_key
    unchanged = (
        select(its_row)
        .where(
            its_row == bindparam("id"),
            other.c.version == bindparam("read_version"),
            other.c.key_id == bindparam("read_key"),
            other.c.sealed == bindparam("read_sealed"),
        )
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    replace = update(table).where(row == unchanged).values(sealed=bindparam("new_sealed"), key_id=bindparam("new_key"))
    return _Statements(find.limit(bindparam("limit")), replace)


_OF: Final = {table: _statements(table) for table in key_ring.SEALED_TABLES}
_LOWEST: Final = "00000000-0000-0000-0000-000000000000"


async def find(tx: Transaction, table: Table, key: str, after: str, limit: int) -> list[SealedRow]:
    """Return at most `limit` rows that are encrypted with a key, ordered by id. Start after the id `after`."""
    return await tx.all(_OF[table].find, SealedRow, key=key, after=after, limit=limit)


async def replace(tx: Transaction, table: Table, row: SealedRow, sealed: Sealed) -> bool:
    """Store the resealed value in the row. If the row was changed or is locked, change nothing and return False."""
    changed = await tx.execute(
        _OF[table].replace,
        id=row.id,
        read_version=row.version,
        read_key=row.key_id,
        read_sealed=row.sealed,
        new_sealed=sealed.data,
        new_key=sealed.key_id,
    )
    return changed > 0


async def reseal(database: Database, vault: Vault, batch: int) -> AsyncGenerator[Progress, None]:
    """Reseal all values of inactive keys with the active key. Yield the progress after each step of `batch` rows.

    Raises:

    - ConfigurationError: the ring lacks a required key.
    - KeyNotInRing: during the run, an operator activated a key that the ring lacks.
    - Unavailable: the database was busy or unreachable for too long.
    """
    run, idle = _Run(database, vault, batch), 0
    async with database.read() as tx:
        await key_ring.require_complete(tx, vault)
    while True:
        keys, before = await run.count(), run.progress.resealed
        yield run.progress
        if run.progress.left <= len(run.progress.broken) or idle == _IDLE_ROUNDS:
            return
        run.progress.broken.clear()  # the next round finds the broken rows again
        for table in key_ring.SEALED_TABLES:
            for key in keys:
                async for progress in run.over(table, key):
                    yield progress
        idle = idle + 1 if run.progress.resealed == before else 0
        await asyncio.sleep(0.2 * idle)


class _Run:
    """One run of `reseal`. A run has several rounds, and each round visits all tables."""

    def __init__(self, database: Database, vault: Vault, batch: int) -> None:
        self._database, self._vault, self._batch = database, vault, batch
        self.progress = Progress()

    async def count(self) -> list[str]:
        """Count the rows that need resealing, and return the ids of their keys."""
        async with self._database.read() as tx:
            active = await key_ring.active_key(tx)
            rows = {key: count for key, count in (await key_ring.count_rows(tx)).items() if key != active}
        self.progress.total = self.progress.resealed + sum(rows.values())
        return list(rows)

    async def over(self, table: Table, key: str) -> AsyncIterator[Progress]:
        """Reseal a table's rows of one key in steps. Yield the progress after each step.

        The run pauses after each step (`steps.rest`).
        """
        after = _LOWEST
        while rows := await steps.retry(partial(self._find, table, key, after)):
            begun = time.monotonic()
            self.progress.resealed += await steps.retry(partial(self._step, table, rows))
            yield self.progress
            await steps.rest(begun)
            after = rows[-1].id

    async def _find(self, table: Table, key: str, after: str) -> list[SealedRow]:
        async with self._database.read() as tx:
            return await find(tx, table, key, after, self._batch)

    async def _step(self, table: Table, rows: list[SealedRow]) -> int:
        opened = [(row, plaintext) for row in rows if (plaintext := self._open(table, row)) is not None]
        async with self._database.write() as tx:
            key = await key_ring.active_key(tx)
            if key == rows[0].key_id:  # an operator has just activated the key of these rows
                return 0
            resealed = 0
            for row, plaintext in opened:
                place = SealContext(table.name, row.id, row.version)
                sealed = self._vault.seal(key, row.organization_id, plaintext, place)
                resealed += await replace(tx, table, row, sealed)
            return resealed

    def _open(self, table: Table, row: SealedRow) -> bytes | None:
        place = SealContext(table.name, row.id, row.version)
        try:
            return self._vault.open(row.organization_id, Sealed(row.key_id, row.sealed), place)
        except SealBroken as error:
            self.progress.broken[table.name, row.id] = Broken(table.name, row.id, error.detail)
            return None
