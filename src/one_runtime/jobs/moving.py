"""Move the installation from SQLite to PostgreSQL. At each moment, at most one of the two databases is live.

docs/decisions/0033-move-to-postgresql.md explains the order of the steps.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from one_runtime.clock import Clock
from one_runtime.db.access import require_usable
from one_runtime.db.copying import CopyProgress, copy_rows, prepare_target, require_copyable
from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.engine import Transaction
from one_runtime.db.obstacles import missing_file
from one_runtime.db.server_lock import hold_server_lock
from one_runtime.errors import ConfigurationError, Conflict, Unavailable
from one_runtime.jobs import liveness

Record: TypeAlias = Callable[[Transaction], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Move:
    """Number of copied rows by table. `is_live`: True if the new database is the live database."""

    rows: dict[str, int]
    is_live: bool


async def move(
    source_url: str, target_url: str, clock: Clock, show: Callable[[CopyProgress], None], record: Record
) -> Move:
    """Copy the SQLite database to an empty PostgreSQL database, and make the new database live.

    `record`: writes the event of the move into each of the two databases.

    If the SQLite database is itself an unconfirmed copy, the new database is also an unconfirmed copy.

    Raises: ConfigurationError, Conflict, Unavailable. If the copy fails, the SQLite database stays unchanged.
    """
    path = _existing_file(source_url)
    with hold_server_lock(path, f"A server or another copy uses {path}. Stop the server, and run the command again."):
        require_copyable(source_url)
        await prepare_target(target_url)
        source = create_database(source_url)
        await source.open()
        try:
            async with source.write() as tx:  # until the end of this transaction, no other command can write
                row = await liveness.read_row(tx)
                is_live = row.is_live_at(await source.location())
                rows = await copy_rows(path, target_url, show)
                if is_live:
                    await liveness.mark_moved(tx)
                    await record(tx)
        finally:
            await source.close()
        if is_live:
            await _make_live(target_url, clock, record)
    return Move(rows, is_live)


def _existing_file(url: str) -> str:
    path = sqlite_path(url)
    if path is None:
        raise ConfigurationError(
            "This command copies only SQLite databases. Set ONE_RUNTIME_DATABASE_URL to the SQLite database, and give "
            "the URL of the new database in the command."
        )
    missing = missing_file(Path(path))
    if missing is not None:
        raise missing.error()
    require_usable(url)
    return path


async def _make_live(url: str, clock: Clock, record: Record) -> None:
    """Make the new database live, after the SQLite database is no longer live.

    Raises: Conflict.
    """
    database = create_database(url, pool_size=1)
    try:
        await database.open()
        try:
            location = await database.location()
            async with database.write() as tx:
                await liveness.confirm(tx, location, clock())
                await record(tx)
        finally:
            await database.close()
    except (ConfigurationError, Unavailable) as error:
        raise Conflict(
            "The copy is complete, but the connection to the new database failed before the last step. Set "
            "ONE_RUNTIME_DATABASE_URL to the new database, and run `one-runtime installation confirm`."
        ) from error
