"""P8: a token response that comes late is stored. Callers do not wait for it, and nobody sends the same token again."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.context import Installation, Timing
from one_runtime.db.schema import credentials
from one_runtime.jobs.token_hosts import FAILED_CONNECTIONS
from one_runtime.tokens.refresh import fresh_credentials, refresh
from one_runtime.tokens.refresh_due import refresh_due
from tests.tokens.rotating import RotatingApplication, Seeded, generation_of, read_stored, token_of
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")


def impatient(app: RotatingApplication, timing: Timing | None = None) -> Installation:
    """The installation, whose callers get an answer after a moment."""
    return replace(app.installation, timing=replace(timing or app.installation.timing, answer=0.3))


async def waiting_request(app: RotatingApplication) -> tuple[Seeded, Installation]:
    """Return a connection whose refresh waits at the provider, and an installation with a short lease."""
    seeded = await app.connect(hold="after")
    installation = impatient(app, Timing(lease=timedelta(seconds=0.3), patience=0.3))
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(installation, seeded.key)
    return seeded, installation


async def generation_stored(app: RotatingApplication, seeded: Seeded) -> int:
    """Return the generation of the stored refresh token."""
    _, stored = await read_stored(app.installation, seeded.key)
    return generation_of(stored.secrets["refresh_token"])


async def lease_of(app: RotatingApplication, seeded: Seeded) -> tuple[object, ...]:
    """Return the id and the end of the lease of a connection's credentials."""
    columns = credentials.c.lease, credentials.c.leased_until
    async with app.installation.database.read() as tx:
        row = await tx.one(select(*columns).where(credentials.c.connection_id == seeded.key.connection_id))
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("hold", ["before", "after"])
async def test_a_response_after_the_time_of_the_caller_is_stored(app: RotatingApplication, hold: str) -> None:
    seeded, installation = await app.connect(hold=hold), impatient(app)
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable, match="has not answered yet"):
        await fresh_credentials(installation, seeded.key)
    _, stored = await read_stored(app.installation, seeded.key)
    assert stored.lease is not None
    app.provider.behave(seeded.family, hold=None)
    await installation.flights.land()
    assert await generation_stored(app, seeded) == 1
    assert app.provider.accepts(token_of(await fresh_credentials(installation, seeded.key)))
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_callers_get_a_valid_token_while_the_provider_is_slow(app: RotatingApplication) -> None:
    seeded, installation = await app.connect(life=3600.0, hold="after"), impatient(app)
    app.application.clock.advance(minutes=58)
    for _ in range(2):
        assert generation_of(token_of(await fresh_credentials(installation, seeded.key))) == 0
    assert app.provider.look(seeded.family)["waiting"] == 1
    app.provider.behave(seeded.family, hold=None)
    await installation.flights.land()
    assert await generation_stored(app, seeded) == 1


async def test_a_later_caller_gets_the_tokens_of_the_late_response(app: RotatingApplication) -> None:
    seeded, installation = await app.connect(hold="after"), impatient(app)
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(installation, seeded.key)
    callers = [asyncio.create_task(call(installation, seeded.key)) for call in (fresh_credentials, refresh)]
    await asyncio.wait(callers, timeout=0.5)
    app.provider.behave(seeded.family, hold=None)
    assert [generation_of(token_of(usable)) for usable in await asyncio.gather(*callers)] == [1, 1]
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_a_process_sends_no_second_request_while_its_first_one_runs(app: RotatingApplication) -> None:
    """The lease has ended, for example because this process was suspended."""
    seeded, installation = await waiting_request(app)
    app.application.clock.advance(minutes=5)
    with pytest.raises(ProviderUnavailable):
        await refresh(installation, seeded.key)
    assert await refresh_due(installation) == 1
    assert app.provider.look(seeded.family)["waiting"] == 1
    app.provider.behave(seeded.family, hold=None)
    await installation.flights.land()
    assert await generation_stored(app, seeded) == 1
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_a_process_with_a_running_request_acquires_no_further_lease(app: RotatingApplication) -> None:
    """Another lease would be worth nothing, and would hide the end of the first one from other processes."""
    seeded, installation = await waiting_request(app)
    leased = await lease_of(app, seeded)
    assert leased[0] is not None
    app.application.clock.advance(minutes=5)
    for call_again in (refresh, fresh_credentials):
        with pytest.raises(ProviderUnavailable):
            await call_again(installation, seeded.key)
    await refresh_due(installation)
    assert await lease_of(app, seeded) == leased
    app.provider.behave(seeded.family, hold=None)
    await installation.flights.land()
    assert await generation_stored(app, seeded) == 1


async def test_a_failure_after_the_time_of_the_caller_ends_the_lease_and_is_counted(app: RotatingApplication) -> None:
    seeded, installation = await app.connect(hold="before"), impatient(app)
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(installation, seeded.key)
    app.provider.behave(seeded.family, hold=None, fault="503")
    await installation.flights.land()
    _, stored = await read_stored(app.installation, seeded.key)
    assert (stored.lease, stored.failures) == (None, 1)
    assert stored.retry_at is not None
    assert [event["type"] for event in await app.events("refresh_failed")] == ["connection.refresh_failed"]


@pytest.mark.promise("P12")
async def test_a_slow_host_frees_the_slots_and_opens_the_breaker_before_it_answers(app: RotatingApplication) -> None:
    seeded = [await app.connect(f"user_{number}", hold="after") for number in range(FAILED_CONNECTIONS)]
    installation = impatient(app)
    app.application.clock.advance(hours=2)
    assert await refresh_due(installation) == FAILED_CONNECTIONS
    (host,) = installation.token_hosts._hosts.values()
    # The end of the run can precede the callback of its last refresh.
    await eventually(lambda: (host.running, host.is_open) == (0, True))
    assert {app.provider.look(connection.family)["waiting"] for connection in seeded} == {1}
    for connection in seeded:
        app.provider.behave(connection.family, hold=None)
    await installation.flights.land()
    assert not host.is_open
    assert [await generation_stored(app, connection) for connection in seeded] == [1] * FAILED_CONNECTIONS


async def test_shutdown_waits_for_a_request_that_no_caller_waits_for(app: RotatingApplication) -> None:
    seeded, installation = await app.connect(hold="after"), impatient(app)
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(installation, seeded.key)
    landing = asyncio.create_task(installation.flights.land())
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    assert not landing.done()
    app.provider.behave(seeded.family, hold=None)
    await landing
    assert await generation_stored(app, seeded) == 1
