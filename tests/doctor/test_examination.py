"""`one-runtime doctor`: an installation in health, and each check made to find something."""

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
from sqlalchemy import column, select, table, update

from one_runtime.clock import system_clock
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.ids import new_id
from one_runtime.db.schema import metadata
from one_runtime.db.vitals import PostgresVitals
from one_runtime.doctor import CHECKS, examination
from one_runtime.doctor.storage import examine_storage, file_system, room, server
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.jobs import instances
from one_runtime.settings import Settings
from tests.application import ORIGIN
from tests.doctor.conftest import Patient, World, patient_on, sync_commits
from tests.documentation import page

pytestmark = pytest.mark.slow

GIB: Final = 1024**3
REASONS: Final = ("nothing listens at this address and port", "its name cannot be looked up")


async def test_an_installation_in_health_has_nothing_but_its_loopback_address_said_of_it(healthy: Patient) -> None:
    found = await healthy.examined()
    kind = {"file"} if sqlite_path(healthy.database_url) else {"connections"}
    assert found.keys() == set(CHECKS) - ({"file", "connections", "certificate"} - kind)
    assert [one for one in found.values() if one.verdict != "ok"] == [found["settings"]]
    assert found["settings"].verdict == "warning"
    assert "only browsers on this machine" in found["settings"].saw
    assert found["public URL"].saw == f"this installation answers at {healthy.public_url}"
    assert all(one.advice for one in found.values() if one.verdict != "ok")
    assert all(one.advice is None for one in found.values() if one.verdict == "ok")


async def test_findings_are_told_in_the_order_of_the_checks(healthy: Patient) -> None:
    told = [one.check for one in await healthy.all_findings()]
    assert told == sorted(told, key=CHECKS.index)


@pytest.mark.docs
def test_every_check_is_documented() -> None:
    assert [row[0].strip("`") for row in page("docs/deploying.md").table("The doctor")] == list(CHECKS)


async def test_settings_that_cannot_work_are_the_only_finding(patient: Patient) -> None:
    (found,) = await patient.all_findings(ONE_RUNTIME_WORKRES="2")
    assert (found.check, found.verdict) == ("settings", "problem")
    assert "Did you mean ONE_RUNTIME_WORKERS?" in found.saw


@pytest.mark.parametrize(
    "name, value, verdict, words",
    [
        ("WORKERS", "2", "problem", "2 workers on SQLite"),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "warning", "any caller can claim any address"),
    ],
)
async def test_settings_that_do_not_go_together_are_said(
    name: str, value: str, verdict: str, words: str, on_sqlite: Patient
) -> None:
    found = await on_sqlite.all_findings(**{f"ONE_RUNTIME_{name}": value})
    said = {one.saw: one.verdict for one in found if one.check == "settings"}
    assert [verdict for saw, verdict in said.items() if words in saw] == [verdict], said


