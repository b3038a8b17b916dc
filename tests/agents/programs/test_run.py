"""Running programs: results, printed text, errors of calls, limits of calls."""

import asyncio
import json
from dataclasses import replace
from typing import Final

import pytest

from one_runtime.agents.programs.host import FunctionCall, HostCall
from one_runtime.agents.programs.limits import ProgramLimits
from one_runtime.agents.programs.outcome import Failed, Finished, MadeCall, ProgramOutcome
from one_runtime.agents.programs.sandbox import Sandbox
from tests.agents.programs.acme_host import IMPORTS, AcmeHost
from tests.waiting import eventually

pytestmark = pytest.mark.slow

RESULTS: Final = {
    "1 + 1": "2",
    "None": "",
    "x = 5": "",
    "'text'": "text",
    "True": "true",
    "[1, 'a', None, 2.5]": '[1, "a", null, 2.5]',
    "{'a': {'b': [1]}, 2: 3}": '{"a": {"b": [1]}, "2": 3}',
    "(1, 2)": "[1, 2]",
    "{1}": "[1]",
    "'ü€'": "ü€",
    "from datetime import date\ndate(2026, 11, 30)": '"datetime.date(2026, 11, 30)"',
    "class A:\n    def __init__(self):\n        self.b = 1\nA()": '{"b": 1}',
    "async def f():\n    return 7\nawait f()": "7",
    "import asyncio\nasync def f():\n    return 8\nasyncio.run(f())": "8",
    "len": '"<MontyStdTypeProxy>"',
    "import one_runtime\none_runtime": '"<_Imported>"',
}
"""The last expression of a program, and the result."""


def finished(outcome: ProgramOutcome) -> Finished:
    assert isinstance(outcome, Finished), outcome
    return outcome


