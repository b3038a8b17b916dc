"""P8: a table of drills. Each disturbs a server while refreshes wait at every step, and says what can be lost.

The provider ends a grant when a refresh token is used twice. `make soak` runs each drill with 1,000 connections.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import aiohttp
import pytest

from tests.figures import Figures
from tests.missing_key import activate_last, add_key, reseal, server_with
from tests.promises.serving import stop
from tests.tokens.drills import GATES, HOLDS, Step, Story, opened_gates
from tests.tokens.rotating import RotatingApplication, Seeded, connect
from tests.tokens.served_with_provider import Drill
from tests.tokens.test_refresh_pauses import is_stopped
from tests.waiting import eventually

pytestmark = [pytest.mark.promise("P8"), pytest.mark.slow]

Lost: TypeAlias = Literal["all", "asked elsewhere"]
"""Connections that P8 names: all of a step, or those whose old token another server has sent."""

TOUCHED: Final = 5
"""During a pause of one server, the callers of every fifth connection use another server."""

_AT_PROVIDER: Final = (Step.UNSENT, Step.SENT, Step.ARRIVED)


async def pause(story: Story) -> None:
    """Stop the process past the end of its leases. Meanwhile, callers of every fifth connection use another server."""
    await _pause(story, past_the_lease=True)


async def pause_briefly(story: Story) -> None:
    """Stop the process for less than a lease. Callers of every fifth connection use another server."""
    await _pause(story, past_the_lease=False)


async def _pause(story: Story, *, past_the_lease: bool) -> None:
    process = story.servers[0].process.pid
    os.kill(process, signal.SIGSTOP)
    await eventually(lambda: is_stopped(process))
    story.release()
    calls = dict[str, asyncio.Task[int | None]]()
    try:
        if not story.is_sqlite:
            await _require_no_request(story)
        if past_the_lease:
            await story.leases_ended()
        if not story.is_sqlite:
            calls = {
                seeded.key.connection_id: asyncio.create_task(story.call(story.servers[1], seeded))
                for step in Step
                if past_the_lease and step is not Step.UNLEASED  # PostgreSQL has locked these rows for the process
                for seeded in story.steps[step][::TOUCHED]
            }
            await asyncio.gather(*calls.values())
    finally:
        os.kill(process, signal.SIGCONT)


async def _require_no_request(story: Story) -> None:
    """Check that another server sends no token of a process that holds the lease."""
    leased = [seeded for step in (*_AT_PROVIDER, Step.READ) for seeded in story.steps[step][::TOUCHED]]
    await eventually(lambda: not any(waiting for _, waiting in story.app.provider.look_at_all().values()))
    before = {seeded.family: story.app.provider.answers(seeded.family) for seeded in leased}
    statuses = await asyncio.gather(*(story.call(story.servers[1], seeded) for seeded in leased))
    assert set(statuses) == {502}
    assert {seeded.family: story.app.provider.answers(seeded.family) for seeded in leased} == before


async def delay(story: Story) -> None:
    """The provider, or its name server, answers after the time of the callers, and within the lease."""
    assert set(await asyncio.gather(*story.calls.values())) <= {502}
    story.release()


async def delay_past_the_lease(story: Story) -> None:
    """The provider, or its name server, answers after the end of the lease."""
    await asyncio.gather(*story.calls.values())
    await story.leases_ended()
    story.release()


async def activate_missing_key(story: Story) -> None:
    """Activate a key that this server lacks, and encrypt all values with it."""
    await activate_last(story.app.installation, story.reader.vault)
    unleased = [seeded.key.connection_id for seeded in story.steps[Step.UNLEASED]]
    story.gates.open(unleased)  # these values are still under the key of this server
    assert set(await asyncio.gather(*(story.calls[connection] for connection in unleased))) == {503}
    requests = {request.family for request in story.app.provider.log()}
    assert requests.isdisjoint(seeded.family for seeded in story.steps[Step.UNLEASED])
    await reseal(story.app.installation, story.reader.vault)
    story.release()
    await asyncio.gather(*story.calls.values())
    if story.is_sqlite:
        await story.settled(())
        await stop(story.servers[0])
        await story.serve("after", replace(story.drill, gates=0), story.keys)


def move_clock(story: Story, seconds: float) -> None:
    """Move the clock of this server."""
    Path(story.drill.clock).write_text(str(seconds))
    story.release()


async def move_clock_forward(story: Story) -> None:
    """Move the clock of this server two hours forward."""
    move_clock(story, 7200)


async def move_clock_back(story: Story) -> None:
    """Move the clock of this server two hours back."""
    move_clock(story, -7200)


async def kill(story: Story) -> None:
    """Kill the process, and start another one."""
    story.servers[0].process.kill()
    await asyncio.to_thread(story.servers[0].process.wait)
    story.release()
    await story.serve("after", replace(story.drill, gates=0), story.keys)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A row of the table: the steps at which the disturbance comes, and the connections that P8 names, by step.

    `lock`: True if a refresh without a lease waits in the database. Otherwise, it waits before the application.
    """

    act: Callable[[Story], Awaitable[None]]
    steps: Sequence[Step] = tuple(Step)
    lost: Mapping[Step, Lost] = field(default_factory=dict)
    lock: bool = True

    def may_be_lost(self, story: Story) -> dict[Step, list[Seeded]]:
        """Return the connections that P8 names, by step."""
        named = dict[Step, list[Seeded]]()
        for step, which in self.lost.items():
            if which == "all":
                named[step] = story.steps[step]
            elif not story.is_sqlite:  # SQLite has one server
                named[step] = story.steps[step][::TOUCHED]
        return named


