"""Concurrent callers of one process share one call."""

import asyncio

from one_runtime.jobs.single_flight import SingleFlight
from tests.waiting import eventually


async def test_a_failure_is_raised_for_every_caller_that_joined_and_for_no_later_one() -> None:
    flights, called = SingleFlight(), 0

    async def fail() -> None:
        nonlocal called
        called += 1
        await asyncio.sleep(0)
        raise LookupError("it failed")

    for _ in range(2):
        told = await asyncio.gather(*(flights.join("one", fail) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in told] == [LookupError] * 3
    assert called == 2


async def test_land_waits_for_a_call_whose_caller_was_cancelled() -> None:
    flights, go, ended = SingleFlight(), asyncio.Event(), []

    async def call() -> None:
        await go.wait()
        ended.append(True)

    caller = asyncio.create_task(flights.join("one", call))
    await eventually(lambda: bool(flights._flying))
    caller.cancel()
    landing = asyncio.create_task(flights.land())
    go.set()
    await landing
    assert ended == [True]
