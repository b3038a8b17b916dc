"""`jobs/moving.py`: at most one of the two databases is live, and no write is lost."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from one_runtime.clock import system_clock
from one_runtime.db.copying import CopyProgress
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.engine import Transaction
from one_runtime.db.file_location import HELD, MOVED
from one_runtime.db.server_lock import hold_server_lock
from one_runtime.encryption.vault import new_key
from one_runtime.errors import ConfigurationError, Conflict
from one_runtime.jobs import liveness
from one_runtime.jobs.liveness import Liveness
from one_runtime.jobs.moving import Move, move
from one_runtime.tenancy.installation_events import InstallationEventType, record_for_installation
from tests import every_table, sealed_rows
from tests.db.test_copying import FUNCTION, execute, is_empty
from tests.fork_server import ROOT, ForkedProcess, run
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def ignore(_: CopyProgress) -> None:
    pass


async def record(tx: Transaction) -> None:
    await record_for_installation(tx, "ada", InstallationEventType.INSTALLATION_MOVED, system_clock(), {})


async def moved(source: str, target: str, show: Callable[[CopyProgress], None] = ignore) -> Move:
    return await move(source, target, system_clock, show, record)


async def start(url: str) -> bool:
    """Do the checks of a server at its start, and return True if the server finds its database live."""
    async with sealed_rows.opened(url) as database:
        async with database.write() as tx:
            await liveness.require_not_moved(tx)
        server = Liveness()
        await server.check_in(database, system_clock())
        return server.is_live


async def location(url: str) -> str | None:
    async with sealed_rows.opened(url) as database, database.read() as tx:
        return (await liveness.read_row(tx)).live_location


async def test_new_database_is_live_and_servers_refuse_the_old_one(
    migrated_sqlite_url: str, empty_postgres_url: str
) -> None:
    await every_table.fill(migrated_sqlite_url)
    assert await start(migrated_sqlite_url)
    result = await moved(migrated_sqlite_url, empty_postgres_url)
    assert result.is_live
    assert await start(empty_postgres_url)
    with pytest.raises(ConfigurationError, match="has moved this SQLite database to PostgreSQL"):
        await start(migrated_sqlite_url)
    with pytest.raises(ConfigurationError, match="The new database is not empty"):
        await moved(migrated_sqlite_url, empty_postgres_url)
    assert await start(empty_postgres_url)


def test_server_does_not_start_on_a_database_that_was_moved(migrated_sqlite_url: str) -> None:
    with closing(sqlite3.connect(str(sqlite_path(migrated_sqlite_url)))) as connection, connection:
        connection.execute("UPDATE installation SET live_location = ?", [MOVED])
    settings = {"ONE_RUNTIME_DATABASE_URL": migrated_sqlite_url, "ONE_RUNTIME_ENCRYPTION_KEYS": new_key()}
    result = run([sys.executable, "-m", "one_runtime", "serve"], os.environ | settings, cwd=ROOT, seconds=30)
    assert result.returncode == 1
    assert result.stderr.startswith("`one-runtime copy` has moved this SQLite database to PostgreSQL.")


async def test_copy_of_an_unconfirmed_copy_is_not_live(migrated_sqlite_url: str, empty_postgres_url: str) -> None:
    async with sealed_rows.opened(migrated_sqlite_url) as database, database.write() as tx:
        await liveness.hold(tx)
    result = await moved(migrated_sqlite_url, empty_postgres_url)
    assert not result.is_live
    assert [await location(url) for url in (migrated_sqlite_url, empty_postgres_url)] == [HELD, HELD]
    assert not await start(empty_postgres_url)


async def test_running_server_is_refused(migrated_sqlite_url: str, empty_postgres_url: str) -> None:
    path = str(sqlite_path(migrated_sqlite_url))
    with (
        hold_server_lock(path, "refused"),
        pytest.raises(ConfigurationError, match=r"A server or another copy uses .*\. Stop the server"),
    ):
        await moved(migrated_sqlite_url, empty_postgres_url)
    with psycopg.connect(empty_postgres_url) as connection:
        assert connection.execute("SELECT to_regclass('installation')").fetchone() == (None,)
    assert await start(migrated_sqlite_url)


async def test_nothing_can_write_or_serve_until_the_copy_ends(migrated_sqlite_url: str, new_postgres_url: str) -> None:
    await every_table.fill(migrated_sqlite_url)
    path, refused = str(sqlite_path(migrated_sqlite_url)), []

    def try_to_write(_: CopyProgress) -> None:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                refused.append(error.sqlite_errorname)
        try:
            with hold_server_lock(path, "refused"):
                pass
        except ConfigurationError as error:
            refused.append(error.detail)
        with psycopg.connect(new_postgres_url) as connection:
            connection.execute("SET lock_timeout = 1")
            try:
                connection.execute("SELECT FROM installation")
            except psycopg.errors.LockNotAvailable:
                refused.append("PostgreSQL")

    result = await moved(migrated_sqlite_url, new_postgres_url, try_to_write)
    assert refused == ["SQLITE_BUSY", "refused", "PostgreSQL"] * len(result.rows)


@pytest.mark.parametrize(
    "number, code, output",
    [(signal.SIGKILL, -9, ""), (signal.SIGINT, 130, "Stopped. The new database is still empty.\n")],
    ids=["SIGKILL", "SIGINT"],
)
async def test_killed_copy_leaves_an_empty_target_and_a_live_source(
    migrated_sqlite_url: str, new_postgres_url: str, tmp_path: Path, number: int, code: int, output: str
) -> None:
    await every_table.fill(migrated_sqlite_url)
    assert await start(migrated_sqlite_url)
    lock = "PERFORM pg_advisory_xact_lock(7); RETURN NEW;"
    trigger = "CREATE TRIGGER act BEFORE INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION act()"
    execute(new_postgres_url, FUNCTION.format(lock), trigger)
    environment = {**os.environ, "ONE_RUNTIME_DATABASE_URL": migrated_sqlite_url}
    command = [sys.executable, "-m", "one_runtime", "copy", "--to", new_postgres_url]
    with (tmp_path / "log").open("wb") as log, psycopg.connect(new_postgres_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(7)")
        process = ForkedProcess(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        await eventually(lambda: connection.execute(_WAITING).fetchone() == (1,))
        process.send_signal(number)
        connection.execute("SELECT pg_advisory_unlock(7)")
        assert await asyncio.to_thread(process.wait, 30) == code
        await eventually(lambda: connection.execute(_OTHERS).fetchone() == (0,))
        connection.execute("DROP TRIGGER act ON organizations")
    assert (tmp_path / "log").read_text() == output
    assert await is_empty(new_postgres_url)
    assert await start(migrated_sqlite_url)
    assert (await moved(migrated_sqlite_url, new_postgres_url)).is_live


async def test_failed_copy_leaves_the_source_live(migrated_sqlite_url: str, new_postgres_url: str) -> None:
    await every_table.fill(migrated_sqlite_url)
    assert await start(migrated_sqlite_url)
    trigger = "CREATE TRIGGER act BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION act()"
    execute(new_postgres_url, FUNCTION.format("RAISE EXCEPTION 'broken';"), trigger)
    with pytest.raises(Conflict, match="The copy failed: broken"):
        await moved(migrated_sqlite_url, new_postgres_url)
    assert await start(migrated_sqlite_url)


async def test_no_database_is_live_if_the_last_step_fails(migrated_sqlite_url: str, new_postgres_url: str) -> None:
    await every_table.fill(migrated_sqlite_url)
    condition = "WHEN (NEW.live_location LIKE 'postgresql%')"
    execute(
        new_postgres_url,
        FUNCTION.format("PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW;"),
        f"CREATE TRIGGER act BEFORE UPDATE ON installation FOR EACH ROW {condition} EXECUTE FUNCTION act()",
    )
    with pytest.raises(Conflict, match=r"The copy is complete.* run `one-runtime installation confirm`"):
        await moved(migrated_sqlite_url, new_postgres_url)
    assert [await location(url) for url in (migrated_sqlite_url, new_postgres_url)] == [MOVED, HELD]
    execute(new_postgres_url, "DROP TRIGGER act ON installation")
    async with sealed_rows.opened(new_postgres_url) as database:
        location_of_target = await database.location()
        async with database.write() as tx:
            await liveness.confirm(tx, location_of_target, system_clock())
    assert await start(new_postgres_url)


@pytest.mark.parametrize(
    "source, target, sentence",
    [
        ("postgresql://localhost/name", "postgresql://localhost/new", "copies only SQLite databases"),
        ("sqlite:///{folder}/missing.db", "postgresql://localhost/new", "There is no database at"),
        ("{source}", "sqlite:///{folder}/new.db", "must start with postgresql://"),
        ("{source}", "postgresql://[", "is not a valid PostgreSQL URL"),
        ("{source}", "postgresql://me:hunter2@127.0.0.1:1/new", "cannot be used: PostgreSQL at .* nothing listens"),
    ],
    ids=["not SQLite", "no file", "not PostgreSQL", "invalid URL", "no server"],
)
async def test_wrong_database_is_refused(
    migrated_sqlite_url: str, tmp_path: Path, source: str, target: str, sentence: str
) -> None:
    source, target = (url.format(folder=tmp_path, source=migrated_sqlite_url) for url in (source, target))
    with pytest.raises(ConfigurationError, match=sentence) as refusal:
        await moved(source, target)
    assert "hunter2" not in refusal.value.detail
    assert not (tmp_path / "missing.db").exists()


async def test_source_without_a_migration_is_refused(tmp_path: Path, empty_postgres_url: str) -> None:
    (tmp_path / "new.db").touch()
    with pytest.raises(ConfigurationError, match="The SQLite database is not migrated"):
        await moved(f"sqlite:///{tmp_path / 'new.db'}", empty_postgres_url)
