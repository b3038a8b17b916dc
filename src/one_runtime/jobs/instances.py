"""The processes that serve: each notes itself and its ring, and says again and again that it is still there.

`keys promote` asks here whether every server could open what the new key would seal.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT compiles for SQLite too

from one_runtime import __version__
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import servers

HEARTBEAT_INTERVAL: Final = 15.0
"""Seconds between two signs of life."""

LIVE: Final = timedelta(seconds=60)
"""A server that was not seen for this long counts as gone. One that was only stopped is back with its next beat."""

KEPT: Final = timedelta(hours=1)
"""How long the row of a server that ended without a word is kept."""


@dataclass(frozen=True, slots=True)
class ServerInstance:
    """One process, with the ids of the keys that it was started with."""

    id: str
    version: str
    key_ids: tuple[str, ...]
    started_at: datetime
    seen_at: datetime


_COLUMNS = tuple(servers.c[name] for name in ServerInstance.__dataclass_fields__)
_UPSERT = insert(servers)
_UPSERT = _UPSERT.on_conflict_do_update(index_elements=[servers.c.id], set_={"seen_at": _UPSERT.excluded.seen_at})
_LIVE = select(*_COLUMNS).where(servers.c.seen_at > bindparam("since")).order_by(servers.c.id)
_DELETE = delete(servers).where(servers.c.id == bindparam("id"))
_PURGE = delete(servers).where(servers.c.seen_at <= bindparam("before"))


def this_process(key_ids: tuple[str, ...], now: datetime) -> ServerInstance:
    """This process, with its ring; to be noted by `beat` in the transaction of `key_ring.register`."""
    return ServerInstance(new_id(), __version__, key_ids, now, now)


async def heartbeat(tx: Transaction, server: ServerInstance, now: datetime) -> None:
    """Note the server, or that it is still there; and forget those that ended without a word."""
    await tx.execute(_UPSERT, **asdict(replace(server, seen_at=now)))
    await tx.execute(_PURGE, before=now - KEPT)


async def list_live(tx: Transaction, now: datetime) -> list[ServerInstance]:
    """The servers seen of late, the oldest first."""
    rows = await tx.all(_LIVE, since=now - LIVE)
    return [ServerInstance(row.id, row.version, tuple(row.key_ids), row.started_at, row.seen_at) for row in rows]


async def remove(tx: Transaction, server: ServerInstance) -> None:
    """Forget a server that stops."""
    await tx.execute(_DELETE, id=server.id)
