"""Create the `Database` object for a database URL, and name the lock files of a SQLite database."""

from pathlib import Path
from typing import Literal

from one_runtime.clock import Clock, system_clock
from one_runtime.db.engine import Database
from one_runtime.db.obstacles import IN_MEMORY, url_obstacle
from one_runtime.db.sqlite import SqliteDatabase


def sqlite_path(url: str) -> str | None:
    """Return the file path of a `sqlite:///` URL, or None for any other URL, such as that of a database in memory."""
    head = "sqlite:///"
    return url.removeprefix(head) if url.startswith(head) and url != IN_MEMORY else None


def lock_path(path: str | Path, purpose: Literal["migrating", "serving"]) -> Path:
    """Return the path of a lock file of a SQLite database. The lock file is beside the database file.

    If `path` contains a symbolic link, return the lock file of the real file. So all paths of one database have the
    same lock.
    """
    return Path(f"{Path(path).resolve()}.{purpose}")


def create_database(
    url: str, *, pool_size: int = 10, disk_reserve: bool = False, machine_clock: Clock = system_clock
) -> Database:
    """Create the `Database` object for a URL: `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://…`.

    `disk_reserve`: True to keep a `DiskReserve` beside a SQLite file. Only the server needs this reserve.
    `machine_clock`: the clock of this machine. Tests pass a wrong clock.

    Raises: DatabaseUnusable for any other URL.
    """
    obstacle = url_obstacle(url)
    if obstacle is not None:
        raise obstacle.error()
    path = sqlite_path(url)
    if path:
        return SqliteDatabase(path, disk_reserve=disk_reserve, machine_clock=machine_clock)
    from one_runtime.db.postgres import PostgresDatabase  # noqa: PLC0415 - psycopg takes 50 ms to import

    return PostgresDatabase(url, pool_size=pool_size, machine_clock=machine_clock)
