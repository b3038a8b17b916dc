"""P8: processes are killed (SIGKILL) and stopped past their lease (SIGSTOP) at any instant, and no token is lost.

Afterwards every connection is usable, except where the provider rotated and no process could commit its response.
Only those are `needs_reauth`. The long version, with figures: `make soak ARGS="-rP tests/tokens"`.
"""

import logging
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.tokens.refresh import ReauthRequired, fresh_credentials
from one_runtime.tokens.state import UsableCredential
from tests.tokens.renewer import Given, Renewers, Work, renewers
from tests.tokens.rotating import Asked, Rotating, Seeded, There, connect, generation_of, held, token_of

pytestmark = [pytest.mark.promise("P8"), pytest.mark.slow]

log = logging.getLogger("crashes")

CONNECTIONS = 40
SLACK = 0.05  # seconds between two clocks' readings in two processes


@dataclass(frozen=True, slots=True)
class Length:
    """The number of kills or stops, and of processes side by side."""

    kills: int = 0
    stops: int = 0
    processes: int = 1
    lease: float = 2.0
    request: float = 1.0
    seed: int = 20261126


@dataclass(frozen=True, slots=True)
class Dead:
    """A connection that became `needs_reauth`. `held` is the generation that the row holds."""

    family: str
    held: int


@dataclass(slots=True)
class Story:
    """The connections of one run and their outcome."""

    there: There
    length: Length
    seeded: dict[str, Seeded]
    dead: list[Dead] = field(default_factory=list)
    hits: list[tuple[float, float]] = field(default_factory=list)
    """Times at which a process was killed, or was stopped and continued."""
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def installation(self) -> Installation:
        """The installation of the test's own process."""
        return self.there.installation

    @property
    def provider(self) -> Rotating:
        """The provider."""
        return self.there.provider


def manners(number: int) -> dict[str, Any]:
    """Return settings for tokens of about a second, each a little longer, so that they are not due together."""
    return {"life": 0.8 + 0.4 * (number % CONNECTIONS) / CONNECTIONS, "before": 0.01, "after": 0.01}


async def told(there: There, length: Length) -> Story:
    """Create a story with its connections."""
    seeded = {}
    for number in range(CONNECTIONS):
        name, made = f"user_{number}", there.provider.make(**manners(number))[0]
        seeded[name] = await connect(there.installation, there.organization_id, name, made, name)
    return Story(there, length, seeded)


def work_of(story: Story, database_url: str, folder: Path) -> Work:
    """Return the work of the processes."""
    return Work(
        database_url=database_url,
        keys=story.installation.settings.encryption_keys.get_secret_value(),
        provider_url=story.provider.url,
        log=str(folder / "given.jsonl"),
        organization_id=story.there.organization_id,
        connections=tuple(one.key.connection_id for one in story.seeded.values()),
        lease=story.length.lease,
        request=story.length.request,
    )


async def bury_and_connect_again(story: Story) -> None:
    """Record each connection that needs reauth and connect it again, so that enough connections are left to renew."""
    for number, (name, seeded) in enumerate(list(story.seeded.items())):
        connection, found = await held(story.installation, seeded.key)
        if connection.status == "needs_reauth":
            story.dead.append(Dead(seeded.family, generation_of(found.secrets["refresh_token"])))
            made = story.provider.make(**manners(number))[0]
            story.seeded[name] = await connect(story.installation, story.there.organization_id, name, made, name)


async def hit(story: Story, started: Renewers) -> None:
    """Kill or stop one process after another at a random moment, and replace each that was killed."""
    chance, length = random.Random(story.length.seed), story.length
    running = [await started.start(seed=number) for number in range(length.processes)]
    for number in range(length.kills):
        at = await started.kill(running.pop(0), chance.uniform(0, 0.3))
        story.hits.append((at, at))
        running.append(await started.start(seed=length.seed + number))
        await bury_and_connect_again(story)
    for number in range(length.stops):
        one = running[number % len(running)]
        at = await started.stop(one, chance.uniform(0.3, 1.0), length.lease + 0.4)
        story.hits.append((at, time.time()))
        await bury_and_connect_again(story)
    for one in running:
        at = await started.kill(one, chance.uniform(0.3, 0.5))
        story.hits.append((at, at))


async def ask_once_more(story: Story, seeded: Seeded) -> UsableCredential | None:
    """Refresh once more after all processes ended; None where the end user has to connect again."""
    for _ in range(5):
        story.there.application.clock.advance(minutes=11)  # past every lease and every pause
        try:
            return await fresh_credentials(story.installation, seeded.key)
        except ReauthRequired:
            return None
        except ProviderUnavailable:
            continue
    raise AssertionError(f"{seeded.family} is neither usable nor refused")


