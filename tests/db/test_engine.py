"""`db/engine.py`: equal Python values on both databases, transactions, locks, the statement cache."""

import asyncio
import gc
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

import psycopg
import pytest
from sqlalchemy import (
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    null,
    select,
    union_all,
    update,
)
from structlog.testing import CapturingLogger

from one_runtime.db import sqlite
from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.engine import Busy, Database, transaction_open
from one_runtime.db.ids import new_id
from one_runtime.db.schema import api_keys, credentials, key_ring, organizations
from one_runtime.db.sqlite import SqliteDatabase
from one_runtime.errors import ConfigurationError, Unavailable
from tests.waiting import async_attempts

NOW: Final = datetime(2026, 11, 25, 1, 2, 3, 4000, tzinfo=UTC)
EARLIER: Final = NOW - timedelta(days=400)
HASH: Final = bytes(range(256))
DOCUMENT: Final[dict[str, Any]] = {"text": "é \" \\ ' 😀 用户", "list": [1, 2.5, True, None, {"deep": []}], "": ""}

ADD_KEY = insert(key_ring).values(key_id=bindparam("key_id"), created_at=bindparam("created_at"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = create_database(database_url, pool_size=5)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def organization(database: Database) -> str:
    """Insert an organization with an active and a revoked API key."""
    identifier = new_id()
    row: dict[str, Any] = dict.fromkeys(organizations.columns.keys())
    row |= {
        "id": identifier,
        "display_name": "Zoë 'n' \"Co\" % :x ?",
        "allowed_origins": ["https://a.example"],
        "return_urls": [],
        "integrations_mode": "all",
        "integrations_slugs": DOCUMENT,
        "several_connections": "refuse",
        "created_at": NOW,
        "updated_at": NOW.astimezone(timezone(timedelta(hours=5, minutes=30))),
    }
    async with database.write() as tx:
        await tx.execute(insert(organizations), **row)
        for name, revoked in (("live", None), ("revoked", EARLIER)):
            await tx.execute(insert(api_keys), **key_of(identifier, name, revoked))
    return identifier


def key_of(organization: str, name: str, revoked: datetime | None = None) -> dict[str, Any]:
    return {
        "id": new_id(),
        "organization_id": organization,
        "name": name,
        "prefix": f"oru_{name}",
        "secret_hash": HASH + name.encode(),
        "scopes": ("read", "use"),
        "created_at": NOW,
        "revoked_at": revoked,
        "last_used_at": None,
        "created_by": None,
    }


async def insert_key(database: Database, key_id: str) -> None:
    async with database.write() as tx:
        await tx.execute(ADD_KEY, key_id=key_id, created_at=NOW)


async def stored_keys(database: Database) -> list[str]:
    async with database.read() as tx:
        return [row.key_id for row in await tx.all(select(key_ring.c.key_id).order_by(key_ring.c.key_id))]


async def test_every_column_type_round_trips(database: Database, organization: str) -> None:
    async with database.read() as tx:
        row = await tx.one(select(organizations))
        key = await tx.one(select(api_keys).where(api_keys.c.name == "live"))
        gone = await tx.one(select(api_keys).where(api_keys.c.name == "revoked"))
    assert row is not None
    assert key is not None
    assert gone is not None
    assert (type(row.id), row.id) == (str, organization)
    assert row.display_name == "Zoë 'n' \"Co\" % :x ?"
    assert row.logo_url is None
    assert (row.allowed_origins, row.return_urls, row.integrations_slugs) == (["https://a.example"], [], DOCUMENT)
    assert (row.created_at, row.updated_at) == (NOW, NOW)
    assert row.created_at.utcoffset() == row.updated_at.utcoffset() == timedelta(0)
    assert (type(key.secret_hash), key.secret_hash) == (bytes, HASH + b"live")
    assert key.scopes == ["read", "use"]
    assert (key.revoked_at, gone.revoked_at) == (None, EARLIER)
    assert row._fields == tuple(column.key for column in organizations.columns)


async def test_expressions_and_aggregates_are_converted_too(database: Database, organization: str) -> None:
    now = bindparam("now", type_=api_keys.c.created_at.type)
    statement = select(
        func.count().label("count"),
        func.max(api_keys.c.created_at).label("newest"),
        func.min(api_keys.c.revoked_at).label("revoked"),
        func.max(api_keys.c.name).label("name"),
        func.coalesce(func.max(api_keys.c.revoked_at), now).label("either"),
        func.coalesce(null(), api_keys.c.organization_id).label("id"),
        (func.count() > 1).label("several"),
        exists().where(organizations.c.id == bindparam("organization")).label("there"),
        func.sum(case((api_keys.c.revoked_at.is_(None), 1), else_=0)).label("live"),
        literal("text").label("text"),
        literal(7).label("seven"),
        (literal(1) + literal(2)).label("three"),
    ).group_by(api_keys.c.organization_id)
    async with database.read() as tx:
        row = await tx.one(statement, now=NOW, organization=organization)
    assert row == (2, NOW, EARLIER, "revoked", EARLIER, organization, True, True, 1, "text", 7, 3)
    kinds = [int, datetime, datetime, str, datetime, str, bool, bool, int, str, int, int]
    assert [type(value) for value in row] == kinds


async def test_aggregate_of_no_rows_is_none(database: Database) -> None:
    statement = select(func.max(api_keys.c.created_at), func.sum(credentials.c.version), func.count()).select_from(
        api_keys.outerjoin(credentials, credentials.c.organization_id == api_keys.c.organization_id)
    )
    async with database.read() as tx:
        assert tuple(await tx.one(statement) or ()) == (None, None, 0)
        assert await tx.one(select(api_keys)) is None
        assert await tx.all(select(api_keys)) == []


async def test_returning_gives_converted_rows(database: Database, organization: str) -> None:
    statement = (
        update(api_keys)
        .where(api_keys.c.organization_id == bindparam("organization"), api_keys.c.revoked_at.is_(None))
        .values(revoked_at=bindparam("now"), scopes=bindparam("wanted"))
        .returning(api_keys.c.id, api_keys.c.revoked_at, api_keys.c.scopes, api_keys.c.secret_hash)
    )
    async with database.write() as tx:
        row = await tx.one(statement, organization=organization, now=NOW, wanted=[{"a": None}])
        assert row is not None
        assert (type(row.id), row.revoked_at, row.scopes, row.secret_hash) == (str, NOW, [{"a": None}], HASH + b"live")
        assert await tx.all(statement, organization=organization, now=NOW, wanted=[]) == []


async def test_union_is_converted_by_its_first_select(database: Database, organization: str) -> None:
    first = select(organizations.c.id, organizations.c.created_at, organizations.c.allowed_origins)
    second = select(api_keys.c.id, api_keys.c.revoked_at, api_keys.c.scopes)
    async with database.read() as tx:
        rows = await tx.all(union_all(first, second))
    assert [type(row[0]) for row in rows] == [str, str, str]
    assert {row[1] for row in rows} == {NOW, EARLIER, None}
    documents = sorted((row[2] for row in rows), key=str)
    assert documents == [["https://a.example"], ["read", "use"], ["read", "use"]]


async def test_in_accepts_texts_times_ids_and_an_empty_list(database: Database, organization: str) -> None:
    async def count(condition: Any) -> int:
        async with database.read() as tx:
            row = await tx.one(select(func.count()).select_from(api_keys).where(condition))
        assert row is not None
        number: int = row[0]
        return number

    names, times = api_keys.c.name, api_keys.c.created_at
    assert await count(names.in_(["live", "revoked", "other"])) == 2
    assert await count(names.in_(["live"])) == 1
    assert await count(names.in_([])) == 0
    assert await count(names.not_in([])) == 2
    assert await count(times.in_([NOW, EARLIER])) == 2
    assert await count(times.in_([NOW.astimezone(timezone(timedelta(hours=-8)))])) == 2
    assert await count(times.in_([EARLIER])) == 0
    assert await count(api_keys.c.organization_id.in_([organization, new_id()])) == 2
    assert await count(api_keys.c.secret_hash.in_([HASH + b"live"])) == 1
    assert await count(and_(names.in_(["live", "x"]), not_(names.in_(["x"])), times.in_([NOW]))) == 1


async def test_times_are_compared_and_ordered_chronologically(database: Database, organization: str) -> None:
    async with database.read() as tx:
        for moment, expected in ((NOW, 0), (NOW + timedelta(milliseconds=1), 2)):
            statement = select(func.count()).select_from(api_keys).where(api_keys.c.created_at < bindparam("moment"))
            row = await tx.one(statement, moment=moment.astimezone(timezone(timedelta(hours=9))))
            assert row is not None
            assert row[0] == expected
        ordered = await tx.all(select(api_keys.c.revoked_at).where(api_keys.c.revoked_at.is_not(None)))
    assert [row.revoked_at for row in ordered] == [EARLIER]


async def test_values_are_never_interpreted_as_sql(database: Database, organization: str) -> None:
    for text in ("'; DROP TABLE api_keys; --", "%s", "%(x)s", ":name", "?", "$1", "\\", "%"):
        async with database.write() as tx:
            await tx.execute(insert(api_keys), **{**key_of(organization, text), "secret_hash": text.encode()})
            row = await tx.one(select(api_keys.c.name).where(api_keys.c.name == text))
            like = await tx.all(select(api_keys.c.id).where(api_keys.c.name.contains(text, autoescape=True)))
        assert row == (text,)
        assert like


async def test_missing_value_is_an_error(database: Database, organization: str) -> None:
    statement = select(api_keys).where(api_keys.c.name == bindparam("name"))
    async with database.read() as tx:
        with pytest.raises(KeyError):
            await tx.all(statement)


class KeyRow(NamedTuple):
    name: str
    created_at: datetime
    scopes: list[str]


@dataclass(frozen=True)
class KeyRecord:
    name: str
    created_at: datetime
    scopes: list[str]


NAMED_KEY = select(api_keys.c.name, api_keys.c.created_at, api_keys.c.scopes).where(api_keys.c.name == "live")


@pytest.mark.parametrize("row_type", [KeyRow, KeyRecord])
async def test_rows_of_a_row_type_hold_converted_values(
    database: Database, organization: str, row_type: type[KeyRow] | type[KeyRecord]
) -> None:
    async with database.read() as tx:
        row = await tx.one(NAMED_KEY, row_type)
        rows: list[object] = [*await tx.all(NAMED_KEY, row_type)]
        untyped = await tx.one(NAMED_KEY)
    assert row == row_type("live", NOW, ["read", "use"])
    assert rows == [row]
    assert untyped == ("live", NOW, ["read", "use"]), "the same statement may run with and without a row type"


async def test_row_type_with_other_fields_than_the_columns_is_refused(database: Database) -> None:
    for statement in (
        select(api_keys.c.name, api_keys.c.created_at),
        select(api_keys.c.created_at, api_keys.c.name, api_keys.c.scopes),
        select(api_keys.c.prefix.label("nmae"), api_keys.c.created_at, api_keys.c.scopes),
    ):
        async with database.read() as tx:
            for row_type in (KeyRow, KeyRecord):
                with pytest.raises(TypeError, match="but the statement has the columns"):
                    await tx.all(statement, row_type)


async def test_execute_returns_the_number_of_changed_rows(database: Database, organization: str) -> None:
    mine = api_keys.c.organization_id == bindparam("organization")
    async with database.write() as tx:
        assert await tx.execute(update(api_keys).where(mine).values(prefix="x"), organization=organization) == 2
        assert await tx.execute(delete(api_keys).where(mine), organization=new_id()) == 0
        assert await tx.execute(delete(api_keys).where(mine), organization=organization) == 2


async def test_execute_many_stores_all_rows_or_none(database: Database) -> None:
    rows = [{"key_id": f"many-{number}", "created_at": NOW} for number in range(250)]
    listed = select(key_ring.c.key_id).where(key_ring.c.key_id.like("many-%")).order_by(key_ring.c.key_id)
    async with database.write() as tx:
        await tx.execute_many(ADD_KEY, rows)
        await tx.execute_many(ADD_KEY, [])
    async with database.read() as tx:
        assert [row.key_id for row in await tx.all(listed)] == sorted(str(row["key_id"]) for row in rows)
    with pytest.raises(Exception, match=r"(?i)unique"):
        async with database.write() as tx:
            await tx.execute_many(ADD_KEY, [{"key_id": "many-new", "created_at": NOW}, rows[0]])
    async with database.read() as tx:
        assert len(await tx.all(listed)) == len(rows)


async def test_error_rolls_the_transaction_back(database: Database) -> None:
    class Stop(Exception):
        pass

    async def stop() -> None:
        async with database.write() as tx:
            await tx.execute(ADD_KEY, key_id="a", created_at=NOW)
            raise Stop

    async def repeat() -> None:
        async with database.write() as tx:
            await tx.execute(ADD_KEY, key_id="b", created_at=NOW)
            await tx.execute(ADD_KEY, key_id="b", created_at=NOW)

    with pytest.raises(Stop):
        await stop()
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await repeat()
    assert await stored_keys(database) == []
    await insert_key(database, "c")
    assert await stored_keys(database) == ["c"], "the connection is still usable"


async def test_cancelled_transaction_is_rolled_back(database: Database) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        async with database.write() as tx:
            await tx.execute(ADD_KEY, key_id="a", created_at=NOW)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored_keys(database) == []
    await insert_key(database, "b")


async def test_uncommitted_rows_are_invisible_to_other_transactions(database: Database) -> None:
    async with database.write() as tx:
        await tx.execute(ADD_KEY, key_id="a", created_at=NOW)
        assert len(await tx.all(select(key_ring))) == 1
        assert await stored_keys(database) == []
    assert await stored_keys(database) == ["a"]


async def test_read_transaction_cannot_write_on_sqlite(
    migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "log", log := CapturingLogger())
    database = create_database(migrated_sqlite_url)
    await database.open()
    with pytest.raises(Unavailable):
        async with database.read() as tx:
            await tx.execute(ADD_KEY, key_id="a", created_at=NOW)
    await database.close()
    assert log.calls == [("warning", ("database_unavailable",), {"reason": "SQLITE_READONLY"})]


async def test_concurrent_writers_lose_no_update(database: Database, organization: str) -> None:
    add = update(organizations).values(
        integrations_mode=organizations.c.integrations_mode + bindparam("more"),
    )

    async def write(number: int) -> None:
        async with database.write() as tx:
            await tx.one(select(organizations.c.integrations_mode))
            await asyncio.sleep(0)
            await tx.execute(add, more="x")
            await tx.execute(ADD_KEY, key_id=f"{number:03d}", created_at=NOW)

    await asyncio.gather(*(write(number) for number in range(50)))
    assert await stored_keys(database) == [f"{number:03d}" for number in range(50)]
    async with database.read() as tx:
        row = await tx.one(select(organizations.c.integrations_mode))
    assert row == ("all" + "x" * 50,)


async def test_open_transaction_is_marked_in_its_own_task_only(database: Database) -> None:
    """`before_request` of the egress reads this mark: no transaction is open while an outbound request runs."""
    assert not transaction_open.get()
    other: asyncio.Task[bool] | None = None

    async def look() -> bool:
        return transaction_open.get()

    async with database.read():
        assert not transaction_open.get(), "a read transaction blocks no writer"
    other = asyncio.create_task(look())
    async with database.write():
        assert transaction_open.get()
        assert await other is False
    assert not transaction_open.get()
    with pytest.raises(ZeroDivisionError):
        async with database.write():
            _ = 1 / 0
    assert not transaction_open.get()


async def test_composed_statements_are_removed_from_the_cache(database: Database) -> None:
    base = select(key_ring.c.key_id)
    async with database.read() as tx:
        cache = tx._compiler._compiled
        await tx.all(base)
        before = len(cache)
        for number in range(200):
            await tx.all(base.where(key_ring.c.key_id != str(number)).limit(number + 1))
        for _ in range(10):
            await tx.all(base)
    gc.collect()
    assert len(cache) <= before + 1


async def test_invalid_database_is_refused_with_a_sentence(tmp_path: Any) -> None:
    for url in ("mysql://host/name", "", "sqlite://", "sqlite:///", "file.db"):
        with pytest.raises(ConfigurationError, match="ONE_RUNTIME_DATABASE_URL"):
            create_database(url)
    (tmp_path / "text.db").write_text("this is no database" * 100)
    with pytest.raises(ConfigurationError, match="is not a SQLite database"):
        await create_database(f"sqlite:///{tmp_path / 'text.db'}").open()
    with pytest.raises(ConfigurationError, match=r"The folder .* does not exist"):
        await create_database(f"sqlite:///{tmp_path / 'missing' / 'file.db'}").open()


async def test_waiting_for_a_lock_does_not_block_the_event_loop(migrated_sqlite_url: str) -> None:
    database = create_database(migrated_sqlite_url)
    await database.open()
    with closing(sqlite3.connect(sqlite_path(migrated_sqlite_url) or "", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(insert_key(database, "a"))
        ticks, longest, last = 0, 0.0, time.monotonic()
        while ticks < 50:
            await asyncio.sleep(0)
            ticks, longest, last = ticks + 1, max(longest, time.monotonic() - last), time.monotonic()
        assert await stored_keys(database) == [], "readers are not blocked"
        assert not writing.done()
        other.execute("COMMIT")
        await writing
    assert longest < 0.5
    assert await stored_keys(database) == ["a"]
    await database.close()


async def test_lock_that_is_never_released_raises_busy(migrated_sqlite_url: str) -> None:
    path = sqlite_path(migrated_sqlite_url)
    assert path is not None
    database = SqliteDatabase(path, patience=0.05)
    await database.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy) as refused:
            await insert_key(database, "a")
        assert (refused.value.code, refused.value.status) == ("database_busy", 503)
        other.execute("ROLLBACK")
    await insert_key(database, "b")
    assert await stored_keys(database) == ["b"]
    await database.close()


async def test_broken_postgresql_connection_is_unavailable_and_replaced(migrated_postgresql_url: str) -> None:
    database = create_database(migrated_postgresql_url, pool_size=1)
    await database.open()
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

    async def cut_meanwhile() -> None:
        async with (
            await psycopg.AsyncConnection.connect(migrated_postgresql_url, autocommit=True) as admin,
            database.write() as tx,
        ):
            await tx.execute(ADD_KEY, key_id="a", created_at=NOW)
            await admin.execute(f"SELECT pg_terminate_backend(pid) {others}")
            await tx.execute(ADD_KEY, key_id="b", created_at=NOW)

    async def write_again() -> bool:
        try:
            await insert_key(database, "c")
        except Unavailable:
            return False
        return True

    with pytest.raises(Unavailable):
        await cut_meanwhile()
    async for _ in async_attempts():
        if await write_again():
            break
    assert await stored_keys(database) == ["c"]
    await database.close()


async def test_foreign_keys_are_enforced_on_both_databases(database: Database, organization: str) -> None:
    async def orphan() -> None:
        async with database.write() as tx:
            await tx.execute(insert(api_keys), **key_of(new_id(), "orphan"))

    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await orphan()
    async with database.write() as tx:
        await tx.execute(delete(organizations).where(organizations.c.id == organization))
    async with database.read() as tx:
        assert await tx.all(select(api_keys)) == [], "rows of the organization are deleted with it"
