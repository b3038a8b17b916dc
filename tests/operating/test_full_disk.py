"""A drill: the disk of the database is full while callers create connections, and has space again later."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest
from psycopg import sql

from one_runtime.db.migrations import migrate
from one_runtime.encryption.vault import new_key
from tests.figures import Figures
from tests.fork_server import ROOT, run
from tests.operating.backups import client
from tests.operating.callers import Callers
from tests.operating.load import all_connections
from tests.operating.small_disk import SmallDisk, small_disk
from tests.postgres import Databases
from tests.promises.serving import Served, Serving, serving
from tests.waiting import async_attempts

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

MEGABYTES = 64
_NAME = "full_disk"


@contextmanager
def database_on(disk: SmallDisk, kind: str, request: pytest.FixtureRequest) -> Iterator[Serving]:
    """Create a database whose data is on the disk. PostgreSQL's write-ahead log is on another disk."""
    settings = {"ONE_RUNTIME_ENCRYPTION_KEYS": new_key(), "ONE_RUNTIME_RATE_LIMIT": "0"}
    if kind == "sqlite":
        yield Serving(f"sqlite:///{disk.folder}/one-runtime.db", disk.module, settings=settings)
        return
    databases: Databases = request.getfixturevalue("postgres")
    folder = disk.make_folder("tablespace")
    create = sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(sql.Identifier(_NAME), sql.Literal(str(folder)))
    with psycopg.connect(databases.url("postgres"), autocommit=True) as admin:
        admin.execute(create)
        admin.execute(sql.SQL("CREATE DATABASE {0} TABLESPACE {0}").format(sql.Identifier(_NAME)))
        try:
            migrate(databases.url(_NAME))
            yield Serving(databases.url(_NAME), settings=settings)
        finally:
            disk.make_space()
            databases.drop(_NAME)
            admin.execute(sql.SQL("DROP TABLESPACE {}").format(sql.Identifier(_NAME)))


async def command(served: Served, what: Serving, *words: str) -> tuple[int, str]:
    """Run a command of One Runtime that can reach the database. Return the exit status and the output."""
    line = [sys.executable, "-m", *what.module, *words]
    done = await asyncio.to_thread(run, line, served.environment, cwd=ROOT, seconds=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.strip()


async def make_key(served: Served, what: Serving) -> str:
    _, organization_id = await command(served, what, "organizations", "create", "Northwind")
    return (await command(served, what, "api-keys", "create", organization_id))[1]


async def assert_doctor_reports_the_disk(served: Served, what: Serving) -> None:
    status, output = await command(served, what, "doctor", "--json")
    found = {finding["check"]: finding for finding in json.loads(output)}
    assert (status, found["readiness"]["verdict"]) == (1, "problem"), output
    assert "The disk of the database is full" in found["readiness"]["saw"]
    assert found["disk"]["verdict"] == ("ok" if what.database_url.startswith("postgresql") else "problem")


async def until_ready(url: str) -> float:
    """Wait until `/readyz` answers 200. Return the seconds."""
    begun = time.monotonic()
    async with httpx2.AsyncClient(base_url=url) as http:
        async for _ in async_attempts(60):
            if (await http.get("/readyz")).status_code == 200:
                return time.monotonic() - begun
    raise AssertionError("unreachable: the attempts end with TimeoutError")


async def test_full_disk_loses_no_acknowledged_write_and_the_server_recovers(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest, figures: Figures
) -> None:
    with small_disk(MEGABYTES) as disk, database_on(disk, database_kind, request) as what:
        async with serving(what, tmp_path) as served:
            key = await make_key(served, what)
            callers = Callers(lambda: client(served, key))
            async with callers.running():
                await callers.more()
                disk.fill()
                await callers.more(successes=200, failures=200)
                async with client(served, key) as http:
                    assert (await http.get("/readyz")).status_code == 503
                await assert_doctor_reports_the_disk(served, what)
            failures = {(answer.method, answer.status, answer.code) for answer in callers.failures()}
            assert failures == {("POST", 503, "unavailable")}, "reads succeed, and each error is clear"
            disk.make_space()
            seconds = await until_ready(served.url)
            later = Callers(lambda: client(served, key), name="later")
            async with later.running():
                await later.more()
            assert later.failures() == []
        async with serving(what, tmp_path) as served, client(served, key) as http:
            stored = {connection["id"] for connection in await all_connections(http)}
        acknowledged = {*callers.acknowledged, *later.acknowledged}
        assert acknowledged <= stored
        figures(
            f"{database_kind}: {len(acknowledged)} acknowledged connections, 0 missing; "
            f"{len(callers.failures())} writes refused with 503 while the disk was full, no read failed; "
            f"ready {seconds:.1f} s after the disk had space"
        )
