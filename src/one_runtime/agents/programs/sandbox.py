"""The sandbox: a pool of processes in which the programs of agents run. One server process has one sandbox."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from one_runtime.agents.programs import dump
from one_runtime.agents.programs.dump import OutdatedDump
from one_runtime.agents.programs.host import ProgramHost, ProgramModule
from one_runtime.agents.programs.imports import imported_names
from one_runtime.agents.programs.limits import LIMITS, ProgramLimits
from one_runtime.agents.programs.outcome import Failed, ProgramOutcome
from one_runtime.agents.programs.prelude import MODULE
from one_runtime.agents.programs.run import ENDED, ProgramRun
from one_runtime.computing.pool import IDLE_SECONDS, NoProcess, ProcessPool
from one_runtime.computing.process import ProcessEnded

WORKER: Final = "one_runtime.agents.programs.worker"
MOST_MODULES: Final = 20
"""Number of integrations that a program can import."""
NO_REFUSALS: Final[Mapping[int, str]] = MappingProxyType({})


class Sandbox:
    """Runs programs in processes. A program that waits for a call gives its process to another program that waits.

    `size`: the maximum number of programs that compute at the same time. An owner has at most half of the processes.
    """

    def __init__(self, size: int | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
        self.pool = ProcessPool(WORKER, size, idle_seconds)

    async def run(
        self, code: str, host: ProgramHost, limits: ProgramLimits = LIMITS, *, owner: str = ""
    ) -> ProgramOutcome:
        """Check the types of a program, and run it. `owner`: the organization.

        Exceptions of the host pass to the caller.
        """
        if len(code.encode(errors="replace")) > limits.code_bytes:
            return Failed("limit", f"The program has more than {limits.code_bytes} bytes.")
        modules = await _modules(host, imported_names(code))
        try:
            async with self.pool.reserve(owner, limits.slot_seconds) as reservation:
                return await ProgramRun(reservation, host, limits, modules).start(code)
        except NoProcess:
            return _busy()
        except ProcessEnded:
            return Failed("crashed", ENDED)

    async def resume(
        self,
        state: bytes,
        host: ProgramHost,
        refused: Mapping[int, str] = NO_REFUSALS,
        limits: ProgramLimits = LIMITS,
        *,
        owner: str = "",
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
            async with self.pool.reserve(owner, limits.slot_seconds) as reservation:
                return await ProgramRun(reservation, host, limits, modules).resume(loaded, refused)
        except NoProcess:
            return _busy()
        except ProcessEnded:
            return Failed("crashed", ENDED)

    async def close(self) -> None:
        """End all processes. Running programs fail."""
        await self.pool.close()


async def _modules(host: ProgramHost, names: Sequence[str]) -> dict[str, ProgramModule]:
    """Return the modules with these names. Names without a module are missing in the result."""
    modules: dict[str, ProgramModule] = {}
    for name in names:
        if name != MODULE and len(modules) < MOST_MODULES and (module := await host.module(name)) is not None:
            modules[name] = module
    return modules


def _busy() -> Failed:
    return Failed("busy", "Other programs use all processes of the sandbox. Try again in a few seconds.")
