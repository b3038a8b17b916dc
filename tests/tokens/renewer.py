"""Processes that renew connections' tokens, to be killed and stopped: forks of a process with all imports done.

`python -m tests.tokens.renewer <Work as JSON>` reads an order from each line of standard input and writes a line
in response. Each fork works as a server process does: its own `Installation`, the worker's loop, and callers beside it.
The tokens it received and the duration of commits are in a log that survives it.
"""

import asyncio
import gc
import json
import os
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr

from one_runtime.clock import Clock, system_clock
from one_runtime.connections.credentials import ConnectionKey, ProviderUnavailable
from one_runtime.context import Installation, Timing
from one_runtime.db.database_url import create_database
from one_runtime.egress.client import Egress
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import Unavailable
from one_runtime.jobs import worker
from one_runtime.settings import Settings
from one_runtime.telemetry import metrics
from one_runtime.tokens.refresh import ReauthRequired, fresh_credentials
from one_runtime.tokens.refresh_due import refresh_due
from one_runtime.tokens.state import UsableCredential
from tests.application import PUBLIC_URL
from tests.foreign.process import ROOT
from tests.tokens.rotating import catalog_at, token_of

CALLERS: Final = 4


@dataclass(frozen=True, slots=True)
class Work:
    """The task of a process. Times in seconds. `log`: the file to which it appends the tokens it received."""

    database_url: str
    keys: str
    provider_url: str
    log: str
    organization_id: str
    connections: tuple[str, ...]
    lease: float = 2.0
    request: float = 1.0

    @asynccontextmanager
    async def installation(self, clock: Clock = system_clock) -> AsyncIterator[Installation]:
        """Open an installation as a server process does."""
        allow = frozenset({("127.0.0.1", urlsplit(self.provider_url).port or 0)})
        settings = Settings(
            public_url=PUBLIC_URL,
            database_url=SecretStr(self.database_url),
            encryption_keys=SecretStr(self.keys),
            egress_allow=allow,
        )
        installation = Installation(
            settings=settings,
            database=create_database(self.database_url, pool_size=8),
            catalog=catalog_at(self.provider_url),
            vault=Vault(parse_keys(self.keys)),
            egress=Egress(allow=allow),
            clock=clock,
            timing=replace(Timing(), lease=timedelta(seconds=self.lease), request=self.request, patience=5.0),
        )
        await installation.database.open()
        try:
            yield installation
        finally:
            await installation.egress.close()
            await installation.database.close()


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line of the log: a token that a caller received, or the seconds from the provider's response to the commit."""

    at: float
    token: str | None = None
    commit: float | None = None


@dataclass(slots=True)
class Log:
    """Appends lines, which stay if the process is killed."""

    file: int
    received: set[str] = field(default_factory=set)

    def log_token(self, usable: UsableCredential, *, again: bool = False) -> None:
        """Log a token once, or each time."""
        token = token_of(usable)
        if again or token not in self.received:
            self.received.add(token)
            self._write(LogRecord(time.time(), token=token))

    def observe(self, seconds: float) -> None:
        """Record in place of the metric, whose buckets are too coarse for percentiles."""
        self._write(LogRecord(time.time(), commit=seconds))

    def _write(self, record: LogRecord) -> None:
        os.write(self.file, f"{json.dumps(asdict(record))}\n".encode())


async def pause(seconds: float) -> None:
    """Wait this many seconds."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def run_caller(installation: Installation, work: Work, log: Log, chance: random.Random) -> None:
    """Read the credentials of one random connection after another."""
    while True:
        key = ConnectionKey(work.organization_id, chance.choice(work.connections))
        with suppress(ReauthRequired, ProviderUnavailable, Unavailable):
            log.log_token(await fresh_credentials(installation, key))
        await pause(chance.uniform(0, 0.05))


async def renew(work: Work, log: Log, seed: int, ready: int) -> None:
    """Run the worker's loop at a short interval, and callers, for ever."""
    async with work.installation() as installation, asyncio.TaskGroup() as group:
        os.write(ready, b".")
        group.create_task(worker.run(installation, (worker.PeriodicTask("refresh", 0.02, refresh_due),)))
        for number in range(CALLERS):
            group.create_task(run_caller(installation, work, log, random.Random(seed + number)))


async def burst(work: Work, log: Log, callers: int, at: float) -> None:
    """Read the credentials of one connection by many callers at the same moment."""
    async with work.installation() as installation:
        await installation.database.ping()
        await pause(at - time.time())
        key = ConnectionKey(work.organization_id, work.connections[0])
        for usable in await asyncio.gather(*(fresh_credentials(installation, key) for _ in range(callers))):
            log.log_token(usable, again=True)


def _run_fork(work: Work, order: dict[str, Any], ready: int) -> None:
    """Run an order in the forked process and exit."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    log, code = Log(os.open(work.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)), 70
    vars(metrics)["token_commits"] = log
    try:
        if order["do"] == "burst":
            asyncio.run(burst(work, log, order["callers"], order["at"]))
        else:
            asyncio.run(renew(work, log, order["seed"], ready))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _execute(work: Work, children: set[int], order: dict[str, Any]) -> Any:
    if order["do"] in {"renew", "burst"}:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            _run_fork(work, order, write)
        children.add(child)
        os.close(write)
        if order["do"] == "renew":
            assert os.read(read, 1), "the process did not start"
        os.close(read)
        return child
    child = order["process"]
    if order["do"] == "wait":
        children.discard(child)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _wait(child, order["after"])
    at = time.time()
    os.kill(child, {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "continue": signal.SIGCONT}[order["do"]])
    if order["do"] == "kill":
        children.discard(child)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert ended == -signal.SIGKILL, f"the process had already exited with {ended}"
    return at


def _wait(child: int, seconds: float) -> None:
    """Wait this long, or until the child exits. SIGCHLD also reports stops and other children, hence `waitid`."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        signal.sigtimedwait({signal.SIGCHLD}, left)


def main() -> None:
    """Execute orders until standard input ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    options = json.loads(sys.argv[1])
    work, children = Work(**{**options, "connections": tuple(options["connections"])}), set[int]()
    # Otherwise each fork inherits the collector's counters, and spends the first 0.3 s of its short life in a full
    # collection of all that was imported.
    gc.collect()
    gc.freeze()
    try:
        for line in sys.stdin:
            sys.stdout.write(f"{json.dumps(_execute(work, children, json.loads(line)))}\n")
            sys.stdout.flush()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Renewers:
    """Starts, stops and kills processes."""

    work: Work
    process: Process
    errors: Path

    async def start(self, do: str = "renew", **more: Any) -> int:
        """Start a process and return its id once it works."""
        return int(await self._send_order(do=do, **more))

    async def kill(self, process: int, after: float) -> float:
        """Kill a process after some seconds and return the time. Fails if the process has already exited."""
        return float(await self._send_order(do="kill", process=process, after=after))

    async def stop(self, process: int, after: float, seconds: float) -> float:
        """Stop a process after some seconds, for some seconds, and return the time of the stop."""
        at = float(await self._send_order(do="stop", process=process, after=after))
        await self._send_order(do="continue", process=process, after=seconds)
        return at

    async def ended(self, process: int) -> int:
        """Wait for a process and return its exit code."""
        return int(await self._send_order(do="wait", process=process))

    def records(self) -> list[LogRecord]:
        """Return the log records of all processes."""
        return [LogRecord(**json.loads(line)) for line in Path(self.work.log).read_text().splitlines()]

    async def _send_order(self, **order: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(order)}\n".encode())
        line = await self.process.stdout.readline()
        assert line, self.errors.read_text()
        return json.loads(line)


@asynccontextmanager
async def renewers(work: Work, folder: Path) -> AsyncIterator[Renewers]:
    """Run processes for this work until the block ends."""
    errors = folder / "renewers.log"
    words = [sys.executable, "-m", "tests.tokens.renewer", json.dumps(asdict(work))]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with errors.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *words, env=environment, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=output
        )
        try:
            yield Renewers(work, process, errors)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


if __name__ == "__main__":
    main()
