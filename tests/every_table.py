"""Rows in every table of the schema, with a value for every column. A new table or column gets rows without a change.

Each table gets a row with all values, a row with other values, and a row without the values that can be null. The table
`installation` keeps the row of the migration.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

import psycopg
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    column,
    create_engine,
    insert,
    inspect,
    select,
)
from sqlalchemy import table as sql_table
from sqlalchemy.pool import NullPool

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.engine import Row
from one_runtime.db.schema import installation, metadata
from tests import sealed_rows

ROWS: Final = 3
"""Rows of each table, except `installation`."""

Contents = dict[str, list[Row]]
"""Rows by table, in the order of the primary key."""

_TIME: Final = datetime(2026, 11, 25, 1, 2, 3, 4000, tzinfo=UTC)
# Characters with a meaning in COPY, in JSON or in SQL. `\N` is the null of COPY, and `\.` its end.
_TEXTS: Final = ("é 😀 用户 \t\r\n", "\\N", "\\. \\x41 {} ' \" \\\\")


def rows_of(table: Table) -> list[dict[str, Any]]:
    return [{column.name: _cell(column, number) for column in table.columns} for number in range(ROWS)]


def _cell(column: "Column[Any]", number: int) -> Any:
    is_last = number == ROWS - 1
    return None if is_last and column.nullable else _value(column, number)


def _value(column: "Column[Any]", number: int) -> Any:
    for key in column.foreign_keys:
        return _value(key.column, number)
    name = f"{column.table.name}.{column.name}"
    text = f"{name} {number} {_TEXTS[number]}"
    values = {
        Uuid: str(uuid5(NAMESPACE_OID, f"{name} {number}")),
        DateTime: _TIME + timedelta(days=number, milliseconds=number),
        JSON: {"text": text, "list": [number, 2.5, True, None, {"deep": []}], "": ""},
        Boolean: bool(number % 2),
        LargeBinary: bytes(range(number, 256)) + name.encode(),
        BigInteger: 2**40 + number,
        Integer: number,
        Text: text if column.primary_key or number != 1 else _TEXTS[1],
    }
    return next(value for kind, value in values.items() if isinstance(column.type, kind))


async def fill(url: str) -> None:
    """Insert the rows into a migrated database. An earlier version can have migrated it, and lacks columns."""
    present = _columns(url)
    async with sealed_rows.opened(url) as database, database.write() as tx:
        for table in metadata.sorted_tables:
            if table is not installation:
                rows = [{name: row[name] for name in present[table.name]} for row in rows_of(table)]
                known = [column(name, table.c[name].type) for name in present[table.name]]
                await tx.execute_many(insert(sql_table(table.name, *known)), rows)


async def contents(url: str, without: Collection[str] = ()) -> Contents:
    """Return all rows of all tables. `without`: columns that an earlier version lacks, such as `sessions.locale`."""
    async with sealed_rows.opened(url) as database, database.read() as tx:
        return {
            table.name: sorted(
                await tx.all(select(*(known for known in table.columns if str(known) not in without))),
                key=lambda row: row[: len(table.primary_key)],
            )
            for table in metadata.sorted_tables
        }


def missing_columns(url: str) -> set[str]:
    """Return the columns of this version that a database lacks, such as `sessions.locale`."""
    present, columns = _columns(url), [known for table in metadata.sorted_tables for known in table.columns]
    return {str(known) for known in columns if known.name not in present[known.table.name]}


def _columns(url: str) -> dict[str, list[str]]:
    is_sqlite = sqlite_path(url) is not None
    connect: dict[str, Any] = {} if is_sqlite else {"creator": lambda: psycopg.connect(url)}
    engine = create_engine(url if is_sqlite else "postgresql+psycopg://", poolclass=NullPool, **connect)
    with engine.connect() as connection:
        inspector = inspect(connection)
        names = {name: inspector.get_columns(name) for name in metadata.tables}
    return {name: [known["name"] for known in columns] for name, columns in names.items()}
