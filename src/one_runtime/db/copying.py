"""Copy all rows of a SQLite database to an empty PostgreSQL database, in one transaction of PostgreSQL."""

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from itertools import islice
from typing import Any, Final, LiteralString, NamedTuple, TypeAlias

import psycopg
from psycopg import sql
from sqlalchemy import Table, func, select

from one_runtime.db.access import require_usable
from one_runtime.db.file_location import HELD
from one_runtime.db.migrations import HEAD, SchemaState, migrate, read_schema_state
from one_runtime.db.obstacles import INVALID_URL, postgres_obstacle
from one_runtime.db.pooler import is_pooled
from one_runtime.db.schema import installation, metadata
from one_runtime.db.sqlite import connect_sqlite
from one_runtime.errors import ConfigurationError, Conflict

BATCH: Final = 5_000
"""Rows of one COPY statement. PostgreSQL checks the foreign keys of these rows at the end of the statement."""

_Connection: TypeAlias = psycopg.AsyncConnection[Any]

_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
_HAS_ROW: Final = sql.SQL("SELECT EXISTS (SELECT FROM {})")
# The migration creates a row of `installation`. The first server on the database then sets `live_location`.
_IS_USED: Final = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE live_location IS NOT NULL)")
_SETTINGS: Final[tuple[LiteralString, ...]] = (
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL lock_timeout = '10s'",
)
_ALL_TABLES: Final = sql.SQL(", ").join(sql.Identifier(table.name) for table in metadata.sorted_tables)
_LOCK: Final = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(_ALL_TABLES)
_ANALYZE: Final = sql.SQL("ANALYZE {}").format(_ALL_TABLES)
_HOLD: Final = "UPDATE installation SET live_location = %s"


class CopyProgress(NamedTuple):
    """Number of rows that the command has copied, and number of all rows."""

    copied: int
    total: int


def require_copyable(url: str) -> None:
    """Raises: ConfigurationError if the SQLite database has another schema than this version of One Runtime."""
    state = read_schema_state(url)
    if state.is_newer:
        raise ConfigurationError(_newer("SQLite", state))
    if state.revision != HEAD:
        raise ConfigurationError("The SQLite database is not migrated. Run `one-runtime migrate` first.")


async def prepare_target(url: str) -> None:
    """Check that the URL leads to an empty PostgreSQL database, and migrate this database.

    Raises: ConfigurationError. The message contains no part of the URL.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError("The URL of the new database must start with postgresql://.")
    async with _connected(url) as connection:
        if is_pooled(url):
            raise ConfigurationError(
                "A connection pooler is between One Runtime and PostgreSQL. The copy needs a direct connection. Give "
                "the URL of PostgreSQL itself."
            )
        require_usable(url)
        await _require_empty(connection)
    migrate(url)
    state = read_schema_state(url)
    if state.revision != HEAD:
        raise ConfigurationError(_newer("PostgreSQL", state))


def _newer(name: str, state: SchemaState) -> str:
    return (
        f"The {name} database has the schema {state.revision}, which is newer than the schema {HEAD} of this version. "
        "Copy with the newer version of One Runtime."
    )


async def copy_rows(path: str, target_url: str, show: Callable[[CopyProgress], None]) -> dict[str, int]:
    """Copy the rows of every table, and return the number of rows of each table.

    The new database is not live. `jobs/moving.py` makes the new database live afterwards. If the copy fails, the target
    stays empty. The caller prevents all changes of the SQLite database.

    Raises: Conflict, ConfigurationError.
    """
    try:
        with closing(connect_sqlite(path)) as source:
            source.execute("BEGIN")  # all statements see the same state
            counts = {table.name: _count(source, table) for table in metadata.sorted_tables}
            async with _connected(target_url) as target, target.transaction():
                await _lock(target)
                await _copy_tables(source, target, counts, show)
                await _compare_counts(target, counts)
                await target.execute(_HOLD, [HELD])
                await target.execute(_ANALYZE)  # otherwise PostgreSQL has no statistics for its first plans
    except psycopg.Error as error:
        raise Conflict(f"The copy failed: {_reason(target_url, error)}. {_NOTHING_CHANGED}") from error
    except sqlite3.Error as error:
        raise Conflict(f"The SQLite database cannot be read: {error}. Check the disk and the database.") from error
    return counts


_NOTHING_CHANGED: Final = (
    "The new database is still empty, and the SQLite database is unchanged. Run the command again when you have "
    "removed the cause."
)


def _reason(url: str, error: psycopg.Error) -> str:
    """Return PostgreSQL's own message. A message from the driver could contain a part of the URL."""
    return error.diag.message_primary or postgres_obstacle(url, error).saw


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[_Connection]:
    try:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=10)
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        obstacle = postgres_obstacle(url, error)
        if obstacle == INVALID_URL:
            raise ConfigurationError("The URL of the new database is not a valid PostgreSQL URL.") from error
        message = f"The new database cannot be used: {obstacle.saw}. Correct the URL of the new database."
        raise ConfigurationError(message) from error
    async with connection:
        yield connection


