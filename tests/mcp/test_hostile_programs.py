"""Hostile programs that reach the provider: their calls stay within the end user's connections, and show no key.

`tests/agents/programs/hostile_programs.yaml` has the programs that attack the sandbox itself.
"""

from collections.abc import Mapping
from typing import Final

import pytest

from tests.application import Client
from tests.mcp.conftest import Agents
from tests.mcp.test_repeated_secrets import CALL, KEY, hostile, repeat
from tests.promises.hostile import Hostile, accepted

__all__ = ["hostile"]
pytestmark = [pytest.mark.slow, pytest.mark.promise("P1", "P11", "P13"), pytest.mark.timeout(240)]

SENTRY: Final = f"{KEY[:-6]}k4x9zq"
"""The key of another end user."""

REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "connection of another organization": (
        "await call('acme', 'GET', '/v1/me', connection='{foreign}')",
        "must be the id or the label of one of these",
    ),
    "connection of another organization in upper case": (
        "await call('acme', 'GET', '/v1/me', connection='{foreign}'.upper())",
        "must be the id or the label of one of these",
    ),
    "connection of another end user": (
        "await call('acme', 'GET', '/v1/me', connection='{other}')",
        "must be the id or the label of one of these",
    ),
    "connection of another end user by its name": (
        "await call('acme', 'GET', '/v1/me', connection='Sentry')",
        "must be the id or the label of one of these",
    ),
    "connection with a pattern": (
        "await call('acme', 'GET', '/v1/me', connection='%')",
        "must be the id or the label of one of these",
    ),
    "connection with an injection": (
        "await call('acme', 'GET', '/v1/me', connection=\"' OR 1=1 --\")",
        "must be the id or the label of one of these",
    ),
    "function with the connection of another end user": (
        "import acme\nawait eval(\"acme.contacts_list(connection='{other}')\")",
        "must be the id or the label of one of these",
    ),
    "host in the path": ("await call('acme', 'GET', 'http://127.0.0.1:9/x')", "begin with a slash"),
    "host after a sign": ("await call('acme', 'GET', '@127.0.0.1:9/x')", "begin with a slash"),
    "host after a backslash": ("await call('acme', 'GET', '\\\\\\\\127.0.0.1:9/x')", "begin with a slash"),
    "path with dots": ("await call('acme', 'GET', '/../../etc/passwd')", "must not contain the segment"),
    "path with encoded dots": ("await call('acme', 'GET', '/%2e%2e/%2e%2e/x')", "must not contain the segment"),
    "path of 200 kB": ("await call('acme', 'GET', '/' + 'x' * 200_000)", "must have at most 16000 characters"),
    "path without a slash": ("await call('acme', 'GET', 'v1/me')", "begin with a slash"),
    "path with a fragment": ("await call('acme', 'GET', '/v1/me#x')", "must not contain #"),
    "query of 20000 parameters": (
        "await call('acme', 'GET', '/x', query={str(n): 'x' for n in range(20_000)})",
        "bytes as JSON",
    ),
    "integration that is a path": ("await call('../slack', 'GET', '/x')", "There is no integration"),
    "integration with a sign that looks like k": (
        "await call('slac\\u212a', 'GET', '/x')",
        "At Slack, a GET can change something",
    ),
    "integration that does not exist": ("await call('no-such', 'GET', '/x')", "There is no integration"),
    "integration of another organization": ("await call('x-tide', 'GET', '/x')", "There is no integration"),
    "integration without an account": ("await call('hubspot', 'GET', '/x')", "HubSpot is not connected"),
    "write by DELETE": ("await call('acme', 'DELETE', '/v1/contacts/1')", "may only read"),
    "write in lower case": ("await call('acme', 'post', '/v1/contacts')", "may only read"),
    "write by a second method": (
        'await eval(\'_send\')(\'call\', \'{"integration": "acme", "method": "GET", "method": "PUT", "path": "/"}\')',
        "may only read",
    ),
    "write by a parameter": ("await call('acme', 'GET', '/x', query={'_method': 'DELETE'})", "replaces the method"),
    "write by a parameter in the path": ("await call('acme', 'GET', '/x?_method=DELETE')", "replaces the method"),
    "write by an encoded parameter": ("await call('acme', 'GET', '/x?%5fmethod=DELETE')", "replaces the method"),
    "write by a method of WebDAV": ("await call('acme', 'GET', '/x?method=MKCOL')", "replaces the method"),
    "write by a mutation": (
        "await call('acme', 'GET', '/graphql', query={'query': 'mutation { remove(id: 1) { id } }'})",
        "no mutation of GraphQL",
    ),
    "write by a field of a body": (
        "await call('acme', 'GET', '/x', body={'_method': 'DELETE'})",
        "replaces the method",
    ),
    "write by a function": ("import acme\nawait acme.contact_create(name='x')", "has no member `contact_create`"),
    "deep body": ("x = []\nfor _ in range(500):\n    x = [x]\nawait call('acme', 'GET', '/x', body=x)", "levels deep"),
    "flood of calls": (
        "import asyncio\nawait asyncio.gather(*[call('no', 'GET', '/') for _ in range(400)])",
        "more than 300 calls",
    ),
}
"""Programs of an agent that only reads, and a part of the reason. No call may reach the provider.

`{other}`, `{foreign}`: connections of another end user, and of another organization.
"""
HARMLESS: Final[Mapping[str, tuple[str, str]]] = {
    "host after two slashes": ("await call('acme', 'GET', '//127.0.0.1:9/x')", "GET //127.0.0.1:9/x"),
    "path with a line break": ("await call('acme', 'GET', '/x\\r\\nX-Evil: 1')", "GET /x%0D%0AX-Evil:%201"),
    "path with NUL": ("await call('acme', 'GET', '/x\\0')", "GET /x%00"),
}
"""Programs whose path looks like an attack, and the request at the provider of the connection."""
MASKED: Final[Mapping[str, str]] = {
    "characters": "[*str(d)]",
    "reversed text": "str(d)[::-1]",
    "upper case": "str(d).upper()",
    "numbers of characters": "[ord(c) for c in str(d)]",
    "halves": "[str(d)[:n] + '|' + str(d)[n:] for n in range(0, 60, 5)]",
    "bytes": "str(d).encode()",
    "hexadecimal": "str(d).encode().hex()",
    "JSON in JSON": "import json\njson.dumps(json.dumps(d))",
    "header": "r.headers",
    "response as a text": "str(r)",
    "exception": "raise ValueError(str(d))",
    "output": "for c in str(d):\n    print(c, end='')",
    "name of an attribute": "class A: pass\na = A()\nexec('setattr(a, str(d), 1)')\na",
    "keys": "[*d]",
}


