"""Workers that die on PostgreSQL: the other workers continue to serve, and new workers replace the dead workers."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from one_runtime.db.migrations import migrate
from one_runtime.encryption.vault import new_key
from tests import postgres
from tests.ports import free_port
from tests.promises.serving import Served, Serving, serving, start
from tests.serving.test_server import variables
from tests.waiting import async_attempts, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Database:
    """A PostgreSQL server of one test, with one migrated database."""

    def __init__(self) -> None:
        self._server = postgres.start_server()
        databases = postgres.Databases(self._server.port, self._server.copy_method)
        self.url = databases.create("one_runtime")
        databases.close()
        migrate(self.url)

    def stop(self) -> None:
        self._server.stop_process()

    def kill(self) -> None:
        self._server.kill_process()

    def start(self) -> None:
        self._server = self._server.restart()

    def remove(self) -> None:
        self._server.stop()


@pytest.fixture
def database() -> Iterator[Database]:
    created = Database()
    yield created
    created.remove()


@asynccontextmanager
async def two_workers(database_url: str, folder: Path) -> AsyncIterator[Served]:
    """Run a server until the block ends. Then check the exit status of the parent process."""
    async with serving(Serving(database_url, workers=2), folder) as served:
        await eventually(lambda: len(ready(served)) == 2)
        yield served
    assert served.process.returncode in {0, -signal.SIGTERM}


def lines(served: Served) -> list[dict[str, Any]]:
    return [json.loads(line) for line in served.log().splitlines() if line.startswith(b"{")]


def ready(served: Served) -> list[int]:
    """Return the process ids of all workers that were ever ready, in the order of their readiness."""
    return [line["process_id"] for line in lines(served) if line["event"] == "worker_ready"]


def exits(served: Served) -> list[int]:
    """Return the exit status of each dead worker."""
    return [line["exit_status"] for line in lines(served) if line["event"] == "worker_died"]


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def until_both_ready(served: Served) -> set[int]:
    """Wait until two workers run and `/readyz` answers 200. Return their process ids."""
    async with httpx2.AsyncClient(base_url=served.url) as http:
        async for _ in async_attempts(60):
            workers = {worker for worker in ready(served) if is_running(worker)}
            if len(workers) == 2 and (await http.get("/readyz")).status_code == 200:
                return workers
    raise AssertionError("unreachable: the attempts end with TimeoutError")


async def until_a_start_fails(served: Served, earlier: int) -> None:
    """Wait until more than `earlier` workers could not start. The parent process must continue."""

    def has_failed() -> bool:
        assert served.process.poll() is None, f"the server ended with status {served.process.returncode}"
        return len([line for line in lines(served) if line["event"] == "lifespan_failed"]) > earlier

    await eventually(has_failed, 60)


@pytest.mark.soak
async def test_workers_that_die_while_postgresql_is_away_are_replaced_afterwards(
    database: Database, tmp_path: Path
) -> None:
    """Review D1."""
    async with two_workers(database.url, tmp_path) as served:
        killed, survivor = ready(served)
        await asyncio.to_thread(database.stop)
        os.kill(killed, signal.SIGKILL)
        await until_a_start_fails(served, 0)
        await until_a_start_fails(served, 1)
        async with httpx2.AsyncClient(base_url=served.url) as http:
            assert (await http.get("/healthz")).status_code == 200, "the other worker continues"
        await asyncio.to_thread(database.start)
        workers = await until_both_ready(served)
        assert survivor in workers
        await asyncio.to_thread(database.stop)
        earlier = len(exits(served))
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        await until_a_start_fails(served, earlier)
        await asyncio.to_thread(database.start)
        replacements = await until_both_ready(served)
        assert not workers & replacements


async def test_hanging_worker_does_not_delay_the_replacement_of_another(
    migrated_postgresql_url: str, tmp_path: Path
) -> None:
    async with two_workers(migrated_postgresql_url, tmp_path) as served:
        hanging, killed = ready(served)
        os.kill(hanging, signal.SIGSTOP)
        try:
            os.kill(killed, signal.SIGKILL)
            await eventually(lambda: len(ready(served)) == 3, 30)
        finally:
            os.kill(hanging, signal.SIGCONT)
        assert exits(served) == [-signal.SIGKILL]


def test_server_whose_workers_cannot_start_ends_with_one_sentence(migrated_postgresql_url: str) -> None:
    """The parent process reads valid settings. Then a setting changes, and the workers cannot read their settings."""
    program = """
import os, sys
from one_runtime import cli, settings as module
load_settings = module.load_settings
def load_and_change(**options):
    settings = load_settings(**options)
    os.environ["ONE_RUNTIME_RATE_LIMIT"] = "many"
    return settings
module.load_settings = load_and_change
sys.argv = ["one-runtime", "serve", "--workers", "2"]
cli.main()
"""
    environment = variables(migrated_postgresql_url, free_port(), new_key())
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "ONE_RUNTIME_RATE_LIMIT" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("A server process could not start.")


async def test_workers_end_after_the_death_of_their_parent(migrated_postgresql_url: str, tmp_path: Path) -> None:
    parent = await start(Serving(migrated_postgresql_url, workers=2), tmp_path)
    await eventually(lambda: len(ready(parent)) == 2)
    parent.process.kill()
    await asyncio.to_thread(parent.process.wait)
    workers = ready(parent)
    await eventually(lambda: not any(is_running(worker) for worker in workers), 45)
    with socket.create_server(("127.0.0.1", parent.port)):
        pass  # the next start finds the address free
