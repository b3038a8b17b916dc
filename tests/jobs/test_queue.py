"""Queue: one owner per claim, a lease by the database's clock, batched deletion, and a wake-up at each commit."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any, Final

import pytest
import pytest_asyncio
from sqlalchemy import func, insert, select

from one_runtime.clock import Clock, system_clock
from one_runtime.db.engine import Database
from one_runtime.db.ids import new_id
from one_runtime.db.schema import events, key_ring, revocations
from one_runtime.jobs import queue, worker
from one_runtime.jobs.queue import Queue
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.waiting import eventually

LEASE: Final = timedelta(minutes=2)
QUEUE: Final = Queue(revocations, LEASE)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with sealed_rows.opened(database_url) as opened:
        await sealed_rows.register(opened, sealed_rows.ring(sealed_rows.FIRST))
        yield opened


@pytest_asyncio.fixture
async def actor(database: Database) -> Actor:
    return await sealed_rows.organization(database)


def at(**later: float) -> Clock:
    """A clock that is ahead of the system's clock."""
    return lambda: system_clock() + timedelta(**later)


async def add(database: Database, actor: Actor, due_in: timedelta = timedelta()) -> str:
    row_id, now = new_id(), system_clock()
    async with database.write() as tx:
        row: Any = await tx.one(select(key_ring.c.key_id))
        await tx.execute(
            insert(revocations),
            id=row_id,
            organization_id=actor.organization_id,
            connection_id=None,
            integration_slug="github",
            oauth_client_id=None,
            params={},
            sealed=b"",
            key_id=row.key_id,
            version=1,
            attempts=0,
            due_at=now + due_in,
            give_up_at=now + timedelta(days=1),
            kept_with=None,
            account_id=None,
            audience=None,
        )
    return row_id


async def claim(database: Database, clock: Clock = system_clock, limit: int = 10) -> list[Any]:
    async with database.write() as tx:
        return await QUEUE.claim(tx, clock, limit)


async def rows_of(database: Database) -> int:
    async with database.read() as tx:
        row: Any = await tx.one(select(func.count().label("number")).select_from(revocations))
        return int(row.number)


async def test_a_claimed_row_belongs_to_one_owner_until_its_lease_ends(database: Database, actor: Actor) -> None:
    row_id = await add(database, actor)
    (claimed,) = await claim(database)
    assert (claimed.id, claimed.attempts) == (row_id, 1)
    assert await claim(database) == []
    assert await claim(database, at(minutes=1, seconds=59)) == []
    (again,) = await claim(database, at(minutes=2, seconds=1))
    assert (again.id, again.attempts) == (row_id, 2)


async def test_rows_that_are_not_due_are_not_claimed(database: Database, actor: Actor) -> None:
    await add(database, actor, timedelta(minutes=5))
    assert await claim(database) == []
    assert len(await claim(database, at(minutes=6))) == 1


async def test_a_claim_takes_the_longest_due_rows_up_to_its_limit(database: Database, actor: Actor) -> None:
    rows = [await add(database, actor, -timedelta(minutes=minutes)) for minutes in (1, 3, 2)]
    assert {row.id for row in await claim(database, limit=2)} == {rows[1], rows[2]}
    assert [row.id for row in await claim(database, limit=2)] == [rows[0]]


async def test_settling_deletes_the_row(database: Database, actor: Actor) -> None:
    row_id = await add(database, actor)
    (claimed,) = await claim(database)
    async with database.write() as tx:
        assert await QUEUE.settle(tx, row_id, attempts=claimed.attempts)
    assert await rows_of(database) == 0


async def test_an_owner_whose_lease_has_passed_changes_nothing(database: Database, actor: Actor) -> None:
    row_id = await add(database, actor)
    (late,) = await claim(database)
    (owner,) = await claim(database, at(minutes=3))
    async with database.write() as tx:
        assert not await QUEUE.settle(tx, row_id, attempts=late.attempts)
        assert not await QUEUE.postpone(tx, system_clock, row_id, attempts=late.attempts, delay=timedelta())
    assert await claim(database) == []
    async with database.write() as tx:
        assert await QUEUE.settle(tx, row_id, attempts=owner.attempts)


async def test_a_postponed_row_is_due_again_after_its_delay(database: Database, actor: Actor) -> None:
    row_id = await add(database, actor)
    (claimed,) = await claim(database)
    async with database.write() as tx:
        assert await QUEUE.postpone(tx, system_clock, row_id, attempts=claimed.attempts, delay=timedelta(hours=1))
    assert await claim(database, at(minutes=59)) == []
    (again,) = await claim(database, at(minutes=61))
    assert again.attempts == 2


async def test_a_row_whose_claim_was_rolled_back_is_claimed_again(database: Database, actor: Actor) -> None:
    await add(database, actor)
    with suppress(RuntimeError):
        async with database.write() as tx:
            assert len(await QUEUE.claim(tx, system_clock, 10)) == 1
            raise RuntimeError
    (claimed,) = await claim(database)
    assert claimed.attempts == 1


async def test_concurrent_claims_share_the_rows_without_an_overlap(database: Database, actor: Actor) -> None:
    rows = {await add(database, actor) for _ in range(20)}
    claims = await asyncio.gather(*(claim(database, limit=6) for _ in range(5)))
    claimed = [row.id for part in claims for row in part]
    assert len(claimed) == len(set(claimed)), "two owners"
    rest = [row.id for row in await claim(database, limit=20)]
    assert set(claimed) | set(rest) == rows
    assert len(claimed) + len(rest) == 20


