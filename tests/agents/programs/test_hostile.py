"""Hostile programs end by a limit with a readable reason, and do not affect the server's process."""

import asyncio
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from one_runtime.agents.programs.limits import MIB, ProgramLimits
from one_runtime.agents.programs.outcome import Failed, Finished, ProgramOutcome
from one_runtime.agents.programs.sandbox import Sandbox
from tests.agents.programs.acme_host import AcmeHost
from tests.agents.programs.hostile import CPU, HOSTILE, Hostile

SHORT: Final = ProgramLimits(
    compute_seconds=1.5, step_compute_seconds=1.0, sleep_seconds=0.3, single_sleep_seconds=0.2, slot_seconds=120
)
"""The default limits with short times."""
IMPATIENT: Final = ProgramLimits(
    compute_seconds=0.4, step_compute_seconds=0.25, sleep_seconds=0.3, single_sleep_seconds=0.2, slot_seconds=120
)
"""Limits for programs of `hostile_programs.yaml` that a limit ends."""
TIME: Final = (CPU, "took too long")
SECRET: Final = "vYb2-canary-Rk91"
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


@dataclass(frozen=True, slots=True)
class Attack:
    """A program of `hostile_programs.yaml`, which describes the fields."""

    code: str
    refused: str | None = None
    exceeds: str | None = None
    result: str | None = None
    starts: str = ""
    printed: str = ""
    calls: int = 0
    slow: bool = False

    @classmethod
    def read(cls, code: str = "", exec: str = "", eval: str = "", **fields: object) -> "Attack":  # noqa: A002
        """Create a program from the fields of a row."""
        hidden = {"exec": exec, "eval": eval, "await eval": fields.pop("await", "")}
        code += "".join(f"{function}({text!r})" for function, text in hidden.items() if text)
        return cls(code, **fields)  # type: ignore[arg-type] # YAML

    def faults(self, outcome: ProgramOutcome, host: AcmeHost) -> Iterator[str]:
        """Yield what differs from the required outcome."""
        if isinstance(outcome, Finished):
            if self.refused or self.exceeds:
                yield "the program finished"
            if outcome.result != (outcome.result if self.result is None else self.result):
                yield "the result differs"
            if not (outcome.result.startswith(self.starts) and outcome.stdout.startswith(self.printed)):
                yield "the result or the output starts differently"
        else:
            assert isinstance(outcome, Failed)
            kinds = {"limit"} if self.exceeds else {"exception", "syntax", "types"} if self.refused else set[str]()
            if outcome.kind not in kinds:
                yield f"the program ended with {outcome.kind}"
            reasons = (self.exceeds, *TIME) if self.exceeds else (self.refused or "",)
            if not any(reason in outcome.message for reason in reasons):
                yield "the reason differs"
        if SECRET in repr(outcome):
            yield "the program read the secret"
        if not self.exceeds and len(host.received) != self.calls:
            yield f"{len(host.received)} calls reached the host"


def attacks() -> dict[str, dict[str, Attack]]:
    """Return the programs by the kind of attack."""
    text = Path(__file__).with_name("hostile_programs.yaml").read_text("utf-8")
    return {
        kind: {name: Attack.read(**fields) for name, fields in rows.items()}
        for kind, rows in yaml.safe_load(text).items()
    }


ATTACKS: Final = attacks()


async def failed_attacks(
    programs: Mapping[str, Attack], folder: Path, limits: ProgramLimits | None = None
) -> list[str]:
    """Run programs one after the other in the same process. Return what differs from the required outcomes.

    `limits`: None for short times.
    """
    (folder / "canary").write_text(SECRET)
    (folder / "empty").mkdir()
    sandbox, failed = Sandbox(size=2), list[str]()
    try:
        for name, attack in programs.items():
            host = AcmeHost()
            code = attack.code.replace("/canary", str(folder / "canary")).replace("/folder", str(folder / "empty"))
            outcome = await sandbox.run(code, host, limits or (IMPATIENT if attack.exceeds else SHORT))
            failed += [f"{name}: {fault}: {outcome}"[:400] for fault in attack.faults(outcome, host)]
    finally:
        await sandbox.close()
    assert (folder / "canary").read_text() == SECRET
    assert list((folder / "empty").iterdir()) == []
    return failed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ATTACKS)
async def test_attack_has_the_required_outcome(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", SECRET)
    programs = {name: attack for name, attack in ATTACKS[kind].items() if not attack.slow}
    assert await failed_attacks(programs, tmp_path) == []


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_every_attack_has_the_required_outcome_with_the_default_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", SECRET)
    programs = {f"{kind}: {name}": attack for kind, rows in ATTACKS.items() for name, attack in rows.items()}
    assert len(programs) >= 400
    assert await failed_attacks(programs, tmp_path, ProgramLimits(slot_seconds=120)) == []
