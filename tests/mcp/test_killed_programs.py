"""Servers that are killed while a program waits, or continues: the program completes once, and no write is repeated."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx2
import pytest
from sqlalchemy import update

from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database
from one_runtime.db.schema import agent_runs
from one_runtime.demo.acme import GLOBEX
from one_runtime.encryption.vault import new_key
from tests.application import ACME_KEYS, RunningAcme
from tests.mcp.conftest import PAGE, call_at
from tests.promises.serving import Served, Serving, make_key, start, stop
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROGRAM: Final = """
import acme, asyncio
from one_runtime import call, ConnectRequired
await acme.contact_create(name="NAME 0")
try:
    await call("hubspot", "GET", "/crm/v3/objects/contacts")
except ConnectRequired:
    pass
for number in range(1, 4):
    await acme.contact_create(name=f"NAME {number}")
    await asyncio.sleep(PAUSE)
"done"
"""


@dataclass
class Installation:
    """Servers on one database, which a test starts and kills."""

    database_url: str
    acme: RunningAcme
    folder: Path
    keys: str = field(default_factory=new_key)
    api_key: str = ""
    running: list[Served] = field(default_factory=list)

    async def start(self) -> Served:
        folder = self.folder / str(len(list(self.folder.iterdir())))
        folder.mkdir()
        settings = {
            "ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{self.acme.port}",
            "ONE_RUNTIME_ENCRYPTION_KEYS": self.keys,
        }
        what = Serving(self.database_url, ("tests.promises.served_with_acme", self.acme.url), settings=settings)
        served = await start(what, folder)
        self.running.append(served)
        self.api_key = self.api_key or await make_key(self.database_url)
        return served

    async def kill(self, served: Served) -> None:
        self.running.remove(served)
        served.process.kill()
        await asyncio.to_thread(served.process.wait)

    async def another(self, served: Served) -> Served:
        """Return a second server. SQLite has only one server, so restart that server."""
        if self.database_url.startswith("sqlite"):
            await self.kill(served)
        return await self.start()

    def contacts(self, name: str) -> Counter[str]:
        """Return how often programs have created each contact at the provider."""
        contacts = self.acme.acme.accounts[GLOBEX].contacts.values()
        return Counter(contact.name for contact in list(contacts) if contact.name.startswith(f"{name} "))

    async def end_leases(self) -> None:
        """Let the leases of all running programs end."""
        database = create_database(self.database_url, pool_size=1)
        await database.open()
        try:
            async with database.write() as tx:
                ended = update(agent_runs).where(agent_runs.c.status == "running")
                await tx.execute(ended.values(due_at=system_clock() - timedelta(seconds=1)))
        finally:
            await database.close()


@pytest.fixture
async def installation(database_url: str, acme: RunningAcme, tmp_path: Path) -> AsyncIterator[Installation]:
    installation = Installation(database_url, acme, tmp_path)
    yield installation
    for served in installation.running:
        await stop(served)


@asynccontextmanager
async def api(installation: Installation, served: Served) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {installation.api_key}"}
    async with httpx2.AsyncClient(base_url=served.url, headers=headers, timeout=30) as http:
        yield http


async def paused(installation: Installation, served: Served, name: str, pause: float = 0.0) -> tuple[str, str]:
    """Run a program until its pause, and decline to connect HubSpot. Return the token and the id of the run."""
    async with api(installation, served) as http:
        assert (await http.patch("/v1/organization", json={"agents": {"connect_url": PAGE}})).status_code == 200
        body = {"integration_slug": "acme", "end_user_id": name, "auth_type": "api_key"}
        connected = await http.post("/v1/connections", json={**body, "credentials": {"api_key": ACME_KEYS[GLOBEX]}})
        assert connected.status_code == 201, connected.text
        created = await http.post("/v1/end-user-tokens", json={"end_user_id": name, "access": "write"})
        token = created.json()["end_user_token"]
        code = PROGRAM.replace("NAME", name).replace("PAUSE", str(pause))
        answer = await call_at(served.url, token, "run_python", code=code)
        assert answer.data["code"] == "connect_required", answer.text
        events = (await http.get("/v1/events", params={"type": "agent.connect_requested"})).json()["events"]
        declined = await http.delete(f"/v1/connect-requests/{events[0]['data']['connect_request_id']}")
        assert declined.json()["status"] == "declined"
    assert installation.contacts(name) == {f"{name} 0": 1}
    return token, answer.data["run_id"]


def everything_once(name: str) -> Counter[str]:
    return Counter({f"{name} {number}": 1 for number in range(4)})


@pytest.mark.soak_on("postgresql")
async def test_program_completes_once_although_its_server_was_killed(installation: Installation) -> None:
    first = await installation.start()
    token, run_id = await paused(installation, first, "waits")
    await installation.kill(first)
    servers = [await installation.start()]
    if not installation.database_url.startswith("sqlite"):
        servers.append(await installation.start())
    answers = await asyncio.gather(
        *(call_at(served.url, token, "run_python", run_id=run_id) for served in (*servers, servers[0]))
    )
    assert {answer.data.get("result", answer.data.get("code")) for answer in answers} <= {"done", "program_running"}
    later = await call_at(servers[-1].url, token, "run_python", run_id=run_id)
    assert later.data["result"] == "done"
    assert installation.contacts("waits") == everything_once("waits")


@pytest.mark.soak_on("sqlite")
async def test_program_whose_server_was_killed_names_its_writes_and_does_not_repeat_them(
    installation: Installation,
) -> None:
    served = await installation.start()
    token, run_id = await paused(installation, served, "runs", pause=1.5)
    request = asyncio.create_task(call_at(served.url, token, "run_python", run_id=run_id))
    await eventually(lambda: installation.contacts("runs")["runs 2"])
    await installation.kill(served)
    with suppress(Exception):
        await request
    again = await installation.start()
    assert (await call_at(again.url, token, "run_python", run_id=run_id)).data["code"] == "program_running"
    await installation.end_leases()
    for _ in range(2):
        answer = await call_at(again.url, token, "run_python", run_id=run_id)
        assert answer.data["code"] == "program_interrupted", answer.text
        assert answer.text.count("POST acme /v1/contacts") == 3
        assert answer.text.count("(201)") == 2
        assert answer.text.count("no response known") == 1
        again = await installation.another(again)
    assert installation.contacts("runs") == {f"runs {number}": 1 for number in range(3)}


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_no_write_is_repeated_wherever_the_server_is_killed(installation: Installation) -> None:
    chance = random.Random(20261130)
    outcomes: Counter[str] = Counter()
    served = await installation.start()
    for number in range(25):
        name = f"round{number}"
        token, run_id = await paused(installation, served, name, pause=0.02)
        request = asyncio.create_task(call_at(served.url, token, "run_python", run_id=run_id))
        await asyncio.wait([request], timeout=chance.uniform(0.0, 0.25))
        await installation.kill(served)
        with suppress(Exception):
            await request
        served = await installation.start()
        await installation.end_leases()
        answer = await call_at(served.url, token, "run_python", run_id=run_id)
        outcome = answer.data.get("code", "done")
        outcomes[outcome] += 1
        made = installation.contacts(name)
        assert set(made.values()) == {1}, made
        if outcome == "done":
            assert made == everything_once(name)
        else:
            assert outcome == "program_interrupted", answer.text
            assert answer.text.count("POST acme /v1/contacts") >= len(made), (answer.text, made)
    assert outcomes.keys() == {"done", "program_interrupted"}, outcomes
