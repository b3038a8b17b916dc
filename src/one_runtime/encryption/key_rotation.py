"""Reseal: encrypt values of older keys with the active key, in small steps while servers run (P3).

Each step is one transaction, and each row names its key. So after a crash, the next run continues with the rows that
still have another key.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Select, Table, Update, bindparam, select, update

from one_runtime.db.engine import Database, Transaction
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import Unavailable

T = TypeVar("T")

_PAUSES: Final = (0.1, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts while the database is busy or unreachable."""

_LONGEST_PAUSE: Final = 1.0

_IDLE_ROUNDS: Final = 5
"""Rounds without a change after which the run leaves locked rows to the next run."""


class SealedRow(NamedTuple):
    """A row with a sealed value.

    Resealing does not change `version`, which counts the changes of the content. So an attacker cannot put an older
    content in the place of a newer content.
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
    """Progress of a run. `total`: resealed rows plus the rows left at the last count.

    `broken`: rows by table and id; rows that were repaired or deleted since are not included.
    """

    total: int = 0
    resealed: int = 0
    broken: dict[tuple[str, str], Broken] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Known rows under other keys."""
        return self.total - self.resealed


@dataclass(frozen=True, slots=True)
class _Statements:
    find: Select[Any]
    replace: Update


def _statements(table: Table) -> _Statements:
    (row,) = table.primary_key
    columns = (row.label("id"), table.c.organization_id, table.c.sealed, table.c.key_id, table.c.version)
    find = select(*columns).where(table.c.key_id == bindparam("key"), row > bindparam("after")).order_by(row)
    # Compare and swap: update only unchanged rows. SKIP LOCKED: the step never waits for another transaction while it
    # holds rows. So it cannot deadlock with deletions, which lock rows in another order.
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
    """Return the next rows encrypted with a key, ordered by id."""
    return await tx.all(_OF[table].find, SealedRow, key=key, after=after, limit=limit)


async def replace(tx: Transaction, table: Table, row: SealedRow, sealed: Sealed) -> bool:
    """Store the resealed content in a row. Return False, and change nothing, if another transaction changed the row."""
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
    """Encrypt all values of older keys with the active key, `batch` rows a step. Yield the progress after each step.

    Raises: ConfigurationError for an incomplete ring; KeyNotInRing; Unavailable.
    """
    run, idle = _Run(database, vault, batch), 0
    async with database.read() as tx:
        await key_ring.require_complete(tx, vault)
    while True:
        keys, before = await run.count(), run.progress.resealed
        yield run.progress
        if run.progress.left <= len(run.progress.broken) or idle == _IDLE_ROUNDS:
            return
        run.progress.broken.clear()  # the next round collects rows that are still broken
        for table in key_ring.SEALED_TABLES:
            for key in keys:
                async for progress in run.over(table, key):
                    yield progress
        idle = idle + 1 if run.progress.resealed == before else 0
        await asyncio.sleep(0.2 * idle)


class _Run:
    """A run over all tables: rounds, until a round has nothing left to reseal."""

    def __init__(self, database: Database, vault: Vault, batch: int) -> None:
        self._database, self._vault, self._batch = database, vault, batch
        self.progress = Progress()

    async def count(self) -> list[str]:
        """Begin a round: return the keys of rows to reseal."""
        async with self._database.read() as tx:
            active = await key_ring.active_key(tx)
            rows = {key: count for key, count in (await key_ring.count_rows(tx)).items() if key != active}
        self.progress.total = self.progress.resealed + sum(rows.values())
        return list(rows)

    async def over(self, table: Table, key: str) -> AsyncIterator[Progress]:
        """Step through a table's rows of one key.

        After each step, pause for the step's duration, so that servers can write: SQLite has one writer at a time.
        """
        after = _LOWEST
        while rows := await _retry(partial(self._find, table, key, after)):
            begun = time.monotonic()
            self.progress.resealed += await _retry(partial(self._step, table, rows))
            yield self.progress
            await asyncio.sleep(min(time.monotonic() - begun, _LONGEST_PAUSE))
            after = rows[-1].id

    async def _find(self, table: Table, key: str, after: str) -> list[SealedRow]:
        async with self._database.read() as tx:
            return await find(tx, table, key, after, self._batch)

    async def _step(self, table: Table, rows: list[SealedRow]) -> int:
        opened = [(row, plaintext) for row in rows if (plaintext := self._open(table, row)) is not None]
        async with self._database.write() as tx:
            key = await key_ring.active_key(tx)
            if key == rows[0].key_id:  # the key was activated again meanwhile
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


async def _retry(query: Callable[[], Awaitable[T]]) -> T:
    """Retry a query on a busy or unreachable database, for a limited time. Raises: Unavailable."""
    for pause in _PAUSES:
        try:
            return await query()
        except Unavailable:
            await asyncio.sleep(pause)
    return await query()
