"""Processes that renew connections' tokens, to be killed and stopped: forks of one that has imported everything.

`python -m tests.tokens.renewer <Work as JSON>` takes an order on each line of its standard input, and answers it with
a line. Each fork is a process as a server is: an `Installation` of its own, the worker's loop, and callers beside it.
What it was given, and how long commits took, is in a log that survives it.
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
from one_runtime.egress import Egress
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import Unavailable
from one_runtime.jobs import worker
from one_runtime.settings import Settings
from one_runtime.telemetry import metrics
from one_runtime.tokens.refresh import ReauthRequired, fresh_credentials, refresh_due
from one_runtime.tokens.state import UsableCredential
from tests.application import PUBLIC_URL
from tests.foreign.process import ROOT
from tests.tokens.rotating import catalog_at, token_of

CALLERS: Final = 4


@dataclass(frozen=True, slots=True)
class Work:
    """What a process works on. Times in seconds. `log`: where it appends what it was given."""

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
        """An installation, as a process has one."""
        allow = frozenset({("127.0.0.1", urlsplit(self.provider_url).port or 0)})
        settings = Settings(
            public_url=PUBLIC_URL,
            database_url=SecretStr(self.database_url),
            encryption_keys=SecretStr(self.keys),
            egress_allow=allow,
        )
        made = Installation(
            settings=settings,
            database=create_database(self.database_url, pool_size=8),
            catalog=catalog_at(self.provider_url),
            vault=Vault(parse_keys(self.keys)),
            egress=Egress(allow=allow),
            clock=clock,
            timing=replace(Timing(), lease=timedelta(seconds=self.lease), request=self.request, patience=5.0),
        )
        await made.database.open()
        try:
            yield made
        finally:
            await made.egress.close()
            await made.database.close()


@dataclass(frozen=True, slots=True)
class Given:
    """A line of the log: a token that a caller was given (with its family and generation), or the seconds from an
    answer of the provider to its commit."""

    at: float
    token: str | None = None
    commit: float | None = None


@dataclass(slots=True)
class Log:
    """Appends lines; what is written stays written, whatever becomes of the process."""

    file: int
    told: set[str] = field(default_factory=set)

    def give(self, usable: UsableCredential, *, again: bool = False) -> None:
        """Note a token once, or each time."""
        token = token_of(usable)
        if again or token not in self.told:
            self.told.add(token)
            self._write(Given(time.time(), token=token))

    def observe(self, seconds: float) -> None:
        """In the place of the metric: its buckets are too coarse for a percentile."""
        self._write(Given(time.time(), commit=seconds))

    def _write(self, given: Given) -> None:
        os.write(self.file, f"{json.dumps(asdict(given))}\n".encode())


async def pause(seconds: float) -> None:
    """Callers come at their own pace."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def be_a_caller(installation: Installation, work: Work, log: Log, chance: random.Random) -> None:
    """Want the credentials of one connection after another."""
    while True:
        key = ConnectionKey(work.organization_id, chance.choice(work.connections))
        with suppress(ReauthRequired, ProviderUnavailable, Unavailable):
            log.give(await fresh_credentials(installation, key))
        await pause(chance.uniform(0, 0.05))


async def renew(work: Work, log: Log, seed: int, ready: int) -> None:
    """The worker's loop, in a quicker rhythm, and callers, for ever."""
    async with work.installation() as installation, asyncio.TaskGroup() as group:
        os.write(ready, b".")
        group.create_task(worker.run(installation, (worker.PeriodicTask("refresh", 0.02, refresh_due),)))
        for number in range(CALLERS):
            group.create_task(be_a_caller(installation, work, log, random.Random(seed + number)))


async def burst(work: Work, log: Log, callers: int, at: float) -> None:
    """So many callers of the one connection, all at the same moment."""
    async with work.installation() as installation:
        await installation.database.ping()
        await pause(at - time.time())
        key = ConnectionKey(work.organization_id, work.connections[0])
        for usable in await asyncio.gather(*(fresh_credentials(installation, key) for _ in range(callers))):
            log.give(usable, again=True)


def _be(work: Work, order: dict[str, Any], ready: int) -> None:
    """Be a process of its own, for good."""
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


def _obey(work: Work, children: set[int], order: dict[str, Any]) -> Any:
    if order["do"] in {"renew", "burst"}:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            _be(work, order, write)
        children.add(child)
        os.close(write)
        if order["do"] == "renew":
            assert os.read(read, 1), "it did not get to work"
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
        assert ended == -signal.SIGKILL, f"it had ended by itself: {ended}"
    return at


def _wait(child: int, seconds: float) -> None:
    """For so long, or until the child has ended by itself. Stops and ends of others are told by the same signal."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        signal.sigtimedwait({signal.SIGCHLD}, left)


def main() -> None:
    """Obey one order after another."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    told = json.loads(sys.argv[1])
    work, children = Work(**{**told, "connections": tuple(told["connections"])}), set[int]()
    # Otherwise each fork inherits the collector's counters, and spends the first 0.3 s of its short life in a full
    # collection of all that was imported.
    gc.collect()
    gc.freeze()
    try:
        for line in sys.stdin:
            sys.stdout.write(f"{json.dumps(_obey(work, children, json.loads(line)))}\n")
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
        """A process that has just got to work."""
        return int(await self._tell(do=do, **more))

    async def kill(self, process: int, after: float) -> float:
        """End a process at once, so many seconds from now; when that was. It may not have ended by itself."""
        return float(await self._tell(do="kill", process=process, after=after))

    async def stop(self, process: int, after: float, seconds: float) -> float:
        """Stop a process, so many seconds from now, for so long; when that was."""
        at = float(await self._tell(do="stop", process=process, after=after))
        await self._tell(do="continue", process=process, after=seconds)
        return at

    async def ended(self, process: int) -> int:
        """How a process ended by itself."""
        return int(await self._tell(do="wait", process=process))

    def given(self) -> list[Given]:
        """What all of them wrote."""
        return [Given(**json.loads(line)) for line in Path(self.work.log).read_text().splitlines()]

    async def _tell(self, **order: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(order)}\n".encode())
        line = await self.process.stdout.readline()
        assert line, self.errors.read_text()
        return json.loads(line)


@asynccontextmanager
async def renewers(work: Work, folder: Path) -> AsyncIterator[Renewers]:
    """Processes at this work, until the block ends."""
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
