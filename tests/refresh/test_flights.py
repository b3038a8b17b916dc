"""What refreshing leans on: work that is done once in this process, and that lets by what may not wait."""

import asyncio

import pytest

from one_runtime import single_flight
from one_runtime.refresh import fresh_credentials
from one_runtime.single_flight import Flights
from tests.refresh.rotating import There, generation_of, token_of
from tests.waiting import eventually


async def test_no_renewal_is_begun_while_new_tokens_are_being_stored(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_flight, "_PATIENCE", 30.0)
    seeded = await there.connect()
    there.application.clock.advance(hours=2)
    with there.installation.flights.landing():
        renewing = asyncio.create_task(fresh_credentials(there.installation, seeded.owner))
        done, _ = await asyncio.wait([renewing], timeout=0.2)
        assert done == set()
        assert there.provider.log(seeded.family) == []
    assert generation_of(token_of(await renewing)) == 1


async def test_what_does_not_come_to_its_end_holds_nobody_up_for_long() -> None:
    flights = Flights()
    with flights.landing():
        await asyncio.wait_for(flights.clearance(), 5)


async def test_the_last_that_lands_clears_the_way() -> None:
    flights = Flights()
    with flights.landing():
        with flights.landing():
            pass
        waiting = asyncio.create_task(flights.clearance())
        await asyncio.wait([waiting], timeout=0.01)
        assert not waiting.done()
    await waiting


async def test_a_failure_is_told_to_all_who_joined_and_to_nobody_after() -> None:
    flights, called = Flights(), 0

    async def fail() -> None:
        nonlocal called
        called += 1
        await asyncio.sleep(0)
        raise LookupError("it failed")

    for _ in range(2):
        told = await asyncio.gather(*(flights.join("one", fail) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in told] == [LookupError] * 3
    assert called == 2


async def test_landing_waits_also_for_what_nobody_waits_for_any_more() -> None:
    flights, go, ended = Flights(), asyncio.Event(), []

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