async def test_a_secret_that_everybody_can_read_or_that_is_set_twice_is_said(
    on_sqlite: Patient, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(on_sqlite.environ["ONE_RUNTIME_ENCRYPTION_KEYS"])
    keys.chmod(0o644)
    found = await on_sqlite.all_findings(ONE_RUNTIME_ENCRYPTION_KEYS_FILE=str(keys))
    said = " ".join(one.saw for one in found if one.check == "settings")
    assert f"every user of this machine can read {keys}" in said
    assert "ONE_RUNTIME_ENCRYPTION_KEYS and ONE_RUNTIME_ENCRYPTION_KEYS_FILE are both set" in said


async def test_a_database_that_is_not_migrated_is_said(empty_database_url: str, world: World) -> None:
    path = sqlite_path(empty_database_url)
    if path:
        sqlite3.connect(path).close()
        os.chmod(path, 0o600)  # noqa: PTH101 ruff wants a path's method, and then none in a coroutine
    found = (await patient_on(empty_database_url, world).examined())["database"]
    assert found.verdict == ("warning" if path else "problem")
    assert "it is at no version" in found.saw
    assert "`one-runtime serve`" in str(found.advice) if path else "`one-runtime migrate`" in str(found.advice)


async def test_a_database_of_a_newer_version_is_said(patient: Patient) -> None:
    async with patient.database() as database, database.write() as tx:
        await tx.execute(update(table("alembic_version", column("version_num"))).values(version_num="9999"))
    found = (await patient.examined())["database"]
    assert (found.verdict, "it is at 9999" in found.saw) == ("problem", True)


async def test_a_sqlite_file_that_is_not_there_or_is_none_is_said(on_sqlite: Patient, tmp_path: Path) -> None:
    missing = (await on_sqlite.examined(ONE_RUNTIME_DATABASE_URL=f"sqlite:///{tmp_path}/deep/down.db"))["database"]
    assert (missing.verdict, missing.advice) == ("warning", "The first start makes it.")
    assert not (tmp_path / "deep").exists(), "nothing was written"
    (tmp_path / "text.db").write_text("This is no database, however long one reads. " * 100)
    broken = (await on_sqlite.examined(ONE_RUNTIME_DATABASE_URL=f"sqlite:///{tmp_path}/text.db"))["database"]
    assert (broken.verdict, "file is not a database" in broken.saw) == ("problem", True)


async def test_a_file_that_this_user_may_not_look_at_is_said(on_sqlite: Patient) -> None:
    url = SecretStr(on_sqlite.database_url)
    folder = Path(str(sqlite_path(on_sqlite.database_url))).parent
    folder.chmod(0)
    try:
        with without_rights():
            (found,) = (await examine_storage(Settings(database_url=url), None, system_clock)).findings
    finally:
        folder.chmod(0o700)
    assert (found.check, found.verdict, found.advice) == ("database", "problem", "Run this as the user that serves.")


@contextmanager
def without_rights() -> Iterator[None]:
    """Not as root, who may look at everything."""
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
        ("127.0.0.1:1", "PostgreSQL at 127.0.0.1:1: nothing listens at this address and port"),
        ("nowhere.invalid", "PostgreSQL at nowhere.invalid: its name cannot be looked up"),
    ],
)
async def test_a_postgresql_that_is_not_reached_is_said_without_the_password(
    host: str, words: str, on_sqlite: Patient
) -> None:
    found = await on_sqlite.all_findings(ONE_RUNTIME_DATABASE_URL=f"postgresql://one:s3cret-canary@{host}/one")
    assert [one.saw for one in found if one.check == "database"] == [words]
    assert "s3cret" not in str(found)


@pytest.mark.parametrize("password", ["can/ary", "can#ary", "12/canary", "can?ary", "can@ary", "can:ary"])
async def test_a_password_that_breaks_the_url_is_told_by_no_finding(password: str, on_sqlite: Patient) -> None:
    found = await on_sqlite.all_findings(ONE_RUNTIME_DATABASE_URL=f"postgresql://localhost:{password}@127.0.0.1:1/one")
    (database,) = [one for one in found if one.check == "database"]
    assert database.verdict == "problem"
    # Read as a URL, the user is the host in some of them, and the password its port: drivers repeat that.
    assert re.sub("PostgreSQL( at 127.0.0.1:1)?: ", "", database.saw) in {"it cannot be reached", *REASONS}
    assert "ary" not in str(found)


async def test_a_database_that_does_not_exist_is_said(migrated_postgresql_url: str, world: World) -> None:
    patient = patient_on(f"{migrated_postgresql_url}_not", world)
    found = (await patient.examined())["database"]
    assert (found.verdict, "there is no such database" in found.saw) == ("problem", True)


VITALS: Final = PostgresVitals("18.1", 18, 97, read_only=False, synchronous_commit="on", size=8_000_000)


@pytest.mark.parametrize(
    "vitals, verdict, words",
    [
        (replace(VITALS, read_only=True), "problem", "is a standby"),
        (replace(VITALS, synchronous_commit="off"), "warning", "a crash loses commits"),
        (replace(VITALS, version="13.9", major=13), "warning", "not maintained"),
        (VITALS, "ok", "PostgreSQL 18.1"),
    ],
)
def test_what_a_postgresql_server_says_of_itself_is_judged(vitals: PostgresVitals, verdict: str, words: str) -> None:
    (found,) = [one for one in server(vitals, 10) if one.check == "database"]
    assert (found.verdict, words in found.saw) == (verdict, True)


