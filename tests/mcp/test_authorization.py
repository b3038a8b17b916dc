"""An end user adds the address of the MCP server to an agent. The official client runs the whole flow of OAuth."""

import asyncio
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from mcp import Client as McpClient
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from one_runtime.egress.network import Network
from one_runtime.serving.application import create_app
from tests.agent_clients import REDIRECT_URI, OAuthAgent, Publisher, oauth_agent, publishing, query_of
from tests.application import PUBLIC_URL, Application, running, started
from tests.mcp.conftest import MODERN, Agent, message

ROOT: Final = Path(__file__).resolve().parents[2]
SNIPPET: Final = ROOT / "docs" / "snippets" / "agents_sign_in.py"
SERVER_METADATA: Final = "/.well-known/oauth-authorization-server"


@pytest_asyncio.fixture
async def publisher() -> AsyncIterator[Publisher]:
    async with publishing() as publisher:
        yield publisher


@pytest.fixture
def network(publisher: Publisher) -> Network:
    return publisher.network


@pytest_asyncio.fixture
async def agent(application: Application, publisher: Publisher) -> OAuthAgent:
    return await oauth_agent(application, publisher)


class Storage:
    """The storage of the official client."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def provider_of(agent: OAuthAgent, server_url: str, storage: Storage, **approval: Any) -> OAuthClientProvider:
    """Return the official client's provider. Its user signs in to the organization's product, and approves."""
    answers = list[str]()

    async def open_browser(url: str) -> None:
        page = await agent.application.client().http.get(url)
        authorization_id = query_of(page.headers["location"])["agent_authorization_id"]
        answers.append((await agent.approve(authorization_id, **approval)).json()["continue_url"])

    async def wait_for_callback() -> AuthorizationCodeResult:
        query = query_of(answers.pop())
        return AuthorizationCodeResult(code=query["code"], state=query["state"], iss=query["iss"])

    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(REDIRECT_URI)], client_name="Agent of Tests")
    provider = OAuthClientProvider(server_url, metadata, storage, open_browser, wait_for_callback)
    # The constructor accepts only https. One Runtime fetches the document from a loopback host here.
    provider.context.client_metadata_url = agent.publisher.client_id
    return provider


async def test_official_client_signs_in_calls_and_renews_its_token(application: Application, agent: OAuthAgent) -> None:
    await agent.owner.connect()
    storage = Storage()
    for advance in (0, 2):  # the second connection finds an expired access token
        application.clock.advance(hours=advance)
        provider = provider_of(agent, agent.resource, storage)
        if advance:
            provider.context.token_expiry_time = 1.0
        transport = httpx2.ASGITransport(application.app, raise_app_exceptions=True)
        async with (
            httpx2.AsyncClient(transport=transport, auth=provider) as http,
            McpClient(streamable_http_client(agent.resource, http_client=http), mode=MODERN) as client,
        ):
            answer = await Agent(client).call("call_read", integration="acme", path="/v1/me")
            assert answer.data["data"]["plan"] == "team"
    listed = (await agent.owner.get("/v1/end-user-tokens")).json()["end_user_tokens"]
    assert [(token["name"], token["client_id"], token["access"]) for token in listed] == [
        ("Agent of Tests", agent.publisher.client_id, "write")
    ]
    assert agent.publisher.requests == 1, "the document is cached"
    approved = (await agent.owner.get("/v1/events", type="agent.authorization_approved")).json()["events"]
    assert [event["end_user_id"] for event in approved] == ["user_123"]


async def test_metadata_name_the_authorization_server_of_an_organization_with_a_sign_in_page(
    application: Application, agent: OAuthAgent
) -> None:
    anonymous = application.client()
    answer = await anonymous.get(f"/.well-known/oauth-protected-resource/v1/mcp/{agent.organization_id}")
    assert (answer.json()["resource"], answer.json()["authorization_servers"]) == (agent.resource, [PUBLIC_URL])
    documents = [
        (await anonymous.get(f"{SERVER_METADATA}{path}")).json()
        for path in ("", "/v1/mcp", f"/v1/mcp/{agent.organization_id}")
    ]
    assert documents[0] == documents[1] == documents[2]
    assert documents[0]["issuer"] == PUBLIC_URL
    assert documents[0]["code_challenge_methods_supported"] == ["S256"]
    without_page = await application.organization("Southwind")
    for unknown in (without_page, agent.publisher.client_id, "x", "01a21078-3f60-7c15-9b24-8e7d5c4a1f02"):
        assert (await anonymous.get(f"/.well-known/oauth-protected-resource/v1/mcp/{unknown}")).status_code == 404
    assert "authorization_servers" not in (await anonymous.get("/.well-known/oauth-protected-resource/v1/mcp")).json()


async def post(application: Application, path: str, token: str | None, **headers: str) -> httpx2.Response:
    """Send a valid request for the list of tools."""
    body, required = message()
    if token is not None:
        required["authorization"] = f"Bearer {token}"
    return await application.client().http.post(path, content=body, headers={**required, **headers})


@pytest.mark.promise("P1")
async def test_address_of_an_organization_accepts_only_its_own_tokens_and_keys(
    application: Application, agent: OAuthAgent, publisher: Publisher
) -> None:
    other = await oauth_agent(application, publisher, "Southwind")
    path, other_path = (f"/v1/mcp/{each.organization_id}" for each in (agent, other))
    token = (await agent.tokens())["access_token"]
    for accepted in (path, "/v1/mcp"):
        assert (await post(application, accepted, token)).status_code == 200, accepted
    key, end_user = await application.key(agent.organization_id), {"one-runtime-end-user": "user_123"}
    assert (await post(application, path, key, **end_user)).status_code == 200
    for refused in (await post(application, other_path, token), await post(application, other_path, key, **end_user)):
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        metadata = f'resource_metadata="{PUBLIC_URL}/.well-known/oauth-protected-resource{other_path}"'
        assert metadata in refused.headers["www-authenticate"]
        assert 'scope="agent:read agent:write"' in refused.headers["www-authenticate"]
    for path in ("/v1/mcp/", "/v1/mcp/x", f"/v1/mcp/{agent.organization_id}/x"):
        assert (await post(application, path, token)).status_code == 404, path


async def test_short_address_belongs_to_the_organization_of_the_setting(
    application: Application, agent: OAuthAgent, publisher: Publisher
) -> None:
    settings = application.installation.settings.model_copy(update={"mcp_organization": agent.organization_id})
    short = f"{PUBLIC_URL}/v1/mcp"
    refused = await agent.authorize(resource=short)
    assert refused.status_code == 400
    async with started(settings, application.acme, worker=False, network=publisher.network) as chosen:
        metadata = await chosen.client().get("/.well-known/oauth-protected-resource/v1/mcp")
        assert metadata.json()["authorization_servers"] == [PUBLIC_URL]
        here = OAuthAgent(chosen, agent.owner, agent.organization_id, publisher)
        for resource in (short, f"{short}/"):
            answer = await here.approve(await here.request(resource=resource))
            code = query_of(answer.json()["continue_url"])["code"]
            assert (await here.exchange(code, resource=resource)).status_code == 200


async def test_page_of_the_organization_shows_the_client_and_grants_less(agent: OAuthAgent) -> None:
    authorization_id = await agent.request(redirect_uri="http://127.0.0.1:54321/callback")
    path = f"/v1/agent-authorizations/{authorization_id}"
    shown = (await agent.owner.get(path)).json()
    assert {name: shown[name] for name in ("status", "client_host", "client_name", "redirect_host", "access")} == {
        "status": "open",
        "client_host": "agent.example",
        "client_name": "Agent of Tests",
        "redirect_host": "127.0.0.1",
        "access": "write",
    }
    answer = await agent.approve(authorization_id, access="read", integrations=["acme"])
    assert (answer.json()["status"], answer.json()["end_user_id"]) == ("approved", "user_123")
    location = answer.json()["continue_url"]
    assert location.startswith("http://127.0.0.1:54321/callback?")
    assert (query_of(location)["state"], query_of(location)["iss"]) == ("state of the client", PUBLIC_URL)
    fields = {"redirect_uri": "http://127.0.0.1:54321/callback"}
    tokens = (await agent.exchange(query_of(location)["code"], **fields)).json()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "agent:read")
    (token,) = (await agent.owner.get("/v1/end-user-tokens")).json()["end_user_tokens"]
    assert (token["access"], token["integrations"], token["end_user_id"]) == ("read", ["acme"], "user_123")
    listed = await post(agent.application, "/v1/mcp", tokens["access_token"])
    assert "call_write" not in [tool["name"] for tool in listed.json()["result"]["tools"]]


async def test_client_cannot_get_more_than_it_requested(agent: OAuthAgent) -> None:
    authorization_id = await agent.request(scope="agent:read offline_access")
    for access in ("write", "ask"):
        refused = await agent.approve(authorization_id, access=access)
        assert refused.json()["errors"][0]["field"] == "access", access
    approved = await agent.approve(authorization_id)
    code = query_of(approved.json()["continue_url"])["code"]
    assert (await agent.exchange(code)).json()["scope"] == "agent:read"


async def test_end_user_who_declines_sends_the_browser_back_without_a_code(agent: OAuthAgent) -> None:
    authorization_id = await agent.request()
    path = f"/v1/agent-authorizations/{authorization_id}"
    first, second = [(await agent.owner.send("DELETE", path)).json() for _ in range(2)]
    assert first == second
    assert first["status"] == "declined"
    query = query_of(first["continue_url"])
    assert (query["error"], query["state"], query["iss"]) == ("access_denied", "state of the client", PUBLIC_URL)
    late = await agent.approve(authorization_id)
    assert (late.status_code, late.json()["code"]) == (409, "agent_authorization_closed")
    assert len((await agent.owner.get("/v1/events", type="agent.authorization_declined")).json()["events"]) == 1


@pytest.mark.promise("P6")
async def test_request_has_no_power_of_its_own(
    application: Application, agent: OAuthAgent, publisher: Publisher
) -> None:
    """Another end user, another organization and a late answer change nothing."""
    authorization_id = await agent.request()
    other = await oauth_agent(application, publisher, "Southwind")
    path = f"/v1/agent-authorizations/{authorization_id}"
    for method, body in (("GET", None), ("POST", {"end_user_id": "mallory"}), ("DELETE", None)):
        assert (await other.owner.send(method, path, body)).status_code == 404, method
    reader = application.client(await application.key(agent.organization_id, "read", "connect"))
    assert (await reader.post(path, {"end_user_id": "mallory"})).status_code == 403
    assert (await agent.approve(authorization_id)).status_code == 200
    for end_user in ("mallory", "user_123"):
        refused = await agent.approve(authorization_id, end_user)
        assert (refused.status_code, refused.json()["code"]) == (409, "agent_authorization_closed"), end_user
    assert (await agent.owner.send("DELETE", path)).json()["continue_url"] is None
    assert (await agent.owner.get(path)).json()["end_user_id"] == "user_123"
    late = await agent.request()
    application.clock.advance(minutes=11)
    assert (await agent.owner.get(f"/v1/agent-authorizations/{late}")).json()["status"] == "expired"
    assert (await agent.approve(late)).json()["code"] == "agent_authorization_closed"


async def test_repeated_approval_with_an_idempotency_key_returns_the_same_address(agent: OAuthAgent) -> None:
    authorization_id = await agent.request()
    path, once = f"/v1/agent-authorizations/{authorization_id}", {"idempotency-key": "answer"}
    answers = [await agent.owner.post(path, {"end_user_id": "user_123"}, **once) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert (await agent.exchange(query_of(answers[1].json()["continue_url"])["code"])).status_code == 200


async def test_snippet_of_the_sign_in_page_approves_and_declines(
    application: Application, agent: OAuthAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [await agent.request() for _ in range(2)]
    app = create_app(application.installation.settings, application.installation.catalog)
    async with running(app) as port:
        monkeypatch.setenv("ONE_RUNTIME_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("ONE_RUNTIME_API_KEY", await application.key(agent.organization_id, "use"))
        snippet = runpy.run_path(str(SNIPPET))
        shown = await asyncio.to_thread(snippet["read_agent"], requests[0])
        assert (shown.client_name, shown.access) == ("Agent of Tests", "write")
        answers = [
            await asyncio.to_thread(snippet["answer_agent"], "user_123", *arguments)
            for arguments in ((requests[0], "read"), (requests[0], "read"), (requests[1], None))
        ]
        snippet["one_runtime"].close()
    assert (await agent.exchange(query_of(answers[0])["code"])).json()["scope"] == "agent:read"
    assert answers[1] is None
    assert query_of(answers[2])["error"] == "access_denied"
    assert SNIPPET.read_text("utf-8") in (ROOT / "docs" / "agents.md").read_text("utf-8")
