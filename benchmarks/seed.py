"""Fill a database fast: insert the rows directly, and then create the indexes."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Final

import psycopg
from psycopg import sql

from benchmarks.rows import Rows, Table
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.migrations import migrate

_BATCH_PRAGMAS: Final = ("synchronous = OFF", "journal_mode = MEMORY", "foreign_keys = OFF", "cache_size = -200000")


def seed(url: str, rows: Rows) -> None:
    """Migrate an empty database and fill it."""
    migrate(url)
    insert_rows(url, rows.tables(), "connections")


def insert_rows(url: str, tables: Iterable[Table], largest: str) -> None:
    """Insert rows into a migrated database. Create the indexes of the largest table after its rows."""
    path = sqlite_path(url)
    if path:
        _insert_into_sqlite(path, tables, largest)
    else:
        _insert_into_postgres(url, tables, largest)


def _insert_into_sqlite(path: str, tables: Iterable[Table], largest: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in _BATCH_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql NOT NULL"
        indexes = connection.execute(query, [largest]).fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for table, columns, values in tables:
            marks = ", ".join("?" for _ in columns)
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of ours
            connection.executemany(statement, values)
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def _insert_into_postgres(url: str, tables: Iterable[Table], largest: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # PostgreSQL then checks no foreign keys
        connection.execute("SET maintenance_work_mem = '256MB'")
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname ~ '^ix_'"
        indexes = connection.execute(query, [largest]).fetchall()
        for name, _ in indexes:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        for table, columns, values in tables:
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                for value in values:
                    copy.write_row(value)
        for _, definition in indexes:
            connection.execute(definition.encode())
        connection.execute("VACUUM (ANALYZE)")  # in production, autovacuum does this
        connection.execute("CHECKPOINT")
