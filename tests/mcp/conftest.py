"""Agents for tests: the official client of the Model Context Protocol, against the application in this process."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp_types as types
import pytest
import pytest_asyncio
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from starlette.types import ASGIApp

from tests.application import PUBLIC_URL, Application, Client

MODERN: Final = "2026-07-28"
MCP_URL: Final = f"{PUBLIC_URL}/v1/mcp"
PAGE: Final = "https://app.example.com/connect?tab=agents"
Step = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Agents:
    """Creates agents of one organization. `owner`: a client with an API key of the organization."""

    application: Application
    owner: Client

    async def token(self, end_user_id: str = "user_123", **body: Any) -> dict[str, Any]:
        """Create an end-user token, by default with the access `write`."""
        answer = await self.owner.post("/v1/end-user-tokens", {"end_user_id": end_user_id, "access": "write"} | body)
        assert answer.status_code == 201, answer.text
        token: dict[str, Any] = answer.json()
        return token

    @asynccontextmanager
    async def connect(self, mode: str = MODERN, end_user_id: str = "user_123", **body: Any) -> AsyncIterator["Agent"]:
        """Connect an agent with a new token."""
        callback = body.pop("elicitation_callback", None)
        token = await self.token(end_user_id, **body)
        async with connected(
            self.application.app,
            token["end_user_token"],
            mode,
            url=token["mcp_url"],
            elicitation_callback=callback,
        ) as agent:
            yield agent


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a tool."""

    is_error: bool
    text: str
    data: Any


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that speaks the Model Context Protocol."""

    client: McpClient

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool: str, **arguments: Any) -> Answer:
        result = await self.client.call_tool(tool, arguments)
        (part,) = result.content
        return Answer(bool(result.is_error), part.text, result.structured_content)  # type: ignore[union-attr]


@asynccontextmanager
async def connected(
    app: ASGIApp, token: str, mode: str = MODERN, *, url: str = MCP_URL, **options: Any
) -> AsyncIterator[Agent]:
    """Connect an agent with this token. `url`: the public address of the endpoint."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=True)
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers) as http,
        McpClient(streamable_http_client(url, http_client=http), mode=mode, **options) as client,
    ):
        yield Agent(client)


async def call_at(url: str, token: str, tool: str, **arguments: Any) -> Answer:
    """Call a tool of the server at this address."""
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=60) as http,
        McpClient(streamable_http_client(f"{url}/v1/mcp", http_client=http), mode=MODERN) as client,
    ):
        return await Agent(client).call(tool, **arguments)


def message(method: str = "tools/list", **params: Any) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a request of MCP 2026-07-28."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": MODERN,
        "mcp-method": method,
    }
    if "name" in params:
        headers["mcp-name"] = params["name"]
    return json.dumps(body).encode(), headers


async def use_own_page(client: Client) -> None:
    answer = await client.send("PATCH", "/v1/organization", {"agents": {"connect_url": PAGE}})
    assert answer.status_code == 200, answer.text


def request_of(url: str, slug: str = "acme") -> str:
    """Return the id of the connect request in an address."""
    assert url.startswith(f"{PAGE}&"), url
    parameters = parse_qs(urlsplit(url).query)
    assert parameters["integration"] == [slug]
    return parameters["connect_request_id"][0]


def answering(step: Step, action: str = "accept", asked: list[str] | None = None) -> Any:
    """Return an elicitation callback: it shows the link to the end user, who does `step`."""

    async def callback(_: Any, params: Any) -> types.ElicitResult:
        assert params.mode == "url"
        if asked is not None:
            asked.append(params.url)
        await step(params.url)
        return types.ElicitResult(action=action)  # type: ignore[arg-type]

    return callback


@pytest.fixture
def with_worker() -> bool:
    """Run the whole application, because its end stops the MCP server and the programs."""
    return True


@pytest_asyncio.fixture
async def agents(application: Application, client: Client) -> Agents:
    """Agents of the organization of `client`."""
    return Agents(application, client)
