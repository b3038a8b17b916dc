"""Libraries and programs of agents list tools, meet a missing account, and go on after the person has connected.

The libraries run the snippets of docs/agent-quick-starts.md, with a script instead of a language model.
"""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from mcp import Client as McpClient
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from playwright.async_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from one_runtime.mcp.tools import TOOLS
from tests.application import running
from tests.foreign.agent_programs import connect, converse
from tests.foreign.agent_server import AgentServer
from tests.foreign.process import NODE, ROOT

pytestmark = [pytest.mark.foreign, pytest.mark.soak, pytest.mark.timeout(180)]

AGENTS: Final = Path(__file__).parent / "agents"
MODULES: Final = AGENTS / "node_modules"
SNIPPETS: Final = ROOT / "docs" / "snippets"
INSPECTOR: Final = MODULES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
INSTALL: Final = "run: python scripts/bootstrap.py --dev --foreign --runtimes"
ME: Final = {"integration": "acme", "path": "/v1/me"}
NAMES: Final = [tool.name for tool in TOOLS]


def assert_account(answer: dict[str, Any]) -> None:
    assert (answer["status"], answer["data"]["account"]["name"]) == (200, "Globex Corporation"), answer


def python(environment: str) -> Path:
    """Return the Python of an environment with libraries."""
    path = ROOT / ".cache" / environment / "bin" / "python"
    assert path.exists(), INSTALL
    return path


@pytest.mark.parametrize(
    "environment, library, link",
    [
        ("agent-libraries", "fastmcp", "text"),
        ("agent-libraries", "langchain", "elicitation"),
        ("agent-libraries", "openai_agents", "text"),
        ("agent-libraries", "pydantic_ai", "text"),
        ("langchain-mcp-adapters", "langchain_mcp_adapters", "text"),
    ],
)
async def test_python_library_uses_the_tools(
    server: AgentServer, page: Page, environment: str, library: str, link: str
) -> None:
    command = [python(environment), AGENTS / f"use_{library}.py"]
    assert_account(await converse(command, server, page, library, link, PYTHONPATH=str(SNIPPETS)))


@pytest.mark.parametrize("library", ["sdk", "vercel"])
async def test_javascript_library_uses_the_tools(server: AgentServer, page: Page, tmp_path: Path, library: str) -> None:
    assert MODULES.is_dir(), INSTALL
    (tmp_path / "node_modules").symlink_to(MODULES)
    for source in (*AGENTS.glob("*.mjs"), *SNIPPETS.glob("agent_*.mjs")):
        shutil.copy(source, tmp_path)
    assert_account(await converse([NODE, tmp_path / f"use_{library}.mjs"], server, page, library))


async def inspect(server: AgentServer, token: str, *options: str) -> dict[str, Any]:
    """Run the MCP Inspector. Return the result of the method."""
    assert INSPECTOR.exists(), INSTALL
    process = await asyncio.create_subprocess_exec(
        NODE, INSPECTOR, "--cli", server.mcp_url, "--transport", "http", "--header", f"Authorization: Bearer {token}",
        *options,
        env={"PATH": f"{NODE.parent}:{os.environ['PATH']}", "HOME": "/nonexistent"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert output, errors.decode()
    result: dict[str, Any] = json.loads(output)
    return result


async def test_inspector_uses_the_tools(server: AgentServer, page: Page) -> None:
    token = await server.token("inspector")
    listed = await inspect(server, token, "--method", "tools/list", "--strict")
    assert [tool["name"] for tool in listed["tools"]] == NAMES
    call = ("--method", "tools/call", "--tool-name", "call_read", "--tool-arg", "integration=acme", "path=/v1/me")
    refused = await inspect(server, token, *call)
    await connect(page, refused["structuredContent"]["connect_url"])
    assert_account((await inspect(server, token, *call))["structuredContent"])


async def test_client_of_a_local_server_uses_the_tools_through_mcp_remote(
    server: AgentServer, page: Page, tmp_path: Path
) -> None:
    script = MODULES / "mcp-remote" / "dist" / "proxy.js"
    assert script.exists(), INSTALL
    headers = tmp_path / "headers.txt"
    headers.write_text(f"Authorization: Bearer {await server.token('mcp-remote')}\n")
    arguments = [str(script), server.mcp_url, "--allow-http", "--header-file", str(headers)]
    environment = {"PATH": f"{NODE.parent}:{os.environ['PATH']}", "MCP_REMOTE_CONFIG_DIR": str(tmp_path)}
    bridge = StdioServerParameters(command=str(NODE), args=arguments, env=environment)
    async with McpClient(stdio_client(bridge), mode="legacy") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == NAMES
        refused = await client.call_tool("call_read", ME)
        assert refused.structured_content is not None
        await connect(page, refused.structured_content["connect_url"])
        answer = await client.call_tool("call_read", ME)
        assert answer.structured_content is not None
        assert_account(answer.structured_content)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("vendor", ["openai_api", "anthropic"])
async def test_request_to_a_vendor_gives_its_servers_the_address_and_the_token(
    server: AgentServer, vendor: str
) -> None:
    received: list[dict[str, Any]] = []

    async def receive(request: Request) -> JSONResponse:
        received.append(await request.json())
        return JSONResponse({"id": "1"})

    token = await server.token(vendor)
    code = f"from agent_{vendor} import answer; import sys; answer('What is my plan?', *sys.argv[1:])"
    async with running(Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])])) as port:
        url = f"http://127.0.0.1:{port}"
        process = await asyncio.create_subprocess_exec(
            python("agent-libraries"), "-c", code, server.mcp_url, token,
            env={"PYTHONPATH": str(SNIPPETS), "OPENAI_API_KEY": "x", "OPENAI_BASE_URL": url, "ANTHROPIC_API_KEY": "x",
                 "ANTHROPIC_BASE_URL": url},
        )  # fmt: skip
        assert await process.wait() == 0
    (request,) = received
    (given,) = request.get("mcp_servers") or request["tools"]
    address, secret = (
        given.get("url") or given["server_url"],
        given.get("authorization_token") or given["authorization"],
    )
    headers = {"authorization": f"Bearer {secret}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        McpClient(streamable_http_client(address, http_client=http)) as client,
    ):
        assert [tool.name for tool in (await client.list_tools()).tools] == NAMES
    assert set(given.get("require_approval", {}).get("never", {}).get("tool_names", [])) <= set(NAMES)
