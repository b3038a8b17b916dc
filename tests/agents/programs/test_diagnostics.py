"""Wrong programs: each is refused before any call goes out, with the line, the column and a hint for the author."""

import asyncio
import random
import time

import pytest

from one_runtime.agents.programs import diagnostics
from one_runtime.agents.programs.outcome import Failed
from one_runtime.agents.programs.sandbox import Sandbox
from tests.agents.programs.acme_host import IMPORTS, PATIENT, AcmeHost

WRITE = "await call('acme-crm', 'POST', '/')\n"
"""Every program makes a call first. The wrong line is line 5 or later."""

# the program, and the required kind, line, column and words of the message
WRONG = [
    ("await acme_crm.contacts_list(limt=3)", "types", 5, 30, "Did you mean `limit`"),
    (
        "await acme_crm.contacts_list(limit='3')",
        "types",
        5,
        30,
        "Argument to function `contacts_list` is incorrect: Expected ",
    ),
    ("await acme_crm.contacts_lst()", "types", 5, 7, "Did you mean `contacts_list`"),
    ("await acme_crm.contacts_get()", "types", 5, 7, "No argument provided for required parameter `id` of function"),
    (
        "await acme_crm.contacts_get('a', 2)",
        "types",
        5,
        29,
        "Argument to function `contacts_get` is incorrect: Expected `",
    ),
    (
        "await acme_crm.contacts_create({}, form='x')",
        "types",
        5,
        36,
        "Argument `form` does not match any known parameter of functi",
    ),
    ("acme_crm.contacts_create({})", "types", 5, 1, "Write `await`"),
    ("r = acme_crm.contacts_list()\nr['results']", "types", 6, 1, "Write `await`"),
    ("r = call('acme-crm', 'GET', '/')\nr.data", "types", 6, 1, "Write `await`"),
    ("for c in acme_crm.contacts_list():\n    print(c)", "types", 5, 10, "Write `await`"),
    ("print(acme_crm.contacts_list()['results'])", "types", 5, 7, "Write `await`"),
    ("x = [acme_crm.contacts_get(1)['id'] for i in range(3)]", "types", 5, 6, "Write `await`"),
    (
        "await call('acme-crm', '/contacts')",
        "types",
        5,
        7,
        "No argument provided for required parameter `path` of functi",
    ),
    ("await call('acme-crm', 'GET', '/', querry={})", "types", 5, 36, "Did you mean `query`"),
    (
        "await call('acme-crm', 'GET', '/', query='a=b')",
        "types",
        5,
        36,
        "Argument to function `call` is incorrect: Expected `dict[str",
    ),
    ("await call('acme-crm', 'GET')", "types", 5, 7, "No argument provided for required parameter `path` of functi"),
    ("await call(1, 'GET', '/')", "types", 5, 12, "Argument to function `call` is incorrect: Expected `str`, fo"),
    (
        "r = await call('acme-crm', 'GET', '/')\nr.json()",
        "types",
        6,
        1,
        "Object of type `Response` has no attribute `json`",
    ),
    ("r = await call('acme-crm', 'GET', '/')\nr.status_code", "types", 6, 1, "Did you mean `status`"),
    (
        "r = await call('acme-crm', 'GET', '/')\nr['data']",
        "types",
        6,
        1,
        "Method `__getitem__` of type `Overload[(index: Literal[-3, 0",
    ),
    ("r = await call('acme-crm', 'GET', '/').data", "types", 5, 11, "Write `await`"),
    ("await connections('acme-crm')", "types", 5, 19, "Too many positional arguments to function `connections`: exp"),
    ("(await connections()).items()", "types", 5, 1, "Object of type `list[dict[str, Any]]` has no attribute `item"),
    (
        "try:\n    await call('acme-crm', 'GET', '/')\nexcept ApiError as e:\n    print(e.status)",
        "types",
        8,
        11,
        "response_of(error).status",
    ),
    ("await cal('acme-crm', 'GET', '/')", "types", 5, 7, "Did you mean `call`"),
    ("from one_runtime import cal", "types", 5, 25, "Did you mean `call`"),
    ("from one_runtime import fetch_url", "types", 5, 25, "Module `one_runtime` has no member `fetch_url`"),
    ("import acme", "types", 5, 8, "A program can import"),
    ("import hubspt", "types", 5, 8, "Did you mean `hubspot`"),
    ("import requests", "types", 5, 8, "A program can import"),
    ("from acme_crm import contacts_delete", "types", 5, 22, "Did you mean `contacts_get`"),
    ("x = await asyncio.gahter(call('acme-crm', 'GET', '/'))", "types", 5, 11, "only `asyncio.gather`"),
    ("asyncio.create_task(call('acme-crm', 'GET', '/'))", "types", 5, 1, "only `asyncio.gather`"),
    ("import json\njson.dump_s({})", "types", 6, 1, "Module `json` has no member `dump_s`"),
    ("contcts = [1]\nprint(contacts)", "types", 6, 7, "Did you mean `contcts`"),
    ("print(undefined)", "types", 5, 7, "Name `undefined` used when not defined"),
    ("1 + 'a'", "types", 5, 1, "Operator `+` is not supported between objects of type `Liter"),
    ("len(5)", "types", 5, 5, "Argument to function `len` is incorrect: Expected `Sized`, f"),
    ("[1].push(2)", "types", 5, 1, "Object of type `list[int]` has no attribute `push`"),
    ("x: int = 'a'", "types", 5, 10, 'Object of type `Literal["a"]` is not assignable to `int`'),
    ("def f(a):\n    return a\nf()", "types", 7, 1, "No argument provided for required parameter `a` of function "),
    (
        "def f(a: int):\n    return a\nf('x')",
        "types",
        7,
        3,
        "Argument to function `f` is incorrect: Expected `int`, found",
    ),
    ("x = None\nx.append(1)", "types", 6, 1, "Object of type `None` has no attribute `append`"),
    ("print('a'", "syntax", 5, 10, "unexpected EOF while parsing"),
    ("if True\n    pass", "syntax", 5, 8, "Expected `:`, found newline"),
    ("def f(:\n    pass", "syntax", 5, 7, "Expected a parameter or the end of the parameter list"),
    ("x = = 1", "syntax", 5, 5, "Expected an expression"),
    ("return 1", "syntax", 5, 1, "`return` statement outside of a function"),
    ("for i in range(3):\nprint(i)", "syntax", 6, 1, "Expected an indented block after `for` statement"),
    (
        "class Error(Exception):\n    pass",
        "syntax",
        5,
        1,
        "the sandbox does not support class inheritance and metaclass",
    ),
    ("async with asyncio.timeout(3):\n    pass", "syntax", 5, 1, "`async with` outside of an asynchronous function"),
    ("async for x in []:\n    pass", "syntax", 5, 1, "`async for` outside of an asynchronous function"),
    ("def f():\n    yield 1", "syntax", 6, 5, "the sandbox does not support yield expressions."),
    ("from math import *", "exception", 5, 1, "NotImplementedError: Wildcard imports (`from ... import *`) "),
    ("del acme_crm", "syntax", 5, 1, "the sandbox does not support the 'del' statement."),
    ("await asyncio.wait_for(call('acme-crm', 'GET', '/'), 3)", "types", 5, 7, "only `asyncio.gather`"),
    ("open('/etc/passwd')", "types", 5, 1, "Name `open` used when not defined"),
    ("input()", "types", 5, 1, "Name `input` used when not defined"),
    ("import os\nos.system('id')", "types", 6, 1, "Module `os` has no member `system`"),
    ("async def main():\n    await call('acme-crm', 'GET', '/')\nmain()", "types", 7, 1, "Write `await`"),
    (
        "async def main():\n    r = call('acme-crm', 'GET', '/')\n    return r.data\nawait main()",
        "types",
        7,
        12,
        "Write `await`",
    ),
    ("sorted([{}, {}], kee=len)", "types", 5, 1, "No overload of function `sorted` matches arguments"),
    ("try:\n    pass\nexcept ValueEror:\n    pass", "types", 7, 8, "Name `ValueEror` used when not defined"),
    ("f'{undefined_name}'", "types", 5, 4, "Name `undefined_name` used when not defined"),
    ("[1, 2].sort(revrse=True)", "types", 5, 1, "No overload of bound method `list.sort` matches arguments"),
    ("raise 'text'", "types", 5, 7, 'Cannot raise object of type `Literal["text"]`: Not an instan'),
    ("await 5", "types", 5, 7, "`Literal[5]` is not awaitable"),
    ("break", "syntax", 5, 1, "`break` outside loop"),
    ("a, b = 1", "types", 5, 8, "Object of type `Literal[1]` is not iterable"),
    ("import one_runtime\none_runtime.cal('a','b','c')", "types", 6, 1, "Did you mean `call`"),
    (
        "not_called = acme_crm.contacts_list\nnot_called['results']",
        "types",
        6,
        1,
        "Cannot subscript object of type `def contacts_list(limit: in",
    ),
    (
        "from typing import TypedDict\nclass P(TypedDict):\n    a: int",
        "syntax",
        6,
        1,
        "the sandbox does not support class inheritance and metaclass",
    ),
]


