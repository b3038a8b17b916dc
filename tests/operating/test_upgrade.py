"""An upgrade while the previous version serves: that version reads and writes before, during and after it."""

import asyncio
import fcntl
import io
import os
import subprocess
import sys
import tarfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from alembic.script import ScriptDirectory

from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import ConnectionFilter
from one_runtime.db import migrations
from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.migrations import HEAD, current_revision, migrate
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from tests.documentation import ROOT
from tests.operating.backups import client
from tests.operating.load import Load, all_connections
from tests.promises.serving import Served, Serving, serving

pytestmark = pytest.mark.slow

PREVIOUS: Final = str(ScriptDirectory(str(Path(migrations.__file__).parent)).get_revision(HEAD).down_revision)
"""The migration before the newest one."""
COMMITS: Final = {
    "0003": "64932f447cf18ce401faeb8ab4cf98b93b72d32c",
    "0004": "f9769e108c0d35423026114c28c56ba22e00a854",
    "0005": "4c2afbbfac051831e3bf638cdb7cf3161897e489",
    "0006": "7a21c89c6aad4811aa3ad0e3b66428d1abe0d116",
    "0007": "09e0607a94be48fec6b6e5bab20183dce3b257a6",
    "0008": "a3d1c4ba1c5c194f8de1edfa8f86671b88338514",
    "0009": "732bdba20c8dac87f152e4abe7bcca2f305ffa1b",
    "0010": "f90c7ead0e11ca7ee8c6f3fd46c79b9588b91891",
    "0011": "2596ba7815460c50ac58951af59bbb3b182a41b2",
    "0012": "e9254e7e380b29030ebd57fb408fc4e3a2ca1d38",
    "0013": "e6aec96555fe0a6c07092b9a7718268dc1609b03",
    "0014": "e640434eadd3e5d141377edba9816e00868aba03",
    "0015": "3e8889b25872b80cc5c21088eb23745ed90a84e4",
    "0016": "327e7bef8c21e5f4a9f61b7af68c0a17dfe7829e",
    "0017": "c465462db92c6bee6d1df62d784d144fbe80dc3c",
    "0018": "377fb3dd216c10454c728e8520e61c109aa9dc1b",
    "0019": "823821011c30e1104af64c030909194e980b7760",
    "0020": "abcf89b5e66d34d7579847cb5cfb4c8ee3f56cd3",
    "0021": "e0d0acf571bcf19c844caef20f78076e601f92b6",
    "0022": "c318f4045f4181933227560c3e135e99caa06eaf",
    "0023": "d135ba0412a9e651d58bec89bcc6711f5dad1826",
    "0024": "b799748133e87d836bb948cbd2a2ceb763c6f133",
}
"""By migration, the last commit without a later one. With a new migration, add the commit before it."""
ENOUGH: Final = 15
KEYS: Final = tuple(f"ntn_{letter * 46}" for letter in "ab")


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the sources of the previous version. All workers of pytest-xdist share the folder."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "previous"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            extract_previous(folder)
    return folder / "src"


def extract_previous(folder: Path) -> None:
    """Extract the sources of the previous version from the history of this repository, and build its catalog."""
    commit = COMMITS.get(PREVIOUS)
    if commit is None:
        pytest.fail(f"COMMITS names no commit for migration {PREVIOUS}: add the last commit before {HEAD}.")
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit, "src"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        pytest.fail(
            f"The history of this clone has no commit {commit}. Run: git fetch --unshallow. "
            f"git says: {archive.stderr.decode(errors='replace').strip()}"
        )
    unfinished = folder.with_suffix(".unfinished")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(unfinished, filter="data")
    build = [sys.executable, "-m", "one_runtime.catalog.tools.build"]
    subprocess.run(build, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(unfinished / "src")})
    unfinished.rename(folder)


def previous_serving(database_url: str, previous: Path, keys: str) -> Serving:
    settings = {"PYTHONPATH": str(previous), "ONE_RUNTIME_ENCRYPTION_KEYS": keys}
    return Serving(database_url, settings=settings)


