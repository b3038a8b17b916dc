"""The key ring: the active key, keys that a ring may lack, and disabled keys (P3)."""

import ast
import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import LargeBinary, update

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import system_clock
from one_runtime.connecting import redirect_mode
from one_runtime.connections import connections
from one_runtime.db.engine import Database
from one_runtime.db.schema import credentials, metadata
from one_runtime.db.schema import key_ring as keys
from one_runtime.encryption import key_ring, key_rotation
from one_runtime.encryption.vault import KeyNotInRing, SealContext, Vault
from one_runtime.errors import ConfigurationError, Conflict, NotFound, Unavailable
from one_runtime.jobs import instances
from tests import sealed_rows
from tests.sealed_rows import FIRST, ID, SECOND, THIRD, ring
from tests.source_files import nodes
from tests.waiting import async_attempts

pytestmark = pytest.mark.promise("P3")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with sealed_rows.opened(database_url) as database:
        yield database


@pytest.fixture
async def both(database: Database) -> Vault:
    """A ring of two keys, registered; the first is active."""
    vault = ring(FIRST, SECOND)
    await sealed_rows.register(database, vault)
    return vault


async def serve(database: Database, vault: Vault, ago: timedelta = timedelta()) -> instances.ServerInstance:
    """Store the heartbeat of a server with this ring, `ago` before now."""
    server = instances.this_process(vault.key_ids, system_clock())
    async with database.write() as tx:
        await instances.heartbeat(tx, server, lambda: system_clock() - ago)
    return server


async def states(database: Database, vault: Vault) -> dict[str, str]:
    async with database.read() as tx:
        return {key.id: key.state for key in (await key_ring.find_all(tx, vault, system_clock)).keys}


async def test_first_key_of_the_first_ring_stays_active(database: Database) -> None:
    with pytest.raises(Unavailable, match="keys activate"):
        await sealed_rows.active(database)
    for vault in (ring(FIRST, SECOND), ring(SECOND, FIRST), ring(THIRD, SECOND, FIRST)):
        await sealed_rows.register(database, vault)
        assert await sealed_rows.active(database) == ID[FIRST]
    assert set(await sealed_rows.stored_keys(database)) == set(ID.values())


async def test_concurrent_first_starts_agree_on_the_active_key(database_url: str) -> None:
    async def start(vault: Vault) -> None:
        async with sealed_rows.opened(database_url) as database:
            await sealed_rows.register(database, vault)

    rings = [ring(FIRST, SECOND), ring(SECOND, FIRST)] * 3
    await asyncio.gather(*(start(vault) for vault in rings))
    async with sealed_rows.opened(database_url) as database:
        assert sorted((await states(database, rings[0])).values()) == ["active", "ready"]


async def test_concurrent_first_start_with_another_ring_is_refused(database_url: str) -> None:
    """Otherwise each of two servers would seal values that the other cannot open."""

    async def start(vault: Vault) -> bool:
        async with sealed_rows.opened(database_url) as database:
            try:
                await sealed_rows.register(database, vault)
            except ConfigurationError:
                return False
            return True

    assert sorted(await asyncio.gather(start(ring(FIRST)), start(ring(SECOND)))) == [False, True]


async def test_active_key_seals_the_next_value_in_any_order_of_the_ring(database: Database, both: Vault) -> None:
    actor = await sealed_rows.organization(database)
    for key in (SECOND, FIRST, SECOND):
        await sealed_rows.activate(database, both, key)
        for vault in (both, ring(SECOND, FIRST)):
            await sealed_rows.connect(database, vault, actor, "user_123", "acme_secret")
            session = await sealed_rows.leave_unredeemed(database, vault, actor, "user_123", "acme_secret")
            assert await sealed_rows.used_keys(database) == {ID[key]}
            async with database.write() as tx:
                await redirect_mode.discard_unredeemed(tx, session)


async def test_server_without_the_active_key_stores_nothing_and_names_the_setting(
    database: Database, both: Vault
) -> None:
    actor = await sealed_rows.organization(database)
    await sealed_rows.activate(database, both, SECOND)
    with pytest.raises(KeyNotInRing, match="ONE_RUNTIME_ENCRYPTION_KEYS") as refusal:
        await sealed_rows.connect(database, ring(FIRST), actor, "user_123", "acme_secret")
    assert (refusal.value.status, refusal.value.code) == (503, "key_not_in_ring")
    assert await sealed_rows.contents(database, both) == {}
    async with database.read() as tx:
        assert await connections.list_at_integration(tx, actor.organization_id, "user_123", "acme") == []


async def test_issued_tokens_are_sealed_with_the_newest_key_that_all_servers_have(database: Database) -> None:
    actor = await sealed_rows.organization(database)
    issued = ring(THIRD, FIRST).for_issued_tokens()
    all_keys = ring(FIRST, SECOND, THIRD)
    await sealed_rows.register(database, all_keys)
    for key in (THIRD, SECOND):
        await sealed_rows.activate(database, all_keys, key)
    lacking = await serve(database, ring(FIRST, SECOND))
    await serve(database, all_keys)
    for number, expected in enumerate((FIRST, THIRD)):  # after the first round, all running servers have the third key
        await sealed_rows.connect(database, issued, actor, f"user_{number}", "acme_secret")
        assert await sealed_rows.used_keys(database) == {ID[FIRST], ID[expected]}
        async with database.write() as tx:
            await instances.remove(tx, lacking)
    await sealed_rows.connect(database, ring(SECOND, FIRST).for_issued_tokens(), actor, "user_3", "acme_secret")
    assert await sealed_rows.used_keys(database) == set(ID.values())


async def test_issued_tokens_are_sealed_even_if_the_servers_have_no_common_key(database: Database) -> None:
    actor = await sealed_rows.organization(database)
    await sealed_rows.register(database, ring(FIRST, SECOND))
    await sealed_rows.activate(database, ring(FIRST, SECOND), SECOND)
    await serve(database, ring(SECOND))
    await sealed_rows.connect(database, ring(FIRST).for_issued_tokens(), actor, "user_123", "acme_secret")
    assert await sealed_rows.used_keys(database) == {ID[FIRST]}


async def test_issued_tokens_are_never_sealed_with_a_disabled_key(database: Database, both: Vault) -> None:
    actor = await sealed_rows.organization(database)
    await sealed_rows.activate(database, both, SECOND)
    await sealed_rows.disable(database, FIRST)
    with pytest.raises(KeyNotInRing):
        await sealed_rows.connect(database, ring(FIRST).for_issued_tokens(), actor, "user_123", "acme_secret")


async def test_activation_is_refused_while_a_running_server_lacks_the_key(database: Database, both: Vault) -> None:
    lacking = [await serve(database, ring(FIRST)) for _ in range(2)]
    await serve(database, both)
    with pytest.raises(Conflict, match="2 running servers do not have the key"):
        await sealed_rows.activate(database, both, SECOND)
    assert await sealed_rows.active(database) == ID[FIRST]
    async with database.write() as tx:
        await instances.remove(tx, lacking[0])
    with pytest.raises(Conflict, match="1 running server does not have the key"):
        await sealed_rows.activate(database, both, SECOND)
    await sealed_rows.activate(database, both, SECOND, force=True)
    assert await sealed_rows.active(database) == ID[SECOND]


async def test_server_without_a_heartbeat_for_a_minute_is_ignored(database: Database, both: Vault) -> None:
    await serve(database, ring(FIRST), ago=instances.LIVE + timedelta(seconds=1))
    await sealed_rows.activate(database, both, SECOND)
    assert await sealed_rows.active(database) == ID[SECOND]


@pytest.mark.parametrize("seconds", [-90, 90])
async def test_activation_with_a_wrong_clock_still_sees_the_running_servers(
    database: Database, database_url: str, both: Vault, seconds: int
) -> None:
    """The clock of the operator's machine, or of the server, is wrong by more than a heartbeat may be old."""

    def wrong_clock() -> datetime:
        return system_clock() + timedelta(seconds=seconds)

    await serve(database, ring(FIRST))
    async with (
        sealed_rows.opened(database_url, machine_clock=wrong_clock) as other_machine,
        other_machine.write() as tx,
    ):
        assert (await key_ring.find_all(tx, both, wrong_clock)).servers == 1
        with pytest.raises(Conflict, match="1 running server does not have the key"):
            await key_rotation.activate(tx, both, ID[SECOND], wrong_clock, force=False)


async def test_key_outside_the_ring_cannot_be_activated(database: Database, both: Vault) -> None:
    with pytest.raises(NotFound, match="not in ONE_RUNTIME_ENCRYPTION_KEYS"):
        await sealed_rows.activate(database, both, THIRD)
    with pytest.raises(NotFound, match="not in ONE_RUNTIME_ENCRYPTION_KEYS"):
        await sealed_rows.activate(database, ring(FIRST), SECOND, force=True)


