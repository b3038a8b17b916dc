"""`db/copying.py`: every row of every table arrives unchanged, or PostgreSQL stays empty."""

import sqlite3
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert, update

from one_runtime.db.copying import BATCH, CopyProgress, copy_rows, prepare_target, require_copyable
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.file_location import HELD
from one_runtime.db.migrations import HEAD
from one_runtime.db.schema import events, metadata, organizations
from one_runtime.errors import ConfigurationError, Conflict
from tests import every_table, sealed_rows
from tests.db.pgbouncer import pgbouncer
from tests.newer_schema import NEWER, set_newer_schema

pytestmark = pytest.mark.slow

FUNCTION = "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"


async def copy(source: str, target: str) -> Mapping[str, int]:
    await prepare_target(target)
    return await copy_rows(str(sqlite_path(source)), target, lambda _: None)


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def is_empty(url: str) -> bool:
    """Return True if no table has a row, except the row of the migration."""
    contents = await every_table.contents(url)
    (installation,) = contents.pop("installation")
    return installation.live_location is None and not any(contents.values())


def damage(path: Path, table: str) -> None:
    """Overwrite the first page of a table with zeros."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table]).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    damaged = bytearray(path.read_bytes())
    damaged[size * (page - 1) : size * page] = bytes(size)
    path.write_bytes(damaged)


async def test_every_row_of_every_table_is_copied_unchanged(migrated_sqlite_url: str, empty_postgres_url: str) -> None:
    await every_table.fill(migrated_sqlite_url)
    with closing(sqlite3.connect(str(sqlite_path(migrated_sqlite_url)))) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    counts = await copy(migrated_sqlite_url, empty_postgres_url)
    assert counts == {name: every_table.ROWS for (name,) in tables if name != "alembic_version"} | {"installation": 1}
    before, after = [await every_table.contents(url) for url in (migrated_sqlite_url, empty_postgres_url)]
    (old,), (new,) = before.pop("installation"), after.pop("installation")
    assert (new.id, new.compatible_revision, new.live_location) == (old.id, old.compatible_revision, HELD)
    assert after == before
    with psycopg.connect(empty_postgres_url) as database:
        count = database.execute("SELECT count(*) FROM pg_sequences").fetchone()
    assert count == (0,), "the copy sets no sequence"
    assert all(
        [*table.primary_key.columns] == [*table.columns][: len(table.primary_key)] for table in metadata.sorted_tables
    )


async def test_many_rows_are_copied_in_several_statements(migrated_sqlite_url: str, new_postgres_url: str) -> None:
    (organization, *_), (event, *_) = every_table.rows_of(organizations), every_table.rows_of(events)
    ids = [f"00000000-0000-0000-0000-{number:012}" for number in range(BATCH + 1)]
    async with sealed_rows.opened(migrated_sqlite_url) as database, database.write() as tx:
        await tx.execute(insert(organizations), **organization)
        await tx.execute_many(insert(events), [event | {"id": id_} for id_ in ids])
    shown: list[CopyProgress] = []
    counts = await copy_rows(str(sqlite_path(migrated_sqlite_url)), new_postgres_url, shown.append)
    total = BATCH + 3
    assert sorted(shown) == [(1, total), (2, total), (BATCH + 2, total), (total, total)]
    assert counts["events"] == BATCH + 1
    contents = await every_table.contents(new_postgres_url)
    assert [row.id for row in contents["events"]] == ids


@pytest.mark.parametrize(
    "statement, reason",
    [
        ("CREATE TABLE orders (id int)", "there is a table orders"),
        (
            "INSERT INTO key_ring (key_id, created_at) VALUES ('key', now())",
            "the table key_ring has rows",
        ),
        ("UPDATE installation SET live_location = 'postgresql 1 2'", "the table installation has rows"),
    ],
    ids=["another program", "rows", "a server has used the database"],
)
async def test_target_with_contents_is_refused(new_postgres_url: str, statement: str, reason: str) -> None:
    execute(new_postgres_url, statement)
    with pytest.raises(ConfigurationError, match=f"The new database is not empty: {reason}"):
        await prepare_target(new_postgres_url)


async def test_rows_that_arrive_after_the_check_are_found(migrated_sqlite_url: str, new_postgres_url: str) -> None:
    await prepare_target(new_postgres_url)
    execute(new_postgres_url, "INSERT INTO key_ring (key_id, created_at) VALUES ('key', now())")
    with pytest.raises(ConfigurationError, match="the table key_ring has rows"):
        await copy_rows(str(sqlite_path(migrated_sqlite_url)), new_postgres_url, lambda _: None)


async def test_target_is_not_migrated_if_it_is_refused(empty_postgres_url: str) -> None:
    execute(empty_postgres_url, "CREATE TABLE orders (id int)")
    with pytest.raises(ConfigurationError, match="there is a table orders"):
        await prepare_target(empty_postgres_url)
    with psycopg.connect(empty_postgres_url) as connection:
        assert connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall() == [
            ("orders",)
        ]


@pytest.mark.foreign
async def test_pooler_is_refused_and_a_direct_connection_is_requested(new_postgres_url: str, tmp_path: Path) -> None:
    with (
        pgbouncer(tmp_path, new_postgres_url) as pooled,
        pytest.raises(ConfigurationError, match="The copy needs a direct connection"),
    ):
        await prepare_target(pooled)


async def test_user_without_the_right_to_create_tables_is_refused(empty_postgres_url: str) -> None:
    reader = f"reader_{uuid.uuid4().hex}"
    url = empty_postgres_url.replace("postgres@", f"{reader}@")
    execute(empty_postgres_url, f"CREATE ROLE {reader} LOGIN")
    try:
        with pytest.raises(ConfigurationError, match="cannot create tables in the schema public"):
            await prepare_target(url)
        execute(empty_postgres_url, "CREATE TABLE events (id uuid)")
        with pytest.raises(ConfigurationError, match="lacks permissions for 1 of One Runtime's"):
            await prepare_target(url)
    finally:
        execute(empty_postgres_url, f"DROP ROLE {reader}")


async def test_newer_schema_is_not_copied(migrated_sqlite_url: str, new_postgres_url: str) -> None:
    require_copyable(migrated_sqlite_url)
    set_newer_schema(migrated_sqlite_url, HEAD)
    with pytest.raises(ConfigurationError, match=f"SQLite database has the schema {NEWER}, .* schema {HEAD}"):
        require_copyable(migrated_sqlite_url)
    set_newer_schema(new_postgres_url, HEAD)
    with pytest.raises(ConfigurationError, match=f"PostgreSQL database has the schema {NEWER}"):
        await prepare_target(new_postgres_url)


async def test_row_that_postgresql_refuses_is_named_and_leaves_nothing(
    migrated_sqlite_url: str, new_postgres_url: str
) -> None:
    await every_table.fill(migrated_sqlite_url)
    last = every_table.rows_of(events)[-1]["id"]
    for change, reason in (
        ({"type": "a\0b"}, "NUL"),
        ({"type": "", "data": {"text": "a\0b"}}, "unsupported Unicode escape"),
    ):
        async with sealed_rows.opened(migrated_sqlite_url) as database, database.write() as tx:
            await tx.execute(update(events).where(events.c.id == last).values(change))
        with pytest.raises(Conflict, match=f"refuses a row of the table events .*{last}.*{reason}"):
            await copy(migrated_sqlite_url, new_postgres_url)
        assert await is_empty(new_postgres_url)


@pytest.mark.parametrize(
    "body, trigger, sentence",
    [
        (
            "RETURN NULL;",
            "TRIGGER act BEFORE INSERT ON requests FOR EACH ROW",
            "requests has 3 rows in the SQLite database, but 0",
        ),
        (
            "RAISE EXCEPTION 'no commit';",
            "CONSTRAINT TRIGGER act AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
            "The copy failed: no commit",
        ),
        (
            "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW;",
            "TRIGGER act BEFORE INSERT ON events FOR EACH ROW",
            "The copy failed: terminating connection",
        ),
    ],
    ids=["lost rows", "refused commit", "lost connection"],
)
async def test_failed_copy_leaves_an_empty_target(
    migrated_sqlite_url: str, new_postgres_url: str, body: str, trigger: str, sentence: str
) -> None:
    await every_table.fill(migrated_sqlite_url)
    execute(new_postgres_url, FUNCTION.format(body), f"CREATE {trigger} EXECUTE FUNCTION act()")
    with pytest.raises(Conflict, match=sentence):
        await copy(migrated_sqlite_url, new_postgres_url)
    assert await is_empty(new_postgres_url)


async def test_damaged_source_leaves_an_empty_target(migrated_sqlite_url: str, new_postgres_url: str) -> None:
    await every_table.fill(migrated_sqlite_url)
    damage(Path(str(sqlite_path(migrated_sqlite_url))), "events")
    with pytest.raises(Conflict, match="The SQLite database cannot be read: database disk image is malformed"):
        await copy(migrated_sqlite_url, new_postgres_url)
    assert await is_empty(new_postgres_url)