async def test_wrong_programs_are_refused_with_line_and_column_before_any_call_goes_out(sandbox: Sandbox) -> None:
    async def check(case: tuple[str, str, int, int, str]) -> str:
        code, kind, line, column, words = case
        host = AcmeHost()
        outcome = await sandbox.run(IMPORTS + WRITE + code, host, PATIENT)
        place = f"line {line}, column {column}: "
        assert host.received == [], code
        assert isinstance(outcome, Failed), code
        right = outcome.kind == kind and outcome.message.startswith(place) and words in outcome.message
        return "" if right else f"{code}: {outcome.kind}: {outcome.message}"

    assert len(WRONG) >= 50
    assert list(filter(None, await asyncio.gather(*map(check, WRONG)))) == []


async def test_each_error_of_a_program_has_a_line_of_its_own(sandbox: Sandbox) -> None:
    outcome = await sandbox.run("a = 1 + 'x'\n\nb = len(5)\nc = unknown\n", AcmeHost())
    assert isinstance(outcome, Failed)
    assert [line.split(":")[0] for line in outcome.message.splitlines()] == [
        "line 1, column 5",
        "line 3, column 9",
        "line 4, column 5",
    ]


async def test_only_the_first_errors_of_a_program_are_listed(sandbox: Sandbox) -> None:
    outcome = await sandbox.run("\n".join(f"unknown_{number}" for number in range(25)), AcmeHost())
    assert isinstance(outcome, Failed)
    lines = outcome.message.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 15 more"


RIGHT = [
    "async def main():\n    return await call('acme-crm', 'GET', '/')\nawait main()",
    "async def main():\n    return await call('acme-crm', 'GET', '/')\nasyncio.run(main())",
    "import acme_crm as crm; (await crm.contacts_list(3))['results'][0]['id']",
    "from acme_crm import contacts_list\nawait contacts_list(after='x', filter_status='open')",
    "await acme_crm.contacts_create({'name': 'A'}, from_='import')",
    "first, second = await asyncio.gather(call('acme-crm', 'GET', '/'), acme_crm.contacts_get(1))\nfirst.status",
    "contacts: list[dict] = (await acme_crm.contacts_list())['results']\n{c['id']: c for c in contacts}",
]


async def test_right_programs_pass_the_type_check(sandbox: Sandbox) -> None:
    outcomes = await asyncio.gather(*(sandbox.run(IMPORTS + code, AcmeHost(), PATIENT) for code in RIGHT))
    assert [outcome.message for outcome in outcomes if isinstance(outcome, Failed)] == []


@pytest.mark.promise("P17")
async def test_suggestions_for_many_names_do_not_use_the_time_of_the_server(sandbox: Sandbox) -> None:
    """In the server, the ten findings of this program would need 0.3 s."""
    letters = random.Random(1)
    names = ["".join(letters.choices("abcdefgh", k=40)) for _ in range(750)]
    code = "\n".join(names)
    assert len(code) > 30_000
    await sandbox.run("1", AcmeHost())
    start = time.thread_time()
    outcome = await sandbox.run(code, AcmeHost())
    used = time.thread_time() - start
    assert isinstance(outcome, Failed)
    assert outcome.message.endswith(" more")
    assert used < 0.1


def hint(wrong: str, *names: str) -> str:
    """Describe an undefined name of a program with other names, in this process. Return the message."""
    output = f"main.py:1:1: error[unresolved-reference] Name `{wrong}` used when not defined"
    return diagnostics.describe_types(output, "\n".join([wrong, *names]), {}, ())[1]


def test_long_names_have_no_suggestion() -> None:
    """The time of a comparison grows with the product of the lengths (security M5 a)."""
    assert "Did you mean" in hint("a" * 59 + "b", "a" * 59 + "c")
    assert "Did you mean" not in hint("a" * 60 + "b", "a" * 60 + "c")


def test_only_1000_similar_names_are_compared() -> None:
    names = [f"contact_{number:04}" for number in range(1_001)]
    assert "Did you mean `contact_0900`?" in hint("contact_0900x", *names)
    assert "Did you mean `contact_1000`?" not in hint("contact_1000x", *names)


def test_names_with_very_different_lengths_do_not_count() -> None:
    assert "Did you mean `customer_address`?" in hint(
        "customer_adress", "customer_address", *(f"a{n}" for n in range(2_000))
    )