async def test_foreign_ring_activates_nothing_and_force_replaces_a_lost_key(database: Database, both: Vault) -> None:
    with pytest.raises(ConfigurationError, match=f"lacks keys .* {ID[FIRST]}"):
        await sealed_rows.activate(database, ring(THIRD), THIRD)
    assert set(await sealed_rows.stored_keys(database)) == {ID[FIRST], ID[SECOND]}
    await sealed_rows.activate(database, ring(SECOND), SECOND, force=True)
    await sealed_rows.disable(database, FIRST)
    await sealed_rows.register(database, ring(SECOND))


async def test_key_may_be_named_by_a_prefix_of_its_id(database: Database, both: Vault) -> None:
    async with database.write() as tx:
        assert await key_rotation.activate(tx, both, ID[SECOND][:6].upper(), system_clock, force=False) == ID[SECOND]
        for name in ("", ID[SECOND][:5], "unheard-of"):
            with pytest.raises(NotFound):
                await key_rotation.activate(tx, both, name, system_clock, force=False)


async def test_activation_counts_with_a_clock_that_is_behind(database: Database, both: Vault) -> None:
    async with database.write() as tx:
        await key_rotation.activate(tx, both, ID[SECOND], lambda: system_clock() - timedelta(days=1), force=False)
    assert await sealed_rows.active(database) == ID[SECOND]


async def test_key_is_disabled_only_when_no_row_is_sealed_under_it(database: Database, both: Vault) -> None:
    actor = await sealed_rows.organization(database)
    await sealed_rows.connect(database, both, actor, "user_123", "acme_secret")
    session = await sealed_rows.leave_unredeemed(database, both, actor, "user_123", "acme_secret")
    with pytest.raises(Conflict, match="is the active key"):
        await sealed_rows.disable(database, FIRST)
    await sealed_rows.activate(database, both, SECOND)
    with pytest.raises(Conflict, match="2 rows are encrypted with the key"):
        await sealed_rows.disable(database, FIRST)
    await sealed_rows.connect(database, both, actor, "user_123", "acme_secret")
    with pytest.raises(Conflict, match="1 row is encrypted with the key"):
        await sealed_rows.disable(database, FIRST)
    async with database.write() as tx:
        await redirect_mode.discard_unredeemed(tx, session)
    await sealed_rows.disable(database, FIRST)
    await sealed_rows.disable(database, FIRST)
    assert await states(database, both) == {ID[FIRST]: "disabled", ID[SECOND]: "active"}


async def test_disabled_key_may_be_missing_and_never_seals(database: Database, both: Vault) -> None:
    await sealed_rows.activate(database, both, SECOND)
    await sealed_rows.disable(database, FIRST)
    for vault in (ring(SECOND), ring(FIRST, SECOND)):
        await sealed_rows.register(database, vault)
        assert await sealed_rows.active(database) == ID[SECOND]
    await sealed_rows.activate(database, both, FIRST)
    assert await sealed_rows.active(database) == ID[FIRST], "activation enables a disabled key"
    with pytest.raises(ConfigurationError, match=ID[FIRST]):
        await sealed_rows.register(database, ring(SECOND))


async def test_activated_key_of_another_server_is_required(database: Database) -> None:
    await sealed_rows.register(database, ring(FIRST))
    await sealed_rows.register(database, ring(FIRST, SECOND))
    await sealed_rows.register(database, ring(FIRST))
    await sealed_rows.activate(database, ring(FIRST, SECOND), SECOND)
    with pytest.raises(ConfigurationError, match=ID[SECOND]):
        await sealed_rows.register(database, ring(FIRST))


async def test_key_that_sealed_without_a_recorded_activation_is_required(database: Database, both: Vault) -> None:
    actor = await sealed_rows.organization(database)
    await sealed_rows.activate(database, both, SECOND)
    await sealed_rows.connect(database, both, actor, "user_123", "acme_secret")
    await sealed_rows.activate(database, both, FIRST)
    async with database.write() as tx:
        await tx.execute(update(keys).where(keys.c.key_id == ID[SECOND]).values(promoted_at=None))
    with pytest.raises(ConfigurationError, match=ID[SECOND]):
        await sealed_rows.register(database, ring(FIRST))


def test_every_table_with_sealed_values_is_counted_and_resealed() -> None:
    sealed = {
        table.name
        for table in metadata.tables.values()
        if any("sealed" in column.name and isinstance(column.type, LargeBinary) for column in table.columns)
        or any(reference.column.table is keys for reference in table.foreign_keys)
    }
    assert {table.name for table in key_ring.SEALED_TABLES} == sealed
    for table in key_ring.SEALED_TABLES:
        assert {"organization_id", "sealed", "key_id", "version"} <= set(table.columns.keys())
        assert [column.name for column in table.columns if "sealed" in column.name] == ["sealed"]
        assert len(table.primary_key) == 1
        assert [index.name for index in table.indexes if index.columns[0] is table.c.key_id], (
            "key_ring counts rows by an index"
        )


