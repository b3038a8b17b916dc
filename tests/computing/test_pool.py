"""Pools: owners take turns, none takes more than half of the processes, and no place is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from one_runtime.agents.programs.sandbox import WORKER
from one_runtime.computing.pool import NoProcess, ProcessPool
from one_runtime.computing.process import ProcessEnded
from tests.waiting import eventually


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(WORKER, size=2)
    yield pool
    await pool.close()


async def held_briefly(pool: ProcessPool, owner: str, order: list[str]) -> None:
    async with pool.reserve(owner, seconds=60):
        order.append(owner)


@pytest.mark.promise("P17")
async def test_owners_that_wait_come_one_after_another(pool: ProcessPool) -> None:
    order = list[str]()
    async with pool.reserve("first", seconds=60), pool.reserve("second", seconds=60):
        waiting = [
            asyncio.create_task(held_briefly(pool, owner, order)) for owner in ("many", "many", "many", "one", "two")
        ]
        await eventually(lambda: sum(map(len, pool._waiting.values())) == 5)
    await asyncio.gather(*waiting)
    assert sorted(order[:3]) == ["many", "one", "two"]
    assert order[3:] == ["many", "many"]


@pytest.mark.promise("P17")
async def test_an_owner_has_at_most_half_of_the_processes() -> None:
    pool = ProcessPool(WORKER, size=5)
    async with pool.reserve("many", 60), pool.reserve("many", 60):
        with pytest.raises(NoProcess):
            async with pool.reserve("many", 0.05):
                pass
        async with pool.reserve("another", 60), pool.reserve("another", 60), pool.reserve("third", 60):
            with pytest.raises(NoProcess):
                async with pool.reserve("fourth", 0.05):
                    pass
    async with pool.reserve("fourth", 60):
        pass
    await pool.close()


async def test_work_that_stops_waiting_or_finds_no_process_leaves_its_place_to_others(pool: ProcessPool) -> None:
    order = list[str]()
    async with pool.reserve("busy", 60), pool.reserve("another", 60):
        waiting = [asyncio.create_task(held_briefly(pool, "busy", order)) for _ in range(3)]
        await eventually(lambda: bool(pool._waiting))
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert not pool._waiting
    broken = ProcessPool("one_runtime.absent", size=1)
    for _ in range(3):
        async with broken.reserve("busy", 60) as reservation:
            process = reservation.process
            assert process is not None
            process.reusable = False
            with suppress(ProcessEnded):
                await process.send({})
                await process.receive(0)
        await eventually(lambda: not broken.processes)
    await broken.close()
    for _ in range(3):
        await held_briefly(pool, "busy", order)
    assert order == ["busy"] * 3


async def test_a_closed_pool_starts_no_process() -> None:
    pool = ProcessPool(WORKER, size=1)
    async with pool.reserve("busy", 60):
        pass
    await pool.close()
    for _ in range(2):
        with pytest.raises(ProcessEnded):
            async with pool.reserve("busy", 60):
                pass
    assert pool.processes == []


@pytest.mark.promise("P12")
async def test_work_that_waits_is_asked_for_its_process_only_when_others_need_it(pool: ProcessPool) -> None:
    order = list[str]()
    async with pool.reserve("first", 60) as first, pool.reserve("second", 60) as second:
        with first.idle(), second.idle():
            assert not first.wanted.is_set()
            waiting = asyncio.create_task(held_briefly(pool, "second", order))
            await eventually(second.wanted.is_set)
            assert not first.wanted.is_set()  # an owner with its share can only get one of its own processes
            second.give_back()
            await waiting
        await second.renew()
        assert not second.wanted.is_set()
    assert order == ["second"]
