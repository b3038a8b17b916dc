"""A pytest plugin: a test that uses a database runs once on SQLite and once on PostgreSQL, on a new migrated database.

With `--database sqlite` or `--database postgresql`, tests run only on that database. With `--database first`, each test
runs once: on SQLite if possible, and otherwise on PostgreSQL.
"""

import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg
import pytest

from one_runtime.db.migrations import HEAD, migrate
from one_runtime.db.schema import metadata
from tests.postgres import Databases
from tests.waiting import attempts

_KINDS: Final = ("sqlite", "postgresql")
_TEMPLATE: Final = "template_migrated"
_OTHERS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)
_ENDING: Final = 0.2  # seconds
# Reads the name and type of every column, and every index.
_SHAPE: Final = """
    SELECT md5(string_agg(concat_ws(' ', relname, relkind, attname, atttypid), ',' ORDER BY relname, attnum))
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = 'public'::regnamespace
"""
# The migration creates the only row of `installation`, so keep this row.
_EMPTIED: Final = [table.name for table in reversed(metadata.sorted_tables) if table.name != "installation"]
_EMPTY: Final = ";".join(
    [*(f"DELETE FROM {name}" for name in _EMPTIED), "UPDATE installation SET live_location = NULL, live_at = NULL"]
).encode()

_MEMORY: Final = Path("/dev/shm")
_ENOUGH_MEMORY: Final = 512 * 1024 * 1024

ANY_DATABASE: Final = pytest.mark.only_database("sqlite")
"""The mark for tests that do not depend on the kind of database. They run on SQLite only."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=(*_KINDS, "first", "both"), default="both", help="databases to test on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with a database fixture once for each database."""
    if "database_kind" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("database")
    only = metafunc.definition.get_closest_marker("only_database")
    kinds = [kind for kind in _KINDS if chosen in {kind, "first", "both"} and (only is None or kind in only.args)]
    if chosen == "first":
        kinds = kinds[:1]
    soak_on = metafunc.definition.get_closest_marker("soak_on")
    soaked = soak_on.args if soak_on is not None and chosen == "both" else ()
    parameters = [pytest.param(kind, marks=pytest.mark.soak) if kind in soaked else kind for kind in kinds]
    metafunc.parametrize("database_kind", parameters, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that do not run on the selected database. Otherwise pytest would report them as skipped."""
    unasked = [item for item in items if _has_no_database_left(item)]
    if unasked:
        config.hook.pytest_deselected(items=unasked)
        items[:] = [item for item in items if item not in unasked]


def _has_no_database_left(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "database_kind" in item.fixturenames and "NOTSET" in item.name


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """Provide a migrated database for one test."""
    url: str = request.getfixturevalue(f"migrated_{database_kind}_url")
    return url


@pytest.fixture
def sqlite_folder(tmp_path: Path) -> Iterator[Path]:
    """Provide a folder for a SQLite file, in memory if Linux has enough memory. On a disk, each commit is slower."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ENOUGH_MEMORY:
        yield tmp_path
        return
    with TemporaryDirectory(prefix="one-runtime-", dir=_MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def empty_database_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """Provide an empty database for tests of migrations."""
    if database_kind == "sqlite":
        folder: Path = request.getfixturevalue("sqlite_folder")
        return _sqlite_url(folder / "empty.db")
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.fixture
def migrated_sqlite_url(sqlite_template: Path, sqlite_folder: Path) -> str:
    path = sqlite_folder / "one-runtime.db"
    shutil.copy(sqlite_template, path)
    return _sqlite_url(path)


@pytest.fixture
def migrated_postgresql_url(used_databases: "UsedDatabases") -> Iterator[str]:
    """Provide a migrated database without rows."""
    name = used_databases.take()
    yield used_databases.url(name)
    used_databases.give_back(name)


@pytest.fixture
def new_postgres_url(postgres: Databases, postgres_template: str) -> Iterator[str]:
    """Provide a migrated database without rows, for a test that adds triggers or tables."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create(name, postgres_template)
    postgres.drop(name)


@pytest.fixture(scope="session")
def used_databases(postgres: Databases, postgres_template: str) -> Iterator["UsedDatabases"]:
    databases = UsedDatabases(postgres, postgres_template)
    yield databases
    databases.close()


class UsedDatabases:
    """Provides migrated databases without rows.

    To empty the database of an earlier test takes 2 milliseconds with a connection that stays open, and 12 with a new
    connection. To copy the template takes 50.
    """

    def __init__(self, databases: Databases, template: str) -> None:
        self._databases, self._template = databases, template
        self._connections: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}
        self._empty: list[str] = []
        self._shape: str | None = None

    def url(self, name: str) -> str:
        return self._databases.url(name)

    def take(self) -> str:
        """Return the name of a migrated database without rows."""
        if self._empty:
            return self._empty.pop()
        name = f"test_{uuid.uuid4().hex}"
        self._databases.create(name, self._template)
        self._connections[name] = psycopg.connect(self.url(name), autocommit=True)
        self._shape = self._shape or _shape(self._connections[name])
        return name

    def give_back(self, name: str) -> None:
        """Empty a database for the next test. Drop the database if it is still in use, or if its schema has changed."""
        if self._is_emptied(self._connections[name]):
            self._empty.append(name)
        else:
            self._connections.pop(name).close()
            self._databases.drop(name)

    def _is_emptied(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> bool:
        try:
            if _is_in_use(connection) or _shape(connection) != self._shape:
                return False
            if connection.execute("SELECT version_num FROM alembic_version").fetchone() != (HEAD,):
                return False
            connection.execute(_EMPTY)
        except psycopg.OperationalError:  # the test ended all connections to the database
            return False
        return True

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()


def _is_in_use(connection: "psycopg.Connection[tuple[Any, ...]]") -> bool:
    """Return True if the database has other clients, also after the time that PostgreSQL needs to notice their end."""
    with suppress(TimeoutError):
        for _ in attempts(_ENDING):
            if connection.execute(_OTHERS).fetchone() == (0,):
                return False
    return True


def _shape(connection: "psycopg.Connection[tuple[Any, ...]]") -> str:
    row = connection.execute(_SHAPE).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a migrated SQLite file without a write-ahead log, so that tests can copy the file."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(_sqlite_url(path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Databases, worker_id: str) -> Iterator[str]:
    """Create a migrated database for each pytest worker. Yield its name. No client is connected to the database."""
    name = f"{_TEMPLATE}_{worker_id}"
    migrate(postgres.create(name))
    yield name
    postgres.drop(name)


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"
