"""`db/sqlite.py`: the event loop does not wait for the disk."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import bindparam, insert, select

from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Database
from one_runtime.db.obstacles import DatabaseUnusable
from one_runtime.db.schema import key_ring

pytestmark = pytest.mark.only_database("sqlite")

NOW: Final = datetime(2026, 11, 25, 1, 2, 3, 4000, tzinfo=UTC)
ADD_KEY: Final = insert(key_ring).values(key_id=bindparam("key_id"), created_at=bindparam("created_at"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = create_database(database_url)
    await opened.open()
    yield opened
    await opened.close()


async def test_file_with_a_hard_link_is_not_opened(migrated_sqlite_url: str) -> None:
    """Security L4. The write-ahead log of a file has the name of the file, so two names have two logs."""
    path = Path(migrated_sqlite_url.removeprefix("sqlite:///"))
    other = path.with_name("other.db")
    other.hardlink_to(path)
    for name in (path, other):
        with pytest.raises(DatabaseUnusable, match=f"samefile {name}"):
            await create_database(f"sqlite:///{name}").open()
    other.unlink()
    opened = create_database(migrated_sqlite_url)
    await opened.open()
    await opened.close()


async def test_event_loop_runs_during_a_commit(database: Database) -> None:
    steps = 0

    async def count() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    async with database.write() as tx:
        await tx.execute_many(ADD_KEY, [{"key_id": f"key-{number}", "created_at": NOW} for number in range(20_000)])
        before = steps
    assert steps > before
    counting.cancel()


async def test_cancelled_commit_ends_before_the_cancellation(database: Database) -> None:
    committed: list[str] = []

    async def add() -> None:
        async with database.write() as tx:
            await tx.execute(ADD_KEY, key_id="key", created_at=NOW)
            tx.committed.append(lambda: committed.append("key"))
            asyncio.get_running_loop().call_soon(adding.cancel)  # runs during the commit

    adding = asyncio.create_task(add())
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert committed == ["key"]
    async with database.read() as tx:
        assert len(await tx.all(select(key_ring.c.key_id))) == 1