async def test_a_postgresql_that_may_lose_commits_is_said(migrated_postgresql_url: str, world: World) -> None:
    sync_commits(migrated_postgresql_url, "off")
    found = (await patient_on(migrated_postgresql_url, world).examined())["database"]
    assert (found.verdict, "a crash loses commits" in found.saw) == ("warning", True)


async def test_more_connections_than_postgresql_has_are_said(migrated_postgresql_url: str, world: World) -> None:
    patient = patient_on(migrated_postgresql_url, world)
    found = (await patient.examined(ONE_RUNTIME_DATABASE_POOL_SIZE="500", ONE_RUNTIME_WORKERS="2"))["connections"]
    assert found.verdict == "problem"
    assert found.saw.startswith("the processes that serve may open 1000, and PostgreSQL has ")


async def test_the_processes_of_other_machines_want_connections_too(migrated_postgresql_url: str, world: World) -> None:
    patient = patient_on(migrated_postgresql_url, world)
    vault = Vault(parse_keys(patient.environ["ONE_RUNTIME_ENCRYPTION_KEYS"]))
    async with patient.database() as database, database.write() as tx:
        for _ in range(3):
            await instances.heartbeat(tx, instances.this_process(vault.key_ids, patient.clock()), patient.clock())
    assert (await patient.examined())["connections"].saw.startswith("the processes that serve may open 30,")


async def test_a_file_that_others_may_open_is_said(on_sqlite: Patient) -> None:
    os.chmod(str(sqlite_path(on_sqlite.database_url)), 0o644)  # noqa: PTH101 as above
    found = (await on_sqlite.examined())["file"]
    assert (found.verdict, "mode 0644" in found.saw) == ("warning", True)


