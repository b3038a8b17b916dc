"""SIGHUP: a running server takes the new key ring and the other reloaded settings, or keeps what it had."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.settings import RELOADED, Settings
from tests.fork_server import ROOT
from tests.ports import free_port
from tests.promises.serving import Served, Serving, make_key, serving
from tests.waiting import attempts, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FIRST, SECOND = new_key(), new_key()
WORKERS: Final = {"sqlite": 1, "postgresql": 2}
WITHOUT_A_LIMIT: Final = {"ONE_RUNTIME_RATE_LIMIT": "0"}


def id_of(key: str) -> str:
    (key_id,) = Vault(parse_keys(key)).key_ids
    return key_id


@dataclass(frozen=True, slots=True)
class Operated:
    """A server whose key ring, and whose other settings by name, are files."""

    served: Served
    http: httpx2.AsyncClient
    folder: Path

    def write(self, setting: str, value: str) -> None:
        (self.folder / setting).write_text(value)

    def reload(self) -> None:
        self.served.process.send_signal(signal.SIGHUP)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of an event. The last line of the file can be incomplete."""
        lines = (json.loads(line) for line in self.served.log().splitlines() if line.endswith(b"}"))
        return [line for line in lines if line["event"] == event]

    async def reloaded(self, event: str = "reloaded", *, lines: int = 1) -> dict[str, Any]:
        """Reload, and return the last line of the event when so many more lines are in the log."""
        before = len(self.lines(event))
        self.reload()
        await eventually(lambda: len(self.lines(event)) >= before + lines)
        return self.lines(event)[-1]

    async def seal(self) -> int:
        """Create a webhook endpoint, whose secret is sealed with the active key."""
        body = {"url": "https://hooks.example.com/", "event_types": ["connection.created"]}
        return (await self.http.post("/v1/webhook-endpoints", json=body)).status_code


@asynccontextmanager
async def operated(
    url: str, folder: Path, workers: int = 1, files: tuple[str, ...] = ("encryption_keys",), **values: str
) -> AsyncIterator[Operated]:
    for name in files:
        default = FIRST if name == "encryption_keys" else str(Settings.model_fields[name].default)
        (folder / name).write_text(values.get(name, default))
    settings = {f"ONE_RUNTIME_{name.upper()}_FILE": str(folder / name) for name in files}
    settings |= {"ONE_RUNTIME_ENCRYPTION_KEYS": "", "ONE_RUNTIME_LOG_LEVEL": "", **WITHOUT_A_LIMIT}
    settings |= {f"ONE_RUNTIME_{name.upper()}": "" for name in files}
    async with serving(Serving(url, workers=workers, settings=settings), folder) as served:
        headers = {"authorization": f"Bearer {await make_key(url)}"}
        async with httpx2.AsyncClient(base_url=served.url, headers=headers, timeout=20) as http:
            server = Operated(served, http, folder)
            await eventually(lambda: workers == 1 or len(server.lines("worker_ready")) == workers)
            yield server


async def test_added_key_is_used_after_sighup_while_requests_run(
    database_url: str, database_kind: str, tmp_path: Path
) -> None:
    async with operated(database_url, tmp_path, WORKERS[database_kind]) as server:
        reloaded, statuses = asyncio.Event(), list[int]()

        async def ask() -> None:
            while not reloaded.is_set():
                statuses.append((await server.http.get("/v1/connections")).status_code)

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        server.write("encryption_keys", f"{FIRST},{SECOND}")
        line = await server.reloaded(lines=WORKERS[database_kind])
        reloaded.set()
        await asyncio.gather(*asking)
        assert line["changed"] == ["ONE_RUNTIME_ENCRYPTION_KEYS"]
        assert line["key_ids"] == [id_of(FIRST), id_of(SECOND)]
        assert statuses
        assert set(statuses) == {200}
        await server.served.command("keys", "activate", id_of(SECOND))
        assert {await server.seal() for _ in range(10)} == {201}
        keys = json.loads(await server.served.command("keys", "list", "--json"))
        assert [key["rows"] for key in keys] == [0, 10]
        assert server.served.process.poll() is None


async def test_key_leaves_the_ring_only_after_it_is_disabled(migrated_sqlite_url: str, tmp_path: Path) -> None:
    async with operated(migrated_sqlite_url, tmp_path) as server:
        server.write("encryption_keys", f"{FIRST},{SECOND}")
        await server.reloaded()
        await server.served.command("keys", "activate", id_of(SECOND))
        server.write("encryption_keys", SECOND)
        assert id_of(FIRST) in (await server.reloaded("reload_refused"))["detail"]
        server.write("encryption_keys", f"{FIRST},{SECOND}")
        await server.served.command("keys", "disable", id_of(FIRST))
        server.write("encryption_keys", SECOND)
        assert (await server.reloaded())["key_ids"] == [id_of(SECOND)]
        assert await server.seal() == 201


