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
from tests.tokens.renewer import LogRecord, Renewers, Work, renewers
from tests.tokens.rotating import (
    RotatingApplication,
    RotatingProvider,
    Seeded,
    TokenRequest,
    connect,
    generation_of,
    read_stored,
    token_of,
)
from tests.waiting import eventually

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
    """A connection that became `needs_reauth`. `stored` is the generation in the row."""

    family: str
    stored: int


@dataclass(slots=True)
class Story:
    """The connections of one run and their outcome."""

    app: RotatingApplication
    length: Length
    seeded: dict[str, Seeded]
    dead: list[Dead] = field(default_factory=list)
    disturbances: list[tuple[float, float]] = field(default_factory=list)
    """Times at which a process was killed, or was stopped and continued."""
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def installation(self) -> Installation:
        """The installation of the test's own process."""
        return self.app.installation

    @property
    def provider(self) -> RotatingProvider:
        """The provider."""
        return self.app.provider


def behaviour(number: int) -> dict[str, Any]:
    """Return settings for tokens of about a second, each a little longer, so that they are not due together."""
    return {"life": 0.8 + 0.4 * (number % CONNECTIONS) / CONNECTIONS, "before": 0.01, "after": 0.01}


async def create_story(app: RotatingApplication, length: Length) -> Story:
    """Create a story with its connections."""
    seeded = {}
    for number in range(CONNECTIONS):
        name, tokens = f"user_{number}", app.provider.make(**behaviour(number))[0]
        seeded[name] = await connect(app.installation, app.organization_id, name, tokens, name)
    return Story(app, length, seeded)


def work_of(story: Story, database_url: str, folder: Path) -> Work:
    """Return the work of the processes."""
    return Work(
        database_url=database_url,
        keys=story.installation.settings.encryption_keys.get_secret_value(),
        provider_url=story.provider.url,
        log=str(folder / "records.jsonl"),
        organization_id=story.app.organization_id,
        connections=tuple(seeded.key.connection_id for seeded in story.seeded.values()),
        lease=story.length.lease,
        request=story.length.request,
    )


async def record_and_reconnect(story: Story) -> None:
    """Record each connection that needs reauth and connect it again, so that enough connections are left to renew."""
    for number, (name, seeded) in enumerate(list(story.seeded.items())):
        connection, credential = await read_stored(story.installation, seeded.key)
        if connection.status == "needs_reauth":
            story.dead.append(Dead(seeded.family, generation_of(credential.secrets["refresh_token"])))
            tokens = story.provider.make(**behaviour(number))[0]
            story.seeded[name] = await connect(story.installation, story.app.organization_id, name, tokens, name)


async def more_answers(provider: RotatingProvider, number: int) -> None:
    """Wait until the provider has answered this many more token requests."""
    enough = len(provider.log()) + number
    await eventually(lambda: len(provider.log()) >= enough)


async def disturb(story: Story, started: Renewers) -> None:
    """Kill or stop one process after another, each at a random moment after a random number of answers of the provider.

    Answers count, not seconds: on a busy machine a process may need seconds until its first request.
    """
    chance, length = random.Random(story.length.seed), story.length
    running = [await started.start(seed=number) for number in range(length.processes)]
    for number in range(length.kills):
        await more_answers(story.provider, chance.randint(1, 12))
        at = await started.kill(running.pop(0), chance.uniform(0, 0.1))
        story.disturbances.append((at, at))
        running.append(await started.start(seed=length.seed + number))
        await record_and_reconnect(story)
    for number in range(length.stops):
        process = running[number % len(running)]
        await more_answers(story.provider, chance.randint(20, 60))
        at = await started.stop(process, chance.uniform(0, 0.1), length.lease + 0.4)
        story.disturbances.append((at, time.time()))
        await record_and_reconnect(story)
    for process in running:
        await more_answers(story.provider, chance.randint(20, 30))
        at = await started.kill(process, chance.uniform(0, 0.1))
        story.disturbances.append((at, at))


async def refresh_once_more(story: Story, seeded: Seeded) -> UsableCredential | None:
    """Refresh once more after all processes ended; return None if the end user has to connect again."""
    for _ in range(5):
        story.app.application.clock.advance(minutes=11)  # past every lease and every pause
        try:
            return await fresh_credentials(story.installation, seeded.key)
        except ReauthRequired:
            return None
        except ProviderUnavailable:
            continue
    raise AssertionError(f"{seeded.family} is neither usable nor refused")


async def assert_usable_or_rightly_dead(story: Story, records: list[LogRecord]) -> None:
    """Check each connection against the provider's own log."""
    story.provider.behave(life=86_400.0, before=0.0, after=0.0)
    for seeded in story.seeded.values():
        usable = await refresh_once_more(story, seeded)
        answers = story.provider.answers(seeded.family)
        connection, credential = await read_stored(story.installation, seeded.key)
        if usable is None:
            assert connection.status == "needs_reauth"
            assert "reused" in answers, "the connection needs reauth although the provider would have renewed its token"
            story.dead.append(Dead(seeded.family, generation_of(credential.secrets["refresh_token"])))
        else:
            assert connection.status == "active"
            assert "reused" not in answers
            assert story.provider.accepts(token_of(usable))
            story.counts["usable"] += 1
    received: dict[str, dict[int, float]] = {}
    for record in records:
        if record.token is not None:
            _, family, generation, _ = record.token.split(".")
            received.setdefault(family, {}).setdefault(int(generation), record.at)
    for dead in story.dead:
        check_cause(story, dead, story.provider.log(dead.family), received.get(dead.family, {}))


