"""The pool of processes: lazy start, isolation, crashes, overload, and the end of the processes."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from one_runtime.agents.programs.limits import MIB, ProgramLimits
from one_runtime.agents.programs.outcome import Failed, Finished, ProgramOutcome, Suspended
from one_runtime.agents.programs.sandbox import Sandbox
from one_runtime.computing.isolation import MAX_RESIDENT
from one_runtime.computing.process import WorkerProcess
from one_runtime.telemetry import logs
from tests.agents.programs.acme_host import IMPORTS, PATIENT, AcmeHost
from tests.waiting import eventually

pytestmark = pytest.mark.slow

ENDLESS: Final = "while True:\n    pass"
UNLIMITED: Final = ProgramLimits(compute_seconds=300, step_compute_seconds=300, slot_seconds=300)
BLOCKED: Final = f"{IMPORTS}await call('slow', 'GET', '/')\n'done'"


def blocking_host() -> AcmeHost:
    host = AcmeHost()
    host.blocks = {"slow"}
    return host


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")


def children(pid: int) -> list[int]:
    return [int(word) for word in proc(pid, f"task/{pid}/children").split()]


def exists(pid: int) -> bool:
    """Return True if the process runs. A process that has ended, but that its parent has not awaited, does not run."""
    try:
        return proc(pid, "stat").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes(sandbox: Sandbox) -> list[WorkerProcess]:
    return sandbox.pool.processes


def result(outcome: ProgramOutcome) -> str:
    assert isinstance(outcome, Finished), outcome
    return outcome.result


def test_the_server_does_not_load_the_interpreter() -> None:
    code = (
        "import sys, one_runtime.serving.application, one_runtime.serving, one_runtime.agents.programs.sandbox\n"
        "one_runtime.agents.programs.sandbox.Sandbox\n"
        "print([name for name in sys.modules if 'monty' in name])"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout == "[]\n"


async def test_a_process_starts_with_the_first_program_and_is_used_again(sandbox: Sandbox) -> None:
    assert processes(sandbox) == []
    await sandbox.run("1", AcmeHost())
    (process,) = processes(sandbox)
    for _ in range(3):
        await sandbox.run("raise ValueError", AcmeHost())
    assert processes(sandbox) == [process]


async def test_a_large_server_uses_its_processes_again(sandbox: Sandbox) -> None:
    ballast = b"x" * (MAX_RESIDENT + 50 * MIB)
    await sandbox.run("1", AcmeHost())
    assert len(processes(sandbox)) == 1
    assert len(ballast) > MAX_RESIDENT


async def test_a_process_that_has_grown_ends_with_its_program() -> None:
    sandbox = Sandbox(size=1)
    large = ProgramLimits(memory_bytes=512 * MIB, compute_seconds=30, step_compute_seconds=30)
    outcome = await sandbox.run("'a' * 100_000_000", AcmeHost(), large)
    assert isinstance(outcome, Finished)
    await eventually(lambda: not sandbox.pool._ending)
    assert processes(sandbox) == []
    await sandbox.close()


async def test_programs_in_one_process_share_no_variables(sandbox: Sandbox) -> None:
    for code in (
        "canary = 1\nimport json\njson.canary = 2",
        "from one_runtime import Response\nexec('global canary; canary = 1')",
        "import one_runtime\none_runtime.canary = 1",
    ):
        await sandbox.run(code, AcmeHost())
        for probe in ("canary", "import json; json.canary", "import one_runtime; one_runtime.canary"):
            outcome = await sandbox.run(f"exec({probe!r})", AcmeHost())
            assert isinstance(outcome, Failed), (code, probe)
    assert len(processes(sandbox)) == 1


async def see_only_their_own(count: int) -> None:
    """Run programs at once, each with a variable of its own before and after a call."""
    sandbox = Sandbox(size=4)

    async def run(number: int) -> None:
        host = AcmeHost()
        code = (
            f"{IMPORTS}mine = globals_seen = [{number}]\n"
            f"response = await call('acme-crm', 'POST', '/', body={number})\n"
            f"mine.append(response.data['body'])\nprint({number})\nmine"
        )
        outcome = await sandbox.run(code, host, PATIENT)
        assert isinstance(outcome, Finished), outcome
        assert (outcome.result, outcome.stdout) == (f"[{number}, {number}]", f"{number}\n")
        assert [call.body for call in host.received if hasattr(call, "body")] == [number]

    await asyncio.gather(*map(run, range(count)))
    await sandbox.close()


async def test_30_programs_at_once_see_only_their_own_data() -> None:
    await see_only_their_own(30)


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_200_programs_at_once_see_only_their_own_data() -> None:
    await see_only_their_own(200)


@pytest.mark.parametrize("victim", ["process", "interpreter"])
async def test_a_killed_process_loses_one_program(sandbox: Sandbox, victim: str) -> None:
    hosts = [blocking_host(), blocking_host()]
    first = asyncio.create_task(sandbox.run(BLOCKED, hosts[0]))
    await eventually(lambda: hosts[0].concurrent)
    (process,) = processes(sandbox)
    second = asyncio.create_task(sandbox.run(BLOCKED, hosts[1], owner="another"))
    await eventually(lambda: hosts[1].concurrent)
    os.kill(process.pid if victim == "process" else children(process.pid)[0], signal.SIGKILL)
    logs.configure("info", "json")  # the log of another test in this process can contain only errors
    with capture_logs() as lines:
        hosts[0].release.set()
        lost = await first
    hosts[1].release.set()
    assert [line["event"] for line in lines] == ["program_process_ended"]
    assert [line["status"] for line in lines] == [-signal.SIGKILL if victim == "process" else None]
    assert isinstance(lost, Failed)
    assert lost.kind == "crashed"
    assert result(await second) == "done"
    assert [result(outcome) for outcome in await asyncio.gather(*(sandbox.run("1", AcmeHost()) for _ in range(4)))] == [
        "1"
    ] * 4


async def test_a_program_that_gets_no_process_in_time_fails_because_the_sandbox_is_busy() -> None:
    sandbox = Sandbox(size=1)
    running = asyncio.create_task(sandbox.run(ENDLESS, AcmeHost(), UNLIMITED))
    await eventually(lambda: processes(sandbox))
    async with asyncio.timeout(4):
        busy = await sandbox.run("1", AcmeHost(), ProgramLimits(slot_seconds=0.05))
    assert isinstance(busy, Failed)
    assert (busy.kind, busy.message.count("Try again in a few seconds.")) == ("busy", 1)
    running.cancel()
    await asyncio.wait([running])
    assert result(await sandbox.run("1", AcmeHost())) == "1"
    await sandbox.close()


@pytest.mark.promise("P12")
@pytest.mark.parametrize("size", [1, 2])
async def test_programs_that_wait_for_a_slow_provider_do_not_delay_another_organization(size: int) -> None:
    sandbox, slow = Sandbox(size), blocking_host()
    code = f"{IMPORTS}words = ['before']\nawait call('slow', 'GET', '/')\nawait asyncio.sleep(0)\n[*words, 'after']"
    waiting = [asyncio.create_task(sandbox.run(code, slow, owner="one")) for _ in range(8)]
    await eventually(lambda: slow.concurrent == 8)
    for owner in ("two", "three", "one"):
        assert result(await sandbox.run("1 + 1", AcmeHost(), owner=owner)) == "2"
    assert len(processes(sandbox)) <= size
    assert slow.concurrent == 8
    slow.release.set()
    assert [result(outcome) for outcome in await asyncio.gather(*waiting)] == ['["before", "after"]'] * 8
    assert len(slow.received) == 8  # a program that was set aside repeats no call
    await sandbox.close()


@pytest.mark.promise("P12")
async def test_programs_that_compute_take_at_most_half_of_the_processes() -> None:
    sandbox = Sandbox(size=2)
    computing = [asyncio.create_task(sandbox.run(ENDLESS, AcmeHost(), UNLIMITED, owner="one")) for _ in range(8)]
    await eventually(lambda: processes(sandbox))
    for _ in range(3):
        assert result(await sandbox.run("1 + 1", AcmeHost(), owner="two")) == "2"
    assert not any(task.done() for task in computing)
    for task in computing:
        task.cancel()
    await asyncio.wait(computing)
    await sandbox.close()


async def test_a_program_with_a_large_state_keeps_its_process_and_ends() -> None:
    sandbox, slow = Sandbox(size=4), blocking_host()
    limits = ProgramLimits(dump_bytes=64 * 1024, slot_seconds=60)
    code = f"{IMPORTS}large = ['x' * 100 + str(n) for n in range(5000)]\nawait call('slow', 'GET', '/')\nlen(large)"
    first, *others = [asyncio.create_task(sandbox.run(code, slow, limits, owner="one")) for _ in range(3)]
    await eventually(lambda: slow.concurrent == 2)
    assert result(await sandbox.run("1 + 1", AcmeHost(), owner="two")) == "2"
    slow.release.set()
    assert [result(outcome) for outcome in await asyncio.gather(first, *others)] == ["5000"] * 3
    await sandbox.close()


async def test_a_program_that_was_set_aside_can_still_pause_for_its_end_user() -> None:
    sandbox, host = Sandbox(size=1), blocking_host()
    host.missing = {"github"}
    code = (
        f"{IMPORTS}first = asyncio.gather(call('slow', 'GET', '/1'), call('github', 'GET', '/2'))\n"
        "[response.status for response in await first]"
    )
    running = asyncio.create_task(sandbox.run(code, host))
    await eventually(lambda: host.concurrent)
    assert result(await sandbox.run("1 + 1", AcmeHost())) == "2"
    host.release.set()
    paused = await running
    assert isinstance(paused, Suspended), paused
    host.missing = set()
    assert result(await sandbox.resume(paused.dump, host)) == "[200, 200]"
    assert host.paths.count("/1") == 1
    await sandbox.close()


async def test_a_program_that_was_set_aside_sleeps_no_longer_than_it_asked() -> None:
    sandbox, host = Sandbox(size=1), blocking_host()
    code = (
        f"{IMPORTS}results = await asyncio.gather(asyncio.sleep(1), call('slow', 'GET', '/'))\n"
        "[results[0], results[1].status]"
    )
    running = asyncio.create_task(sandbox.run(code, host))
    await eventually(lambda: host.concurrent)
    assert result(await sandbox.run("1 + 1", AcmeHost())) == "2"
    host.release.set()
    assert result(await running) == "[null, 200]"
    await sandbox.close()


async def test_unused_processes_end() -> None:
    sandbox = Sandbox(size=1, idle_seconds=0.05)
    host = blocking_host()
    running = asyncio.create_task(sandbox.run(BLOCKED, host))
    await eventually(lambda: host.concurrent)
    (process,) = processes(sandbox)
    interpreter = children(process.pid)[0]
    host.release.set()
    assert result(await running) == "done"
    await eventually(lambda: not exists(process.pid) and not exists(interpreter))
    assert processes(sandbox) == []
    assert result(await sandbox.run("1", AcmeHost())) == "1"
    await sandbox.close()


async def test_close_ends_all_processes_and_running_programs() -> None:
    sandbox, host = Sandbox(size=2), blocking_host()
    await sandbox.run("1", AcmeHost())
    running = [asyncio.create_task(sandbox.run(BLOCKED, host, owner=owner)) for owner in ("one", "two")]
    await eventually(lambda: host.concurrent == 2)
    pids = [pid for process in processes(sandbox) for pid in (process.pid, *children(process.pid))]
    assert len(pids) == 4
    await sandbox.close()
    for outcome in await asyncio.gather(*running):
        assert isinstance(outcome, Failed)
        assert outcome.kind == "crashed"
    await eventually(lambda: not any(map(exists, pids)))


async def test_a_cancelled_program_leaves_no_process_that_uses_the_cpu(sandbox: Sandbox) -> None:
    running = asyncio.create_task(sandbox.run(ENDLESS, AcmeHost(), UNLIMITED))
    await eventually(lambda: processes(sandbox) and len(children(processes(sandbox)[0].pid)) == 1)
    pids = [processes(sandbox)[0].pid, *children(processes(sandbox)[0].pid)]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: not any(map(exists, pids)))


async def test_the_processes_have_no_environment_and_cannot_write_files(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_RUNTIME_CANARY", "canary-6b1f")
    await sandbox.run("1", AcmeHost())
    (process,) = processes(sandbox)
    for pid in (process.pid, *children(process.pid)):
        assert "canary-6b1f" not in proc(pid, "environ")
        (line,) = (line for line in proc(pid, "limits").splitlines() if line.startswith("Max file size"))
        assert line.split()[3:5] == ["0", "0"]


async def test_no_log_line_contains_code_output_or_data(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    host = AcmeHost(canary=b'"canary-response"')
    host.missing = {"github"}
    for code in (
        "print('canary-stdout')\nawait call('acme-crm', 'GET', '/canary', body='canary-body')\n'canary-result'",
        "raise ValueError('canary-exception')",
        "canary_syntax = (",
        "canary_name",
        "while True:\n    'canary-limit'",
        "await call('github', 'GET', '/canary-path')",
    ):
        await sandbox.run(IMPORTS + code, host, ProgramLimits(step_compute_seconds=0.2))
    assert "canary" not in caplog.text
