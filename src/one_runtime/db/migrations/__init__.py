"""Migrate a database to the current schema. The module imports Alembic only if a migration is necessary."""

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString, NamedTuple

from one_runtime.db.database_url import lock_path, sqlite_path
from one_runtime.db.obstacles import DatabaseUnusable, missing_file, postgres_obstacle, sqlite_obstacle
from one_runtime.db.sqlite import connect_sqlite
from one_runtime.errors import ConfigurationError

HEAD: Final = "v0003"
"""The newest revision in `versions/`. A test compares this value with the revision that Alembic finds."""

LAST_UNRELEASED: Final = "0025"
"""Last revision of the versions before the first release. Its schema is the schema of `v0001`."""

_LAST_UNRELEASED_COMMIT: Final = "4cae760f"

_LOCK: Final = 0x6F6E655F72756E  # advisory lock of the process that migrates a PostgreSQL database
_LOCK_PAUSE: Final = 0.1  # seconds between two attempts to get this lock

LOCK_PATIENCE: Final = 120.0
"""Seconds for which One Runtime retries a migration while tables are locked."""


class SchemaState(NamedTuple):
    """State of a database's schema. `revision` is the last migration. Both fields are None for an empty database.

    A version of One Runtime can serve the schema if the version contains the migration `compatible_revision`. The field
    is None if the schema is not newer than this version.
    """

    revision: str | None
    compatible_revision: str | None = None

    @property
    def is_newer(self) -> bool:
        """Return True if a newer version of One Runtime migrated the database."""
        return self.revision is not None and self.revision > HEAD

    @property
    def is_too_old(self) -> bool:
        """Return True if this version has no migration from the schema, which is from before the first release."""
        return self.revision is not None and self.revision < LAST_UNRELEASED

    @property
    def is_compatible(self) -> bool:
        """Return True if this version can serve the schema."""
        if self.is_newer:
            return self.compatible_revision is not None and self.compatible_revision <= HEAD
        return self.revision == HEAD


def current_revision(url: str) -> str | None:
    """Return the id of the last migration, or None for an empty database. Raises: ConfigurationError."""
    return read_schema_state(url).revision


def read_schema_state(url: str) -> SchemaState:
    """Read the schema's revision. If the schema is newer than this version, also read the compatible revision.

    Raises: ConfigurationError if the database cannot be reached, or if the database user cannot read the revision.
    """
    path = sqlite_path(url)
    if path:
        if not Path(path).exists():
            return SchemaState(None)
        connection = connect_sqlite(path)
        try:
            return _read_state(lambda query: connection.execute(query).fetchone())
        except sqlite3.OperationalError:
            return SchemaState(None)
        finally:
            connection.close()
    return _read_postgres_state(url)


def _read_postgres_state(url: str) -> SchemaState:
    import psycopg  # noqa: PLC0415 - takes 50 ms, and most commands use SQLite

    from one_runtime.db.access import connect, read_access  # noqa: PLC0415 - imports psycopg

    try:
        with connect(url) as connection:
            return _read_state(lambda query: connection.execute(query).fetchone())
    except psycopg.errors.UndefinedTable:
        return SchemaState(None)
    except psycopg.errors.InsufficientPrivilege as error:
        obstacle = read_access(url).obstacle_to_use()
        raise (obstacle or postgres_obstacle(url, error)).error() from None
    except psycopg.OperationalError as error:
        raise postgres_obstacle(url, error).error() from error


def _read_state(fetch: Callable[[LiteralString], tuple[Any, ...] | None]) -> SchemaState:
    row = fetch("SELECT version_num FROM alembic_version")
    state = SchemaState(row[0] if row else None)
    if not state.is_newer:
        return state
    row = fetch("SELECT compatible_revision FROM installation")
    return state._replace(compatible_revision=row[0] if row else None)


def require_compatible(url: str) -> None:
    """Raises: ConfigurationError if this version cannot serve the database's schema, or if there is no database."""
    path = sqlite_path(url)
    missing = missing_file(Path(path)) if path else None
    if missing is not None:
        raise missing.error()
    _require_compatible(read_schema_state(url))


def _require_compatible(state: SchemaState) -> None:
    if state.is_compatible:
        return
    if state.is_newer:
        raise ConfigurationError(
            f"The database has the schema {state.revision}, and this version of One Runtime supports {HEAD} at most. "
            "Run the version of One Runtime that migrated the database, or a newer version. To return to this version, "
            "restore a backup."
        )
    if state.is_too_old:
        raise ConfigurationError(
            f"The database has the schema {state.revision} of a version before the first release. Run `one-runtime "
            f"migrate` with commit {_LAST_UNRELEASED_COMMIT} of One Runtime first, and then with this version."
        )
    raise ConfigurationError("The database is not migrated. Run `one-runtime migrate`, or start with --migrate.")


def _needs_migration(url: str) -> bool:
    """Raises: ConfigurationError if this version can neither serve nor migrate the schema."""
    state = read_schema_state(url)
    if state.is_newer or state.is_too_old:
        _require_compatible(state)
    return not state.is_compatible


def migrate(url: str, *, patience: float = LOCK_PATIENCE) -> bool:
    """Migrate to the newest revision, in one process at a time. Return False if no migration was necessary.

    A newer schema that this version can serve stays unchanged.

    Raises: ConfigurationError if the database cannot be reached, this version can neither serve nor migrate the schema,
    or a table stays locked for `patience` seconds.
    """
    if not _needs_migration(url):
        return False
    _require_migratable(url)
    with _exclusive(url):
        if not _needs_migration(url):
            return False
        from alembic import command  # noqa: PLC0415 - takes 150 ms, and most starts migrate nothing
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        config.attributes.update(url=url)
        _retry(lambda: command.upgrade(config, "head"), patience)
    return True


def migrate_configured(url: str, *, is_direct: bool) -> bool:
    """Migrate the database of the settings. An error names the setting that contains the URL. See `migrate`.

    `is_direct`: True if the URL is the one for migrations, ONE_RUNTIME_DATABASE_DIRECT_URL.
    """
    try:
        return migrate(url)
    except DatabaseUnusable as error:
        if not is_direct:
            raise
        raise error.obstacle.of_direct_url().error() from error


def _require_migratable(url: str) -> None:
    """Raises: DatabaseUnusable if this process cannot migrate the database."""
    from one_runtime.db.access import read_access  # noqa: PLC0415 - imports psycopg

    path = sqlite_path(url)
    obstacle = sqlite_obstacle(Path(path)) if path else read_access(url).obstacle_to_migration()
    if obstacle is not None:
        raise obstacle.error()


def _retry(upgrade: Callable[[], None], patience: float) -> None:
    import psycopg  # noqa: PLC0415 - see _read_postgres_state
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
        with lock_file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            Path(path).touch(mode=0o600)  # SQLite creates the -wal and -shm files with the same mode
            yield
        return
    from one_runtime.db.pooler import is_pooled  # noqa: PLC0415 - imports psycopg

    if is_pooled(url):
        raise ConfigurationError(
            "A connection pooler is between One Runtime and PostgreSQL. A migration needs a direct connection. Set "
            "ONE_RUNTIME_DATABASE_DIRECT_URL to the URL of PostgreSQL itself."
        )
    import psycopg  # noqa: PLC0415 - see _read_postgres_state

    with psycopg.connect(url, autocommit=True) as connection:
        # A waiting statement would have a snapshot, and CREATE INDEX CONCURRENTLY waits for all snapshots.
        while not connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchall()[0][0]:
            time.sleep(_LOCK_PAUSE)
        try:
            yield
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