def check_cause(story: Story, dead: Dead, requests: list[TokenRequest], received: dict[int, float]) -> None:
    """Check that a process was killed or stopped between the rotation and the second use of the presented token."""
    reuse = next(line for line in requests if line.answer == "reused")
    rotated = next(line for line in requests if line.answer == "granted" and line.presented == reuse.presented)
    between = rotated.at - SLACK, reuse.at + SLACK
    assert any(at <= between[1] and back >= between[0] for at, back in story.disturbances), (
        f"no process was disturbed then: {requests}"
    )
    committed = [generation for generation, at in received.items() if generation > reuse.presented and at < reuse.at]
    if not committed:
        story.counts["lost between answer and commit"] += 1
        assert story.length.stops or dead.stored == reuse.presented
        return
    # A process was stopped in the one instant between its last look at the clock and the sending of its request.
    assert story.length.stops, f"generation {max(committed)} was committed, and {reuse.presented} presented after it"
    story.counts["presented too late"] += 1


def log_commit_times(records: list[LogRecord]) -> None:
    """Log how long new tokens were in memory only."""
    took = sorted(1000 * record.commit for record in records if record.commit is not None)
    percentiles = {name: round(took[int((len(took) - 1) * part)], 2) for name, part in (("p50", 0.5), ("p99", 0.99))}
    log.warning("from answer to commit, ms: %s of %d", percentiles, len(took))


async def crashes(app: RotatingApplication, database_url: str, folder: Path, length: Length) -> None:
    """Run a story from its start to its checks."""
    started_at = time.monotonic()
    story = await create_story(app, length)
    async with renewers(work_of(story, database_url, folder), folder) as started:
        await disturb(story, started)
        records = started.records()
    await assert_usable_or_rightly_dead(story, records)
    families = {dead.family for dead in story.dead} | {seeded.family for seeded in story.seeded.values()}
    answers = Counter(line.answer for line in app.provider.log() if line.family in families)
    assert answers["granted"] > CONNECTIONS
    assert story.counts["presented too late"] <= 1 + length.stops / 10
    story.counts.update({"kills": length.kills, "stops": length.stops, "needs_reauth": len(story.dead), **answers})
    log.warning("%s in %.0f s", dict(story.counts), time.monotonic() - started_at)
    log_commit_times(records)


def side_by_side(database_url: str) -> int:
    """Return the number of processes at a time: SQLite allows one."""
    return 1 if database_url.startswith("sqlite") else 2


@pytest.mark.timeout(120)
@pytest.mark.soak_on("sqlite")
async def test_every_connection_is_usable_or_rightly_needs_reauth_after_kills(
    app: RotatingApplication, database_url: str, tmp_path: Path
) -> None:
    await crashes(app, database_url, tmp_path, Length(kills=12, processes=side_by_side(database_url)))


@pytest.mark.timeout(120)
@pytest.mark.soak_on("postgresql")
async def test_every_connection_is_usable_or_rightly_needs_reauth_after_stops_past_the_lease(
    app: RotatingApplication, database_url: str, tmp_path: Path
) -> None:
    length = Length(stops=3, processes=side_by_side(database_url), lease=1.0, request=0.5)
    await crashes(app, database_url, tmp_path, length)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills, stops", [(300, 0), (0, 30)], ids=["kills", "stops"])
async def test_many_kills_and_stops_lose_no_token(
    app: RotatingApplication, database_url: str, tmp_path: Path, kills: int, stops: int
) -> None:
    lease, request = (1.0, 0.5) if stops else (2.0, 1.0)
    many = side_by_side(database_url)
    length = Length(kills, stops, many, lease, request, seed=time.time_ns())
    await crashes(app, database_url, tmp_path, length)


def has_answered_twice(story: Story) -> bool:
    """Return True once the provider has answered two token requests of each connection."""
    answers = Counter(line.family for line in story.provider.log())
    return all(answers[seeded.family] >= 2 for seeded in story.seeded.values())


async def test_undisturbed_processes_lose_no_token(app: RotatingApplication, database_url: str, tmp_path: Path) -> None:
    """Without kills, no token is lost and every connection is renewed several times."""
    story = await create_story(app, Length(lease=60.0, request=20.0))  # as in production
    async with renewers(work_of(story, database_url, tmp_path), tmp_path) as started:
        process = await started.start(seed=1)
        warm = time.time() + 0.5  # its first commits compile and prepare their statements
        await eventually(lambda: has_answered_twice(story))
        await started.kill(process, 0)
        log_commit_times(started.records())
        log_commit_times([record for record in started.records() if record.at > warm])
    for seeded in story.seeded.values():
        answers = story.provider.answers(seeded.family)
        assert len(answers) >= 2
        assert set(answers) == {"granted"}
