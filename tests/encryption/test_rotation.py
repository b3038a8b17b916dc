"""Sealing again what older keys have sealed: all of it, once, and never over what another wrote meanwhile (P3)."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import psycopg
import pytest

from one_runtime.db.engine import Database
from one_runtime.db.schema import credentials
from one_runtime.encryption import rotation
from one_runtime.encryption.rotation import Progress
from one_runtime.encryption.vault import KeyNotInRing, Vault
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
    async for step in rotation.reseal(database, vault, batch):
        progress = step
    return progress


@pytest.mark.parametrize("batch", [1, 7, 100])
async def test_everything_is_sealed_again_in_steps_and_says_the_same(
    database: Database, vault: Vault, batch: int
) -> None:
    made = await sealed_rows.seed(database, vault, 25)
    await sealed_rows.activate(database, vault, SECOND)
    steps = [
        (step.resealed, step.left, step.total) async for step in rotation.reseal(database, vault, batch)
    ]  # fmt: skip
    assert steps[0] == (0, 28, 28)
    assert steps[-1] == (28, 0, 28)
    assert max(after[0] - before[0] for before, after in pairwise(steps)) <= batch
    assert await sealed_rows.used_keys(database) == {ID[SECOND]}
    assert await sealed_rows.contents(database, ring(SECOND)) == made
    await sealed_rows.disable(database, FIRST)
    await sealed_rows.register(database, ring(SECOND, THIRD))


async def test_what_oauth_keeps_is_sealed_again_too(database: Database, vault: Vault) -> None:
    actor = await sealed_rows.organization(database)
    await sealed_rows.connect(database, vault, actor, "user_123", "acme_secret_of_a_user")
    session = await sealed_rows.leave_unredeemed(database, vault, actor, "user_123", "acme_secret_of_a_user")
    made = await sealed_rows.leave_oauth(database, vault, actor, session, "secret_of_a_client")
    await sealed_rows.activate(database, vault, SECOND)
    assert (await reseal(database, vault)).resealed == 2 + len(made)
    assert await sealed_rows.used_keys(database) == {ID[SECOND]}
    found = await sealed_rows.contents(database, ring(SECOND))
    assert {place: found[place] for place in made} == made


async def test_rows_of_several_old_keys_are_all_sealed_again(database: Database, vault: Vault) -> None:
    made = sealed_rows.Contents()
    for key in (FIRST, SECOND, THIRD, SECOND):
        await sealed_rows.activate(database, vault, key)
        made |= await sealed_rows.seed(database, vault, 11)
    assert (await reseal(database, vault)).resealed == 2 * 13
    assert await sealed_rows.contents(database, ring(SECOND)) == made


async def test_there_is_nothing_to_do_a_second_time(database: Database, vault: Vault) -> None:
    assert (await reseal(database, vault)).total == 0
    await sealed_rows.seed(database, vault, 3)
    await sealed_rows.activate(database, vault, SECOND)
    assert (await reseal(database, vault)).resealed == 4
    again = await reseal(database, vault)
    assert (again.resealed, again.left, again.broken) == (0, 0, {})


async def test_a_run_that_was_stopped_is_gone_on_with(database: Database, vault: Vault) -> None:
    made = await sealed_rows.seed(database, vault, 20)
    await sealed_rows.activate(database, vault, SECOND)
    stopped = rotation.reseal(database, vault, 4)
    async for step in stopped:
        if step.resealed >= 8:
            break
    await stopped.aclose()
    assert (await reseal(database, vault)).resealed == 22 - 8
    assert await sealed_rows.contents(database, ring(SECOND)) == made


async def test_what_was_connected_again_meanwhile_stays(database: Database, vault: Vault) -> None:
    actor = await sealed_rows.organization(database)
    connection = await sealed_rows.connect(database, vault, actor, "user_123", "acme_old_secret")
    async with database.read() as tx:
        (row,) = await rotation.find(tx, credentials, ID[FIRST], LOWEST, 10)
    again = vault.seal(ID[SECOND], row.organization_id, b'{"api_key": "acme_old_secret"}', row.place)
    await sealed_rows.connect(database, vault, actor, "user_123", "acme_new_secret")
    async with database.write() as tx:
        assert not await rotation.replace(tx, row, again)
    expected = {("credentials", connection): {"api_key": "acme_new_secret"}}
    assert await sealed_rows.contents(database, vault) == expected


async def test_what_another_run_has_sealed_again_stays(database: Database, vault: Vault) -> None:
    made = await sealed_rows.seed(database, vault, 1)
    async with database.read() as tx:
        (row,) = await rotation.find(tx, credentials, ID[FIRST], LOWEST, 10)
    await sealed_rows.activate(database, vault, SECOND)
    await reseal(database, vault)
    again = vault.seal(ID[THIRD], row.organization_id, b'{"api_key": "acme_seeded_0"}', row.place)
    async with database.write() as tx:
        assert not await rotation.replace(tx, row, again)
    assert await sealed_rows.contents(database, ring(SECOND)) == made


async def test_what_was_deleted_meanwhile_does_not_come_back(database: Database, vault: Vault) -> None:
    await sealed_rows.seed(database, vault, 1)
    async with database.read() as tx:
        (row,) = await rotation.find(tx, credentials, ID[FIRST], LOWEST, 10)
    async with database.write() as tx:
        await tx.execute(credentials.delete())
        assert not await rotation.replace(tx, row, row.sealed)


async def test_a_row_that_does_not_open_is_named_and_the_rest_is_done(database: Database, vault: Vault) -> None:
    made = await sealed_rows.seed(database, vault, 20)
    broken = sorted(row for table, row in made if table == "credentials")[3:5]
    for row in broken:
        async with database.write() as tx:
            await sealed_rows.spoil(tx, row)
    await sealed_rows.activate(database, vault, SECOND)
    for resealed in (20, 0):
        progress = await reseal(database, vault)
        assert sorted(progress.broken) == [("credentials", row) for row in broken]
        assert (progress.resealed, progress.left) == (resealed, 2)
        assert all("changed or moved" in one.reason for one in progress.broken.values())
    assert await sealed_rows.used_keys(database) == {ID[FIRST], ID[SECOND]}


async def test_a_ring_that_lacks_a_key_seals_nothing_again(database: Database, vault: Vault) -> None:
    await sealed_rows.seed(database, vault, 1)
    with pytest.raises(ConfigurationError, match=ID[FIRST]):
        await reseal(database, ring(SECOND))
    await sealed_rows.activate(database, vault, SECOND)
    with pytest.raises(ConfigurationError, match=ID[SECOND]):
        await reseal(database, ring(FIRST))
    assert await sealed_rows.used_keys(database) == {ID[FIRST]}


async def test_a_key_promoted_in_the_middle_of_a_run_seals_the_rest_and_then_all(
    database: Database, vault: Vault
) -> None:
    made = await sealed_rows.seed(database, vault, 20)
    await sealed_rows.activate(database, vault, SECOND)
    turns = iter([THIRD, FIRST, SECOND, FIRST])
    async for step in rotation.reseal(database, vault, 3):
        key = next(turns, None) if step.resealed >= 6 else None
        if key:
            await sealed_rows.activate(database, vault, key)
    assert await sealed_rows.used_keys(database) == {ID[FIRST]}
    assert await sealed_rows.contents(database, ring(FIRST)) == made


async def test_rows_whose_key_seals_again_are_left_alone(database: Database, vault: Vault) -> None:
    await sealed_rows.seed(database, vault, 5)
    await sealed_rows.activate(database, vault, SECOND)
    run = rotation.reseal(database, vault, 3)
    assert (await anext(run)).total == 6
    await sealed_rows.activate(database, vault, FIRST)
    assert [step.resealed async for step in run][-1] == 0


async def test_a_key_promoted_that_this_ring_lacks_ends_the_run(database: Database, vault: Vault) -> None:
    made = await sealed_rows.seed(database, vault, 10)
    await sealed_rows.activate(database, vault, SECOND)
    run = rotation.reseal(database, ring(FIRST, SECOND), 3)
    await anext(run)
    await sealed_rows.activate(database, vault, THIRD)
    with pytest.raises(KeyNotInRing):
        await anext(run)
    assert await sealed_rows.contents(database, vault) == made


async def test_two_runs_at_once_share_the_work(database: Database, database_url: str, vault: Vault) -> None:
    made = await sealed_rows.seed(database, vault, 60)
    await sealed_rows.activate(database, vault, SECOND)
    async with sealed_rows.opened(database_url) as other:
        both = await asyncio.gather(reseal(database, vault, 2), reseal(other, vault, 3))
    assert sum(run.resealed for run in both) == len(made)
    assert min(run.resealed for run in both) > 0
    assert [(run.left, run.broken) for run in both] == [(0, {})] * 2
    assert await sealed_rows.contents(database, ring(SECOND)) == made


@pytest.mark.only_database("postgresql")
async def test_a_step_whose_connection_is_lost_is_done_again(
    database: Database, database_url: str, vault: Vault
) -> None:
    made = await sealed_rows.seed(database, vault, 10)
    await sealed_rows.activate(database, vault, SECOND)
    run = rotation.reseal(database, vault, 4)
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
    assert await sealed_rows.contents(database, ring(SECOND)) == made


@pytest.mark.slow
@pytest.mark.only_database("postgresql")
async def test_rows_that_somebody_holds_are_passed_by_and_not_waited_for(
    database: Database, database_url: str, vault: Vault
) -> None:
    """Waiting for one row while holding others is how two transactions come to wait for each other."""
    made = await sealed_rows.seed(database, vault, 10)
    held = min(row for table, row in made if table == "credentials")
    await sealed_rows.activate(database, vault, SECOND)
    async with await psycopg.AsyncConnection.connect(database_url) as holding:
        await holding.execute("SELECT 1 FROM credentials WHERE connection_id = %s FOR UPDATE", [held])
        progress = await reseal(database, vault)
        assert (progress.resealed, progress.left, progress.broken) == (10, 1, {})
    assert (await reseal(database, vault)).resealed == 1
    assert await sealed_rows.contents(database, ring(SECOND)) == made
