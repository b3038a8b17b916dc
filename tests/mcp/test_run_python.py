"""`run_python`: a program uses the accounts of its end user, within the policy of its token."""

import json
from typing import Final

import pytest

from tests.application import Application, Client
from tests.mcp.conftest import Agents

pytestmark = pytest.mark.slow

COPY: Final = """
import acme
names = ["Ada", "Grace", "Edsger"]
made = [await acme.contact_create(name=name) for name in names]
found = (await acme.contacts_list())["contacts"]
print(len(made))
sorted(contact["name"] for contact in found if contact["name"] in names)
"""


async def test_program_calls_functions_and_paths(application: Application, client: Client, agents: Agents) -> None:
    await client.connect()
    async with agents.connect() as agent:
        answer = await agent.call("run_python", code=COPY)
        assert (answer.is_error, json.loads(answer.data["result"])) == (False, ["Ada", "Edsger", "Grace"]), answer.text
        assert answer.data["stdout"].strip() == "3"
        assert [(call["function"], call["status"]) for call in answer.data["calls"]] == [
            *[("contact_create", 201)] * 3,
            ("contacts_list", 200),
        ]
        code = "from one_runtime import call, connections\nme = await call('acme', 'GET', '/v1/me')\n"
        code += "[me.data['plan'], await connections()]"
        plan, connected = json.loads((await agent.call("run_python", code=code)).data["result"])
        assert (plan, connected[0]["integration"], connected[0]["label"]) == ("team", "acme", "Globex Corporation")
    await application.app.services.request_log.flush()
    logged = (await client.get("/v1/proxy-requests", run_id=answer.data["run_id"])).json()["proxy_requests"]
    assert len(logged) == 4


async def test_error_is_named_before_any_call(client: Client, agents: Agents) -> None:
    await client.connect()
    table: list[tuple[str, str, str]] = [
        ("import acme\nawait acme.contact_create(nam='Ada')", "program_types", "nam"),
        ("import acme\nawait acme.contact_creat(name='Ada')", "program_types", "contact_creat"),
        ("import acmee", "program_types", "acmee"),
        ("x = (", "program_syntax", "1"),
        ("1 / 0", "program_exception", "ZeroDivisionError"),
        ("while True: pass", "program_limit", "second"),
    ]
    async with agents.connect() as agent:
        for code, kind, text in table:
            answer = await agent.call("run_python", code=code)
            assert (answer.is_error, answer.data["code"], answer.data["calls"]) == (True, kind, []), answer.text
            assert text in answer.text, answer.text
        for arguments in ({}, {"code": ""}, {"code": "1", "timeout_s": 61}):
            assert (await agent.call("run_python", **arguments)).data["code"] == "invalid_input"


@pytest.mark.promise("P13")
async def test_program_of_a_token_that_reads_cannot_write(client: Client, agents: Agents) -> None:
    await client.connect()
    programs = (
        "from one_runtime import call\nawait call('acme', 'POST', '/v1/contacts', body={'name': 'x'})",
        "from one_runtime import call\nawait call('acme', 'delete', '/v1/contacts/x')",
        "from one_runtime import call\nawait call('acme', 'GET', '/v1/me', query={'_method': 'DELETE'})",
        "from one_runtime import call\nawait call('slack', 'GET', '/chat.postMessage')",
        "import acme\nawait acme.contact_create(name='x')",
    )
    async with agents.connect(access="read") as agent:
        (tool,) = [tool for tool in (await agent.client.list_tools()).tools if tool.name == "run_python"]
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
        for program in programs:
            answer = await agent.call("run_python", code=program)
            assert answer.is_error, program
            assert not any(call["status"] for call in answer.data["calls"]), program
        code = "import acme\n(await acme.account_get())['plan']"
        assert (await agent.call("run_python", code=code)).data["result"] == "team"


async def test_program_that_needs_an_account_says_what_it_has_done(client: Client, agents: Agents) -> None:
    await client.connect()
    code = (
        "from one_runtime import call\nawait call('acme', 'GET', '/v1/me')\nawait call('hubspot', 'GET', '/crm/v3/x')"
    )
    async with agents.connect() as agent:
        answer = await agent.call("run_python", code=code)
    assert (answer.is_error, answer.data["code"], answer.data["integration"]) == (True, "connect_required", "hubspot")
    assert [call["integration"] for call in answer.data["calls"] if call["status"]] == ["acme"]
    assert answer.data["connect_url"] in answer.text


async def test_policy_limits_the_calls_of_a_program(client: Client, agents: Agents) -> None:
    await client.connect()
    code = "import acme\nfor _ in range(3):\n    await acme.account_get()"
    async with agents.connect(calls_per_run=2) as agent:
        answer = await agent.call("run_python", code=code)
        assert (answer.is_error, answer.data["code"], len(answer.data["calls"])) == (True, "program_limit", 2)
