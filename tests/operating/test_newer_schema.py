"""A server of this version on a schema that a newer version migrated, as in a rolling upgrade or after a rollback."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from one_runtime.db.migrations import HEAD, current_revision
from one_runtime.encryption.vault import new_key
from tests.fork_server import ROOT, run
from tests.newer_schema import NEWER, set_newer_schema
from tests.operating.backups import client
from tests.operating.load import Load
from tests.operating.test_upgrade import KEYS, organization_of
from tests.ports import free_port
from tests.promises.serving import Served, Serving, serving
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_STARTED = re.compile(rb"Started server process \[(\d+)\]")


async def creates_connections(served: Served) -> None:
    _, api_key = await organization_of(served)
    async with client(served, api_key) as http:
        async with Load(http, "notion", KEYS) as load:
            await load.until(5)
        assert load.refused == []


@pytest.mark.parametrize("options", [(), ("--migrate",)], ids=["serve", "serve --migrate"])
async def test_server_serves_a_newer_compatible_schema(
    database_url: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    set_newer_schema(database_url, HEAD)
    async with serving(Serving(database_url, options=options), tmp_path) as served:
        await creates_connections(served)
        assert await served.command("migrate") == (
            f"Nothing to do: the database is at {NEWER}, which is newer than {HEAD}. This version can use it."
        )
    assert current_revision(database_url) == NEWER


@pytest.mark.soak
@pytest.mark.timeout(120)
async def test_killed_worker_is_replaced_on_a_newer_compatible_schema(
    migrated_postgresql_url: str, tmp_path: Path
) -> None:
    async with serving(Serving(migrated_postgresql_url, workers=2), tmp_path) as served:
        await eventually(lambda: len(_STARTED.findall(served.log())) == 2)
        set_newer_schema(migrated_postgresql_url, HEAD)
        os.kill(int(_STARTED.findall(served.log())[0]), signal.SIGKILL)
        await eventually(lambda: served.log().count(b"Application startup complete") == 3, seconds=60)
        assert served.process.poll() is None, served.log().decode()
        await creates_connections(served)


@pytest.mark.parametrize("words", [("serve",), ("serve", "--migrate"), ("migrate",), ("organizations", "list")])
def test_newer_incompatible_schema_is_refused_in_a_sentence(database_url: str, words: tuple[str, ...]) -> None:
    set_newer_schema(database_url, NEWER)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "ONE_RUNTIME_DATABASE_URL": database_url,
        "ONE_RUNTIME_ENCRYPTION_KEYS": new_key(),
        "ONE_RUNTIME_LISTEN": f"127.0.0.1:{free_port()}",
    }
    result = run([sys.executable, "-m", "one_runtime", *words], environment, cwd=ROOT, seconds=30)
    assert result.returncode == 1
    assert result.stderr == (
        f"The database has the schema {NEWER}, and this version of One Runtime supports {HEAD} at most. Run the "
        "version of One Runtime that migrated the database, or a newer version. To return to this version, restore a "
        "backup.\n"
    )
    assert current_revision(database_url) == NEWER
