"""Migrate a database to the current schema. Alembic is imported only if there is something to migrate."""

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.sqlite import connect_sqlite
from one_runtime.errors import ConfigurationError

HEAD: Final = "0004"
"""The newest revision in `versions/`; a test compares it with Alembic's result."""

_LOCK: Final = 0x6F6E655F72756E  # the advisory lock of every process that migrates one PostgreSQL database

LOCK_TIMEOUT: Final = 400
"""Milliseconds that a migration waits for the lock of a table, while servers queue behind the migration.

Less than PostgreSQL's `deadlock_timeout` (1 s): its deadlock check might abort a server's transaction instead.
"""
LOCK_PATIENCE: Final = 120.0
"""Seconds in which a migration retries."""


def current_revision(url: str) -> str | None:
    """Return the revision of a database, or None for an empty database. Raises: ConfigurationError."""
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
    """Require the newest revision. Raises: ConfigurationError if the database has another one."""
    if current_revision(url) != HEAD:
        raise ConfigurationError("The database is not migrated. Run `one-runtime migrate`, or start with --migrate.")


def migrate(url: str, *, patience: float = LOCK_PATIENCE) -> bool:
    """Migrate to the newest revision, one process at a time. Return False if there was nothing to migrate.

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
    """Migrate in one transaction, and retry while servers lock its tables. Raises: ConfigurationError."""
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415 - as Alembic

    deadline, pause = time.monotonic() + patience, 0.05
    while True:
        try:
            upgrade()
        except OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                raise
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    "The database was not migrated, because an open transaction locks a table. End the transaction, "
                    "which pg_stat_activity shows, and migrate again."
                ) from error
            time.sleep(pause)
            pause = min(pause * 2, 2.0)
        else:
            return


@contextmanager
def _exclusive(url: str) -> Iterator[None]:
    path = sqlite_path(url)
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(f"{path}.migrating").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            Path(path).touch(mode=0o600)  # SQLite gives its -wal and -shm files the same mode
            yield
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield
