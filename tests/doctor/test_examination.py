"""`one-runtime doctor`: a healthy installation, and a problem for each check."""

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from one_runtime import RELEASE
from one_runtime.catalog.loader import load_catalog
from one_runtime.clock import system_clock
from one_runtime.db.database_url import lock_path, sqlite_path
from one_runtime.db.ids import new_id
from one_runtime.db.migrations import HEAD
from one_runtime.db.schema import metadata
from one_runtime.db.vitals import PostgresVitals
from one_runtime.doctor import CHECKS, examine
from one_runtime.doctor.database import (
    examine_database,
    examine_disk_space,
    examine_postgresql,
    file_system_type,
)
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.integrations import disabling
from one_runtime.jobs import instances, liveness
from one_runtime.settings import Settings
from tests.application import ORIGIN
from tests.database import ANY_DATABASE
from tests.doctor.conftest import Patient, World, patient_on, sync_commits
from tests.documentation import page
from tests.newer_schema import NEWER, set_newer_schema

pytestmark = pytest.mark.slow

GIB: Final = 1024**3
REASONS: Final = {
    "PostgreSQL cannot be reached: nothing listens at this address and port",
    "PostgreSQL cannot be reached: its name cannot be resolved",
    "ONE_RUNTIME_DATABASE_URL is not a valid PostgreSQL URL",
    "ONE_RUNTIME_DATABASE_URL has more than one @ before the host",
}


async def test_healthy_installation_has_only_the_loopback_warning(healthy: Patient) -> None:
    findings = await healthy.examined()
    kind = {"file"} if sqlite_path(healthy.database_url) else {"connections"}
    assert findings.keys() == set(CHECKS) - ({"file", "connections", "pooler", "certificate", "proxy calls"} - kind)
    assert [finding for finding in findings.values() if finding.verdict != "ok"] == [findings["settings"]]
    assert findings["settings"].verdict == "warning"
    assert "only browsers on this machine" in findings["settings"].saw
    assert findings["public URL"].saw == f"this installation answers at {healthy.public_url}"
    assert all(finding.advice for finding in findings.values() if finding.verdict != "ok")
    assert all(finding.advice is None for finding in findings.values() if finding.verdict == "ok")


async def test_findings_are_in_the_order_of_the_checks(healthy: Patient) -> None:
    checks = [finding.check for finding in await healthy.all_findings()]
    assert checks == sorted(checks, key=CHECKS.index)


@pytest.mark.docs
def test_every_check_is_documented() -> None:
    assert [row[0].strip("`") for row in page("docs/deploying.md").table("The doctor")] == list(CHECKS)


async def test_invalid_settings_are_the_only_finding(patient: Patient) -> None:
    (finding,) = await patient.all_findings(ONE_RUNTIME_WORKRES="2")
    assert (finding.check, finding.verdict) == ("settings", "problem")
    assert "Did you mean ONE_RUNTIME_WORKERS?" in finding.saw


@pytest.mark.parametrize(
    "name, value, verdict, words",
    [
        ("WORKERS", "2", "problem", "2 workers on SQLite"),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "warning", "any caller can claim any address"),
    ],
)
async def test_contradicting_settings_are_reported(
    name: str, value: str, verdict: str, words: str, on_sqlite: Patient
) -> None:
    findings = await on_sqlite.all_findings(**{f"ONE_RUNTIME_{name}": value})
    reported = {finding.saw: finding.verdict for finding in findings if finding.check == "settings"}
    assert [verdict for saw, verdict in reported.items() if words in saw] == [verdict], reported


async def test_world_readable_or_duplicate_secret_is_reported(on_sqlite: Patient, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(on_sqlite.environ["ONE_RUNTIME_ENCRYPTION_KEYS"])
    keys.chmod(0o644)
    findings = await on_sqlite.all_findings(ONE_RUNTIME_ENCRYPTION_KEYS_FILE=str(keys))
    reported = " ".join(finding.saw for finding in findings if finding.check == "settings")
    assert f"every user of this machine can read {keys}" in reported
    assert "ONE_RUNTIME_ENCRYPTION_KEYS and ONE_RUNTIME_ENCRYPTION_KEYS_FILE are both set" in reported


async def test_unmigrated_database_is_reported(empty_database_url: str, world: World) -> None:
    path = sqlite_path(empty_database_url)
    if path:
        sqlite3.connect(path).close()
        os.chmod(path, 0o600)  # noqa: PTH101 ruff wants a path's method, and then none in a coroutine
    finding = (await patient_on(empty_database_url, world).examined())["database"]
    assert finding.verdict == ("warning" if path else "problem")
    assert "its schema is missing" in finding.saw
    assert "`one-runtime serve`" in str(finding.advice) if path else "`one-runtime migrate`" in str(finding.advice)


async def test_compatible_database_of_a_newer_version_is_examined(patient: Patient) -> None:
    set_newer_schema(patient.database_url, HEAD)
    if not sqlite_path(patient.database_url):
        sync_commits(patient.database_url, "on")
    findings = await patient.examined()
    database = findings["database"]
    assert (database.verdict, f"migrated to {NEWER} by a newer version" in database.saw) == ("ok", True)
    assert "key ring" in findings


async def test_incompatible_database_of_a_newer_version_is_reported(patient: Patient) -> None:
    set_newer_schema(patient.database_url, NEWER)
    finding = (await patient.examined())["database"]
    assert (finding.verdict, f"its schema is {NEWER}" in finding.saw) == ("problem", True)
    assert "a newer version" in str(finding.advice)


async def test_missing_or_invalid_sqlite_file_is_reported(on_sqlite: Patient, tmp_path: Path) -> None:
    missing = (await on_sqlite.examined(ONE_RUNTIME_DATABASE_URL=f"sqlite:///{tmp_path}/new.db"))["database"]
    assert (missing.verdict, missing.advice) == ("warning", "The first start of the server creates the file.")
    deep = (await on_sqlite.examined(ONE_RUNTIME_DATABASE_URL=f"sqlite:///{tmp_path}/deep/down.db"))["database"]
    assert (deep.verdict, deep.saw) == ("problem", f"the folder {tmp_path}/deep does not exist")
    assert not (tmp_path / "deep").exists(), "the doctor created a folder"
    (tmp_path / "text.db").write_text("This is no database, however long one reads. " * 100)
    broken = (await on_sqlite.examined(ONE_RUNTIME_DATABASE_URL=f"sqlite:///{tmp_path}/text.db"))["database"]
    assert (broken.verdict, "is not a SQLite database" in broken.saw) == ("problem", True)


async def test_server_that_uses_the_file_by_another_path_is_reported(on_sqlite: Patient, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(str(sqlite_path(on_sqlite.database_url)))
    with lock_path(str(sqlite_path(on_sqlite.database_url)), "serving").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finding = (await on_sqlite.examined(ONE_RUNTIME_DATABASE_URL=f"sqlite:///{link}"))["file"]
    assert (finding.verdict, "; a server uses the file" in finding.saw) == ("ok", True), finding


async def test_unreadable_file_is_reported(on_sqlite: Patient) -> None:
    url = SecretStr(on_sqlite.database_url)
    folder = Path(str(sqlite_path(on_sqlite.database_url))).parent
    folder.chmod(0)
    try:
        with without_rights():
            (finding,) = (await examine_database(Settings(database_url=url), None, system_clock)).findings
    finally:
        folder.chmod(0o700)
    assert (finding.check, finding.verdict, finding.advice) == (
        "database",
        "problem",
        "Run this command as the server's user, who must own the folder and the file.",
    )


@contextmanager
def without_rights() -> Iterator[None]:
    """Drop the rights of root, which may read every file."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    "host, words",
    [
        ("127.0.0.1:1", "PostgreSQL at 127.0.0.1:1 cannot be reached: nothing listens at this address and port"),
        ("nowhere.invalid", "PostgreSQL at nowhere.invalid cannot be reached: its name cannot be resolved"),
    ],
)
async def test_unreachable_postgresql_is_reported_without_the_password(
    host: str, words: str, on_sqlite: Patient
) -> None:
    findings = await on_sqlite.all_findings(ONE_RUNTIME_DATABASE_URL=f"postgresql://one:s3cret-canary@{host}/one")
    assert [finding.saw for finding in findings if finding.check == "database"] == [words]
    assert "s3cret" not in str(findings)


@pytest.mark.parametrize("password", ["can/ary", "can#ary", "12/canary", "can?ary", "can@ary", "can:ary"])
async def test_password_that_breaks_the_url_is_in_no_finding(password: str, on_sqlite: Patient) -> None:
    findings = await on_sqlite.all_findings(
        ONE_RUNTIME_DATABASE_URL=f"postgresql://localhost:{password}@127.0.0.1:1/one"
    )
    (database,) = [finding for finding in findings if finding.check == "database"]
    assert database.verdict == "problem"
    # Some of these URLs parse as user = host and password = port, which drivers repeat in errors.
    assert database.saw.replace(" at 127.0.0.1:1", "") in REASONS
    assert "ary" not in str(findings)


async def test_missing_database_is_reported(migrated_postgresql_url: str, world: World) -> None:
    patient = patient_on(f"{migrated_postgresql_url}_not", world)
    finding = (await patient.examined())["database"]
    assert (finding.verdict, " has no database test_" in finding.saw) == ("problem", True)


VITALS: Final = PostgresVitals("18.1", 97, synchronous_commit="on", size=8_000_000)


@pytest.mark.parametrize(
    "vitals, verdict, words",
    [
        (replace(VITALS, synchronous_commit="off"), "warning", "a crash can lose commits"),
        (VITALS, "ok", "PostgreSQL 18.1"),
    ],
)
def test_vitals_of_a_postgresql_server_are_judged(vitals: PostgresVitals, verdict: str, words: str) -> None:
    findings = examine_postgresql(vitals, 10, "migrated to 0001")
    (finding,) = [reported for reported in findings if reported.check == "database"]
    assert (finding.verdict, words in finding.saw) == (verdict, True)


async def test_asynchronous_commits_are_reported(migrated_postgresql_url: str, world: World) -> None:
    sync_commits(migrated_postgresql_url, "off")
    finding = (await patient_on(migrated_postgresql_url, world).examined())["database"]
    assert (finding.verdict, "a crash can lose commits" in finding.saw) == ("warning", True)


async def test_pool_over_the_connections_of_postgresql_is_reported(migrated_postgresql_url: str, world: World) -> None:
    patient = patient_on(migrated_postgresql_url, world)
    finding = (await patient.examined(ONE_RUNTIME_DATABASE_POOL_SIZE="500", ONE_RUNTIME_WORKERS="2"))["connections"]
    assert finding.verdict == "problem"
    assert finding.saw.startswith("the server processes can open 1000 connections, and PostgreSQL allows One Runtime ")


async def test_connections_of_other_machines_are_counted(migrated_postgresql_url: str, world: World) -> None:
    patient = patient_on(migrated_postgresql_url, world)
    vault = Vault(parse_keys(patient.environ["ONE_RUNTIME_ENCRYPTION_KEYS"]))
    async with patient.database() as database, database.write() as tx:
        for _ in range(3):
            await instances.heartbeat(tx, instances.this_process(vault.key_ids, patient.clock()), patient.clock)
    assert (await patient.examined())["connections"].saw.startswith("the server processes can open 30 connections,")


async def test_file_readable_by_others_is_reported(on_sqlite: Patient) -> None:
    os.chmod(str(sqlite_path(on_sqlite.database_url)), 0o644)  # noqa: PTH101 as above
    finding = (await on_sqlite.examined())["file"]
    assert (finding.verdict, "mode 0644" in finding.saw) == ("warning", True)


def test_low_disk_space_is_reported() -> None:
    folder = Path("/var/lib/one-runtime")
    assert examine_disk_space(folder, 5 * GIB, GIB).verdict == "ok"
    assert examine_disk_space(folder, 5 * GIB, 6 * GIB).verdict == "warning", "no space for a copy"
    assert examine_disk_space(folder, GIB // 2, 0).verdict == "warning"
    assert examine_disk_space(folder, GIB // 20, 0).verdict == "problem"


def test_network_file_system_is_recognized_by_the_nearest_mount() -> None:
    mounts = "/dev/sda / ext4 rw 0 0\nserver:/x /var/lib nfs4 rw 0 0\ntmpfs /var/lib/one tmpfs rw 0 0\n"
    assert file_system_type(Path("/var/lib/one-runtime"), mounts) == "nfs4"
    assert file_system_type(Path("/var/lib/one/data"), mounts) == "tmpfs"
    assert file_system_type(Path("/srv"), mounts) == "ext4"
    assert file_system_type(Path("/srv"), "") == ""


@pytest.mark.parametrize("version", ["0.0.1", f"{RELEASE}+g0000000"])
async def test_server_of_another_version_is_reported(healthy: Patient, version: str) -> None:
    vault = Vault(parse_keys(healthy.environ["ONE_RUNTIME_ENCRYPTION_KEYS"]))
    old = replace(instances.this_process(vault.key_ids, healthy.clock()), version=version)
    async with healthy.database() as database, database.write() as tx:
        await instances.heartbeat(tx, old, healthy.clock)
    finding = (await healthy.examined())["servers"]
    assert (finding.verdict, finding.saw.startswith(f"2 running, version {version}, ")) == ("warning", True)


async def test_unconfirmed_copy_is_reported(healthy: Patient) -> None:
    async with healthy.database() as database, database.write() as tx:
        await liveness.hold(tx)
    finding = (await healthy.examined())["installation"]
    assert (finding.verdict, "unconfirmed copy" in finding.saw) == ("problem", True)
    assert str(finding.advice).endswith("one-runtime installation confirm")


@ANY_DATABASE
async def test_disabled_integration_is_reported(healthy: Patient) -> None:
    assert (await healthy.examined())["integrations"].verdict == "ok"
    async with healthy.database() as database, database.write() as tx:
        await disabling.disable(tx, load_catalog(), "ada", "hubspot", None, healthy.clock())
    finding = (await healthy.examined())["integrations"]
    assert (finding.verdict, "hubspot" in finding.saw, "ada" in finding.saw) == ("warning", True, True)
    assert str(finding.advice).endswith("one-runtime integrations enable hubspot")


async def test_database_that_was_moved_to_postgresql_is_reported(on_sqlite: Patient) -> None:
    async with on_sqlite.database() as database, database.write() as tx:
        await liveness.mark_moved(tx)
    finding = (await on_sqlite.examined())["installation"]
    assert (finding.verdict, "moved this database to PostgreSQL" in finding.saw) == ("problem", True)
    assert str(finding.advice).startswith("Set ONE_RUNTIME_DATABASE_URL")


async def test_missing_server_is_reported(patient: Patient) -> None:
    findings = await patient.examined()
    assert (findings["servers"].verdict, findings["servers"].saw) == ("warning", "no server uses this database")
    assert (findings["key ring"].verdict, "no active key yet" in findings["key ring"].saw) == ("warning", True)
    assert (findings["public URL"].verdict, "refuses connections" in findings["public URL"].saw) == ("problem", True)


async def test_ring_that_lacks_a_key_is_reported(healthy: Patient) -> None:
    findings = await healthy.examined(ONE_RUNTIME_ENCRYPTION_KEYS=new_key())
    assert (findings["key ring"].verdict, "is missing" in findings["key ring"].saw) == ("problem", True)
    assert str(findings["key ring"].advice).startswith("Add this key ")
    assert "another One Runtime answers" in findings["public URL"].saw


@ANY_DATABASE
async def test_ring_that_lacks_two_keys_is_reported_in_the_plural(healthy: Patient) -> None:
    vault = Vault(parse_keys(f"{healthy.environ['ONE_RUNTIME_ENCRYPTION_KEYS']},{new_key()},{new_key()}"))
    async with healthy.database() as database, database.write() as tx:
        await key_ring.register(tx, vault, healthy.clock())
        for key in vault.key_ids:
            await tx.execute(key_ring.ACTIVATE, key=key, now=healthy.clock())
    finding = (await healthy.examined())["key ring"]
    assert " are missing: " in finding.saw
    assert str(finding.advice).startswith("Add these keys ")


async def test_key_that_was_never_active_may_be_missing(healthy: Patient) -> None:
    ring = healthy.environ["ONE_RUNTIME_ENCRYPTION_KEYS"]
    async with healthy.database() as database, database.write() as tx:
        await key_ring.register(tx, Vault(parse_keys(f"{ring},{new_key()}")), healthy.clock())
    finding = (await healthy.examined())["key ring"]
    assert (finding.verdict, finding.saw.startswith("complete, 1 key")) == ("ok", True), finding


async def test_missing_ring_is_reported(healthy: Patient) -> None:
    findings = await healthy.examined(ONE_RUNTIME_ENCRYPTION_KEYS="")
    assert (findings["key ring"].verdict, "one-runtime keys new" in str(findings["key ring"].advice)) == (
        "problem",
        True,
    )
    assert findings["public URL"].verdict == "warning"


async def test_server_without_the_active_key_is_reported(healthy: Patient) -> None:
    lacking = instances.ServerInstance(new_id(), "0.1.0", ("0" * 32,), healthy.clock(), healthy.clock())
    async with healthy.database() as database, database.write() as tx:
        await instances.heartbeat(tx, lacking, healthy.clock)
    finding = (await healthy.examined())["key ring"]
    assert (finding.verdict, finding.saw.startswith("1 of 2 servers runs without the active key ")) == ("problem", True)


async def test_organizations_without_allowed_origins_are_reported(patient: Patient) -> None:
    assert (await patient.examined())["organizations"].saw == "there is no organization"
    without = await patient.organization()
    finding = (await patient.examined())["organizations"]
    assert (finding.verdict, finding.saw.startswith(f"1 of 1 (such as {without}) has no allowed origin")) == (
        "warning",
        True,
    )


async def test_public_url_as_an_allowed_origin_is_reported(patient: Patient) -> None:
    own = await patient.organization(ORIGIN, patient.public_url)
    finding = (await patient.examined())["organizations"]
    assert (finding.verdict, own in finding.saw) == ("warning", True)


@pytest.mark.parametrize("ahead, verdict", [(10, "warning"), (300, "problem"), (0, "ok")])
async def test_wrong_clock_is_reported(ahead: int, verdict: str, healthy: Patient) -> None:
    healthy.clock.advance(seconds=ahead)
    finding = (await healthy.examined())["clock"]
    assert finding.verdict == verdict
    checks = re.search(r"the clock of the public URL is ([\d.]+) s (\w+)", finding.saw)
    assert checks is not None
    assert float(checks[1]) == pytest.approx(ahead, abs=1.5)
    assert checks[2] == "behind" or not ahead
    assert ("the clock of the database is" in finding.saw) == (not sqlite_path(healthy.database_url))


async def test_clock_too_wrong_for_the_self_check_is_reported_by_the_date_header(healthy: Patient) -> None:
    healthy.clock.advance(hours=3)
    findings = await healthy.examined()
    assert findings["clock"].verdict == "problem"
    assert "the two clocks differ too much" in findings["public URL"].saw
    assert "key ring" not in findings["public URL"].saw + str(findings["public URL"].advice)


async def test_unreachable_providers_are_reported(on_sqlite: Patient) -> None:
    on_sqlite.world.offline = True
    finding = (await on_sqlite.examined(HTTPS_PROXY="http://proxy.internal:3128"))["egress"]
    assert finding.verdict == "warning"
    assert finding.saw.startswith("none of the tested providers can be reached. The name ")
    assert str(finding.advice).endswith("HTTPS_PROXY is set, but One Runtime does not use the proxy in this variable.")


async def test_provider_with_a_private_address_is_reported(on_sqlite: Patient) -> None:
    on_sqlite.world.names[next(iter(on_sqlite.world.names))] = "10.1.2.3"
    finding = (await on_sqlite.examined())["egress"]
    assert (finding.verdict, finding.saw.startswith("not every tested provider can be reached.")) == ("warning", True)


async def test_slow_check_is_reported_as_a_problem(on_sqlite: Patient) -> None:
    listed = await examine(on_sqlite.environ, clock=on_sqlite.clock, network=on_sqlite.world, time_limit=0)
    findings = {finding.check: finding for finding in listed}
    assert (findings["database"].verdict, findings["public URL"].verdict) == ("problem", "problem")
    assert findings["database"].saw == "no answer within 0 seconds"


async def test_failing_check_does_not_hide_others(migrated_postgresql_url: str, world: World) -> None:
    patient = patient_on(migrated_postgresql_url, world)
    with psycopg.connect(migrated_postgresql_url, autocommit=True) as connection:
        connection.execute("DROP TABLE servers")
    findings = await patient.examined()
    assert (findings["database"].verdict, findings["database"].saw) == (
        "problem",
        "the check itself failed (UndefinedTable)",
    )
    assert findings["egress"].verdict == "ok"


async def test_examination_changes_no_row(patient: Patient) -> None:
    async with patient.database() as database, database.read() as tx:
        before = [await tx.all(select(table)) for table in metadata.tables.values()]
        await patient.examined()
        assert [await tx.all(select(table)) for table in metadata.tables.values()] == before