def test_a_disk_that_fills_up_is_said() -> None:
    here = Path("/var/lib/one-runtime")
    assert room(here, 5 * GIB, GIB).verdict == "ok"
    assert room(here, 5 * GIB, 6 * GIB).verdict == "warning", "no copy fits beside it"
    assert room(here, GIB // 2, 0).verdict == "warning"
    assert room(here, GIB // 20, 0).verdict == "problem"


def test_a_network_file_system_is_known_by_the_nearest_mount() -> None:
    mounts = "/dev/sda / ext4 rw 0 0\nserver:/x /var/lib nfs4 rw 0 0\ntmpfs /var/lib/one tmpfs rw 0 0\n"
    assert file_system(Path("/var/lib/one-runtime"), mounts) == "nfs4"
    assert file_system(Path("/var/lib/one/data"), mounts) == "tmpfs"
    assert file_system(Path("/srv"), mounts) == "ext4"
    assert file_system(Path("/srv"), "") == ""


async def test_no_server_and_a_server_of_another_version_are_said(healthy: Patient) -> None:
    vault = Vault(parse_keys(healthy.environ["ONE_RUNTIME_ENCRYPTION_KEYS"]))
    old = replace(instances.this_process(vault.key_ids, healthy.clock()), version="0.0.1")
    async with healthy.database() as database, database.write() as tx:
        await instances.heartbeat(tx, old, healthy.clock())
    found = (await healthy.examined())["servers"]
    assert (found.verdict, found.saw.startswith("2 running, version 0.0.1, ")) == ("warning", True)


async def test_that_nothing_serves_is_said(patient: Patient) -> None:
    found = await patient.examined()
    assert (found["servers"].verdict, found["servers"].saw) == ("warning", "no server uses this database")
    assert (found["key ring"].verdict, "none is active yet" in found["key ring"].saw) == ("warning", True)
    assert (found["public URL"].verdict, "refuses connections" in found["public URL"].saw) == ("problem", True)


async def test_a_ring_that_lacks_a_key_is_said(healthy: Patient) -> None:
    found = await healthy.examined(ONE_RUNTIME_ENCRYPTION_KEYS=new_key())
    assert (found["key ring"].verdict, "is missing" in found["key ring"].saw) == ("problem", True)
    assert "another One Runtime answers" in found["public URL"].saw


async def test_no_ring_is_said(healthy: Patient) -> None:
    found = await healthy.examined(ONE_RUNTIME_ENCRYPTION_KEYS="")
    assert (found["key ring"].verdict, "one-runtime keys new" in str(found["key ring"].advice)) == ("problem", True)
    assert found["public URL"].verdict == "warning"


async def test_a_server_that_cannot_seal_is_said(healthy: Patient) -> None:
    ignorant = instances.ServerInstance(new_id(), "0.1.0", ("0" * 32,), healthy.clock(), healthy.clock())
    async with healthy.database() as database, database.write() as tx:
        await instances.heartbeat(tx, ignorant, healthy.clock())
    found = (await healthy.examined())["key ring"]
    assert (found.verdict, found.saw.startswith("1 of 2 servers run without the active key ")) == ("problem", True)


async def test_organizations_that_no_page_can_open_the_popup_for_are_said(patient: Patient) -> None:
    assert (await patient.examined())["organizations"].saw == "there is none"
    without = await patient.organization()
    found = (await patient.examined())["organizations"]
    assert (found.verdict, found.saw.startswith(f"1 of 1 without an allowed origin, such as {without}")) == (
        "warning",
        True,
    )


async def test_our_own_address_as_an_allowed_origin_is_said(patient: Patient) -> None:
    own = await patient.organization(ORIGIN, patient.public_url)
    found = (await patient.examined())["organizations"]
    assert (found.verdict, own in found.saw) == ("warning", True)


@pytest.mark.parametrize("ahead, verdict", [(10, "warning"), (300, "problem"), (0, "ok")])
async def test_a_clock_that_is_wrong_is_said(ahead: int, verdict: str, healthy: Patient) -> None:
    healthy.clock.advance(seconds=ahead)
    found = (await healthy.examined())["clock"]
    assert found.verdict == verdict
    told = re.search(r"the public URL's is ([\d.]+) s (\w+)", found.saw)
    assert told is not None
    assert float(told[1]) == pytest.approx(ahead, abs=1.5)
    assert told[2] == "behind" or not ahead
    assert ("the database's is" in found.saw) == (not sqlite_path(healthy.database_url))


async def test_a_clock_too_far_away_for_a_challenge_is_said_by_the_date_of_the_answer(healthy: Patient) -> None:
    healthy.clock.advance(hours=3)
    assert (await healthy.examined())["clock"].verdict == "problem"


async def test_providers_that_cannot_be_reached_are_said(on_sqlite: Patient) -> None:
    on_sqlite.world.offline = True
    found = (await on_sqlite.examined(HTTPS_PROXY="http://proxy.internal:3128"))["egress"]
    assert found.verdict == "warning"
    assert found.saw.startswith("no provider can be reached. The name ")
    assert str(found.advice).endswith("HTTPS_PROXY is set, and One Runtime does not use such proxies.")


async def test_a_provider_whose_name_leads_into_our_network_is_said(on_sqlite: Patient) -> None:
    on_sqlite.world.names[next(iter(on_sqlite.world.names))] = "10.1.2.3"
    found = (await on_sqlite.examined())["egress"]
    assert (found.verdict, found.saw.startswith("not every provider can be reached.")) == ("warning", True)


async def test_a_check_that_takes_too_long_is_a_problem_and_no_more(
    on_sqlite: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "PATIENCE", 0.0)
    found = await on_sqlite.examined()
    assert (found["database"].verdict, found["public URL"].verdict) == ("problem", "problem")
    assert found["database"].saw == "no answer within 0 seconds"


async def test_a_check_that_breaks_hides_no_other(migrated_postgresql_url: str, world: World) -> None:
    patient = patient_on(migrated_postgresql_url, world)
    with psycopg.connect(migrated_postgresql_url, autocommit=True) as connection:
        connection.execute("DROP TABLE servers")
    found = await patient.examined()
    assert (found["database"].verdict, found["database"].saw) == ("problem", "the check itself failed (UndefinedTable)")
    assert found["egress"].verdict == "ok"


async def test_an_examination_changes_nothing_in_the_database(patient: Patient) -> None:
    async with patient.database() as database, database.read() as tx:
        before = [await tx.all(select(one)) for one in metadata.tables.values()]
        await patient.examined()
        assert [await tx.all(select(one)) for one in metadata.tables.values()] == before
