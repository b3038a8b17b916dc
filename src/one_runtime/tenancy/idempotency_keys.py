"""Store the responses to requests with the header `Idempotency-Key`, so that a repeated request creates nothing again.

An API key and an idempotency key identify a row. While a request runs, its row reserves the idempotency key for a
few seconds (a lease), and the process that handles the request extends the lease again and again (a heartbeat). So the
key of a crashed process is free a few seconds later (docs/decisions/0064-idempotency-heartbeat.md). The transaction
that creates the resource also stores the response in the row. So the database contains both or none, whenever the
server crashes. The response can contain a secret, such as a session token. So One Runtime seals the response and the
fingerprint of the request.
"""

import asyncio
import hashlib
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, or_, select, update

from one_runtime.clock import Clock
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.ids import lowest_id, new_id
from one_runtime.db.schema import idempotency_keys as keys
from one_runtime.db.upsert import insert
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import SealContext, Sealed, Vault
from one_runtime.errors import Conflict, OneRuntimeError, Unavailable
from one_runtime.jobs.queue import batched_delete, database_now, run_in_batches
from one_runtime.tenancy.authentication import Principal

TABLE: Final = "idempotency_keys"
RETENTION: Final = timedelta(hours=24)
"""Time for which One Runtime repeats a stored response."""
LEASE: Final = timedelta(seconds=6)
"""Time for which a heartbeat of a running request reserves its key. After a crash, the key is free at its end."""
HEARTBEAT: Final = timedelta(seconds=2)
"""Time between two heartbeats. A lease outlasts two heartbeats that fail."""
_RUNNING_VERSION, _FINISHED_VERSION = 1, 2


class IdempotencyKeyReused(OneRuntimeError):
    """An earlier request with this idempotency key had another method, path, query or body."""

    code, status, title = "idempotency_key_reused", 422, "The idempotency key belongs to another request"
    documentation = (
        (
            "An earlier request with this [`Idempotency-Key`](#repeating-requests) had another method, path, query or "
            "body."
        ),
        "Use a new key for each request.",
    )


class IdempotencyKeyInUse(Conflict):
    """An earlier request with this idempotency key is still running, or its process has crashed.

    `retry_after`: seconds after which the key of a crashed process is free.
    """

    code = "idempotency_key_in_use"
    documentation = (
        "An earlier request with this [`Idempotency-Key`](#repeating-requests) is still running.",
        "Repeat the request after the number of seconds in `Retry-After`.",
    )
    retry_after: int

    def __init__(self, remaining: timedelta) -> None:
        """`remaining`: the rest of the lease."""
        self.retry_after = max(1, math.ceil(remaining.total_seconds()))
        seconds = "second" if self.retry_after == 1 else "seconds"
        super().__init__(
            "An earlier request with this Idempotency-Key is still running. Repeat the request in "
            f"{self.retry_after} {seconds}."
        )


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The status and the JSON body of a successful response."""

    status: int
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The row of a running request."""

    id: str
    organization_id: str
    fingerprint: str


class _IdempotencyRow(NamedTuple):
    id: str
    sealed: bytes
    key_id: str
    version: int
    leased_until: datetime | None


_MINE = (
    keys.c.organization_id == bindparam("organization"),
    keys.c.api_key_id == bindparam("api_key"),
    keys.c.key_hash == bindparam("key_hash"),
)
_SELECT = select(*(keys.c[name] for name in _IdempotencyRow._fields)).where(*_MINE)
_DELETE_ENDED = delete(keys).where(
    *_MINE, or_(keys.c.leased_until <= bindparam("now"), keys.c.created_at <= bindparam("before"))
)
_INSERT = insert(keys).on_conflict_do_nothing()
_RUNNING = (keys.c.id == bindparam("row"), keys.c.version == _RUNNING_VERSION)
_FINISH = (
    update(keys)
    .where(*_RUNNING)
    .values(sealed=bindparam("sealed"), key_id=bindparam("sealed_with"), version=_FINISHED_VERSION, leased_until=None)
)
_EXTEND = update(keys).where(*_RUNNING).values(leased_until=bindparam("until"))
_RELEASE = delete(keys).where(*_RUNNING)
_PURGE = batched_delete(keys, keys.c.id < bindparam("before"))


def fingerprint_of(method: str, target: str, body: bytes) -> str:
    """Return a hash of a request. `target`: the path and the query."""
    return hashlib.sha256(b"\n".join([method.encode(), target.encode(), body])).hexdigest()


async def reserve(
    database: Database, vault: Vault, clock: Clock, caller: Principal, key: str, fingerprint: str
) -> Reservation | StoredResponse:
    """Reserve a key for a request. If an earlier request with this key was successful, return its response.

    Raises: IdempotencyKeyReused; IdempotencyKeyInUse; SealBroken if the stored response cannot be decrypted.
    """
    organization_id, key_hash = caller.organization_id, _hash(key)
    mine = {"organization": organization_id, "api_key": caller.api_key_id, "key_hash": key_hash}
    async with database.write() as tx:
        now = await database_now(tx, clock)
        await tx.execute(_DELETE_ENDED, **mine, now=now, before=now - RETENTION)
        reservation = Reservation(new_id(), organization_id, fingerprint)
        if await _insert(tx, vault, reservation, caller.api_key_id, key_hash, now):
            return reservation
        row = await tx.one(_SELECT, _IdempotencyRow, **mine)
    if row is None:  # the earlier request has just failed
        raise IdempotencyKeyInUse(timedelta())
    stored = json.loads(vault.open(organization_id, Sealed(row.key_id, row.sealed), _context(row.id, row.version)))
    if stored["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused(
            "An earlier request with this Idempotency-Key had another method, path, query or body. Use a new key for "
            "each request, and send the same key only to repeat a request."
        )
    if row.version == _RUNNING_VERSION:
        raise IdempotencyKeyInUse((row.leased_until or now) - now)
    return StoredResponse(stored["status"], stored["body"])


async def finish(tx: Transaction, vault: Vault, reservation: Reservation, response: StoredResponse) -> None:
    """Store the response of a request. `tx`: the transaction that creates the resource.

    Raises: IdempotencyKeyInUse if the lease has ended, and a repeated request has reserved the key. This error rolls
    back the transaction, so that only the repeated request creates the resource.
    """
    stored = {"fingerprint": reservation.fingerprint, "status": response.status, "body": response.body}
    sealed = await _seal(tx, vault, reservation, stored, _FINISHED_VERSION)
    if not await tx.execute(_FINISH, row=reservation.id, sealed=sealed.data, sealed_with=sealed.key_id):
        raise IdempotencyKeyInUse(timedelta())


@asynccontextmanager
async def heartbeats(database: Database, clock: Clock, reservation: Reservation) -> AsyncIterator[None]:
    """Extend the lease of a reservation at an interval until the block ends."""
    task = asyncio.create_task(_extend_at_interval(database, clock, reservation))
    try:
        yield
    finally:
        task.cancel()


async def _extend_at_interval(database: Database, clock: Clock, reservation: Reservation) -> None:
    """Extend the lease until the row is released or has a response."""
    is_running = True
    while is_running:
        await asyncio.sleep(HEARTBEAT.total_seconds())
        with suppress(Unavailable):  # the next heartbeat tries again
            is_running = await extend(database, clock, reservation)


async def extend(database: Database, clock: Clock, reservation: Reservation) -> bool:
    """Extend the lease of a running request. Return False if the row is not a running request any more.

    Raises: Unavailable.
    """
    async with database.write() as tx:
        until = await database_now(tx, clock) + LEASE
        return await tx.execute(_EXTEND, row=reservation.id, until=until) > 0


async def release(database: Database, reservation: Reservation) -> None:
    """Make the key of a failed request free."""
    async with database.write() as tx:
        await tx.execute(_RELEASE, row=reservation.id)


async def purge(database: Database, clock: Clock) -> int:
    """Delete the rows that are older than `RETENTION`. Return the number of deleted rows."""
    return await run_in_batches(database, _PURGE, before=lowest_id(clock() - RETENTION))


async def _insert(
    tx: Transaction, vault: Vault, reservation: Reservation, api_key_id: str, key_hash: bytes, now: datetime
) -> bool:
    """Insert the row of a running request. Return False if the key has a row."""
    sealed = await _seal(tx, vault, reservation, {"fingerprint": reservation.fingerprint}, _RUNNING_VERSION)
    inserted = await tx.execute(
        _INSERT,
        id=reservation.id,
        organization_id=reservation.organization_id,
        api_key_id=api_key_id,
        key_hash=key_hash,
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=_RUNNING_VERSION,
        created_at=now,
        leased_until=now + LEASE,
    )
    return inserted > 0


async def _seal(
    tx: Transaction, vault: Vault, reservation: Reservation, stored: dict[str, object], version: int
) -> Sealed:
    plaintext, context = json.dumps(stored, ensure_ascii=False).encode(), _context(reservation.id, version)
    return await key_ring.seal(tx, vault, reservation.organization_id, plaintext, context)


def _context(row_id: str, version: int) -> SealContext:
    return SealContext(TABLE, row_id, version)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
