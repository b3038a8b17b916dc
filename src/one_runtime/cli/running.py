"""Open the configured database for a subcommand of `one-runtime`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.migrations import require_compatible
from one_runtime.errors import ConfigurationError
from one_runtime.jobs import liveness
from one_runtime.settings import load_settings

T = TypeVar("T")

DEMO_DATABASE: Final = Path(".one-runtime-demo") / "one-runtime.db"
"""The database of a demo in the working directory."""


def run(work: Callable[[Database], Awaitable[T]], *, pool_size: int = 1, allow_moved: bool = False) -> T:
    """Open the configured database, run the work, and close the database.

    `pool_size`: number of connections to PostgreSQL that the work uses at the same time. `allow_moved`: True to also
    open a SQLite database that `one-runtime copy` has moved to PostgreSQL. No server uses such a database.

    Raises: ConfigurationError.
    """

    async def opened() -> T:
        url = load_settings().database_url.get_secret_value()
        _require_database(url)
        database = create_database(url, pool_size=pool_size)
        await database.open()
        try:
            if not allow_moved:
                async with database.read() as tx:
                    await liveness.require_not_moved(tx)
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def _require_database(url: str) -> None:
    """Raises: ConfigurationError. If the demo's data are in the current folder, the message names them."""
    try:
        require_compatible(url)
    except ConfigurationError as error:
        path = sqlite_path(url)
        if path is None or Path(path).exists() or not DEMO_DATABASE.exists():
            raise
        advice = f"To use the demo's data, set ONE_RUNTIME_DATABASE_URL=sqlite:///{DEMO_DATABASE}."
        raise ConfigurationError(f"{error.detail} {advice}") from None


def read(work: Callable[[Transaction], Awaitable[T]], *, allow_moved: bool = False) -> T:
    """Run work that only reads the database. `allow_moved`: see `run`."""

    async def in_transaction(database: Database) -> T:
        async with database.read() as tx:
            return await work(tx)

    return run(in_transaction, allow_moved=allow_moved)


def write(work: Callable[[Transaction], Awaitable[T]], *, allow_moved: bool = False) -> T:
    """Run work in one write transaction. `allow_moved`: see `run`."""

    async def in_transaction(database: Database) -> T:
        async with database.write() as tx:
            return await work(tx)

    return run(in_transaction, allow_moved=allow_moved)
