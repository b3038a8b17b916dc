"""Programs of agents in the sandbox: duration of programs, of the type check and of a pause, and memory."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from one_runtime.agents.programs.outcome import Failed, Suspended
from one_runtime.agents.programs.sandbox import Sandbox
from tests.agents.programs.acme_host import IMPORTS, AcmeHost

_RUNS: Final = 200
_STARTS: Final = 5
_EMPTY: Final = ""
_CHECKED: Final = f"""{IMPORTS}
seen = []
for page in range(3):
    contacts = await acme_crm.contacts_list(limit=page + 1)
    seen.append(len(contacts["results"]))
both = await asyncio.gather(call("acme-crm", "GET", "/a"), call("acme-crm", "GET", "/b"))
(sum(seen), [response.status for response in both])
"""
_PAUSED: Final = f"{IMPORTS}await call('github', 'GET', '/')"


@dataclass(frozen=True, slots=True)
class Measured:
    """Durations are in seconds, and sizes in bytes."""

    starts: list[float]
    empty: list[float]
    checked: list[float]
    paused: list[float]
    resumed: list[float]
    dump: int
    memory: tuple[int, int]


def measure() -> Measured:
    """Run programs one after another in one process. Start some processes for the first programs."""
    return asyncio.run(_measure())


async def _measure() -> Measured:
    starts = []
    for _ in range(_STARTS):
        sandbox = Sandbox(size=1)
        starts += await _durations(1, lambda sandbox=sandbox: _run(sandbox, _EMPTY))  # type: ignore[misc]
        await sandbox.close()
    sandbox = Sandbox(size=1)
    await _run(sandbox, _CHECKED)
    missing, connected = AcmeHost(), AcmeHost()
    missing.missing = {"github"}
    suspended = await sandbox.run(_PAUSED, missing)
    assert isinstance(suspended, Suspended)
    measured = Measured(
        starts=starts,
        empty=await _durations(_RUNS, lambda: _run(sandbox, _EMPTY)),
        checked=await _durations(_RUNS, lambda: _run(sandbox, _CHECKED)),
        paused=await _durations(_RUNS, lambda: sandbox.run(_PAUSED, missing)),
        resumed=await _durations(_RUNS, lambda: sandbox.resume(suspended.dump, connected)),
        dump=len(suspended.dump),
        memory=_memory(sandbox.pool.processes[0].pid),
    )
    await sandbox.close()
    return measured


async def _run(sandbox: Sandbox, code: str) -> None:
    outcome = await sandbox.run(code, AcmeHost())
    assert not isinstance(outcome, Failed), outcome.message


async def _durations(count: int, work: Callable[[], Awaitable[object]]) -> list[float]:
    durations = []
    for _ in range(count):
        begun = time.perf_counter()
        await work()
        durations.append(time.perf_counter() - begun)
    return durations


def _memory(pid: int) -> tuple[int, int]:
    """Return the memory of the process and of its interpreter (RSS)."""
    child = int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])
    return _resident(pid), _resident(child)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096


def table(measured: Measured) -> Iterator[str]:
    """Render the results as Markdown."""
    yield "### Programs of agents"
    yield ""
    yield "| program | minimum | p50 | p99 |"
    yield "|---|---:|---:|---:|"
    yield _line("empty program", measured.empty)
    yield _line("program of 10 lines with type check, an imported integration and 5 calls", measured.checked)
    yield _line("program with type check that pauses at its first call", measured.paused)
    yield _line("resumption, with one call", measured.resumed)
    yield ""
    first = statistics.median(measured.starts)
    yield f"- The first program of a process takes **{first * 1000:.0f} ms**, because the process has to start."
    yield f"- The state of the paused program has {measured.dump:,} bytes."
    process, interpreter = measured.memory
    yield (
        f"- After these programs, a process uses {process / 1e6:.0f} MB, and its interpreter uses "
        f"{interpreter / 1e6:.0f} MB. The server's process does not grow."
    )
    yield ""


def _line(name: str, durations: list[float]) -> str:
    p99 = statistics.quantiles(durations, n=100)[98]
    cells = (f"{duration * 1000:.2f} ms" for duration in (min(durations), statistics.median(durations), p99))
    return f"| {name} | {' | '.join(cells)} |"