async def assert_usable_or_rightly_dead(story: Story, given: list[Given]) -> None:
    """Check each connection against the provider's own log."""
    story.provider.behave(life=86_400.0, before=0.0, after=0.0)
    for seeded in story.seeded.values():
        usable = await ask_once_more(story, seeded)
        answers = story.provider.answers(seeded.family)
        connection, found = await held(story.installation, seeded.key)
        if usable is None:
            assert connection.status == "needs_reauth"
            assert "reused" in answers, "it was condemned, and the provider would have renewed it"
            story.dead.append(Dead(seeded.family, generation_of(found.secrets["refresh_token"])))
        else:
            assert connection.status == "active"
            assert "reused" not in answers
            assert story.provider.is_taken(token_of(usable))
            story.counts["usable"] += 1
    handed: dict[str, dict[int, float]] = {}
    for one in given:
        if one.token is not None:
            _, family, generation, _ = one.token.split(".")
            handed.setdefault(family, {}).setdefault(int(generation), one.at)
    for dead in story.dead:
        why_it_died(story, dead, story.provider.log(dead.family), handed.get(dead.family, {}))


def why_it_died(story: Story, dead: Dead, asked: list[Asked], given: dict[int, float]) -> None:
    """Check that a process was killed or stopped between the rotation and the second use of the presented token."""
    reuse = next(line for line in asked if line.answer == "reused")
    rotated = next(line for line in asked if line.answer == "granted" and line.presented == reuse.presented)
    between = rotated.at - SLACK, reuse.at + SLACK
    assert any(at <= between[1] and back >= between[0] for at, back in story.hits), f"nothing had happened: {asked}"
    committed = [generation for generation, at in given.items() if generation > reuse.presented and at < reuse.at]
    if not committed:
        story.counts["lost between answer and commit"] += 1
        assert story.length.stops or dead.held == reuse.presented
        return
    # A process was stopped in the one instant between its last look at the clock and the sending of its request.
    assert story.length.stops, f"generation {max(committed)} was committed, and {reuse.presented} presented after it"
    story.counts["presented too late"] += 1


def tell_window(given: list[Given]) -> None:
    """Log how long new tokens were in memory only."""
    took = sorted(1000 * one.commit for one in given if one.commit is not None)
    found = {name: round(took[int((len(took) - 1) * part)], 2) for name, part in (("p50", 0.5), ("p99", 0.99))}
    log.warning("from answer to commit, ms: %s of %d", found, len(took))


async def crashes(there: There, database_url: str, folder: Path, length: Length) -> None:
    """Run a story from its start to its checks."""
    begun = time.monotonic()
    story = await told(there, length)
    async with renewers(work_of(story, database_url, folder), folder) as started:
        await hit(story, started)
        given = started.given()
    await assert_usable_or_rightly_dead(story, given)
    families = {dead.family for dead in story.dead} | {one.family for one in story.seeded.values()}
    asked = Counter(line.answer for line in there.provider.log() if line.family in families)
    assert asked["granted"] > CONNECTIONS
    assert story.counts["presented too late"] <= 1 + length.stops / 10
    story.counts.update({"kills": length.kills, "stops": length.stops, "needs_reauth": len(story.dead), **asked})
    log.warning("%s in %.0f s", dict(story.counts), time.monotonic() - begun)
    tell_window(given)


def side_by_side(database_url: str) -> int:
    """Return the number of processes at a time: SQLite allows one."""
    return 1 if database_url.startswith("sqlite") else 2


@pytest.mark.timeout(120)
async def test_after_kills_every_connection_is_usable_or_rightly_needs_reauth(
    there: There, database_url: str, tmp_path: Path
) -> None:
    await crashes(there, database_url, tmp_path, Length(kills=30, processes=side_by_side(database_url)))


@pytest.mark.timeout(120)
async def test_after_stops_past_the_lease_every_connection_is_usable_or_rightly_needs_reauth(
    there: There, database_url: str, tmp_path: Path
) -> None:
    length = Length(stops=3, processes=side_by_side(database_url), lease=1.0, request=0.5)
    await crashes(there, database_url, tmp_path, length)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills, stops", [(300, 0), (0, 30)], ids=["kills", "stops"])
async def test_many_kills_and_stops_lose_no_token(
    there: There, database_url: str, tmp_path: Path, kills: int, stops: int
) -> None:
    lease, request = (1.0, 0.5) if stops else (2.0, 1.0)
    many = side_by_side(database_url)
    length = Length(kills, stops, many, lease, request, seed=time.time_ns())
    await crashes(there, database_url, tmp_path, length)


async def test_processes_that_are_not_disturbed_lose_nothing(there: There, database_url: str, tmp_path: Path) -> None:
    """Without kills, no token is lost and every connection is renewed several times."""
    story = await told(there, Length())
    async with renewers(work_of(story, database_url, tmp_path), tmp_path) as started:
        process = await started.start(seed=1)
        warm = time.time() + 0.5  # its first commits compile and prepare their statements
        await started.kill(process, 3.0)
        tell_window(started.given())
        tell_window([one for one in started.given() if one.at > warm])
    for seeded in story.seeded.values():
        answers = story.provider.answers(seeded.family)
        assert len(answers) >= 2
        assert set(answers) == {"granted"}
