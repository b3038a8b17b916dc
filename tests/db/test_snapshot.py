"""`Database.snapshot`: several statements read the data of one moment."""

import sqlite3
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import select, update

from one_runtime.clock import system_clock
from one_runtime.db.engine import Database
from one_runtime.db.schema import organizations as table
from one_runtime.errors import Unavailable
from one_runtime.tenancy import organizations
from tests import sealed_rows

_NAMES = select(table.c.display_name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with sealed_rows.opened(database_url) as opened:
        async with opened.write() as tx:
            await organizations.create(tx, "Northwind", system_clock())
        yield opened


async def names(database: Database) -> list[str]:
    async with database.read() as tx:
        return [row.display_name for row in await tx.all(_NAMES)]


async def test_snapshot_does_not_show_later_changes(database: Database) -> None:
    async with database.snapshot() as snapshot:
        before = await snapshot.all(_NAMES)
        async with database.write() as tx:
            await tx.execute(update(table).values(display_name="Renamed"))
        assert await snapshot.all(_NAMES) == before
        assert await names(database) == ["Renamed"]


async def test_snapshot_changes_nothing(database: Database) -> None:
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.ReadOnlySqlTransaction, Unavailable)):
        async with database.snapshot() as snapshot:
            await snapshot.execute(update(table).values(display_name="Renamed"))
    assert await names(database) == ["Northwind"]