def condensed(text: str) -> str:
    """Return a text without what programs add between its characters, in lower case."""
    return "".join(each for each in text.lower() if each.isalnum() or each == "_")


async def test_no_call_of_a_hostile_program_leaves_the_connections_of_its_end_user(hostile: Hostile) -> None:
    other = await hostile.client.connect("user_456", SENTRY, name="Sentry")
    application = hostile.application
    stranger: Client = application.client(await application.key(await application.organization("Southwind")))
    foreign = await stranger.connect("user_123", SENTRY)
    hostile.answers(accepted())
    wrong = list[str]()
    async with Agents(application, hostile.client).connect(access="read") as agent:
        for name, (code, words) in REFUSED.items():
            before = len(hostile.provider.requests)
            program = CALL + code.replace("{foreign}", foreign["id"]).replace("{other}", other["id"])
            answer = await agent.call("run_python", code=program)
            sent = [f"{each.method} {each.target}" for each in hostile.provider.requests[before:]]
            if not answer.is_error or sent or words not in answer.text or SENTRY in answer.text:
                wrong.append(f"{name}: {sent} {answer.text[:250]}")
    assert wrong == []


async def test_path_that_looks_like_an_attack_stays_a_path_at_the_provider(hostile: Hostile) -> None:
    async with Agents(hostile.application, hostile.client).connect(access="read") as agent:
        for code, request in HARMLESS.values():
            answer = await agent.call("run_python", code=CALL + code)
            assert not answer.is_error, answer.text
            (sent,) = hostile.provider.requests[-1:]
            assert f"{sent.method} {sent.target}" == request
            assert sent.header("x-evil") is None


async def test_no_hostile_program_gets_the_key_that_a_provider_repeats(hostile: Hostile) -> None:
    repeat(hostile, KEY)
    wrong = list[str]()
    async with Agents(hostile.application, hostile.client).connect() as agent:
        for name, code in MASKED.items():
            program = f"{CALL}r = await call('acme', 'GET', '/v1/echo')\nd = r.data\n{code}"
            answer = await agent.call("run_python", code=program)
            shown = condensed(answer.text)
            hidden = (KEY[:12], KEY[::-1][:12], KEY[:12].encode().hex())
            if any(condensed(part) in shown for part in hidden) or not answer.data["calls"]:
                wrong.append(f"{name}: {answer.text[:250]}")
    assert wrong == []
