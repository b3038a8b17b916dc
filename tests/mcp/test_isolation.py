"""A walk of every tool over two organizations and two end users: nobody sees or changes anything of the others."""

import json
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.mcp.tools import TOOLS
from tests.application import ACME_KEYS, Application, Client
from tests.mcp.conftest import Agents, use_own_page

pytestmark = [pytest.mark.slow, pytest.mark.promise("P1", "P13")]

OWN_API: Final = "Tide"


@dataclass(frozen=True, slots=True)
class Owner:
    """An end user with an account. `marks`: texts that only the agent of this end user may see.

    `run_id`: a program that waits for this end user. `approval_request_id`: a call that waits for the approval.
    """

    agents: Agents
    end_user_id: str
    connection: dict[str, Any]
    marks: tuple[str, ...]
    run_id: str = ""
    approval_request_id: str = ""


async def waiting(owner: Owner) -> Owner:
    """Let agents of the end user start a program that pauses, and a call that waits for an approval."""
    await use_own_page(owner.agents.owner)
    code = (
        "from one_runtime import call, connections\nown = await connections()\nawait call('hubspot', 'GET', '/')\nown"
    )
    async with owner.agents.connect(end_user_id=owner.end_user_id, access="ask") as agent:
        run_id = (await agent.call("run_python", code=code)).data["run_id"]
        asked = await agent.call("call_write", integration="acme", path="/v1/contacts", method="POST", body={})
    (request,) = parse_qs(urlsplit(asked.data["approval_url"]).query)["approval_request_id"]
    return replace(owner, run_id=run_id, approval_request_id=request)


async def own_integration(application: Application, client: Client, slug: str, title: str) -> None:
    """Upload an OpenAPI document with one function, whose server is Acme."""
    document = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "summary": f"{title} of the port."},
        "servers": [{"url": application.acme.url}],
        "security": [{}],
        "paths": {"/v1/none": {"get": {"operationId": "readLevel", "summary": f"Read the level of the {title}."}}},
    }
    answer = await client.send("PUT", f"/v1/custom-integrations/{slug}", document)
    assert answer.status_code == 201, answer.text


async def three_owners(application: Application, client: Client) -> tuple[Owner, Owner, Owner]:
    """Return two end users of one organization, and one of another organization with an integration of its own."""
    other = application.client(await application.key(await application.organization("Southwind")))
    await own_integration(application, other, "x-tide", OWN_API)
    first = await client.connect("user_1", ACME_KEYS[GLOBEX], name="Sales of the first")
    second = await client.connect("user_2", ACME_KEYS[INITECH], name="Sales of the second")
    third = await other.connect("user_1", ACME_KEYS[INITECH], name="Sales of the third")
    initech = ("Initech", "Lucía Vidal", "Sam Whitlock")
    globex = ("Globex", "Priya Raman", "Jonas Weber")
    return (
        Owner(Agents(application, client), "user_1", first, (first["id"], "Sales of the first", *globex)),
        Owner(Agents(application, client), "user_2", second, (second["id"], "Sales of the second", *initech)),
        Owner(Agents(application, other), "user_1", third, (third["id"], "Sales of the third", *initech, OWN_API)),
    )


def calls_with(other: Owner) -> list[tuple[str, dict[str, Any]]]:
    """Return calls of every tool. Some of them name the connection or the integration of another end user."""
    connection = {"connection": other.connection["id"]}
    named = {"connection": other.connection["name"]}
    me = {"integration": "acme", "path": "/v1/me"}
    write = {"integration": "acme", "path": "/v1/contacts", "method": "POST", "body": {"name": "Mallory"}}
    half = len(other.connection["id"]) // 2
    text = f"{other.connection['id'][:half]!r} + {other.connection['id'][half:]!r}"  # an error quotes the program
    imported = "from one_runtime import call\n"
    return [
        ("tool_search", {"query": "read the level of the tide"}),
        ("tool_search", {"query": "acme contacts"}),
        ("tool_help", {"name": "acme"}),
        ("tool_help", {"name": "x-tide.read_level"}),
        ("list_connections", {}),
        ("call_read", me),
        ("call_read", me | connection),
        ("call_read", me | named),
        ("call_read", {"integration": "acme", "path": "/v1/contacts"}),
        ("call_read", {"name": "x-tide.read_level"}),
        ("call_write", write),
        ("call_write", write | connection),
        ("call_write", write | named),
        ("run_python", {"code": "import acme\n[await acme.account_get(), await acme.contacts_list()]"}),
        ("run_python", {"code": "from one_runtime import connections\nawait connections()"}),
        ("run_python", {"code": f"{imported}await call('acme', 'GET', '/v1/me', connection={text})"}),
        ("run_python", {"code": "import x_tide\nawait x_tide.read_level()"}),
        ("get_tool_connect_url", {"tool_name": "acme"}),
        ("get_tool_connect_url", {"tool_name": "x-tide"}),
    ]


async def test_no_tool_shows_or_changes_anything_of_another_end_user(application: Application, client: Client) -> None:
    owners = [await waiting(owner) for owner in await three_owners(application, client)]
    accounts = application.acme.acme.accounts
    for me in owners:
        for other in owners:
            if other is me:
                continue
            calls = calls_with(other)
            assert {name for name, _ in calls} == {tool.name for tool in TOOLS}
            foreign = set(other.marks) - set(me.marks)
            account = other.connection["account"]["id"]
            before = dict(accounts[account].contacts)
            everything = ""
            async with me.agents.connect(end_user_id=me.end_user_id) as agent:
                for name, arguments in calls:
                    answer = await agent.call(name, **arguments)
                    seen = json.dumps(answer.data, ensure_ascii=False) + answer.text
                    everything += seen
                    leaked = {mark for mark in foreign if mark in seen and mark not in str(arguments)}
                    assert not leaked, (me.end_user_id, name, arguments, answer.text)
                continued = await agent.call("run_python", run_id=other.run_id)
                assert continued.data["code"] == "not_found", continued.text
            path = f"/v1/approval-requests/{other.approval_request_id}/open"
            opened = await me.agents.owner.post(path, {"end_user_id": me.end_user_id})
            assert opened.json()["code"] in {"end_user_mismatch", "not_found"}
            visible = (me.marks[0], *me.marks[2:])
            assert [mark for mark in visible if mark not in everything] == [], "the agent does not see its own data"
            if account != me.connection["account"]["id"]:
                assert accounts[account].contacts == before, "an agent has written to the account of another"
