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
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:  # no server there; no URL of PostgreSQL
        raise ConfigurationError(
            "PostgreSQL cannot be reached. Check ONE_RUNTIME_DATABASE_URL and the server."
        ) from error
    return row[0] if row else None


def require_current(url: str) -> None:
    """Raises: ConfigurationError where the database was not migrated."""
    if current_revision(url) != HEAD:
        raise ConfigurationError("The database is not migrated. Run `one-runtime migrate`, or start with --migrate.")


def migrate(url: str, *, patience: float = LOCK_PATIENCE) -> bool:
    """Migrate to the newest revision, one process at a time. Return False if there was nothing to migrate.

    Raises: ConfigurationError where the database cannot be reached.
    """
    if current_revision(url) == HEAD:
        return False
    with _exclusive(url):
        if current_revision(url) == HEAD:
            return False
        from alembic import command  # noqa: PLC0415 - costs 150 ms at every start that has nothing to migrate
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        config.attributes.update(url=url, lock_timeout=LOCK_TIMEOUT)
        _persist(lambda: command.upgrade(config, "head"), patience)
    return True


def _persist(upgrade: Callable[[], None], patience: float) -> None:
    """Migrate, all or nothing, again and again while servers hold what it needs. Raises: ConfigurationError."""
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
                    "A table is in use all the time, so the database was not migrated. Something holds a transaction "
                    "open: end it (pg_stat_activity shows it), and migrate again."
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
            Path(path).touch(mode=0o600)  # a new file is its owner's; SQLite's companions take its mode
            yield
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield
