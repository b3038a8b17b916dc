"""Limit attempts to sign in by account and by network, over all processes.

Only failed attempts count. An attempt is stored before its check, and deleted after a success. So parallel attempts
cannot pass the limit together.
"""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, delete, insert, select

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import lowest_id, new_id, time_of
from one_runtime.db.schema import sign_in_attempts as rows
from one_runtime.errors import RateLimited
from one_runtime.jobs.queue import batched_delete, run_in_batches

if TYPE_CHECKING:  # commands import this module, and need none of the modules that `context` imports
    from one_runtime.context import Installation

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
RETENTION: Final = _HOUR
"""The longest window of a bucket. Older attempts are deleted."""


class Bucket(NamedTuple):
    """A group of attempts with a limit. `hash`: identifies the account or the network."""

    hash: bytes
    limit: int
    window: timedelta


class StoredAttempt(NamedTuple):
    """The rows of an attempt: one in each of its buckets."""

    row_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class _AttemptRow:
    id: str


_INSERT = insert(rows)
_OTHERS = (
    select(rows.c.id)
    .where(rows.c.bucket_hash == bindparam("bucket"), rows.c.id >= bindparam("since"), rows.c.id != bindparam("mine"))
    .order_by(rows.c.id.desc())
    .limit(bindparam("limit"))
)
_DELETE = delete(rows).where(rows.c.id == bindparam("row"))
_PURGE = batched_delete(rows, rows.c.id < bindparam("before"))


def of_account(email: str) -> Bucket:
    """Return the bucket of an e-mail address, known or unknown: 300 failed attempts in an hour, of all networks.

    The limit stops an attacker who guesses from many networks. One network alone cannot reach it.
    """
    return _bucket("account", email, 300, _HOUR)


def of_account_in_network(email: str, address: str | None) -> Bucket:
    """Return the bucket of an e-mail address in a network: 30 failed attempts in an hour."""
    return _bucket("account in network", f"{_network(address)}\0{email}", 30, _HOUR)


def of_browser(member_id: str, browser: str) -> Bucket:
    """Return the bucket of a member's known browser or session: ten failed attempts in a minute.

    This bucket replaces those of the account and of the network, which other people can fill.
    """
    return _bucket("browser", f"{member_id}\0{browser}", 10, _MINUTE)


def of_network(address: str | None) -> Bucket:
    """Return the bucket of a network: ten failed attempts in a minute. A network is an IPv4 /24 or an IPv6 /64."""
    return _bucket("network", _network(address), 10, _MINUTE)


def of_second_step(member_id: str) -> Bucket:
    """Return the bucket of a member's wrong codes: ten in an hour.

    An attacker who knows the password guesses one of three codes with a probability of 3 in a million. With ten
    attempts in an hour, the attacker needs years.
    """
    return _bucket("second step", member_id, 10, _HOUR)


def of_challenges(address: str | None) -> Bucket:
    """Return the bucket of a network's new challenges for passkeys: 60 in a minute. Each challenge stores a row."""
    return _bucket("challenges", _network(address), 60, _MINUTE)


def of_steps(member_id: str) -> Bucket:
    """Return the bucket of a member's begun steps, such as the registration of a passkey: 20 in a minute.

    Each step stores a row. A signed-in member, or a person who knows the password, could store very many.
    """
    return _bucket("steps", member_id, 20, _MINUTE)


async def begin(installation: "Installation", *buckets: Bucket) -> StoredAttempt:
    """Store an attempt in each bucket, and check the limits. Raises: RateLimited."""
    attempt = StoredAttempt([new_id() for _ in buckets])
    values = [
        {"id": row_id, "bucket_hash": bucket.hash} for row_id, bucket in zip(attempt.row_ids, buckets, strict=True)
    ]
    async with installation.database.write() as tx:
        await tx.execute_many(_INSERT, values)
    # The first transaction has committed the row. So of the attempts that begin at the same time, at most `limit` find
    # fewer than `limit` other rows, in whatever order the processes commit.
    now = installation.clock()
    async with installation.database.write() as tx:
        waits = [await _wait(tx, bucket, mine, now) for bucket, mine in zip(buckets, attempt.row_ids, strict=True)]
        if any(waits):
            await forgive(tx, attempt)
    if any(waits):
        seconds = max(waits)
        raise RateLimited(f"There were too many attempts to sign in. Try again in {seconds} seconds.", seconds)
    return attempt


async def forgive(tx: Transaction, attempt: StoredAttempt) -> None:
    """Delete the attempt after a success. `tx`: the transaction of the success."""
    await tx.execute_many(_DELETE, [{"row": row_id} for row_id in attempt.row_ids])


async def purge(installation: "Installation") -> int:
    """Delete attempts that no limit counts any more. Return their number."""
    before = lowest_id(installation.clock() - RETENTION)
    return await run_in_batches(installation.database, _PURGE, before=before)


async def _wait(tx: Transaction, bucket: Bucket, mine: str, now: datetime) -> int:
    """Return the seconds until the bucket accepts the attempt, or 0."""
    since = lowest_id(now - bucket.window)
    others = await tx.all(_OTHERS, _AttemptRow, bucket=bucket.hash, since=since, mine=mine, limit=bucket.limit)
    if len(others) < bucket.limit:
        return 0
    return max(1, ceil((time_of(others[-1].id) + bucket.window - now).total_seconds()))


def _bucket(kind: str, name: str, limit: int, window: timedelta) -> Bucket:
    return Bucket(hashlib.sha256(f"{kind}\0{name}".encode()).digest(), limit, window)


def _network(address: str | None) -> str:
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:  # a Unix socket
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 64), strict=False))