async def organization_of(served: Served) -> tuple[str, str]:
    """Create an organization and an API key with the commands of the server's version."""
    organization = await served.command("organizations", "create", "Northwind")
    return organization, await served.command("api-keys", "create", organization)


async def migrated_by_previous(database_url: str, previous: Path) -> None:
    migration = f"from one_runtime.db.migrations import migrate; migrate({database_url!r})"
    environment = {"PYTHONPATH": str(previous)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", migration, env=environment)
    assert await process.wait() == 0
    assert current_revision(database_url) == PREVIOUS


async def opened(database_url: str, keys: str, organization_id: str) -> list[str]:
    """Return every opened credential of the organization."""
    vault, database = Vault(parse_keys(keys)), create_database(database_url, pool_size=1)
    await database.open()
    try:
        async with database.read() as tx:
            page = await connections.list_page(tx, organization_id, ConnectionFilter(), limit=10_000)
            return [(await credentials.load(tx, vault, connection.key)).secrets["api_key"] for connection in page]
    finally:
        await database.close()


@pytest.mark.timeout(180)
@pytest.mark.soak_on("sqlite")
async def test_previous_version_reads_and_writes_during_the_migration(
    empty_database_url: str, previous: Path, tmp_path: Path
) -> None:
    url, keys = empty_database_url, new_key()
    await migrated_by_previous(url, previous)
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(serving(previous_serving(url, previous, keys), tmp_path))
        organization_id, api_key = await organization_of(old)
        http = await stack.enter_async_context(client(old, api_key))
        async with Load(http, "notion", KEYS) as load:
            await load.until(ENOUGH)
            assert await asyncio.to_thread(migrate, url) is True
            assert current_revision(url) == HEAD
            await load.until(len(load.connection_ids) + ENOUGH)
        assert load.refused == []
        if sqlite_path(url) is None:
            await both_versions_serve(url, keys, api_key, tmp_path)
            await load.connect("after_all", KEYS[0])
        assert load.refused == []
    now = Serving(url, settings={"ONE_RUNTIME_ENCRYPTION_KEYS": keys})
    async with serving(now, tmp_path) as new, client(new, api_key) as http:
        assert {connection["id"] for connection in await all_connections(http)} >= set(load.connection_ids)
    secrets = await opened(url, keys, organization_id)
    assert len(secrets) >= len(load.connection_ids)
    assert set(secrets) == set(KEYS)


@pytest.mark.soak_on("sqlite")
async def test_previous_version_starts_on_the_new_schema(
    empty_database_url: str, previous: Path, tmp_path: Path
) -> None:
    """Start the previous version after the migration, as a rollback or the end of a worker does.

    If a migration breaks compatibility, change this test to expect the sentence of the refusal.
    """
    url, keys = empty_database_url, new_key()
    await migrated_by_previous(url, previous)
    assert migrate(url) is True
    old = previous_serving(url, previous, keys)
    async with serving(old, tmp_path) as served:
        _, api_key = await organization_of(served)
        async with client(served, api_key) as http:
            async with Load(http, "notion", KEYS) as load:
                await load.until(ENOUGH)
            assert load.refused == []


async def both_versions_serve(url: str, keys: str, api_key: str, folder: Path) -> None:
    """Use both versions at the same time, as a rolling restart on PostgreSQL does."""
    settings = {"ONE_RUNTIME_ENCRYPTION_KEYS": keys}
    async with serving(Serving(url, settings=settings), folder) as new, client(new, api_key) as http:
        async with Load(http, "notion", KEYS) as load:
            await load.until(10)
        assert load.refused == []


def test_previous_version_lacks_only_the_newest_migration(previous: Path) -> None:
    text = (previous / "one_runtime" / "db" / "migrations" / "__init__.py").read_text(encoding="utf-8")
    assert f'HEAD: Final = "{PREVIOUS}"' in text
