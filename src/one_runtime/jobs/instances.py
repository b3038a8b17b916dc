"""Store a row for each running server process, with the ids of the process's encryption keys.

The process updates the row every 15 seconds (a heartbeat). The command `keys activate` reads the rows, and finds the
servers that lack the new key. All these times are times of the database's clock, because the clock of a process can be
wrong.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, delete, select

from one_runtime import __version__
from one_runtime.clock import Clock
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import servers
from one_runtime.db.upsert import insert
from one_runtime.jobs.queue import clock_skew, database_now
from one_runtime.telemetry import metrics

LIVE: Final = timedelta(seconds=60)
"""A server counts as running if the last heartbeat is younger than this time (four heartbeat intervals)."""

RETENTION: Final = timedelta(hours=1)
"""One Runtime deletes a server's row if the last heartbeat is older than this time."""


@dataclass(frozen=True, slots=True)
class ServerInstance:
    """One server process, with the ids of the process's encryption keys."""

    id: str
    version: str
    key_ids: Sequence[str]
    started_at: datetime
    seen_at: datetime


_COLUMNS = tuple(servers.c[name] for name in ServerInstance.__dataclass_fields__)
_UPSERT = insert(servers)
_UPSERT = _UPSERT.on_conflict_do_update(
    index_elements=[servers.c.id], set_={name: _UPSERT.excluded[name] for name in ("seen_at", "key_ids")}
)
_LIVE = select(*_COLUMNS).where(servers.c.seen_at > bindparam("since")).order_by(servers.c.id)
_DELETE = delete(servers).where(servers.c.id == bindparam("id"))
_PURGE = delete(servers).where(servers.c.seen_at <= bindparam("before"))


def this_process(key_ids: tuple[str, ...], now: datetime) -> ServerInstance:
    """Return the server instance of this process. The first `heartbeat` stores the instance."""
    return ServerInstance(new_id(), __version__, key_ids, now, now)


async def heartbeat(tx: Transaction, server: ServerInstance, clock: Clock) -> None:
    """Store the server with the time of this heartbeat, and with its keys. Delete the rows of dead servers.

    Also measure the difference between the database's clock and this machine's clock.
    """
    skew = await clock_skew(tx)
    now = clock() + skew
    await tx.execute(_UPSERT, **asdict(replace(server, seen_at=now)))
    await tx.execute(_PURGE, before=now - RETENTION)
    metrics.clock_skew.set(skew.total_seconds())


async def list_live(tx: Transaction, clock: Clock) -> list[ServerInstance]:
    """Return the servers that count as running, ordered by start time."""
    return await tx.all(_LIVE, ServerInstance, since=await database_now(tx, clock) - LIVE)


async def remove(tx: Transaction, server: ServerInstance) -> None:
    """Delete the row of a server that stops."""
    await tx.execute(_DELETE, id=server.id)
