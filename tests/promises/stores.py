"""The whole content of a database as bytes: SQLite's files, or a dump of each PostgreSQL table."""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from one_runtime.context import Installation
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.sqlite import connect_sqlite

_TABLES = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'public'"


def url_of(installation: Installation) -> str:
    return installation.settings.database_url.get_secret_value()


def everything_stored(installation: Installation) -> dict[str, bytes]:
    """Return the whole content of the database of an installation."""
    return dump_of(url_of(installation))


def dump_of(url: str) -> dict[str, bytes]:
    """Return the bytes of each SQLite file. For PostgreSQL, return each table in COPY's text and binary formats."""
    path = sqlite_path(url)
    if path:
        files = sorted(Path(path).parent.glob(f"{Path(path).name}*"))
        assert {file.name.rpartition(".")[2] for file in files} >= {"db", "db-wal", "db-shm"}
        return {file.name: file.read_bytes() for file in files}
    with psycopg.connect(url, autocommit=True) as connection:
        tables = [row[1] for row in connection.execute(_TABLES)]
        assert "credentials" in tables
        return {f"{table} as {form}": _copy(connection, table, form) for table in tables for form in ("text", "binary")}


def _copy(connection: psycopg.Connection[Any], table: str, form: str) -> bytes:
    statement = sql.SQL("COPY {} TO STDOUT (FORMAT {})").format(sql.Identifier(table), sql.SQL(form))
    with connection.cursor().copy(statement) as copy:
        return b"".join(bytes(block) for block in copy)


def query(installation: Installation, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, as an operator with the database's password sees them."""
    url = url_of(installation)
    path = sqlite_path(url)
    if path:
        connection = connect_sqlite(path)
        try:
            return [tuple(row) for row in connection.execute(statement)]
        finally:
            connection.close()
    with psycopg.connect(url, autocommit=True) as postgres:
        cursor = postgres.execute(statement.encode())
        return [tuple(row) for row in cursor] if cursor.description else []


def every_row(installation: Installation) -> dict[str, list[str]]:
    """Return the rows of every table. Tests compare the rows of two moments."""
    path = sqlite_path(url_of(installation))
    names = "SELECT '', name FROM sqlite_master WHERE type = 'table'" if path else _TABLES
    tables = [row[1] for row in query(installation, names)]
    assert "events" in tables
    return {table: sorted(map(repr, query(installation, f"SELECT * FROM {table}"))) for table in tables}