async def _fetch_value(connection: _Connection, query: "LiteralString | sql.Composed") -> Any:
    row = await (await connection.execute(query)).fetchone()
    return None if row is None else row[0]


async def _require_empty(connection: _Connection) -> None:
    """Raises: ConfigurationError if the database has rows of One Runtime, or a table of another program."""
    for (name,) in await (await connection.execute(_TABLES)).fetchall():
        if name == "alembic_version":
            continue
        query = _IS_USED if name == installation.name else _HAS_ROW
        is_ours = name in metadata.tables
        if not is_ours or await _fetch_value(connection, query.format(sql.Identifier(name))):
            saw = f"the table {name} has rows" if is_ours else f"there is a table {name}"
            raise ConfigurationError(
                f"The new database is not empty: {saw}. Create an empty database, and give the URL of this database. "
                "The command has changed neither database."
            )


async def _lock(target: _Connection) -> None:
    """Lock all tables, so that no server can use the database before the commit. Check again that they are empty."""
    for setting in _SETTINGS:
        await target.execute(setting)
    await target.execute(_LOCK)
    await _require_empty(target)
    await target.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(installation.name)))


async def _copy_tables(
    source: sqlite3.Connection, target: _Connection, counts: Mapping[str, int], show: Callable[[CopyProgress], None]
) -> None:
    copied, total = 0, sum(counts.values())
    for table in metadata.sorted_tables:  # in the order of the foreign keys
        rows = source.execute(str(select(table)))
        for start in range(0, counts[table.name], BATCH):
            await _copy_batch(target, table, islice(rows, BATCH))
            show(CopyProgress(copied + min(start + BATCH, counts[table.name]), total))
        copied += counts[table.name]


async def _copy_batch(target: _Connection, table: Table, rows: "islice[tuple[Any, ...]]") -> None:
    """Copy rows with one COPY statement.

    The format is text, because PostgreSQL can parse the texts of SQLite: UUIDs, RFC 3339 times, JSON, and 0 and 1 for
    Boolean. The driver writes bytes in hexadecimal form.

    Raises: Conflict if PostgreSQL refuses a row.
    """
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    key_width = len(table.primary_key.columns)
    keys: list[tuple[str, ...]] = []
    try:
        async with target.cursor().copy(statement) as copy:
            for row in rows:
                keys.append(row[:key_width])  # the primary key is first in each table
                await copy.write_row(row)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        saw = f"PostgreSQL refuses a row of the table {table.name}{_describe_refused(error, keys)}"
        raise Conflict(f"{saw}: {error.diag.message_primary or error}. {_NOTHING_CHANGED}") from error


def _describe_refused(error: psycopg.Error, keys: Sequence[tuple[str, ...]]) -> str:
    """Return the primary key of the row that caused the error. For a foreign key, return an empty text."""
    if error.sqlstate is None:  # the driver itself refused the row, for example a NUL character in a text
        return f" ({' '.join(keys[-1])})"
    line = re.search(r"^COPY .*, line (\d+)", error.diag.context or "", re.MULTILINE)
    return f" ({' '.join(keys[int(line[1]) - 1])})" if line else ""


async def _compare_counts(target: _Connection, counts: Mapping[str, int]) -> None:
    for table in metadata.sorted_tables:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name))
        count = await _fetch_value(target, query)
        if count != counts[table.name]:
            raise Conflict(
                f"The table {table.name} has {counts[table.name]:,} rows in the SQLite database, but {count:,} rows "
                f"in the new database. {_NOTHING_CHANGED}"
            )


def _count(source: sqlite3.Connection, table: Table) -> int:
    (count,) = source.execute(str(select(func.count()).select_from(table))).fetchone()
    return int(count)
