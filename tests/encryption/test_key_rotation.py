"""Resealing of rows under older keys: every row once, without overwriting concurrent changes (P3)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import pairwise

import psycopg
import pytest

from one_runtime.clock import system_clock
from one_runtime.db.engine import Database
from one_runtime.db.schema import credentials
from one_runtime.encryption import key_ring, key_rotation
from one_runtime.encryption.key_rotation import Progress, SealedRow
from one_runtime.encryption.vault import KeyNotInRing, SealContext, Sealed, Vault
from one_runtime.errors import ConfigurationError
from tests import sealed_rows
from tests.sealed_rows import FIRST, ID, SECOND, THIRD, ring
from tests.waiting import async_attempts

pytestmark = [pytest.mark.promise("P3"), pytest.mark.slow]

LOWEST = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with sealed_rows.opened(database_url) as database:
        await sealed_rows.register(database, ring(FIRST, SECOND, THIRD))
        yield database


@pytest.fixture
def vault() -> Vault:
    return ring(FIRST, SECOND, THIRD)


async def reseal(database: Database, vault: Vault, batch: int = 7) -> Progress:
    progress = Progress()
    async for step in key_rotation.reseal(database, vault, batch):
        progress = step
    return progress


@pytest.mark.parametrize("batch", [1, 7, 100])
async def test_every_value_is_resealed_in_steps_and_unchanged(database: Database, vault: Vault, batch: int) -> None:
    values = await sealed_rows.seed(database, vault, 25)
    await sealed_rows.activate(database, vault, SECOND)
    steps = [(step.resealed, step.left, step.total) async for step in key_rotation.reseal(database, vault, batch)]
    assert steps[0] == (0, 28, 28)
    assert steps[-1] == (28, 0, 28)
    assert max(after[0] - before[0] for before, after in pairwise(steps)) <= batch
    assert await sealed_rows.used_keys(database) == {ID[SECOND]}
    assert await sealed_rows.contents(database, ring(SECOND)) == values
    await sealed_rows.disable(database, FIRST)
    await sealed_rows.register(database, ring(SECOND, THIRD))


async def test_rows_of_oauth_and_of_members_are_resealed_too(database: Database, vault: Vault) -> None:
    actor = await sealed_rows.organization(database)
    await sealed_rows.connect(database, vault, actor, "user_123", "acme_secret_of_a_user")
    session = await sealed_rows.leave_unredeemed(database, vault, actor, "user_123", "acme_secret_of_a_user")
    values = await sealed_rows.leave_oauth(database, vault, actor, session, "secret_of_a_client")
    values |= await sealed_rows.leave_totp(database, vault, "secret_of_an_app")
    await sealed_rows.activate(database, vault, SECOND)
    assert (await reseal(database, vault)).resealed == 2 + len(values)
    assert await sealed_rows.used_keys(database) == {ID[SECOND]}
    contents = await sealed_rows.contents(database, ring(SECOND))
    assert {place: contents[place] for place in values} == values


async def test_rows_of_several_old_keys_are_resealed(database: Database, vault: Vault) -> None:
    values = sealed_rows.Contents()
    for key in (FIRST, SECOND, THIRD, SECOND):
        await sealed_rows.activate(database, vault, key)
        values |= await sealed_rows.seed(database, vault, 11)
    assert (await reseal(database, vault)).resealed == 2 * 13
    assert await sealed_rows.contents(database, ring(SECOND)) == values


async def test_second_run_reseals_nothing(database: Database, vault: Vault) -> None:
    assert (await reseal(database, vault)).total == 0
    await sealed_rows.seed(database, vault, 3)
    await sealed_rows.activate(database, vault, SECOND)
    assert (await reseal(database, vault)).resealed == 4
    again = await reseal(database, vault)
    assert (again.resealed, again.left, again.broken) == (0, 0, {})


async def test_stopped_run_is_continued_by_the_next(database: Database, vault: Vault) -> None:
    values = await sealed_rows.seed(database, vault, 20)
    await sealed_rows.activate(database, vault, SECOND)
    stopped = key_rotation.reseal(database, vault, 4)
    async for step in stopped:
        if step.resealed >= 8:
            break
    await stopped.aclose()
    assert (await reseal(database, vault)).resealed == 22 - 8
    assert await sealed_rows.contents(database, ring(SECOND)) == values


def place_of(row: SealedRow) -> SealContext:
    """Return the place that the value of a stored credential is bound to."""
    return SealContext(credentials.name, row.id, row.version)


async def test_credential_of_a_concurrent_reconnect_is_not_overwritten(database: Database, vault: Vault) -> None:
    actor = await sealed_rows.organization(database)
    connection = await sealed_rows.connect(database, vault, actor, "user_123", "acme_old_secret")
    async with database.read() as tx:
        (row,) = await key_rotation.find(tx, credentials, ID[FIRST], LOWEST, 10)
    again = vault.seal(ID[SECOND], row.organization_id, b'{"api_key": "acme_old_secret"}', place_of(row))
    await sealed_rows.connect(database, vault, actor, "user_123", "acme_new_secret")
    async with database.write() as tx:
        assert not await key_rotation.replace(tx, credentials, row, again)
    expected = {("credentials", connection): {"api_key": "acme_new_secret"}}
    assert await sealed_rows.contents(database, vault) == expected


async def test_row_resealed_by_another_run_is_not_overwritten(database: Database, vault: Vault) -> None:
    values = await sealed_rows.seed(database, vault, 1)
    async with database.read() as tx:
        (row,) = await key_rotation.find(tx, credentials, ID[FIRST], LOWEST, 10)
    await sealed_rows.activate(database, vault, SECOND)
    await reseal(database, vault)
    again = vault.seal(ID[THIRD], row.organization_id, b'{"api_key": "acme_seeded_0"}', place_of(row))
    async with database.write() as tx:
        assert not await key_rotation.replace(tx, credentials, row, again)
    assert await sealed_rows.contents(database, ring(SECOND)) == values


async def test_row_deleted_concurrently_is_not_restored(database: Database, vault: Vault) -> None:
    await sealed_rows.seed(database, vault, 1)
    async with database.read() as tx:
        (row,) = await key_rotation.find(tx, credentials, ID[FIRST], LOWEST, 10)
    async with database.write() as tx:
        await tx.execute(credentials.delete())
        assert not await key_rotation.replace(tx, credentials, row, Sealed(row.key_id, row.sealed))


async def test_unreadable_rows_are_reported_and_the_rest_is_resealed(database: Database, vault: Vault) -> None:
    values = await sealed_rows.seed(database, vault, 20)
    broken = sorted(row for table, row in values if table == "credentials")[3:5]
    for row in broken:
        async with database.write() as tx:
            await sealed_rows.spoil(tx, row)
    await sealed_rows.activate(database, vault, SECOND)
    for resealed in (20, 0):
        progress = await reseal(database, vault)
        assert sorted(progress.broken) == [("credentials", row) for row in broken]
        assert (progress.resealed, progress.left) == (resealed, 2)
        assert all("changed or moved" in broken_row.reason for broken_row in progress.broken.values())
    assert await sealed_rows.used_keys(database) == {ID[FIRST], ID[SECOND]}


async def test_ring_that_lacks_a_key_reseals_nothing(database: Database, vault: Vault) -> None:
    await sealed_rows.seed(database, vault, 1)
    with pytest.raises(ConfigurationError, match=ID[FIRST]):
        await reseal(database, ring(SECOND))
    await sealed_rows.activate(database, vault, SECOND)
    with pytest.raises(ConfigurationError, match=ID[SECOND]):
        await reseal(database, ring(FIRST))
    assert await sealed_rows.used_keys(database) == {ID[FIRST]}


async def test_activation_has_the_time_of_the_database_and_not_of_a_wrong_clock(
    database: Database, database_url: str, vault: Vault
) -> None:
    def wrong_clock() -> datetime:
        return system_clock() + timedelta(hours=5)

    before = system_clock()
    async with (
        sealed_rows.opened(database_url, machine_clock=wrong_clock) as other_machine,
        other_machine.write() as tx,
    ):
        await key_rotation.activate(tx, vault, ID[SECOND], wrong_clock, force=False)
    async with database.read() as tx:
        activated = {row.key_id: row.promoted_at for row in await key_ring.list_rows(tx)}[ID[SECOND]]
    assert activated is not None
    assert timedelta(seconds=-1) < activated - before < timedelta(minutes=5)
    await sealed_rows.activate(database, vault, THIRD)
    assert await sealed_rows.active(database) == ID[THIRD]


async def test_key_activated_during_a_run_reseals_every_row(database: Database, vault: Vault) -> None:
    values = await sealed_rows.seed(database, vault, 20)
    await sealed_rows.activate(database, vault, SECOND)
    activations = iter([THIRD, FIRST, SECOND, FIRST])
    async for step in key_rotation.reseal(database, vault, 3):
        key = next(activations, None) if step.resealed >= 6 else None
        if key:
            await sealed_rows.activate(database, vault, key)
    assert await sealed_rows.used_keys(database) == {ID[FIRST]}
    assert await sealed_rows.contents(database, ring(FIRST)) == values


async def test_rows_of_a_reactivated_key_are_not_resealed(database: Database, vault: Vault) -> None:
    await sealed_rows.seed(database, vault, 5)
    await sealed_rows.activate(database, vault, SECOND)
    run = key_rotation.reseal(database, vault, 3)
    assert (await anext(run)).total == 6
    await sealed_rows.activate(database, vault, FIRST)
    assert [step.resealed async for step in run][-1] == 0


async def test_activation_of_a_key_outside_the_ring_ends_the_run(database: Database, vault: Vault) -> None:
    values = await sealed_rows.seed(database, vault, 10)
    await sealed_rows.activate(database, vault, SECOND)
    run = key_rotation.reseal(database, ring(FIRST, SECOND), 3)
    await anext(run)
    await sealed_rows.activate(database, vault, THIRD)
    with pytest.raises(KeyNotInRing):
        await anext(run)
    assert await sealed_rows.contents(database, vault) == values


async def test_concurrent_runs_share_the_rows(database: Database, database_url: str, vault: Vault) -> None:
    values = await sealed_rows.seed(database, vault, 60)
    await sealed_rows.activate(database, vault, SECOND)
    async with sealed_rows.opened(database_url) as other:
        both = await asyncio.gather(reseal(database, vault, 2), reseal(other, vault, 3))
    assert sum(run.resealed for run in both) == len(values)
    assert min(run.resealed for run in both) > 0
    assert [(run.left, run.broken) for run in both] == [(0, {})] * 2
    assert await sealed_rows.contents(database, ring(SECOND)) == values


@pytest.mark.only_database("postgresql")
async def test_step_with_a_lost_connection_is_repeated(database: Database, database_url: str, vault: Vault) -> None:
    values = await sealed_rows.seed(database, vault, 10)
    await sealed_rows.activate(database, vault, SECOND)
    run = key_rotation.reseal(database, vault, 4)
    await anext(run)
    blocked = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    async with await psycopg.AsyncConnection.connect(database_url) as holding:
        await holding.execute("SELECT 1 FROM key_ring FOR UPDATE")
        step = asyncio.create_task(anext(run))
        async for _ in async_attempts():
            if await (await holding.execute(blocked)).fetchone():
                break
    assert (await step).resealed == 4
    async for _ in run:
        pass
    assert await sealed_rows.contents(database, ring(SECOND)) == values


@pytest.mark.slow
@pytest.mark.only_database("postgresql")
async def test_locked_rows_are_skipped(database: Database, database_url: str, vault: Vault) -> None:
    """A transaction that holds locks and waits for another lock can deadlock."""
    values = await sealed_rows.seed(database, vault, 10)
    held = min(row for table, row in values if table == "credentials")
    await sealed_rows.activate(database, vault, SECOND)
    async with await psycopg.AsyncConnection.connect(database_url) as holding:
        await holding.execute("SELECT 1 FROM credentials WHERE connection_id = %s FOR UPDATE", [held])
        progress = await reseal(database, vault)
        assert (progress.resealed, progress.left, progress.broken) == (10, 1, {})
    assert (await reseal(database, vault)).resealed == 1
    assert await sealed_rows.contents(database, ring(SECOND)) == values