def test_every_binary_column_is_sealed_a_hash_or_public() -> None:
    binary = {
        column.name
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary) and not column.name.endswith("_hash")
    }
    assert binary == {"sealed", "credential_id", "public_key"}  # of passkeys, whose private keys stay on devices


async def test_value_of_a_table_outside_sealed_tables_is_not_sealed(database: Database, both: Vault) -> None:
    async with database.write() as tx:
        with pytest.raises(ValueError, match="events is not in SEALED_TABLES"):
            await key_ring.seal(tx, both, "organization", b"secret", SealContext("events", "row", 1))


def test_only_key_ring_and_rotation_call_the_vault_to_seal() -> None:
    source = Path(key_ring.__file__).parents[1]
    sealing = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if ".seal" in path.read_text(encoding="utf-8")  # otherwise, do not parse the file
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr == "seal" and ast.unparse(node.value) != "key_ring"
    }
    assert sealing == {"encryption/key_ring.py", "encryption/key_rotation.py"}


@pytest.mark.only_database("postgresql")
async def test_key_is_not_disabled_while_a_transaction_seals_with_it(
    database: Database, database_url: str, both: Vault
) -> None:
    actor = await sealed_rows.organization(database)
    new, catalogs = sealed_rows.connection("user_123", "acme_secret"), OrganizationCatalogs(load_catalog())
    async with database.write() as storing:
        assert await key_ring.active_key(storing) == ID[FIRST]
        await sealed_rows.activate(database, both, SECOND)
        disabling = asyncio.create_task(sealed_rows.disable(database, FIRST))
        await wait_for_lock(database_url, disabling)
        await connections.create_or_replace(storing, both, catalogs, actor, new, system_clock())
        # A transaction that read the active key before its change stores this.
        await storing.execute(update(credentials).values(key_id=ID[FIRST]))
    with pytest.raises(Conflict, match="1 row is encrypted with the key"):
        await disabling


async def wait_for_lock(database_url: str, task: "asyncio.Task[Any]") -> None:
    """Return when a connection waits for a lock, or when the task ends."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as monitor:
        async for _ in async_attempts():
            row = await (await monitor.execute(statement)).fetchone()
            if task.done() or (row and row[0]):
                return


@pytest.mark.only_database("postgresql")
async def test_transaction_that_waits_for_a_disabled_key_seals_with_the_active_one(
    database: Database, database_url: str, both: Vault
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as disabling:
        await disabling.execute("SELECT 1 FROM key_ring WHERE key_id = %s FOR UPDATE", [ID[FIRST]])
        read = asyncio.create_task(read_in_a_transaction(database))
        await wait_for_lock(database_url, read)
        await sealed_rows.activate(database, both, SECOND)
        await disabling.execute("UPDATE key_ring SET retired_at = now() WHERE key_id = %s", [ID[FIRST]])
        assert not read.done()
    assert await read == ID[SECOND]


async def read_in_a_transaction(database: Database) -> str:
    async with database.write() as tx:
        return await key_ring.active_key(tx)


@pytest.mark.only_database("postgresql")
async def test_activation_waits_for_a_starting_server_and_sees_its_ring(
    database: Database, database_url: str, both: Vault
) -> None:
    lacking, now = ring(FIRST), system_clock()
    async with database.write() as starting:
        await key_ring.register(starting, lacking, now)
        await instances.heartbeat(starting, instances.this_process(lacking.key_ids, now), system_clock)
        activating = asyncio.create_task(sealed_rows.activate(database, both, SECOND))
        await wait_for_lock(database_url, activating)
    with pytest.raises(Conflict, match="1 running server does not have the key"):
        await activating


@pytest.mark.only_database("postgresql")
async def test_key_that_another_operator_activates_is_not_disabled(
    database: Database, database_url: str, both: Vault
) -> None:
    await sealed_rows.activate(database, both, SECOND)
    async with database.write() as activating:
        await key_rotation.activate(activating, both, ID[FIRST], system_clock, force=False)
        disabling = asyncio.create_task(sealed_rows.disable(database, FIRST))
        await wait_for_lock(database_url, disabling)
    with pytest.raises(Conflict, match="is the active key"):
        await disabling
    assert await sealed_rows.active(database) == ID[FIRST]
