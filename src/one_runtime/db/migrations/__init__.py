"""Migrate a database to the current schema. The module imports Alembic only if a migration is necessary."""

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from one_runtime.db.database_url import lock_path, sqlite_path
from one_runtime.db.sqlite import connect_sqlite
from one_runtime.errors import ConfigurationError

HEAD: Final = "0006"
"""The newest revision in `versions/`. A test compares this value with the revision that Alembic finds."""

_LOCK: Final = 0x6F6E655F72756E  # advisory lock of the process that migrates a PostgreSQL database

LOCK_TIMEOUT: Final = 400
"""Milliseconds that a migration waits for the lock of a table. During this time, servers that need the table wait too.

The value is less than PostgreSQL's `deadlock_timeout` of one second. With a longer wait, PostgreSQL's deadlock check
could abort a server's transaction instead of the migration.
"""
LOCK_PATIENCE: Final = 120.0
"""Seconds for which One Runtime retries a migration while tables are locked."""


def current_revision(url: str) -> str | None:
    """Return the id of the last migration, or None for an empty database. Raises: ConfigurationError."""
    path = sqlite_path(url)
    query = "SELECT version_num FROM alembic_version"
    if path:
        if not Path(path).exists():
            return None
        connection = connect_sqlite(path)
        try:
            row = connection.execute(query).fetchone()
        except sqlite3.OperationalError:
            return None
        finally:
            connection.close()
        return row[0] if row else None
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection_:
            row = connection_.execute(query).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:  # no server responds, or the URL is invalid
        raise ConfigurationError(
            "PostgreSQL cannot be reached. Check ONE_RUNTIME_DATABASE_URL and the server."
        ) from error
    return row[0] if row else None


def require_current(url: str) -> None:
    """Raises: ConfigurationError if the database does not have the newest revision."""
    if current_revision(url) != HEAD:
        raise ConfigurationError("The database is not migrated. Run `one-runtime migrate`, or start with --migrate.")


def migrate(url: str, *, patience: float = LOCK_PATIENCE) -> bool:
    """Migrate to the newest revision, in one process at a time. Return False if the database was already current.

    Raises: ConfigurationError if the database cannot be reached, or a table stays locked for `patience` seconds.
    """
    if current_revision(url) == HEAD:
        return False
    with _exclusive(url):
        if current_revision(url) == HEAD:
            return False
        from alembic import command  # noqa: PLC0415 - takes 150 ms, and most starts migrate nothing
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        config.attributes.update(url=url, lock_timeout=LOCK_TIMEOUT)
        _retry(lambda: command.upgrade(config, "head"), patience)
    return True


def _retry(upgrade: Callable[[], None], patience: float) -> None:
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415 - slow to import

    deadline, pause = time.monotonic() + patience, 0.05
    while True:
        try:
            upgrade()
        except OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                raise
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    "The database was not migrated, because an open transaction locks a table. Find the transaction "
                    "in pg_stat_activity, end the transaction, and migrate again."
                ) from error
            time.sleep(pause)
            pause = min(pause * 2, 2.0)
        else:
            return


@contextmanager
def _exclusive(url: str) -> Iterator[None]:
    path = sqlite_path(url)
    if path:
        lock_file = lock_path(path, "migrating")
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        with lock_file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            Path(path).touch(mode=0o600)  # SQLite creates the -wal and -shm files with the same mode
            yield
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield
