"""The sandbox: a pool of processes in which the programs of agents run. One server process has one sandbox."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

from one_runtime.agents.programs import dump
from one_runtime.agents.programs.dump import OutdatedDump
from one_runtime.agents.programs.host import ProgramHost, ProgramModule
from one_runtime.agents.programs.imports import imported_names
from one_runtime.agents.programs.limits import LIMITS, ProgramLimits
from one_runtime.agents.programs.outcome import Failed, ProgramOutcome
from one_runtime.agents.programs.prelude import MODULE
from one_runtime.agents.programs.process import ProgramProcess
from one_runtime.agents.programs.run import ProgramRun

IDLE_SECONDS: Final = 60.0
"""Time after which an unused process ends, in seconds."""
MOST_MODULES: Final = 20
"""Number of integrations that a program can import."""
NO_REFUSALS: Final[Mapping[int, str]] = MappingProxyType({})


class _NoProcess(Exception):
    """Other programs used all processes for too long."""


class Sandbox:
    """A pool of processes. The processes start when programs need them, and end when they are unused.

    `size`: the maximum number of programs at the same time. Default: the number of processors.
    """

    def __init__(self, size: int | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
        self._slots = asyncio.Semaphore(size or os.cpu_count() or 1)
        self._idle_seconds = idle_seconds
        self._idle: dict[ProgramProcess, asyncio.TimerHandle] = {}
        self._busy: set[ProgramProcess] = set()
        self._ending: set[asyncio.Task[int | None]] = set()

    async def run(self, code: str, host: ProgramHost, limits: ProgramLimits = LIMITS) -> ProgramOutcome:
        """Check the types of a program, and run it. Exceptions of the host pass to the caller."""
        if len(code.encode(errors="replace")) > limits.code_bytes:
            return Failed("limit", f"The program has more than {limits.code_bytes} bytes.")
        modules = await _modules(host, imported_names(code))
        try:
            async with self._process(limits) as process:
                return await ProgramRun(process, host, limits, modules).start(code)
        except _NoProcess:
            return _busy()

    async def resume(
        self,
        state: bytes,
        host: ProgramHost,
        refused: Mapping[int, str] = NO_REFUSALS,
        limits: ProgramLimits = LIMITS,
    ) -> ProgramOutcome:
        """Continue a suspended program, in any process of the server. `state`: the `dump` of the outcome `Suspended`.

        Load only a state that this server has made: the interpreter does not check it. The sandbox sends the pending
        calls to the host again, except the calls in `refused`. Its keys are the `id` of the pending calls, and its
        values are messages. A refused call raises ConnectRequired or CallRefused in the program.
        """
        try:
            loaded = dump.decode(state)
        except OutdatedDump as error:
            return Failed("outdated", str(error))
        modules = await _modules(host, list(loaded.handles))
        try:
            async with self._process(limits) as process:
                return await ProgramRun(process, host, limits, modules).resume(loaded, refused)
        except _NoProcess:
            return _busy()

    async def close(self) -> None:
        """End all processes. Running programs fail."""
        for process, timer in self._idle.items():
            timer.cancel()
            self._end(process)
        self._idle.clear()
        for process in self._busy:
            self._end(process)
        if self._ending:
            await asyncio.wait(self._ending)

    @asynccontextmanager
    async def _process(self, limits: ProgramLimits) -> AsyncIterator[ProgramProcess]:
        """Reserve a process for one program. Raises: _NoProcess."""
        try:
            async with asyncio.timeout(limits.slot_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            raise _NoProcess from error
        try:
            process = self._unused() or await ProgramProcess.start()
            self._busy.add(process)
            try:
                yield process
            finally:
                self._busy.discard(process)
                self._return(process)
        finally:
            self._slots.release()

    def _unused(self) -> ProgramProcess | None:
        while self._idle:
            process, timer = self._idle.popitem()
            timer.cancel()
            if process.is_alive:
                return process
        return None

    def _return(self, process: ProgramProcess) -> None:
        if process.reusable and process.is_alive:
            loop = asyncio.get_running_loop()
            self._idle[process] = loop.call_later(self._idle_seconds, self._end_unused, process)
        else:
            self._end(process)

    def _end_unused(self, process: ProgramProcess) -> None:
        if self._idle.pop(process, None) is not None:
            self._end(process)

    def _end(self, process: ProgramProcess) -> None:
        task = asyncio.create_task(process.kill())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _modules(host: ProgramHost, names: Sequence[str]) -> dict[str, ProgramModule]:
    """Return the modules with these names. Names without a module are missing in the result."""
    modules: dict[str, ProgramModule] = {}
    for name in names:
        if name != MODULE and len(modules) < MOST_MODULES and (module := await host.module(name)) is not None:
            modules[name] = module
    return modules


def _busy() -> Failed:
    return Failed("busy", "Other programs use all processes of the sandbox. Try again in a few seconds.")
