"""P3: One Runtime can open every credential after key rotations under load, even if processes were killed.

End users connect, reconnect and disconnect at real servers. The test activates two keys by turns. It repeatedly kills
`keys reseal` (SIGKILL) before the command has finished, and sometimes kills a server. The long version prints figures:
`make soak ARGS="-rP tests/promises/test_rotation.py"`.
"""

import asyncio
import logging
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import httpx2
import pytest

from one_runtime.db.engine import Database
from one_runtime.demo.acme import GLOBEX
from one_runtime.encryption.key_ring import SEALED_TABLES
from tests import sealed_rows
from tests.application import ACME_KEYS, RunningAcme
from tests.promises.forked_commands import Commands, forking
from tests.promises.serving import Served, Serving, make_key, start, stop
from tests.sealed_rows import FIRST, ID, SECOND, ring
from tests.waiting import eventually

pytestmark = [pytest.mark.promise("P3"), pytest.mark.slow]

log = logging.getLogger("rotation")

BOTH = f"{FIRST},{SECOND}"
CALLERS = 3
END_USERS = 8  # per caller

Possible = set[str | None]
"""The API keys that an end user's connection can have. None: no connection. A lost response leaves several keys."""


@dataclass(frozen=True, slots=True)
class Length:
    """Size of a run: inserted rows, kills of an unfinished `keys reseal`, killed servers, and parallel servers."""

    rows: int
    kills: int
    killed_servers: int
    servers: int = 1
    seed: int = 20261125


@dataclass(slots=True)
class Story:
    """Servers under load. `servers`: None takes the place of a server that is restarting."""

    acme: RunningAcme
    database_url: str
    folder: Path
    api_key: str
    servers: list[Served | None]
    over: bool = False
    possible: dict[str, Possible] = field(default_factory=dict)
    answers: int = 0
    lost: int = 0
    busy: int = 0

    @property
    def running(self) -> list[Served]:
        return [served for served in self.servers if served is not None]

    async def start(self, number: int) -> None:
        """Start or restart a server."""
        more = {
            "ONE_RUNTIME_ENCRYPTION_KEYS": BOTH,
            "ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{self.acme.port}",
            "ONE_RUNTIME_RATE_LIMIT": "0",
            "ONE_RUNTIME_LOG_LEVEL": "info",
        }
        module = ("tests.promises.served_with_acme", self.acme.url)
        folder = self.folder / f"server{number}"
        folder.mkdir(exist_ok=True)
        self.servers[number] = await start(Serving(self.database_url, module, settings=more), folder)

    async def kill(self, number: int) -> None:
        """Kill a server and start it again."""
        served = self.servers[number]
        assert served is not None
        served.process.kill()
        await asyncio.to_thread(served.process.wait)
        self.servers[number] = None
        await self.start(number)


async def call(
    story: Story, http: httpx2.AsyncClient, path: str, body: dict[str, object] | None = None
) -> httpx2.Response | None:
    """Send a request to the next server.

    Return None if the server was busy or killed. After a kill, it is unknown if the request had an effect.
    """
    running = await eventually(lambda: story.running, 30)
    served = running[story.answers % len(running)]
    headers = {"authorization": f"Bearer {story.api_key}"}
    try:
        method = "GET" if body is None else "POST"
        answer = await http.request(method, f"{served.url}{path}", json=body, headers=headers)
    except httpx2.TransportError:
        story.lost += 1
        return None
    if answer.status_code == 503 and answer.json()["code"] == "database_busy":  # SQLite allows one writer at a time
        story.busy += 1
        return None
    assert answer.status_code in {200, 201}, answer.text
    story.answers += 1
    return answer


async def run_caller(story: Story, name: str, seed: int) -> None:
    """Connect, reconnect and disconnect end users at random. Also use a connection with a valid key."""
    chance = random.Random(f"{name} {seed}")
    async with httpx2.AsyncClient(timeout=20) as http:
        whole = {"integration_slug": "acme", "auth_type": "api_key", "check": False}
        while not story.over:
            end_user = f"{name}_{chance.randrange(END_USERS)}"
            possible = story.possible.setdefault(end_user, {None})
            if chance.random() < 0.2:
                body: dict[str, object] = {"integration_slug": "acme", "end_user_id": end_user}
                answer, new = await call(story, http, "/v1/disconnect", body), None
            else:
                new = f"acme_{name}_{chance.getrandbits(64):016x}"
                body = {**whole, "end_user_id": end_user, "credentials": {"api_key": new}}
                answer = await call(story, http, "/v1/connections", body)
            story.possible[end_user] = {new} if answer else possible | {new}
            await use_working_connection(story, http, name)


async def use_working_connection(story: Story, http: httpx2.AsyncClient, name: str) -> None:
    """Use this caller's connection with a key that Acme accepts. Create the connection before the first use."""
    end_user, key = f"{name}_works", ACME_KEYS[GLOBEX]
    if end_user not in story.possible:
        body = {"integration_slug": "acme", "end_user_id": end_user, "auth_type": "api_key"}
        created = await call(story, http, "/v1/connections", {**body, "credentials": {"api_key": key}})
        if created:
            story.possible[end_user] = {key}
        return
    listed = await call(story, http, f"/v1/connections?end_user_id={end_user}")
    if listed:
        (connection,) = listed.json()["connections"]
        answer = await call(story, http, f"/v1/connections/{connection['id']}/check", {})
        assert answer is None or answer.json()["working"] is True


@dataclass(frozen=True, slots=True)
class Rotated:
    """Rows that existed before the load. Only `keys reseal` changes these rows."""

    database: Database
    commands: Commands
    seeded: sealed_rows.Contents

    async def count(self, key: str) -> int:
        """Return the number of these rows that are sealed with a key."""
        counts = [await sealed_rows.rows_under(self.database, table, ID[key]) for table in SEALED_TABLES]
        return len(set().union(*counts) & self.seeded.keys())


@asynccontextmanager
async def load(story: Story, seed: int) -> AsyncIterator[None]:
    """Run callers until the block ends. If a caller fails, the test fails."""
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(run_caller(story, f"caller{number}", seed))
        try:
            yield
        finally:
            story.over = True


@asynccontextmanager
async def running_story(acme: RunningAcme, database_url: str, folder: Path, servers: int) -> AsyncIterator[Story]:
    """Start the servers of a story, and stop them when the block ends."""
    story = Story(acme, database_url, folder, await make_key(database_url), [None] * servers)
    try:
        await asyncio.gather(*(story.start(number) for number in range(servers)))
        yield story
    finally:
        await asyncio.gather(*(stop(served) for served in story.running))


async def rotate_and_kill(story: Story, rotated: Rotated, length: Length) -> Counter[str]:
    """Activate a key, and kill `keys reseal` at a random moment. Repeat this until enough kills came halfway.

    A kill came halfway if only some rows were resealed. Return the numbers of rotations and kills.
    """
    chance, counts, keys, longest = random.Random(length.seed), Counter[str](), cycle([SECOND, FIRST]), 0.4
    every = length.kills // length.killed_servers
    while counts["halfway"] < length.kills:
        key = next(keys)
        await sealed_rows.activate(rotated.database, ring(FIRST, SECOND), key)
        counts["rotations"] += 1
        before = await rotated.count(key)
        batch = str(chance.choice([1, 2, 5]))
        ended = await rotated.commands.run("keys", "reseal", "--batch", batch, seconds=chance.uniform(0, longest))
        if ended == 0:
            longest *= 0.8  # on this machine, `keys reseal` takes less time
            continue
        assert ended == -signal.SIGKILL, (story.folder / "commands.log").read_text()
        counts["kills"] += 1
        resealed = await rotated.count(key)
        if resealed == before:
            longest = min(longest * 1.2, 5.0)
        if before < resealed < len(rotated.seeded):
            counts["halfway"] += 1
            if counts["halfway"] % every == 0:
                await story.kill(counts["killed servers"] % len(story.servers))
                counts["killed servers"] += 1
    return counts


async def rotation(acme: RunningAcme, database_url: str, folder: Path, length: Length) -> None:
    """Run a story: insert rows, start the load, rotate and kill, reseal the rest, check all credentials."""
    started_at = time.monotonic()
    async with (
        sealed_rows.opened(database_url) as database,
        running_story(acme, database_url, folder, length.servers) as story,
        forking(story.running[0].environment, folder / "commands.log") as commands,
    ):
        seeded = await sealed_rows.seed(database, ring(FIRST, SECOND), length.rows)
        async with load(story, length.seed):
            counts = await rotate_and_kill(story, Rotated(database, commands, seeded), length)
            for words in (["keys", "activate", ID[SECOND]], ["keys", "reseal"]):
                assert await commands.run(*words, seconds=60) == 0, (folder / "commands.log").read_text()
        opened = await assert_everything_opens(story, database, seeded)
        assert await commands.run("keys", "disable", ID[FIRST], seconds=60) == 0
        await sealed_rows.register(database, ring(SECOND))  # a server does this at its start
    counts.update({"credentials": opened, "answers": story.answers, "lost": story.lost, "busy": story.busy})
    log.warning("%s in %.0f s", dict(counts), time.monotonic() - started_at)


async def assert_everything_opens(story: Story, database: Database, seeded: sealed_rows.Contents) -> int:
    """Check that each credential has the value that was stored last. Return the number of credentials."""
    contents = await sealed_rows.contents(database, ring(SECOND))
    count = len(contents)
    assert {place: contents.pop(place, None) for place in seeded} == seeded
    keys = {secrets["api_key"] for secrets in contents.values()}
    assert len(keys) >= CALLERS
    for end_user, possible in story.possible.items():
        assert None in possible or possible & keys, end_user
    assert keys <= set().union(*story.possible.values())
    assert story.answers > 10 * CALLERS
    assert story.busy <= story.answers / 20, "the database was busy for more than 5 % of the requests"
    return count


@pytest.mark.timeout(180)
@pytest.mark.soak_on("sqlite")
async def test_every_credential_can_be_decrypted_after_kills_during_rotation_under_load(
    acme: RunningAcme, database_url: str, tmp_path: Path
) -> None:
    await rotation(acme, database_url, tmp_path, Length(rows=100, kills=4, killed_servers=1))


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_every_credential_can_be_decrypted_after_a_long_run_of_rotations_and_kills(
    acme: RunningAcme, database_url: str, tmp_path: Path
) -> None:
    servers = 1 if database_url.startswith("sqlite") else 2
    length = Length(rows=2000, kills=50, killed_servers=5, servers=servers, seed=time.time_ns())
    await rotation(acme, database_url, tmp_path, length)
