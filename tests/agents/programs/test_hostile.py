"""Hostile programs end by a limit with a readable reason, and do not affect the server's process."""

import asyncio
import math
from pathlib import Path
from typing import Final

import pytest

from one_runtime.agents.programs.limits import MIB, ProgramLimits
from one_runtime.agents.programs.outcome import Failed, Finished
from one_runtime.agents.programs.sandbox import Sandbox
from tests.agents.programs.acme_host import AcmeHost
from tests.agents.programs.hostile import HOSTILE, Hostile

SHORT: Final = ProgramLimits(
    compute_seconds=1.5, step_compute_seconds=1.0, sleep_seconds=0.3, single_sleep_seconds=0.2, slot_seconds=120
)
"""The default limits with short times."""
MOST_GROWTH: Final = 50 * MIB
MOST_DELAY: Final = 0.05


class LoopProbe:
    """Measure how late the event loop calls a function, in seconds. The probe calls itself every 5 ms."""

    INTERVAL: Final = 0.005

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.delays: list[float] = []
        self._expect()

    def _expect(self) -> None:
        self._due = self._loop.time() + self.INTERVAL
        self._timer = self._loop.call_at(self._due, self._measure)

    def _measure(self) -> None:
        self.delays.append(self._loop.time() - self._due)
        self._expect()

    def p99(self) -> float:
        """Stop the probe, and return the 99th percentile."""
        self._timer.cancel()
        return sorted(self.delays)[math.ceil(len(self.delays) * 0.99) - 1]


def resident() -> int:
    """Return the memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


async def wrong_outcome(sandbox: Sandbox, name: str, hostile: Hostile, limits: ProgramLimits) -> str:
    """Run a hostile program. Return an empty string if its outcome is as required."""
    outcome = await sandbox.run(hostile.code, AcmeHost(), limits)
    if isinstance(outcome, Finished):
        fits = (
            len(outcome.result.encode()) <= limits.result_bytes and len(outcome.stdout.encode()) <= limits.stdout_bytes
        )
        return "" if hostile.kind is None and fits else f"{name}: finished with {outcome.result[:100]}"
    assert isinstance(outcome, Failed), name
    right = hostile.kind in {None, outcome.kind} and hostile.words in outcome.message
    readable = outcome.message[0].isprintable() and len(outcome.message.encode()) <= 8192
    return (
        "" if right and readable and outcome.kind != "crashed" else f"{name}: {outcome.kind}: {outcome.message[:200]}"
    )


async def check_all(programs: dict[str, Hostile], limits: ProgramLimits) -> None:
    sandbox = Sandbox(size=2)
    await sandbox.run("1", AcmeHost(), limits)  # start a process before the measurement
    before, probe = resident(), LoopProbe()
    wrong = await asyncio.gather(*(wrong_outcome(sandbox, *named, limits) for named in programs.items()))
    delay, growth = probe.p99(), resident() - before
    await sandbox.close()
    assert list(filter(None, wrong)) == []
    assert growth < MOST_GROWTH
    assert delay < MOST_DELAY


@pytest.mark.slow
async def test_hostile_programs_end_with_a_reason_and_do_not_affect_the_server() -> None:
    programs = {name: hostile for name, hostile in HOSTILE.items() if not hostile.slow}
    assert len(programs) >= 50
    await check_all(programs, SHORT)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_all_hostile_programs_end_with_a_reason_and_do_not_affect_the_server() -> None:
    assert len(HOSTILE) >= 60
    await check_all(HOSTILE, ProgramLimits(slot_seconds=500))
