"""P12: a drill of an outage of an hour with 10,000 due connections. The clock is simulated."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import pytest
import pytest_asyncio

from one_runtime.connections import due_credentials
from one_runtime.context import Installation, Timing
from one_runtime.jobs.token_hosts import RECOVERY_RATE, SLOTS
from one_runtime.tokens.refresh_due import refresh_due
from tests.application import RunningAcme
from tests.figures import Figures
from tests.tokens.rotating import RotatingApplication, RotatingProvider, rotating_application
from tests.tokens.test_refresh_hosts import OTHER, answered, connect_many, two_hosts

pytestmark = [pytest.mark.promise("P12"), pytest.mark.soak, pytest.mark.alone]

DUE: Final = 10_000
OTHERS: Final = 200
PROCESSES: Final = 2
OUTAGE: Final = timedelta(hours=1)
STEP: Final = timedelta(seconds=10)
SECOND: Final = timedelta(seconds=1)
RUN: Final = 600.0
"""Maximum real seconds of a background run."""


@dataclass(slots=True)
class StoppedClock:
    """A clock that only a test moves."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest_asyncio.fixture
async def app(database_url: str, acme: RunningAcme, provider: RotatingProvider) -> AsyncIterator[RotatingApplication]:
    """The application with two integrations, whose token endpoints have different hosts."""
    async with rotating_application(database_url, acme, provider, two_hosts(provider)) as app:
        yield app


async def overdue(installation: Installation, now: datetime) -> int:
    """Return the number of connections of the other integration whose refresh is due."""
    async with installation.database.read() as tx:
        due = await due_credentials.list_due(tx, now, DUE + OTHERS)
    return sum(row.state == "ready" and row.integration_slug == OTHER for row in due)


@pytest.mark.timeout(3600)
async def test_an_outage_of_an_hour_delays_no_other_host_and_its_end_is_a_smooth_curve(
    app: RotatingApplication, database_kind: str, figures: Figures
) -> None:
    clock = StoppedClock(app.application.clock())
    # Only the clock of the test decides what is late: neither a request nor a run ends early on a busy machine.
    timing = Timing(lease=timedelta(minutes=10), request=300.0, poll=0.01)
    installation = replace(app.installation, clock=clock, timing=timing)
    here = replace(app, application=replace(app.application, installation=installation))
    failing, good = await connect_many(here, DUE, fault="503"), await connect_many(here, OTHERS, OTHER, life=600.0)
    processes = [installation, *(replace(here.another_process, timing=timing) for _ in range(PROCESSES - 1))]
    begun = time.monotonic()

    async def run() -> None:
        await asyncio.gather(*(refresh_due(process, seconds=RUN) for process in processes))

    clock.now += timedelta(hours=2)
    end = clock.now + OUTAGE
    while clock.now < end:
        await run()
        assert await overdue(installation, clock.now) == 0
        clock.now += STEP
    during, renewed = answered(here, failing)["503"], answered(here, good)["granted"]
    seconds = time.monotonic() - begun
    app.provider.behave(fault=None)
    curve, families = [0], {connection.family for connection in failing}
    with app.provider.log_file.open(encoding="utf-8") as lines:
        lines.seek(0, os.SEEK_END)
        while curve[-1] < DUE:
            await run()
            assert await overdue(installation, clock.now) == 0
            answers = [json.loads(line) for line in lines]
            curve.append(
                curve[-1] + sum(line["answer"] == "granted" and line["family"] in families for line in answers)
            )
            clock.now += SECOND
            assert len(curve) < 3600, curve[-1]
    rates = [after - before for before, after in pairwise(curve)]
    first = next(second for second, rate in enumerate(rates) if rate)
    half = next(second for second, count in enumerate(curve) if count >= DUE / 2)
    figures(
        f"{database_kind}: {during} requests to the failing host in the hour, {renewed} refreshes at the other host, "
        f"0 overdue ({seconds:.0f} s of real time); first success {first} s after the outage, half after {half} s, all "
        f"{DUE} after {len(rates)} s, at most {max(rates)} refreshes per second, 0 connections lost"
    )
    assert during <= PROCESSES * (SLOTS + 135), "one probe a minute, or two because of the random pauses"
    assert max(rates) <= PROCESSES * RECOVERY_RATE
    # In its first second, a process sends its probe and one more refresh.
    assert all(rate <= PROCESSES * max(2, second + 1) for second, rate in enumerate(rates[first : first + 20]))
    assert answered(here, failing)["granted"] == DUE
