"""Pause and resumption of programs: each part runs in a process of its own, and no call is made twice."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from one_runtime.agents.programs import dump
from one_runtime.agents.programs.host import ApprovalNeeded, ConnectionNeeded, HostCall
from one_runtime.agents.programs.limits import LIMITS, ProgramLimits
from one_runtime.agents.programs.outcome import Failed, Finished, ProgramOutcome, Suspended
from one_runtime.agents.programs.sandbox import NO_REFUSALS, Sandbox
from one_runtime.computing import frames
from tests.agents.programs.acme_host import IMPORTS, AcmeHost
from tests.waiting import eventually

ROOT: Final = Path(__file__).parents[3]

PROGRAMS: Final = {
    "loop": (
        """
total = 0
for page in range(3):
    print('page', page)
    total += (await call(f'app-{page}', 'GET', '/', query={'page': page})).data['query']['page']
total
""",
        "3",
        ["app-0", "app-1", "app-2"],
    ),
    "nested functions": (
        """
def outer(factor):
    async def inner(name):
        response = await call(name, 'GET', '/')
        return factor * len(response.data['integration'])
    return inner
async def main():
    inner = outer(10)
    return await inner('app-0') + await inner('app-11')
await main()
""",
        "110",
        ["app-0", "app-11"],
    ),
    "gather": (
        """
async def both(name):
    first = await call(name, 'POST', '/first')
    second = await call('acme-crm', 'POST', f'/second/{name}')
    return first.status + second.status
await asyncio.gather(both('app-0'), both('acme-crm'), both('app-1'))
""",
        "[400, 400, 400]",
        ["app-0", "app-1"],
    ),
    "try and finally": (
        """
seen = []
try:
    try:
        await call('app-0', 'GET', '/status/404')
    except ApiError as error:
        seen.append(response_of(error).status)
        await call('app-1', 'GET', '/')
    finally:
        seen.append((await call('app-2', 'GET', '/')).data['integration'])
except Exception as error:
    seen.append(str(error))
seen
""",
        '[404, "app-2"]',
        ["app-0", "app-1", "app-2"],
    ),
    "imports after the pause": (
        """
await call('app-0', 'GET', '/')
async def late():
    import acme_crm as crm
    import json
    from one_runtime import ApiError as Failure, call as request
    try:
        await request('acme-crm', 'GET', '/status/500')
    except Failure as error:
        return json.dumps((await crm.contacts_get(5))['arguments'])
