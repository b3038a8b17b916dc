"""The part of a story in which an agent uses every tool: with an account, without one, and with refusals."""

import json
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx2

from one_runtime.agents.authorization.resources import PATH
from one_runtime.mcp.tools import TOOLS
from tests.egress.upstream import Upstream, answer
from tests.mcp.conftest import message
from tests.promises.canaries import fitting, secret_part
from tests.promises.hostile import CHECKED, JSON, accepted

END_USER: Final = "user_of_an_agent"
CONTENTS: Final = ("searched words", "value in a query", "value in a body", "code of a program", "response")


class Storyteller(Protocol):
    """The requests and the canaries of a whole story (`test_logs.Story`)."""

    http: httpx2.AsyncClient
    api_key: str
    outputs: list[bytes]
    canaries: dict[str, str | bytes]

    async def ask(self, method: str, path: str, token: str | None, body: object = None) -> httpx2.Response: ...

    def new_key(self, name: str) -> str: ...


async def use_agents(story: Storyteller, provider: Upstream) -> dict[str, str | bytes]:
    """Let an agent use every tool. Return the contents of its calls, which only the agent and the provider may see."""
    contents = {name: fitting(None) for name in CONTENTS}
    key = story.new_key("key of an agent's account")
    provider.answers[CHECKED] = accepted()
    account = {"integration_slug": "acme", "end_user_id": END_USER, "auth_type": "api_key"}
    created = await story.ask("POST", "/v1/connections", story.api_key, {**account, "credentials": {"api_key": key}})
    assert created.status_code == 201
    provider.anything = answer(200, JSON, json.dumps({"value": contents["response"]}).encode())
    token = await end_user_token(story)
    calls = calls_of_every_tool(contents)
    assert [name for name, _ in calls] == [tool.name for tool in TOOLS]
    for tool, arguments in calls:
        assert not (await call(story, token, tool, arguments))["isError"], tool
    refusals: list[tuple[str, dict[str, Any]]] = [
        ("call_read", {"integration": "hubspot", "path": "/crm/v3/objects/contacts"}),
        ("call_read", {"integration": "acme", "pth": contents["value in a query"]}),
        ("run_python", {"code": f"1 / 0  # {contents['code of a program']}"}),
        ("run_python", {"code": f"import {contents['code of a program']}"}),
        ("run_python", {"code": paused_program(contents["code of a program"])}),
    ]
    for tool, arguments in refusals:
        assert (await call(story, token, tool, arguments))["isError"], arguments
    await ask_for_approval(story, contents)
    provider.answers[CHECKED] = answer(401, JSON, json.dumps({"error": {"message": f"No: {key}"}}).encode())
    await call(story, token, "call_read", {"integration": "acme", "path": "/v1/me"})
    await story.ask("GET", "/v1/connections", token)
    for path in ("/v1/proxy-requests", "/v1/events"):
        assert (await story.ask("GET", path, story.api_key)).status_code == 200, path
    (_, listed, *_) = (await story.ask("GET", "/v1/end-user-tokens", story.api_key)).json()["end_user_tokens"]
    await story.ask("DELETE", f"/v1/end-user-tokens/{listed['id']}", story.api_key)
    assert (await story.ask("POST", PATH, token)).status_code == 401
    return {**contents}


def paused_program(content: str) -> str:
    """Return a program that One Runtime stores, because its end user has not connected HubSpot."""
    return f"from one_runtime import call\nkept = {content!r}\nawait call('hubspot', 'GET', '/crm/v3/x')\nkept"


async def ask_for_approval(story: Storyteller, contents: dict[str, str]) -> None:
    """Let an agent ask its end user to approve a call, and open the page on which the end user answers."""
    agents = {"agents": {"connect_url": "https://app.example.com/connect"}}
    assert (await story.ask("PATCH", "/v1/organization", story.api_key, agents)).status_code == 200
    token = await end_user_token(story, "ask")
    query, body = {"q": contents["value in a query"]}, {"name": contents["value in a body"]}
    write = {"integration": "acme", "path": "/v1/contacts", "method": "POST", "query": query, "body": body}
    asked = await call(story, token, "call_write", write)
    (request,) = parse_qs(urlsplit(asked["structuredContent"]["approval_url"]).query)["approval_request_id"]
    path = f"/v1/approval-requests/{request}"
    opened = await story.ask("POST", f"{path}/open", story.api_key, {"end_user_id": END_USER})
    del story.outputs[-2:]  # only this response may contain the token of the page
    (page_token,) = parse_qs(urlsplit(opened.json()["approval_url"]).query)["approval_token"]
    story.canaries |= {"token of an approval": page_token, "secret of an approval": secret_part(page_token)}
    assert (await story.http.get(f"/connect/approval?approval_token={page_token}")).status_code == 200
    form = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
    answered = await story.http.post(
        "/connect/approval", content=f"approval_token={page_token}&answer=once", headers=form
    )
    assert answered.status_code == 200
    for address in (path, "/v1/events"):
        assert (await story.ask("GET", address, story.api_key)).status_code == 200, address
    assert not (await call(story, token, "call_write", write))["isError"]
    nothing = {"agents": {"connect_url": None}}
    assert (await story.ask("PATCH", "/v1/organization", story.api_key, nothing)).status_code == 200


def calls_of_every_tool(contents: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Return a call of each tool that answers without an error."""
    code = f"from one_runtime import call\nprint({contents['code of a program']!r})\n"
    write = {"integration": "acme", "path": "/v1/contacts", "method": "POST"}
    return [
        ("tool_search", {"query": contents["searched words"]}),
        ("tool_help", {"name": "acme"}),
        ("list_connections", {}),
        ("call_read", {"integration": "acme", "path": "/v1/x", "query": {"q": contents["value in a query"]}}),
        ("call_write", {**write, "body": {"name": contents["value in a body"]}}),
        ("run_python", {"code": f"{code}(await call('acme', 'GET', '/v1/x')).data"}),
        ("get_tool_connect_url", {"tool_name": "acme"}),
    ]


async def end_user_token(story: Storyteller, access: str = "write") -> str:
    """Create an end-user token."""
    body = {"end_user_id": END_USER, "access": access}
    created = await story.ask("POST", "/v1/end-user-tokens", story.api_key, body)
    del story.outputs[-2:]  # only this response may contain the token
    token: str = created.json()["end_user_token"]
    story.canaries |= {f"token to {access}": token, f"secret of the token to {access}": secret_part(token)}
    return token


async def call(story: Storyteller, token: str, tool: str, arguments: dict[str, Any]) -> Any:
    """Call a tool, and store the answer without the token of a link. Return the result."""
    body, headers = message("tools/call", name=tool, arguments=arguments)
    response = await story.http.post(PATH, content=body, headers={**headers, "authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    result = response.json()["result"]
    output = response.text
    link = result["structuredContent"].get("connect_url")
    if link is not None:
        (session_token,) = parse_qs(urlsplit(link).query)["session_token"]
        name = f"token of link {len(story.canaries)}"
        story.canaries |= {name: session_token, f"secret of {name}": secret_part(session_token)}
        output = output.replace(session_token, "")
    story.outputs += [output.encode(), str(response.headers.multi_items()).encode()]
    return result