def failed(outcome: ProgramOutcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


async def test_results_are_json_or_text(sandbox: Sandbox) -> None:
    outcomes = {code: finished(await sandbox.run(code, AcmeHost())).result for code in RESULTS}
    assert outcomes == RESULTS


async def test_long_results_and_long_printed_texts_are_cut_with_a_note(sandbox: Sandbox) -> None:
    outcome = finished(await sandbox.run("print('é' * 20_000)\n['é' * 20_000]", AcmeHost()))
    for text in (outcome.result, outcome.stdout):
        assert len(text.encode()) <= 16 * 1024
        assert text.endswith("… [cut: the text was longer than 16384 bytes]")
    assert outcome.truncated
    outcome = finished(await sandbox.run("print('a' * 16_383)\n'b' * 16_384", AcmeHost()))
    assert (len(outcome.stdout), len(outcome.result), outcome.truncated) == (16_384, 16_384, False)


async def test_a_call_sends_the_arguments_and_returns_the_response(sandbox: Sandbox) -> None:
    host = AcmeHost()
    code = (
        "query = {'a': [1, None]}\n"
        "response = await call('acme-crm', 'post', '/notes', query, body={'b': 'ü'}, connection='c1')\n"
        "(response.status, response.headers, response.data, await connections())"
    )
    outcome = finished(await sandbox.run(IMPORTS + code, host))
    assert host.received == [HostCall(1, "acme-crm", "POST", "/notes", {"a": [1, None]}, {"b": "ü"}, "c1")]
    assert json.loads(outcome.result) == [
        200,
        {"content-type": "application/json"},
        {"integration": "acme-crm", "query": {"a": [1, None]}, "body": {"b": "ü"}},
        [{"integration": "acme-crm", "status": "connected"}],
    ]
    (call,) = outcome.calls
    assert replace(call, ms=0) == MadeCall("acme-crm", "POST", "/notes", 200, 0)


async def test_a_function_sends_only_the_given_arguments_with_their_real_names(sandbox: Sandbox) -> None:
    host = AcmeHost()
    code = (
        "await acme_crm.contacts_list(3, filter_status='open')\n"
        "await acme_crm.contacts_create(properties={}, from_='x')\n"
        "(await acme_crm.contacts_get(id=7))['arguments']"
    )
    outcome = finished(await sandbox.run(IMPORTS + code, host))
    assert host.received == [
        FunctionCall(1, "acme-crm", "contacts_list", {"limit": 3, "filter[status]": "open"}, "GET", "/contacts"),
        FunctionCall(2, "acme-crm", "contacts_create", {"properties": {}, "from": "x"}, "POST", "/contacts"),
        FunctionCall(3, "acme-crm", "contacts_get", {"id": 7}, "GET", "/contacts/{id}"),
    ]
    assert outcome.result == '{"id": 7}'
    assert [call.function for call in outcome.calls] == ["contacts_list", "contacts_create", "contacts_get"]


async def test_bodies_that_are_not_json_are_text_and_empty_bodies_are_none(sandbox: Sandbox) -> None:
    host = AcmeHost(text=b"a,b\n1,2", empty=b"", bytes=b"\xff\xfe", deep=b"[" * 1000 + b"]" * 1000)
    code = (
        "[type((await call('acme-crm', 'GET', path)).data).__name__ for path in ('/text', '/empty', '/bytes', '/deep')]"
    )
    assert finished(await sandbox.run(IMPORTS + code, host)).result == '["str", "NoneType", "str", "str"]'


async def test_error_responses_raise_an_api_error_that_a_program_can_read(sandbox: Sandbox) -> None:
    code = (
        "seen = []\n"
        "for path in ('/status/404', '/status/503', '/status/302'):\n"
        "    try:\n"
        "        await call('acme-crm', 'GET', path)\n"
        "    except ApiError as error:\n"
        "        print(repr(error))\n"
        "        seen.append((response_of(error).status, response_of(error).data['message']))\n"
        "try:\n"
        "    await asyncio.gather(acme_crm.contacts_get(404), acme_crm.contacts_get(1))\n"
        "except Exception as error:\n"
        "    seen.append(str(error))\n"
        "seen"
    )
    outcome = finished(await sandbox.run(IMPORTS + code, AcmeHost()))
    assert json.loads(outcome.result) == [
        [404, "The provider refused."],
        [503, "The provider refused."],
        [302, "The provider refused."],
        '404 from acme-crm contacts_get: {"message": "There is no such contact."}',
    ]
    assert outcome.stdout.startswith("ApiError('404 from GET acme-crm /status/404: {")


async def test_an_uncaught_error_names_the_lines_and_ends_the_program(sandbox: Sandbox) -> None:
    host = AcmeHost()
    code = (
        "async def load(path):\n    return await call('acme-crm', 'GET', path)\n"
        "await load('/a')\nawait load('/status/500')\nawait load('/b')"
    )
    outcome = failed(await sandbox.run(IMPORTS + code, host))
    assert outcome.kind == "exception"
    assert outcome.message.splitlines() == [
        'line 5, column 12: ApiError: 500 from GET acme-crm /status/500: {"message": "The provider refused."}',
        "  return await call('acme-crm', 'GET', path)",
        "  called at line 7: await load('/status/500')",
    ]
    assert host.paths == ["/a", "/status/500"]
    assert [call.status for call in outcome.calls] == [200, 500]


async def test_the_policy_raises_call_refused_in_the_program(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.refuses = {"github"}
    code = (
        "try:\n    await call('github', 'GET', '/')\nexcept CallRefused as error:\n    print(error)\n"
        "await call('github', 'GET', '/')"
    )
    outcome = failed(await sandbox.run(IMPORTS + code, host))
    assert outcome.stdout == "The token may not use this integration.\n"
    assert outcome.message.startswith("line 8, column 1: CallRefused: The token may not use this integration.")
    assert [(call.integration, call.status) for call in outcome.calls] == [("github", None)] * 2


async def test_invalid_calls_that_the_type_check_does_not_see_raise_type_errors(sandbox: Sandbox) -> None:
    calls = {
        "call(1, 'GET', '/')": "integration must be text.",
        "call('a', 'BREW', '/')": "method must be one of GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE.",
        "call('a', 'GET', '/', query=[1])": 'query must be a dictionary, such as {"limit": 10}.',
        "call('a', 'GET', '/', connection=5)": "connection must be the id of a connection.",
        "acme_crm.contacts_get()": "acme_crm.contacts_get() needs the parameter id.",
        "acme_crm.contacts_get(1, other=2)": "acme_crm.contacts_get() has no parameter other.",
        "acme_crm.contacts_get(1, 2)": "acme_crm.contacts_get() takes at most 1 arguments.",
        "acme_crm.contacts_get(1, id=2)": "acme_crm.contacts_get() got two values for id.",
        "call('a', 'POST', '/', body={1, 2})": "Object of type set is not JSON serializable",
    }
    code = "messages = []\n" + "".join(
        f"try:\n    await eval({call!r})\nexcept TypeError as error:\n    messages.append(str(error))\n"
        for call in calls
    )
    host = AcmeHost()
    assert json.loads(finished(await sandbox.run(f"{IMPORTS}{code}messages", host)).result) == list(calls.values())
    assert host.received == []


async def test_at_most_8_calls_run_at_the_same_time(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.blocks = {"slow"}
    running = asyncio.create_task(
        sandbox.run(f"{IMPORTS}len(await asyncio.gather(*[call('slow', 'GET', '/') for i in range(20)]))", host)
    )
    await eventually(lambda: host.concurrent == 8)
    host.release.set()
    assert finished(await running).result == "20"
    assert host.most_concurrent == 8


async def test_calls_run_at_the_same_time_only_where_the_program_gathers_them(sandbox: Sandbox) -> None:
    host = AcmeHost()
    await sandbox.run(f"{IMPORTS}a = call('a', 'GET', '/1')\nb = call('a', 'GET', '/2')\nawait b\nawait a", host)
    assert host.paths == ["/2", "/1"]
    assert host.most_concurrent == 1


async def test_calls_that_a_program_does_not_await_are_not_sent_and_are_reported(sandbox: Sandbox) -> None:
    host = AcmeHost()
    outcome = finished(await sandbox.run(f"{IMPORTS}x = [call('a', 'POST', '/') for i in range(3)]\nlen(x)", host))
    assert host.received == []
    assert outcome.note == "The program did not await all calls. Calls that were not sent: 3."
    outcome = finished(await sandbox.run(f"{IMPORTS}await call('a', 'POST', '/')", host))
    assert outcome.note == ""


async def test_running_calls_are_cancelled_before_the_outcome_if_the_program_has_ended(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.blocks = {"slow"}
    calls = "call('slow', 'POST', '/a'), call('slow', 'POST', '/b'), call('acme-crm', 'GET', '/status/500')"
    code = f"await asyncio.gather({calls})"
    outcome = failed(await sandbox.run(IMPORTS + code, host))
    assert outcome.kind == "exception"
    assert (host.cancelled, host.concurrent) == (2, 0)
    assert [(call.path, call.status) for call in outcome.calls] == [("/status/500", 500), ("/a", None), ("/b", None)]


async def test_an_unexpected_exception_of_the_host_passes_to_the_caller(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.failure = LookupError("the database is gone")
    with pytest.raises(LookupError, match="the database is gone"):
        await sandbox.run(f"{IMPORTS}try:\n    await call('a', 'GET', '/')\nexcept BaseException:\n    pass", host)
    assert finished(await sandbox.run("1", AcmeHost())).result == "1"


async def test_a_cancelled_run_cancels_its_calls_and_frees_its_process(sandbox: Sandbox) -> None:
    host = AcmeHost()
    host.blocks = {"slow"}
    running = asyncio.create_task(sandbox.run(f"{IMPORTS}await call('slow', 'POST', '/')", host))
    await eventually(lambda: host.concurrent == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (host.cancelled, host.concurrent) == (1, 0)
    outcomes = await asyncio.gather(*(sandbox.run("1", AcmeHost()) for _ in range(4)))
    assert [finished(outcome).result for outcome in outcomes] == ["1"] * 4


LIMITED: Final = {
    "wall clock": (
        ProgramLimits(wall_seconds=0.3),
        "await call('slow', 'GET', '/')",
        "The program ran longer than 0.3 seconds.",
    ),
    "number of calls": (
        ProgramLimits(calls=3),
        "for i in range(9):\n    await call('acme-crm', 'GET', '/')",
        "The program made more than 3 calls.",
    ),
    "code": (ProgramLimits(code_bytes=100), "# " + "é" * 50, "The program has more than 100 bytes."),
    "arguments": (
        ProgramLimits(total_argument_bytes=5000),
        "for i in range(9):\n    await call('acme-crm', 'POST', '/', body='a' * 1000)",
        "The arguments of all calls exceed 5000 bytes.",
    ),
    "one response": (
        ProgramLimits(answer_bytes=1000),
        "await call('acme-crm', 'GET', '/large')",
        "line 4, column 1: ValueError: The response (status 200) has 2002 bytes. The limit is 1000.",
    ),
    "all responses": (
        ProgramLimits(total_answer_bytes=5000),
        "for i in range(9):\n    await call('acme-crm', 'GET', '/large')",
        "line 5, column 5: ValueError: The responses of all calls have more than 5000 bytes.",
    ),
}
"""Limits, programs, and the beginning of the message."""


async def test_each_limit_of_the_server_ends_the_program_with_its_value(sandbox: Sandbox) -> None:
    for name, (limits, code, message) in LIMITED.items():
        host = AcmeHost(large=b'"' + b"a" * 2000 + b'"')
        host.blocks = {"slow"}
        outcome = failed(await sandbox.run(IMPORTS + code, host, limits))
        assert outcome.message.startswith(message), name
        assert len(host.received) <= 5, name


async def test_no_call_is_sent_after_the_limit_of_all_responses(sandbox: Sandbox) -> None:
    host = AcmeHost(large=b'"' + b"a" * 2000 + b'"')
    code = (
        "for i in range(9):\n    try:\n        await call('acme-crm', 'GET', '/large')\n"
        "    except ValueError:\n        pass"
    )
    await sandbox.run(IMPORTS + code, host, ProgramLimits(total_answer_bytes=5000))
    assert len(host.received) == 3
