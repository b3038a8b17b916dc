"""An upgrade while the old version serves: that version reads and writes before, during and after it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import ConnectionFilter
from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.migrations import current_revision
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from tests.operating.backups import client
from tests.operating.load import Load, all_connections
from tests.promises.serving import Served, Serving, serving
from tests.versions import PREVIOUS, THIS, Version

pytestmark = pytest.mark.slow

ENOUGH: Final = 15
KEYS: Final = tuple(f"ntn_{letter * 46}" for letter in "ab")


class Upgrade(NamedTuple):
    """An older and a newer version."""

    old: Version
    new: Version


@pytest.fixture(params=["to this version", "to a later version"])
def upgrade(request: pytest.FixtureRequest) -> Upgrade:
    """Provide an upgrade to this version, and one from this version to the made-up later version."""
    if request.param == "to this version":
        return Upgrade(request.getfixturevalue("previous"), THIS)
    return Upgrade(THIS, request.getfixturevalue("later"))


def serving_version(version: Version, database_url: str, keys: str) -> Serving:
    settings = {"PYTHONPATH": str(version.sources), "ONE_RUNTIME_ENCRYPTION_KEYS": keys}
    return Serving(database_url, settings=settings)


async def organization_of(served: Served) -> tuple[str, str]:
    """Create an organization and an API key with the commands of the server's version."""
    organization = await served.command("organizations", "create", "Northwind")
    return organization, await served.command("api-keys", "create", organization)


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
async def test_old_version_reads_and_writes_during_the_migration(
    empty_database_url: str, upgrade: Upgrade, tmp_path: Path
) -> None:
    url, keys = empty_database_url, new_key()
    assert await asyncio.to_thread(upgrade.old.migrate, url)
    assert current_revision(url) == upgrade.old.revision
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(serving(serving_version(upgrade.old, url, keys), tmp_path))
        organization_id, api_key = await organization_of(old)
        http = await stack.enter_async_context(client(old, api_key))
        async with Load(http, "notion", KEYS) as load:
            await load.until(ENOUGH)
            assert await asyncio.to_thread(upgrade.new.migrate, url)
            assert current_revision(url) == upgrade.new.revision
            await load.until(len(load.connection_ids) + ENOUGH)
        assert load.refused == []
        if sqlite_path(url) is None:
            await both_versions_serve(serving_version(upgrade.new, url, keys), api_key, tmp_path)
            await load.connect("after_all", KEYS[0])
        assert load.refused == []
    async with (
        serving(serving_version(upgrade.new, url, keys), tmp_path) as new,
        client(new, api_key) as http,
    ):
        assert {connection["id"] for connection in await all_connections(http)} >= set(load.connection_ids)
    secrets = await opened(url, keys, organization_id)
    assert len(secrets) >= len(load.connection_ids)
    assert set(secrets) == set(KEYS)


@pytest.mark.soak_on("sqlite")
async def test_old_version_starts_on_the_new_schema(empty_database_url: str, upgrade: Upgrade, tmp_path: Path) -> None:
    """Start the old version after the migration, as a rollback or the end of a worker does.

    If a migration breaks compatibility, change this test to expect the sentence of the refusal.
    """
    url = empty_database_url
    for version in upgrade:
        assert await asyncio.to_thread(version.migrate, url)
    async with serving(serving_version(upgrade.old, url, new_key()), tmp_path) as served:
        _, api_key = await organization_of(served)
        async with client(served, api_key) as http:
            async with Load(http, "notion", KEYS) as load:
                await load.until(ENOUGH)
            assert load.refused == []


async def both_versions_serve(new: Serving, api_key: str, folder: Path) -> None:
    """Use both versions at the same time, as a rolling restart on PostgreSQL does."""
    async with serving(new, folder) as served, client(served, api_key) as http:
        async with Load(http, "notion", KEYS) as load:
            await load.until(10)
        assert load.refused == []


def test_previous_version_lacks_only_the_newest_migration(previous: Version) -> None:
    text = (previous.migrations / "__init__.py").read_text(encoding="utf-8")
    assert f'HEAD: Final = "{PREVIOUS}"' in text
