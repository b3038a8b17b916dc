"""A full disk: writes fail, `/readyz` says so, and SQLite's disk reserve has the space for new tokens."""

import errno
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import bindparam, insert, select, text

from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.disk_reserve import SIZE, DiskReserve
from one_runtime.db.engine import Database, DiskFull
from one_runtime.db.schema import key_ring
from one_runtime.db.sqlite import SqliteDatabase
from one_runtime.errors import ConfigurationError
from one_runtime.settings import Settings
from tests.application import Application, RunningAcme, started

ADD = insert(key_ring).values(key_id=bindparam("key_id"), created_at=bindparam("created_at"))
LARGE = "x" * 100_000
"""A value that needs more pages of a SQLite file."""

RAISE = text("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$")
"""A statement that fails as PostgreSQL fails if its disk is full."""


def writing_connection(database: Database) -> sqlite3.Connection:
    assert isinstance(database, SqliteDatabase)
    return database._writing


def limit_pages(database: Database, more: int) -> None:
    """Let the file grow by at most this number of pages. SQLite fails beyond this limit as on a full disk."""
    connection = writing_connection(database)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + more}")


async def write_large(database: Database) -> None:
    async with database.write() as tx:
        await tx.execute(ADD, key_id=LARGE, created_at=system_clock())


async def fill_disk(database: Database) -> None:
    """Fail a write because of a full disk."""
    if isinstance(database, SqliteDatabase):
        limit_pages(database, 1)
        await write_large(database)
    async with database.write() as tx:
        await tx.execute(RAISE)


def occupied(path: Path) -> int:
    """Return the number of bytes that a file occupies on the disk, or 0 if there is no file."""
    return path.stat().st_blocks * 512 if path.exists() else 0


def no_space(*_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def make_space(database: Database) -> None:
    if isinstance(database, SqliteDatabase):
        limit_pages(database, 1_000_000)


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme) -> AsyncIterator[Application]:
    """An application without worker. The worker's writes would note that the disk has space."""
    async with started(settings, acme, worker=False) as application:
        yield application


async def test_full_disk_fails_writes_and_readiness_until_a_write_succeeds(application: Application) -> None:
    client, database = application.client(), application.installation.database
    assert (await client.get("/readyz")).status_code == 200
    with pytest.raises(DiskFull, match="disk of the database is full"):
        await fill_disk(database)
    async with database.write():
        pass  # an empty transaction needs no space
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "disk" in answer.json()["detail"]
    assert (await client.get("/v1/catalog/integrations")).status_code == 200
    make_space(database)
    await write_large(database)
    assert (await client.get("/readyz")).status_code == 200


@pytest_asyncio.fixture
async def reserved(migrated_sqlite_url: str) -> AsyncIterator[tuple[Database, Path]]:
    """A SQLite database with a disk reserve, and the path of the reserve."""
    database = create_database(migrated_sqlite_url, disk_reserve=True)
    await database.open()
    yield database, Path(f"{sqlite_path(migrated_sqlite_url)}.reserve")
    await database.close()


async def test_reserve_occupies_its_size_while_the_database_is_open(migrated_sqlite_url: str) -> None:
    database = create_database(migrated_sqlite_url, disk_reserve=True)
    reserve = Path(f"{sqlite_path(migrated_sqlite_url)}.reserve")
    await database.open()
    assert occupied(reserve) >= SIZE
    await database.close()
    assert occupied(reserve) == 0


async def test_only_transactions_that_can_use_the_reserve_get_its_space(reserved: tuple[Database, Path]) -> None:
    database, reserve = reserved
    with pytest.raises(DiskFull):
        await fill_disk(database)
    assert occupied(reserve) > 0, "an ordinary write leaves the reserve"
    async with database.write(use_reserve=True) as tx:
        assert occupied(reserve) == 0
        make_space(database)
        await tx.execute(ADD, key_id=LARGE, created_at=system_clock())
    assert occupied(reserve) > 0, "the disk has space again"
    assert database.refusal is None
    async with database.read() as tx:
        assert len(await tx.all(select(key_ring))) == 1


async def test_ordinary_writes_fail_while_the_reserve_cannot_be_held(
    reserved: tuple[Database, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, reserve = reserved
    with pytest.raises(DiskFull):
        await fill_disk(database)

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    async with database.write(use_reserve=True) as tx:
        make_space(database)
        await tx.execute(ADD, key_id=LARGE, created_at=system_clock())
    assert occupied(reserve) == 0
    with pytest.raises(DiskFull):  # the disk has no space for the reserve
        await database.ping()
    with pytest.raises(DiskFull):
        async with database.write():
            raise AssertionError("the transaction must not start")
    async with database.write(use_reserve=True) as tx:
        await tx.execute(ADD, key_id="a", created_at=system_clock())
    monkeypatch.undo()
    async with database.write() as tx:
        await tx.execute(ADD, key_id="b", created_at=system_clock())
    assert occupied(reserve) > 0


async def test_server_does_not_start_without_the_reserve(
    migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with pytest.raises(ConfigurationError, match="almost full"):
        await create_database(migrated_sqlite_url, disk_reserve=True).open()


def test_reserve_writes_zeros_where_the_file_system_cannot_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    reserve = DiskReserve(tmp_path / "reserve", size=100_000)
    reserve.hold()
    assert (tmp_path / "reserve").stat().st_size == 100_000
    reserve.release()
    assert not (tmp_path / "reserve").exists()
