"""`/v1/mcp`: authentication, limits, hosts and methods. The tools have their own tests."""

import asyncio
import subprocess
import sys
from typing import Any, Final

import httpx2
import pytest

from one_runtime.mcp import endpoint
from tests.application import PUBLIC_URL, Application, Client
from tests.mcp.conftest import MCP_URL, Agents, message

METADATA: Final = "/.well-known/oauth-protected-resource/v1/mcp"


async def post(application: Application, token: str | None, **headers: str) -> httpx2.Response:
    """Send a valid request for the list of tools."""
    body, required = message()
    if token is not None:
        required["authorization"] = f"Bearer {token}"
    return await application.client().http.post("/v1/mcp", content=body, headers={**required, **headers})


async def test_token_of_an_end_user_lists_the_tools(application: Application, agents: Agents) -> None:
    token = await agents.token()
    assert token["mcp_url"] == MCP_URL
    answer = await post(application, token["end_user_token"])
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    assert [tool["name"] for tool in result["tools"]][:2] == ["tool_search", "tool_help"]
    assert (result["ttlMs"], result["cacheScope"]) == (300_000, "private")
    assert len(answer.content) < 6_000, "each conversation of an agent begins with the list"


async def test_api_key_acts_for_the_end_user_of_the_header(application: Application, client: Client) -> None:
    organization = (await client.get("/v1/me")).json()["organization"]["id"]
    key = await application.key(organization, "use")
    assert (await post(application, key, **{"one-runtime-end-user": "user_123"})).status_code == 200
    for headers in ({}, {"one-runtime-end-user": "  "}, {"one-runtime-end-user": "x" * 256}):
        answer = await post(application, key, **headers)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "One-Runtime-End-User")
    reader = await application.key(organization, "read")
    answer = await post(application, reader, **{"one-runtime-end-user": "user_123"})
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


@pytest.mark.promise("P2")
async def test_token_that_is_not_valid_answers_401_and_names_the_metadata(
    application: Application, agents: Agents, client: Client
) -> None:
    revoked, expired, forgotten = [await agents.token(user) for user in ("user_1", "user_2", "user_3")]
    for token in (revoked, expired, forgotten):
        assert (await post(application, token["end_user_token"])).status_code == 200
    await client.send("DELETE", f"/v1/end-user-tokens/{revoked['id']}")
    await client.send("DELETE", "/v1/end-users/user_3")
    application.clock.advance(hours=1)
    session = await client.session()
    mistyped = revoked["end_user_token"][:-1] + ("a" if revoked["end_user_token"][-1] != "a" else "b")
    for token in (revoked["end_user_token"], expired["end_user_token"], forgotten["end_user_token"], mistyped):
        answer = await post(application, token)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), token
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert f'resource_metadata="{PUBLIC_URL}{METADATA}"' in answer.headers["www-authenticate"]
        assert "This end-user token is not valid" in answer.json()["detail"], token
        assert token not in answer.text
    assert (await post(application, session["session_token"])).status_code == 401
    missing = await post(application, None)
    assert "invalid_token" not in missing.headers["www-authenticate"]
    assert "orut_" in missing.json()["detail"]


async def test_metadata_of_the_protected_resource_are_public(application: Application) -> None:
    answer = await application.client().get(METADATA)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["resource"] == MCP_URL
    assert answer.json()["bearer_methods_supported"] == ["header"]


@pytest.mark.promise("P2")
async def test_token_opens_no_other_route(application: Application, agents: Agents) -> None:
    token = await agents.token()
    other = application.client(token["end_user_token"])
    for path in ("/v1/integrations?end_user_id=user_123", "/v1/connections", "/v1/proxy/acme/v1/me", "/v1/me"):
        answer = await other.get(path)
        assert answer.status_code == 401, path
        assert "valid only at /v1/mcp" in answer.json()["detail"], path
    assert (await other.post("/v1/end-user-tokens", {"end_user_id": "user_123"})).status_code == 401


async def test_only_post_of_a_small_body_to_the_own_host_is_answered(application: Application, agents: Agents) -> None:
    token = (await agents.token())["end_user_token"]
    http = application.client(token).http
    for method in ("GET", "DELETE", "PUT"):
        answer = await http.request(method, "/v1/mcp")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
    large = await http.post("/v1/mcp", content=b" " * (endpoint.MAX_BODY + 1))
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    assert (await post(application, token, host="evil.example")).status_code == 421
    assert (await post(application, token, origin="https://evil.example")).status_code == 403
    assert (await post(application, token, origin=PUBLIC_URL)).status_code == 200


@pytest.mark.promise("P13")
async def test_header_that_replaces_the_method_gives_no_permission(application: Application, agents: Agents) -> None:
    token = (await agents.token(access="read"))["end_user_token"]
    for name in ("x-http-method-override", "x-http-method", "x-method-override"):
        answer = await post(application, token, **{name: "DELETE"})
        assert answer.status_code == 200, name
        assert "call_write" not in answer.text, name


async def test_body_that_does_not_arrive_answers_408(application: Application, agents: Agents) -> None:
    token = (await agents.token())["end_user_token"]
    installation = application.installation
    settings = installation.settings.model_copy(update={"body_timeout": 0.01})
    object.__setattr__(installation, "settings", settings)

    sent: list[dict[str, Any]] = []
    received = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> Any:
        part = next(received, None)
        return part if part is not None else await asyncio.Event().wait()

    async def send(part: Any) -> None:
        sent.append(part)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/mcp", "raw_path": b"/v1/mcp", "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await application.app(scope, receive, send)
    assert sent[0]["status"] == 408


@pytest.mark.promise("P12")
async def test_agent_with_many_requests_in_progress_answers_429(
    application: Application, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [(await agents.token(user))["end_user_token"] for user in ("user_1", "user_2")]
    held, started = asyncio.Event(), asyncio.Semaphore(0)
    read = endpoint._read_body

    async def hold(*arguments: Any) -> bytes:
        started.release()
        await held.wait()
        return await read(*arguments)

    monkeypatch.setattr(endpoint, "_read_body", hold)
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(post(application, first)) for _ in range(endpoint.MAX_OF_AGENT)]
        for _ in answers:
            await started.acquire()
        refused = await post(application, first)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_calls")
        answers.append(group.create_task(post(application, second)))
        await started.acquire()
        held.set()
    assert [answer.result().status_code for answer in answers] == [200] * len(answers)


def test_start_of_the_server_does_not_import_the_sdk() -> None:
    script = (
        "import sys, one_runtime.serving.application; "
        "print([name for name in ('mcp', 'mcp_types') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"
