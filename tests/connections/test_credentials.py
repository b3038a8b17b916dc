"""Leases of refreshes: one owner at a time, by the database's clock (P8)."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest
import pytest_asyncio

from one_runtime.clock import system_clock
from one_runtime.connections import credentials
from one_runtime.connections.credentials import ConnectionKey
from one_runtime.db.engine import Database, Transaction
from one_runtime.encryption.vault import KeyNotInRing, Vault
from tests import sealed_rows

pytestmark = pytest.mark.promise("P8")

LEASE: Final = timedelta(minutes=1)


@pytest.fixture
def vault() -> Vault:
    return sealed_rows.ring(sealed_rows.FIRST)


@pytest_asyncio.fixture
async def database(database_url: str, vault: Vault) -> AsyncIterator[Database]:
    async with sealed_rows.opened(database_url) as opened:
        await sealed_rows.register(opened, vault)
        yield opened


@pytest_asyncio.fixture
async def key(database: Database, vault: Vault) -> ConnectionKey:
    actor = await sealed_rows.organization(database)
    connection_id = await sealed_rows.connect(database, vault, actor, "user_123", "secret")
    return ConnectionKey(actor.organization_id, connection_id)


async def acquire(database: Database, vault: Vault, key: ConnectionKey, now: datetime) -> bool:
    """Acquire the lease by a process whose clock shows this time."""
    async with database.write() as tx:
        stored = await credentials.load(tx, vault, key)
        return await credentials.acquire_lease(tx, vault, lambda: now, key, stored, LEASE) is not None


async def acquire_with_wrong_clock(url: str, vault: Vault, key: ConnectionKey, jump: timedelta) -> bool:
    """Acquire the lease by a process on another machine, whose clock is wrong."""
    async with sealed_rows.opened(url, machine_clock=lambda: system_clock() + jump) as other_machine:
        return await acquire(other_machine, vault, key, system_clock() + jump)


async def test_a_lease_has_one_owner_until_it_ends(database: Database, vault: Vault, key: ConnectionKey) -> None:
    now = system_clock()
    assert await acquire(database, vault, key, now)
    assert not await acquire(database, vault, key, now + LEASE - timedelta(seconds=1))
    assert await acquire(database, vault, key, now + LEASE + timedelta(seconds=1))


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_process_whose_clock_jumped_cannot_take_the_lease_of_another(
    database: Database, database_url: str, vault: Vault, key: ConnectionKey, hours: int
) -> None:
    assert await acquire(database, vault, key, system_clock())
    assert not await acquire_with_wrong_clock(database_url, vault, key, timedelta(hours=hours))


@pytest.mark.parametrize("hours", [-1, 1])
async def test_the_lease_of_a_process_whose_clock_is_wrong_holds_and_ends_like_any_other(
    database: Database, database_url: str, vault: Vault, key: ConnectionKey, hours: int
) -> None:
    assert await acquire_with_wrong_clock(database_url, vault, key, timedelta(hours=hours))
    assert not await acquire(database, vault, key, system_clock())
    assert await acquire(database, vault, key, system_clock() + LEASE + timedelta(seconds=1))


async def store_others(tx: Transaction, vault: Vault, key: ConnectionKey) -> None:
    await credentials.store(tx, vault, key, {"api_key": "another secret"})


async def fail(tx: Transaction, vault: Vault, key: ConnectionKey) -> None:
    stored = await credentials.load(tx, vault, key)
    lease = await credentials.acquire_lease(tx, vault, system_clock, key, stored, LEASE)
    assert lease is not None
    assert await credentials.record_failure(tx, key, replace(stored, retry_at=system_clock()), lease)


async def reschedule(tx: Transaction, _: Vault, key: ConnectionKey) -> None:
    await credentials.refresh_now(tx, key, system_clock())


@pytest.mark.parametrize("change", [store_others, fail, reschedule])
async def test_credentials_that_changed_since_they_were_read_get_no_lease(
    database: Database, vault: Vault, key: ConnectionKey, change: Callable[..., Awaitable[None]]
) -> None:
    async with database.read() as tx:
        stored = await credentials.load(tx, vault, key)
    async with database.write() as tx:
        await change(tx, vault, key)
    async with database.write() as tx:
        assert not await credentials.acquire_lease(tx, vault, system_clock, key, stored, LEASE)
    assert await acquire(database, vault, key, system_clock())


async def test_a_process_without_the_active_key_gets_no_lease(
    database: Database, vault: Vault, key: ConnectionKey
) -> None:
    both = sealed_rows.ring(sealed_rows.FIRST, sealed_rows.SECOND)
    await sealed_rows.activate(database, both, sealed_rows.SECOND, force=True)
    with pytest.raises(KeyNotInRing):
        await acquire(database, vault, key, system_clock())
    assert await acquire(database, both, key, system_clock())
    assert not await acquire(database, vault, key, system_clock())  # another process refreshes the tokens
