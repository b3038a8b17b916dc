"""`one-runtime serve` as a real process, and commands that run while this process serves."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database
from one_runtime.encryption.vault import new_key
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.events import Actor
from tests.application import ORIGIN
from tests.fork_server import ROOT, ForkedProcess, run
from tests.ports import free_port
from tests.waiting import async_attempts


@dataclass(frozen=True, slots=True)
class Serving:
    """Configuration of a server: database, module, number of processes, other settings, other options of `serve`."""

    database_url: str
    module: Sequence[str] = ("one_runtime",)
    workers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    port: int = 0
    """Port of the server. 0: a free port."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its URL, process, settings and log."""

    url: str
    port: int
    process: ForkedProcess
    environment: dict[str, str]
    log_file: Path

    def log(self) -> bytes:
        return self.log_file.read_bytes()

    async def command(self, *words: str) -> str:
        """Run a command of `python -m one_runtime` with the server's settings. Return the output."""
        command_line = [sys.executable, "-m", "one_runtime", *words]
        result = await asyncio.to_thread(run, command_line, self.environment, cwd=ROOT)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()


async def make_key(database_url: str, name: str = "Northwind") -> str:
    """Create an organization. Return an API key with all scopes."""
    database = create_database(database_url, pool_size=1)
    await database.open()
    try:
        async with database.write() as tx:
            organization = await organizations.create(tx, name, system_clock(), allowed_origins=(ORIGIN,))
            actor = Actor(organization.id, "system")
            _, token = await api_keys.create(tx, actor, "test", api_keys.SCOPES, system_clock())
            return token.secret
    finally:
        await database.close()


@asynccontextmanager
async def serving(what: Serving, folder: Path) -> AsyncIterator[Served]:
    """Migrate a database, and run a server on it until the block ends."""
    served = await start(what, folder)
    try:
        yield served
    finally:
        await stop(served)


async def start(what: Serving, folder: Path) -> Served:
    """Start a server and wait until it is ready. The caller stops or kills it."""
    served = _start(what, folder)
    try:
        await _wait_until_ready(served)
    except BaseException:
        await stop(served)
        raise
    return served


async def stop(served: Served) -> None:
    """Stop a server, and wait until it has ended. Send SIGKILL if SIGTERM does not end it."""
    served.process.send_signal(signal.SIGTERM)
    try:
        await asyncio.to_thread(served.process.wait, 10)
    except subprocess.TimeoutExpired:
        served.process.kill()
        served.process.wait()


def _start(what: Serving, folder: Path) -> Served:
    port = what.port or free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "ONE_RUNTIME_DATABASE_URL": what.database_url,
        "ONE_RUNTIME_ENCRYPTION_KEYS": new_key(),
        "ONE_RUNTIME_LISTEN": f"127.0.0.1:{port}",
        "ONE_RUNTIME_PUBLIC_URL": url,
        "ONE_RUNTIME_LOG_LEVEL": "debug",
        **what.settings,
    }
    command = [sys.executable, "-m", *what.module, "serve", "--workers", str(what.workers), *what.options]
    log_file = folder / "serve.log"
    with log_file.open("wb") as log:
        process = ForkedProcess(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    return Served(url, port, process, environment, log_file)


async def _wait_until_ready(served: Served) -> None:
    async with httpx2.AsyncClient(base_url=served.url) as http:
        async for _ in async_attempts(60):
            assert served.process.poll() is None, served.log().decode()
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx2.TransportError:
                continue
