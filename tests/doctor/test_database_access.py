"""The doctor, `serve` and `migrate` with a database that they cannot use: the same words, with advice."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
import pytest

from one_runtime.clock import system_clock
from one_runtime.db.access import OLDEST_POSTGRESQL, Access, connect, read_access
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import WritesRefused
from one_runtime.db.obstacles import sqlite_obstacle
from one_runtime.db.schema import metadata
from one_runtime.doctor import Finding
from one_runtime.encryption.vault import new_key
from one_runtime.errors import ConfigurationError
from one_runtime.tenancy import organizations
from tests.command_line import Run
from tests.database_roles import Role, role_on
from tests.doctor.conftest import World, patient_on
from tests.doctor.test_examination import without_rights

pytestmark = [pytest.mark.slow]

TABLES: Final = len(metadata.tables) + 1


@pytest.fixture
def role(migrated_postgresql_url: str) -> Iterator[Role]:
    with role_on(migrated_postgresql_url) as created:
        yield created


@pytest.fixture
def empty_role(empty_postgres_url: str) -> Iterator[Role]:
    with role_on(empty_postgres_url) as created:
        yield created


async def database_finding(url: str, world: World) -> Finding:
    return (await patient_on(url, world).examined())["database"]


def refusal(bare: Run, command: str, url: str) -> str:
    """Run a command that must fail, and return its error message."""
    return bare(command, DATABASE_URL=url, ENCRYPTION_KEYS=new_key()).sentence


@pytest.mark.parametrize(
    "statement, undo",
    [
        ("ALTER DATABASE {database} SET default_transaction_read_only = on", "ALTER DATABASE {database} RESET"),
        ("ALTER ROLE {role} SET default_transaction_read_only = on", "ALTER ROLE {role} RESET"),
        (
            "ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = on",
            "ALTER ROLE {role} IN DATABASE {database} RESET",
        ),
    ],
)
async def test_read_only_database_is_reported_with_the_command_that_ends_it(
    role: Role, world: World, bare: Run, statement: str, undo: str
) -> None:
    role.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    role.run(statement)
    finding = await database_finding(role.url, world)
    assert finding.verdict == "problem"
    assert finding.saw == "PostgreSQL refuses writes, because default_transaction_read_only is on"
    with psycopg.connect(role.url) as connection:
        advice = undo.format(role=role.quoted, database=connection.info.dbname)
    assert finding.advice == f"Run in PostgreSQL: {advice} default_transaction_read_only."
    assert refusal(bare, "serve", role.url) == f"{finding.saw}. {finding.advice}"


async def test_running_server_reports_a_database_that_became_read_only(role: Role) -> None:
    role.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    role.run("ALTER ROLE {role} SET default_transaction_read_only = on")
    database = create_database(role.url, pool_size=1)
    await database.open()
    try:
        with pytest.raises(WritesRefused, match="The database refuses writes"):
            async with database.write() as tx:
                await organizations.create(tx, "Northwind", system_clock())
    finally:
        await database.close()


async def test_role_without_rights_is_reported(role: Role, world: World, bare: Run) -> None:
    """A superuser restored a dump with `--no-owner`."""
    finding = await database_finding(role.url, world)
    saw = f"the database user {role.quoted} lacks permissions for {TABLES} of One Runtime's {TABLES} tables"
    assert (finding.verdict, finding.saw.startswith(saw)) == ("problem", True), finding
    assert "which belongs to postgres" in finding.saw
    assert f"Make {role.quoted} the owner of all tables" in str(finding.advice)
    for command in ("serve", "migrate"):
        assert refusal(bare, command, role.url).startswith(saw.capitalize()[:17])
    role.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    saw = f"the database user {role.quoted} lacks permissions for {TABLES - 1} of"
    assert (await database_finding(role.url, world)).saw.startswith(saw), "reading is not enough"


async def test_tables_of_another_role_are_a_warning_because_only_a_migration_fails(role: Role, world: World) -> None:
    role.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    findings = await patient_on(role.url, world).all_findings()
    first, *_ = [finding for finding in findings if finding.check == "database"]
    assert (first.verdict, " cannot migrate " in first.saw) == ("warning", True), first
    assert "organizations" in {finding.check for finding in findings}, "the other checks continue"
    assert read_access(role.url).obstacle_to_use() is None


async def test_role_that_cannot_create_tables_is_reported(empty_role: Role, world: World, bare: Run) -> None:
    saw = f"the database user {empty_role.quoted} cannot create tables in the schema public"
    advice = f"Run in PostgreSQL: GRANT USAGE, CREATE ON SCHEMA public TO {empty_role.quoted}."
    for statement in (None, "REVOKE ALL ON SCHEMA public FROM PUBLIC"):  # without USAGE, the schema is not visible
        if statement is not None:
            empty_role.run(statement)
        finding = await database_finding(empty_role.url, world)
        assert (finding.verdict, finding.saw, finding.advice) == ("problem", saw, advice)
        assert refusal(bare, "migrate", empty_role.url) == f"T{saw[1:]}. {advice}"


def test_standby_is_reported(migrated_postgresql_url: str) -> None:
    """A standby needs a second PostgreSQL server. So only the answer of the server is changed here."""
    access = read_access(migrated_postgresql_url)
    assert access.obstacle_to_migration() is None
    user = replace(access.user, on_standby=True, read_only=True)
    obstacle = Access(user, access.tables).obstacle_to_use()
    assert obstacle is not None
    assert obstacle.saw == "PostgreSQL is a standby, which refuses writes"
    assert "the primary server" in obstacle.advice


@pytest.mark.parametrize("major", [OLDEST_POSTGRESQL - 1, OLDEST_POSTGRESQL])
def test_postgresql_older_than_the_supported_versions_is_refused(migrated_postgresql_url: str, major: int) -> None:
    """An old version needs another PostgreSQL server. So only the answer of the server is changed here."""
    access = read_access(migrated_postgresql_url)
    with psycopg.connect(migrated_postgresql_url) as connection:
        assert access.user.major == connection.info.server_version // 10_000
    judged = Access(replace(access.user, major=major), access.tables)
    for obstacle in (judged.obstacle_to_use(), judged.obstacle_to_migration()):
        if major < OLDEST_POSTGRESQL:
            assert obstacle is not None
            assert obstacle.saw == "PostgreSQL 14 is too old: One Runtime supports PostgreSQL 15 or later"
        else:
            assert obstacle is None


@contextmanager
def dropping_packets() -> Iterator[int]:
    """Return a port that answers no SYN packet, because the queue of connections is full."""
    waiting = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(listener.getsockname())
        try:
            yield int(listener.getsockname()[1])
        finally:
            for opened in waiting:
                opened.close()


@contextmanager
def another_program() -> Iterator[int]:
    """Return a port at which a program answers that is not PostgreSQL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


async def test_firewall_that_drops_packets_is_named(world: World) -> None:
    with dropping_packets() as port:
        finding = await database_finding(f"postgresql://one@127.0.0.1:{port}/one", world)
    assert finding.verdict == "problem"
    assert finding.saw.endswith(" does not answer in time, possibly because a firewall drops the packets")


def test_another_program_at_the_port_is_named() -> None:
    with another_program() as port, pytest.raises(ConfigurationError, match="another program answers at this address"):
        connect(f"postgresql://one@127.0.0.1:{port}/one", timeout=60)


@pytest.mark.parametrize("read_only", ["file", "folder"])
def test_sqlite_file_that_this_user_cannot_write_is_reported(
    read_only: str, migrated_sqlite_url: str, bare: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "one.db"
    path.write_bytes(Path(migrated_sqlite_url.removeprefix("sqlite:///")).read_bytes())
    path.chmod(0o444 if read_only == "file" else 0o666)
    folder.chmod(0o777 if read_only == "file" else 0o555)
    for parent in tmp_path.parents:  # without the rights of root, the test must be able to enter the folder
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(0o711)
    tmp_path.chmod(0o711)
    with without_rights():
        obstacle = sqlite_obstacle(path)
        assert obstacle is not None
        message = refusal(bare, "serve", f"sqlite:///{path}")
    assert (str(path) in obstacle.saw, str(folder) in obstacle.saw) == (read_only == "file", True)
    assert message == f"T{obstacle.saw[1:]}. {obstacle.advice}"


async def test_cluster_without_a_readable_identifier_is_a_warning(role: Role, world: World) -> None:
    role.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    role.run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        finding = (await patient_on(role.url, world).examined())["installation"]
    finally:
        role.run("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
    assert (finding.verdict, "can count as live" in finding.saw) == ("warning", True), finding
    assert "GRANT EXECUTE ON FUNCTION pg_control_system()" in str(finding.advice)
    assert (await patient_on(role.url, world).examined())["installation"].verdict == "ok"


def test_command_prints_the_reason_of_the_driver(role: Role, bare: Run) -> None:
    """A command writes no log, so the message must not refer to a log."""
    role.run("GRANT SELECT ON alembic_version TO {role}")
    message = bare("organizations", "list", DATABASE_URL=role.url).sentence
    assert message == "The database does not answer (InsufficientPrivilege). Run `one-runtime doctor`."