TABLE: Final = {
    "paused past the lease": Disturbance(
        pause, lost=dict.fromkeys((Step.SENT, Step.ARRIVED, Step.READ), "asked elsewhere")
    ),
    "paused within the lease": Disturbance(pause_briefly),
    "provider slow": Disturbance(delay, _AT_PROVIDER),
    "provider slow past the lease": Disturbance(
        delay_past_the_lease, _AT_PROVIDER, dict.fromkeys((Step.SENT, Step.ARRIVED), "all")
    ),
    "key missing": Disturbance(activate_missing_key, lock=False),
    "clock forward": Disturbance(move_clock_forward),
    "clock back": Disturbance(move_clock_back),
    "killed": Disturbance(kill, lost=dict.fromkeys((Step.SENT, Step.ARRIVED, Step.READ), "all")),
}


@asynccontextmanager
async def story_of(
    app: RotatingApplication, database_url: str, folder: Path, disturbance: Disturbance, drill: Drill, number: int
) -> AsyncIterator[Story]:
    """Connect accounts, and start the servers. The servers end with the block."""
    steps = dict[Step, list[Seeded]]()
    for step in disturbance.steps:
        first = app.provider.make(number // len(disturbance.steps), hold=HOLDS.get(step))
        steps[step] = [
            await connect(app.installation, app.organization_id, tokens["family"], tokens) for tokens in first
        ]
    keys, both = add_key(app.installation)
    own = app.installation.settings.encryption_keys.get_secret_value()
    (folder / "clock").write_text("0")
    held = {seeded.key.connection_id: GATES[step] for step, group in steps.items() if step in GATES for seeded in group}
    (folder / "held.json").write_text(json.dumps(held))
    api_key = await app.application.key(app.organization_id)
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        opened_gates() as gates,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http,
    ):
        drill = replace(drill, gates=gates.port)
        reader = server_with(app.installation, both)
        story = Story(app, database_url, folder, drill, gates, http, api_key, steps, keys, reader)
        try:
            await story.serve("disturbed", drill, own)
            if not story.is_sqlite:
                (folder / "right_clock").write_text("0")
                await story.serve("other", replace(drill, gates=0, clock=str(folder / "right_clock")), keys)
            yield story
        finally:
            for served in story.servers:
                served.process.kill()
                served.process.wait()


async def run(name: str, app: RotatingApplication, database_url: str, folder: Path, drill: Drill, number: int) -> str:
    """Run a drill. Return its figures: by step, the lost connections and all connections."""
    disturbance = TABLE[name]
    async with story_of(app, database_url, folder, disturbance, drill, number) as story:
        await story.bring_to_the_steps(story.servers[0], lock=disturbance.lock)
        await disturbance.act(story)
        named = disturbance.may_be_lost(story)
        may_be_lost = {seeded.key.connection_id for group in named.values() for seeded in group}
        await story.settled(may_be_lost)
        lost = await story.lost(story.servers[-1], every=max(1, number // 100))
    assert lost == named
    return ", ".join(f"{step}: {len(lost[step])} of {len(group)}" for step, group in story.steps.items())


def drill_of(folder: Path, app: RotatingApplication, lease: float, loop: str = "auto") -> Drill:
    """Return a drill with the proportions of production."""
    url = app.provider.url.replace("127.0.0.1", "localhost")
    return Drill(
        provider_url=url,
        clock=str(folder / "clock"),
        held=str(folder / "held.json"),
        lease=lease,
        answer=lease / 3,
        request=lease * 11 / 12,
        patience=1.5,
        loop=loop,
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["paused past the lease", "provider slow", "key missing", "killed"])
async def test_a_disturbed_refresh_loses_no_connection_but_those_that_p8_names(
    app: RotatingApplication, database_url: str, tmp_path: Path, name: str
) -> None:
    await run(name, app, database_url, tmp_path, drill_of(tmp_path, app, lease=10.0), 36)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TABLE)
async def test_a_thousand_disturbed_refreshes_lose_no_connection_but_those_that_p8_names(
    app: RotatingApplication, database_url: str, tmp_path: Path, name: str, figures: Figures
) -> None:
    # A slow machine needs half a minute to bring all refreshes to their steps. No lease may end meanwhile.
    figures(await run(name, app, database_url, tmp_path, drill_of(tmp_path, app, lease=90.0), 1000))


@pytest.mark.soak
@pytest.mark.timeout(120)
async def test_a_pause_loses_no_other_connection_with_the_event_loop_of_asyncio(
    app: RotatingApplication, database_url: str, tmp_path: Path, figures: Figures
) -> None:
    """Production uses uvloop, and so do the other drills."""
    drill = drill_of(tmp_path, app, lease=8.0, loop="asyncio")
    figures(await run("paused past the lease", app, database_url, tmp_path, drill, 120))
