"""Server instances: each server process registers itself with its key ids, and writes a heartbeat while it runs.

The command `keys activate` reads these rows to find servers that lack the key to activate.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT compiles for SQLite too

from one_runtime import __version__
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import servers
from one_runtime.jobs.queue import clock_skew
from one_runtime.telemetry import metrics

LIVE: Final = timedelta(seconds=60)
"""Time without a heartbeat after which a server counts as stopped: four intervals of the heartbeat task.

With its next heartbeat, the server counts as running again.
"""

RETENTION: Final = timedelta(hours=1)
"""Time without a heartbeat after which One Runtime deletes a server's row."""


@dataclass(frozen=True, slots=True)
class ServerInstance:
    """One server process, with the ids of the keys in its key ring."""

    id: str
    version: str
    key_ids: Sequence[str]
    started_at: datetime
    seen_at: datetime


_COLUMNS = tuple(servers.c[name] for name in ServerInstance.__dataclass_fields__)
_UPSERT = insert(servers)
_UPSERT = _UPSERT.on_conflict_do_update(index_elements=[servers.c.id], set_={"seen_at": _UPSERT.excluded.seen_at})
_LIVE = select(*_COLUMNS).where(servers.c.seen_at > bindparam("since")).order_by(servers.c.id)
_DELETE = delete(servers).where(servers.c.id == bindparam("id"))
_PURGE = delete(servers).where(servers.c.seen_at <= bindparam("before"))


def this_process(key_ids: tuple[str, ...], now: datetime) -> ServerInstance:
    """Return this process with its key ids. `heartbeat` stores the row, in the transaction of `key_ring.register`."""
    return ServerInstance(new_id(), __version__, key_ids, now, now)


async def heartbeat(tx: Transaction, server: ServerInstance, now: datetime) -> None:
    """Store the server and the time of its heartbeat, measure the clock skew, and delete the rows of killed servers."""
    await tx.execute(_UPSERT, **asdict(replace(server, seen_at=now)))
    await tx.execute(_PURGE, before=now - RETENTION)
    metrics.clock_skew.set((await clock_skew(tx)).total_seconds())


async def list_live(tx: Transaction, now: datetime) -> list[ServerInstance]:
    """Return the servers with a recent heartbeat, ordered by the time of their start."""
    return await tx.all(_LIVE, ServerInstance, since=now - LIVE)


async def remove(tx: Transaction, server: ServerInstance) -> None:
    """Delete the row of a server that stops."""
    await tx.execute(_DELETE, id=server.id)
