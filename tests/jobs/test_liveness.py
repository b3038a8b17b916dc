"""A copy of the database: a server notices the copy, and the operator confirms the copy or holds it back."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from structlog.testing import CapturingLogger

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.engine import Database
from one_runtime.db.file_location import file_location
from one_runtime.jobs import instances, liveness
from one_runtime.jobs.liveness import Liveness, UnconfirmedCopy
from one_runtime.serving.periodic_tasks import heartbeat_task
from tests import sealed_rows
from tests.application import Application
from tests.database_roles import role_on

pytestmark = pytest.mark.worker

NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)


async def check_in(database: Database) -> bool:
    """Return the result of the first check-in of a new process."""
    process = Liveness()
    await process.check_in(database, NOW)
    return process.is_live


async def test_new_database_is_live_for_every_server_of_it(database_url: str) -> None:
    async with sealed_rows.opened(database_url) as database, sealed_rows.opened(database_url) as other_machine:
        assert [await check_in(database), await check_in(other_machine), await check_in(database)] == [True] * 3
        async with database.read() as tx:
            assert (await liveness.read_row(tx)).live_at == NOW


async def test_database_from_another_location_is_no_longer_live_until_the_operator_confirms_it(
    database_url: str,
) -> None:
    async with sealed_rows.opened(database_url) as database:
        async with database.write() as tx:  # as in a dump of another database
            await liveness.confirm(tx, "postgresql 7713156200169267021 16386", NOW)
        assert not await check_in(database)
        location = await database.location(create=True)
        async with database.write() as tx:
            await liveness.confirm(tx, location, NOW)
        assert await check_in(database)


async def test_running_server_follows_hold_and_confirm_at_its_heartbeat(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = application.installation
    send = heartbeat_task(instances.this_process(running.vault.key_ids, running.clock())).work
    location = await running.database.location()
    running.liveness.require()
    async with running.database.write() as tx:
        await liveness.hold(tx)
    monkeypatch.setattr(liveness, "log", log := CapturingLogger())
    await send(running)
    await send(running)
    assert [(line.method_name, line.args) for line in log.calls] == [("error", ("unconfirmed_copy",))]
    with pytest.raises(UnconfirmedCopy, match="one-runtime installation confirm"):
        running.liveness.require()
    async with running.database.write() as tx:
        await liveness.confirm(tx, location, running.clock())
    await send(running)
    running.liveness.require()


@pytest.mark.only_database("sqlite")
async def test_file_is_live_after_a_restart_but_no_copy_of_the_file_is(database_url: str, tmp_path: Path) -> None:
    original = Path(sqlite_path(database_url) or "")
    async with sealed_rows.opened(database_url) as database:
        assert await check_in(database)
    async with sealed_rows.opened(database_url) as database:
        assert await check_in(database)
    alone, with_location_file = tmp_path / "alone", tmp_path / "whole"
    alone.mkdir()
    shutil.copy(original, alone)
    shutil.copytree(original.parent, with_location_file)
    for folder in (alone, with_location_file):
        async with sealed_rows.opened(f"sqlite:///{folder / original.name}") as copy:
            assert not await check_in(copy)


@pytest.mark.only_database("sqlite")
def test_location_file_is_private(database_url: str, sqlite_folder: Path) -> None:
    file_location(sqlite_path(database_url) or "", create=True)
    (location_file,) = sqlite_folder.glob("*.location")
    assert location_file.stat().st_mode & 0o777 == 0o600


async def test_location_needs_no_right_of_the_database_user(empty_postgres_url: str) -> None:
    name = f"plain_{empty_postgres_url.rpartition('/')[2]}"
    with psycopg.connect(empty_postgres_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        try:
            async with sealed_rows.opened(empty_postgres_url.replace("postgres@", f"{name}@")) as database:
                kind, cluster, number = (await database.location()).split()
                assert (kind, cluster.isdecimal(), number.isdecimal()) == ("postgresql", True, True)
                admin.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
                assert await database.location() == f"postgresql unknown {number}"
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


async def test_process_warns_once_if_it_cannot_identify_the_cluster(
    migrated_postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "log", log := CapturingLogger())
    with role_on(migrated_postgresql_url) as role:
        role.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        role.run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        try:
            process = Liveness()
            async with sealed_rows.opened(role.url) as database:
                await process.check_in(database, NOW)
                await process.check_in(database, NOW)
        finally:
            role.run("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
    assert [(line.method_name, line.args) for line in log.calls] == [("warning", ("cluster_not_identified",))]
    assert process.is_live