await late()
""",
        '{"id": 5}',
        ["app-0"],
    ),
}
"""Programs, their results, and the integrations without a connection: the program pauses at each of them."""


async def resume(state: bytes, host: AcmeHost, refused: Mapping[int, str] = NO_REFUSALS) -> ProgramOutcome:
    """Resume a program in a new sandbox, so in a new process."""
    sandbox = Sandbox(size=1)
    try:
        return await sandbox.resume(state, host, refused)
    finally:
        await sandbox.close()


def suspended(outcome: ProgramOutcome) -> Suspended:
    assert isinstance(outcome, Suspended), outcome
    return outcome


@pytest.mark.slow
async def test_programs_continue_in_other_processes_and_make_each_call_once(sandbox: Sandbox) -> None:
    for name, (code, result, missing) in PROGRAMS.items():
        host = AcmeHost()
        host.missing = set(missing)
        outcome = await sandbox.run(IMPORTS + code, host)
        pauses = 0
        while isinstance(outcome, Suspended):
            pauses += 1
            host.missing -= {min(pending.call.integration for pending in outcome.pending)}
            outcome = await resume(outcome.dump, host)
        assert isinstance(outcome, Finished), (name, outcome)
        assert (outcome.result, pauses) == (result, len(missing)), name
        assert sorted(call.index for call in host.received) == list(range(1, len(host.received) + 1)), name
        assert len(outcome.calls) == len(host.received), name


async def test_a_suspended_program_names_its_calls_and_keeps_its_output(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.missing = {"github"}
    code = (
        "print('before')\nawait call('acme-crm', 'GET', '/a')\n"
        "await call('github', 'POST', '/b', body=[1])\nprint('after')"
    )
    outcome = suspended(await sandbox.run(IMPORTS + code, host))
    (pending,) = outcome.pending
    assert pending.call == HostCall(2, "github", "POST", "/b", None, [1], None)
    assert isinstance(pending.reason, ConnectionNeeded)
    assert (outcome.stdout, outcome.calls_used) == ("before\n", 2)
    assert [call.path for call in outcome.calls] == ["/a"]
    host.missing = set()
    finished = await sandbox.resume(outcome.dump, host)
    assert isinstance(finished, Finished)
    assert finished.stdout == "before\nafter\n"
    assert [call.path for call in finished.calls] == ["/a", "/b"]


async def test_other_calls_end_before_the_pause_and_are_not_repeated(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.missing, host.blocks = {"github"}, {"slow"}
    code = (
        "async def write(name):\n    await call(name, 'POST', f'/{name}/1')\n"
        "    await call(name, 'POST', f'/{name}/2')\n    return name\n"
        "await asyncio.gather(write('github'), write('slow'), write('acme-crm'))"
    )
    running = asyncio.create_task(sandbox.run(IMPORTS + code, host))
    await eventually(lambda: host.concurrent == 1 and "/acme-crm/2" in host.paths)
    host.release.set()
    outcome = suspended(await running)
    assert sorted(host.paths) == ["/acme-crm/1", "/acme-crm/2", "/slow/1", "/slow/2"]
    assert [pending.call.path for pending in outcome.pending] == ["/github/1"]
    host.missing = set()
    finished = await sandbox.resume(outcome.dump, host)
    assert isinstance(finished, Finished)
    assert finished.result == '["github", "slow", "acme-crm"]'
    assert sorted(host.paths) == sorted(
        f"/{name}/{number}" for name in ("acme-crm", "github", "slow") for number in (1, 2)
    )


async def test_a_refused_connection_or_approval_raises_in_the_program(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.missing, host.asks = {"github"}, {"DELETE"}
    code = (
        "async def attempt(name, method):\n    try:\n        await call(name, method, '/')\n"
        "    except ConnectRequired as error:\n        return f'not connected: {error}'\n"
        "    except CallRefused as error:\n        return f'not approved: {error}'\n"
        "await asyncio.gather(attempt('github', 'GET'), attempt('acme-crm', 'DELETE'))"
    )
    outcome = suspended(await sandbox.run(IMPORTS + code, host))
    kinds = {type(pending.reason): pending.id for pending in outcome.pending}
    refused = {kinds[ConnectionNeeded]: "The user declined.", kinds[ApprovalNeeded]: "The user said no."}
    finished = await sandbox.resume(outcome.dump, host, refused)
    assert isinstance(finished, Finished)
    assert json.loads(finished.result) == ["not connected: The user declined.", "not approved: The user said no."]
    assert host.received == []


async def test_a_resumed_program_pauses_again_where_the_account_is_still_missing(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.missing = {"github"}
    first = suspended(await sandbox.run(f"{IMPORTS}await call('github', 'GET', '/')", host))
    second = suspended(await sandbox.resume(first.dump, host))
    assert [pending.call for pending in second.pending] == [pending.call for pending in first.pending]
    assert second.calls_used == 1
    host.missing = set()
    assert isinstance(await sandbox.resume(second.dump, host), Finished)


async def test_a_pause_resets_no_counter(sandbox: Sandbox) -> None:
    host = AcmeHost(large=b'"' + b"a" * 2000 + b'"')
    host.missing = {"github"}
    pause = "await call('github', 'GET', '/')\n"
    cases = {
        "calls": (ProgramLimits(calls=5), "for i in range(3):\n    await call('acme-crm', 'GET', '/')\n", "5 calls"),
        "arguments": (
            ProgramLimits(total_argument_bytes=5000),
            "for i in range(2):\n    await call('acme-crm', 'POST', '/', body='a' * 1500)\n",
            "5000 bytes",
        ),
        "responses": (
            ProgramLimits(total_answer_bytes=5000),
            "for i in range(2):\n    await call('acme-crm', 'GET', '/large')\n",
            "5000 bytes",
        ),
        "computation": (
            ProgramLimits(compute_seconds=1.0, step_compute_seconds=5.0),
            "x = 0\nimport time\nstart = time.time()\nwhile time.time() - start < 0.6:\n    x += 1\n",
            "computed for more than 1 seconds",
        ),
    }
    for name, (limits, work, words) in cases.items():
        outcome = suspended(await sandbox.run(IMPORTS + work + pause + work, host, limits))
        connected = AcmeHost(large=host.bodies["/large"])
        failed = await sandbox.resume(outcome.dump, connected, limits=limits)
        assert isinstance(failed, Failed), name
        assert words in failed.message, (name, failed.message)


async def test_a_program_with_too_much_data_cannot_pause(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.missing = {"github"}
    code = f"{IMPORTS}data = 'a' * 100_000\nawait call('github', 'GET', '/')"
    outcome = await sandbox.run(code, host, ProgramLimits(dump_bytes=50_000))
    assert isinstance(outcome, Failed)
    assert outcome.kind == "limit"
    assert outcome.message.startswith("The program has to wait for the end user, but its data have ")
    assert isinstance(await sandbox.run("1", host), Finished)


async def test_a_state_of_another_version_is_refused(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.missing = {"github"}
    outcome = suspended(await sandbox.run(f"{IMPORTS}await call('github', 'GET', '/')", host))
    header, interpreter = frames.decode(outcome.dump)
    assert header["version"] == dump.interpreter_version() == "1.4.0"
    for change in ({"version": "1.3.9"}, {"format": 0}):
        failed = await sandbox.resume(frames.encode({**header, **change}, interpreter), host)
        assert isinstance(failed, Failed)
        assert failed.kind == "outdated"
        assert failed.message.endswith("Run the program again.")
    for broken in (b"", outcome.dump[:-1], outcome.dump[1:], b"\0" * 40):
        failed = await sandbox.resume(broken, host)
        assert isinstance(failed, Failed)
        assert failed.kind == "outdated"


async def test_a_state_that_the_interpreter_cannot_read_fails_only_this_run(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.missing = {"github"}
    outcome = suspended(await sandbox.run(f"{IMPORTS}await call('github', 'GET', '/')", host))
    header, interpreter = frames.decode(outcome.dump)
    failed = await sandbox.resume(frames.encode(header, interpreter[: len(interpreter) // 2]), host)
    assert isinstance(failed, Failed)
    assert isinstance(await sandbox.run("1", host), Finished)


RESUME: Final = """
import asyncio, sys
from pathlib import Path
from one_runtime.agents.programs.sandbox import Sandbox
from tests.agents.programs.acme_host import AcmeHost

async def main():
    sandbox = Sandbox(size=1)
    outcome = await sandbox.resume(Path(sys.argv[1]).read_bytes(), AcmeHost())
    print(outcome.result, outcome.stdout, len(outcome.calls))
    await sandbox.close()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_program_continues_after_a_restart_of_the_server(sandbox: Sandbox, tmp_path: Path) -> None:
    host = AcmeHost()
    host.missing = {"github"}
    code = (
        "print('a')\nawait call('acme-crm', 'POST', '/')\nx = [1, 2]\nawait call('github', 'GET', '/')\nprint('b')\nx"
    )
    outcome = suspended(await sandbox.run(IMPORTS + code, host))
    await sandbox.close()
    (tmp_path / "state").write_bytes(outcome.dump)
    command = [sys.executable, "-c", RESUME, str(tmp_path / "state")]
    completed = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert completed.stdout == "[1, 2] a\nb\n 2\n"
    assert LIMITS.dump_bytes > len(outcome.dump)