@pytest.mark.only_database("postgresql")
async def test_a_claim_under_way_does_not_make_another_one_wait(database: Database, actor: Actor) -> None:
    rows = {await add(database, actor) for _ in range(2)}
    async with database.write() as slow:
        (first,) = await QUEUE.claim(slow, system_clock, 1)
        (second,) = await asyncio.wait_for(claim(database), 10)
    assert {first.id, second.id} == rows


KILLED: Final = """
import asyncio, os, signal, sys
from datetime import timedelta
from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database
from one_runtime.db.schema import revocations
from one_runtime.jobs.queue import Queue

async def main():
    database = create_database(sys.argv[1], pool_size=1)
    await database.open()
    async with database.write() as tx:
        claimed = await Queue(revocations, timedelta(minutes=2)).claim(tx, system_clock, 10)
        if sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
    assert len(claimed) == 1
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_row_whose_owner_is_killed_is_claimed_by_exactly_one_other_after_its_lease(
    database: Database, database_url: str, actor: Actor, moment: str
) -> None:
    row_id = await add(database, actor)
    command = [sys.executable, "-c", KILLED, database_url, moment]
    killed = await asyncio.to_thread(subprocess.run, command, env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if moment == "after":
        assert await claim(database) == [], "the lease outlives its owner"
    claims = await asyncio.gather(*(claim(database, at(minutes=3)) for _ in range(4)))
    (claimed,) = [row for part in claims for row in part]
    assert (claimed.id, claimed.attempts) == (row_id, 1 if moment == "before" else 2)


async def test_a_lease_holds_against_a_process_whose_clock_is_wrong(
    database: Database, database_url: str, actor: Actor
) -> None:
    await add(database, actor)
    assert len(await claim(database)) == 1
    wrong_clock = at(hours=1)
    async with sealed_rows.opened(database_url, machine_clock=wrong_clock) as other_machine:
        assert await claim(other_machine, wrong_clock) == []
        async with other_machine.read() as tx:
            assert abs(await queue.clock_skew(tx) + timedelta(hours=1)) < timedelta(seconds=10)


async def test_clocks_that_agree_have_no_skew(database: Database) -> None:
    async with database.read() as tx:
        assert await queue.clock_skew(tx) == timedelta()


async def test_deletion_in_batches_deletes_every_expired_row_and_no_other(database: Database, actor: Actor) -> None:
    for minutes in (-3, -2, -2, -1, -1, -1, -1, 5):
        await add(database, actor, timedelta(minutes=minutes))
    ran_between = count()
    ticking = asyncio.create_task(tick(ran_between))
    expired = queue.batched_delete(revocations, revocations.c.due_at <= system_clock())
    assert await queue.run_in_batches(database, expired, batch=3) == 7
    ticking.cancel()
    assert await rows_of(database) == 1
    assert next(ran_between) >= 2, "other tasks run between two batches"


async def tick(counter: "count[int]") -> None:
    while True:
        next(counter)
        await asyncio.sleep(0)


async def test_an_update_in_batches_changes_every_due_row_and_no_other(database: Database, actor: Actor) -> None:
    for minutes in (-3, -2, -2, -1, -1, -1, 5):
        await add(database, actor, timedelta(minutes=minutes))
    due = revocations.c.due_at <= system_clock()
    ended = queue.batched_update(revocations, {"attempts": 9}, due, revocations.c.attempts == 0)
    assert await queue.run_in_batches(database, ended, batch=3) == 6
    async with database.read() as tx:
        assert len(await tx.all(select(revocations.c.id).where(revocations.c.attempts == 9))) == 6


@pytest.mark.only_database("postgresql")
async def test_deletion_skips_rows_that_another_transaction_holds(database: Database, actor: Actor) -> None:
    for _ in range(3):
        await add(database, actor)
    expired = queue.batched_delete(revocations, revocations.c.attempts == 0)
    async with database.write() as holding:
        await holding.all(select(revocations.c.id).limit(1).with_for_update())
        assert await asyncio.wait_for(queue.run_in_batches(database, expired), 10) == 2
    assert await queue.run_in_batches(database, expired) == 1


async def test_a_commit_wakes_the_task_that_waits_for_its_table(database: Database) -> None:
    runs = count(1)
    seen = 0

    async def work(_: object) -> int:
        nonlocal seen
        seen = next(runs)
        return 0

    tasks = (PeriodicTask("waiting", 3600.0, work, queue=revocations),)
    running = asyncio.create_task(worker.run(database, tasks))
    await eventually(lambda: seen == 1)
    async with database.write() as tx:
        queue.wake_on_commit(tx, events)
    with suppress(RuntimeError):
        async with database.write() as tx:
            queue.wake_on_commit(tx, revocations)
            raise RuntimeError
    await asyncio.sleep(0)
    assert seen == 1, "neither another table nor a rollback wakes it"
    async with database.write() as tx:
        queue.wake_on_commit(tx, revocations)
    await eventually(lambda: seen == 2)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_commit_during_a_run_starts_another_run(database: Database) -> None:
    runs = 0

    async def work(context: Database) -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            async with context.write() as tx:
                queue.wake_on_commit(tx, revocations)
        return 0

    running = asyncio.create_task(worker.run(database, (PeriodicTask("waiting", 3600.0, work, queue=revocations),)))
    await eventually(lambda: runs == 2)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