@pytest.mark.parametrize(
    "ring, reason",
    [
        (f"{FIRST},not-a-key", "must be 32-byte keys in base64"),
        ("", "No encryption key is set"),
        (SECOND, f"lacks keys that this database needs: {id_of(FIRST)}"),
    ],
    ids=["malformed", "empty", "without the active key"],
)
async def test_invalid_ring_changes_nothing_and_the_log_says_what_to_do(
    database_url: str, database_kind: str, tmp_path: Path, ring: str, reason: str
) -> None:
    async with operated(database_url, tmp_path, WORKERS[database_kind], ("encryption_keys", "access_log")) as server:
        server.write("encryption_keys", ring)
        server.write("access_log", "all")
        line = await server.reloaded("reload_refused", lines=WORKERS[database_kind])
        assert line["level"] == "error"
        assert reason in line["detail"]
        assert line["detail"].endswith("Remove the reason, and reload again.")
        assert await server.seal() == 201
        assert server.lines("request") == [], "a reload changes everything or nothing"
        server.write("encryption_keys", f"{FIRST},{SECOND}")
        assert "ONE_RUNTIME_ENCRYPTION_KEYS" in (await server.reloaded())["changed"]


async def test_missing_file_changes_nothing(migrated_sqlite_url: str, tmp_path: Path) -> None:
    async with operated(migrated_sqlite_url, tmp_path) as server:
        (tmp_path / "encryption_keys").unlink()
        assert (
            "ONE_RUNTIME_ENCRYPTION_KEYS_FILE names a file that cannot be read"
            in (await server.reloaded("reload_refused"))["detail"]
        )
        assert await server.seal() == 201


async def new_session(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.post("/v1/hosted-connection-sessions", json={"end_user_id": "user_123"})


async def test_every_reloaded_setting_takes_effect(migrated_sqlite_url: str, tmp_path: Path) -> None:
    files = tuple(sorted(RELOADED))
    assert files == ("access_log", "encryption_keys", "log_level", "rate_limit", "unopened_sessions")
    async with operated(migrated_sqlite_url, tmp_path, files=files) as server:
        before = await server.http.get("/v1/connections")
        assert before.headers["ratelimit-policy"] == '"api-key";q=1000;w=10'
        assert [(await new_session(server.http)).status_code for _ in range(2)] == [200, 200]
        assert (server.lines("request"), server.lines("task_finished")) == ([], [])
        new = {"access_log": "all", "log_level": "debug", "rate_limit": "600", "unopened_sessions": "1"}
        for name, value in new.items():
            server.write(name, value)
        line = await server.reloaded()
        assert line["changed"] == [
            f"ONE_RUNTIME_{name}" for name in ("RATE_LIMIT", "UNOPENED_SESSIONS", "LOG_LEVEL", "ACCESS_LOG")
        ]
        after = await server.http.get("/v1/connections")
        assert after.headers["ratelimit-policy"] == '"api-key";q=100;w=10'
        assert "has 1 sessions that no end user has opened" in (await new_session(server.http)).text
        await eventually(lambda: server.lines("request") and server.lines("task_finished"))


async def test_rate_limit_that_stays_the_same_is_not_forgotten(migrated_sqlite_url: str, tmp_path: Path) -> None:
    files = ("encryption_keys", "rate_limit")
    async with operated(migrated_sqlite_url, tmp_path, files=files, rate_limit="1") as server:
        await server.http.get("/v1/connections")
        assert (await server.http.get("/v1/connections")).status_code == 429
        await server.reloaded()
        assert (await server.http.get("/v1/connections")).status_code == 429


async def test_changed_setting_that_needs_a_restart_is_named(migrated_sqlite_url: str, tmp_path: Path) -> None:
    files = ("encryption_keys", "database_url")
    async with operated(migrated_sqlite_url, tmp_path, files=files, database_url=migrated_sqlite_url) as server:
        server.write("database_url", "sqlite:///elsewhere.db")
        line = await server.reloaded("restart_needed")
        assert line["settings"] == ["ONE_RUNTIME_DATABASE_URL"]
        assert await server.seal() == 201


def children(process_id: int) -> set[int]:
    return set(map(int, Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()))


async def test_sighup_does_not_end_a_worker_that_starts(migrated_postgresql_url: str, tmp_path: Path) -> None:
    async with operated(migrated_postgresql_url, tmp_path, 2) as server:
        parent = server.served.process.pid
        ready = [line["process_id"] for line in server.lines("worker_ready")]
        before = children(parent)
        os.kill(server.lines("worker_ready")[0]["process_id"], signal.SIGKILL)
        (started,) = await eventually(lambda: children(parent) - before)
        assert started not in ready
        os.kill(started, signal.SIGHUP)
        await eventually(lambda: started in [line["process_id"] for line in server.lines("worker_ready")])
        assert len(server.lines("worker_died")) == 1
        await eventually(lambda: server.lines("reloaded"))  # the new worker has handled the signal in the end


def is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_server_stops_when_its_terminal_is_closed(migrated_postgresql_url: str, workers: int) -> None:
    address = f"127.0.0.1:{free_port()}"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "ONE_RUNTIME_DATABASE_URL": migrated_postgresql_url,
        "ONE_RUNTIME_ENCRYPTION_KEYS": FIRST,
        "ONE_RUNTIME_LISTEN": address,
        "ONE_RUNTIME_LOG_LEVEL": "error",
    }
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "one_runtime", "serve", "--workers", str(workers)]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdin=end, stdout=end, stderr=end) as process:
        os.close(end)
        for _ in attempts(60):
            if is_ready(f"http://{address}"):
                break
        process.send_signal(signal.SIGHUP)  # an operator asks for a reload
        for _ in range(3):
            assert is_ready(f"http://{address}")
        os.close(terminal)
        process.send_signal(signal.SIGHUP)  # the system does the same if it is the controlling terminal
        try:
            assert process.wait(timeout=30) in {0, -signal.SIGTERM}
        finally:
            process.terminate()
