"""The benchmarks fill a database directly, so each new migration has to keep that possible."""

from typing import Final

import sqlalchemy as sa

from benchmarks.rows import Rows
from benchmarks.seed import insert_rows
from one_runtime.db.database_url import sqlite_path

CONNECTIONS: Final = 50


def test_benchmark_rows_keep_every_index(database_url: str) -> None:
    before = indexes(database_url)

    insert_rows(database_url, Rows(CONNECTIONS, "k1").tables(), "connections")

    assert indexes(database_url) == before
    assert count(database_url) == CONNECTIONS


def indexes(url: str) -> set[tuple[str, str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
    if not sqlite_path(url):
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    with engine(url).connect() as connection:
        return {(name, definition) for name, definition in connection.execute(sa.text(query))}


def count(url: str) -> int:
    with engine(url).connect() as connection:
        number: int = connection.execute(sa.text("SELECT count(*) FROM connections")).scalar_one()
    return number


def engine(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
