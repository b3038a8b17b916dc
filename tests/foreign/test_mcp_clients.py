"""The official clients of the Model Context Protocol list and call tools, and meet an account that is missing.

The person connects the account in a real browser, and the client's next call, or the same call, answers.
"""

from pathlib import Path
from typing import Any, Final

import httpx2
import mcp_types as types
import pytest
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from playwright.async_api import Page

from one_runtime.mcp.tools import TOOLS
from tests.foreign.agent_programs import connect, converse
from tests.foreign.agent_server import AgentServer
from tests.foreign.process import NODE

MODES: Final = ("auto", "legacy", "2026-07-28")
ME: Final = {"integration": "acme", "path": "/v1/me"}
SCRIPT: Final = Path(__file__).parent / "mcp" / "client.mjs"

pytestmark = pytest.mark.foreign


def link_of(mode: str) -> str:
    """Return the way in which a client receives the link. The server cannot ask a client of the older protocol."""
    return "text" if mode == "legacy" else "elicitation"


async def use_python(server: AgentServer, page: Page, mode: str) -> Any:
    """Do with the Python client what `mcp/client.mjs` does with the JavaScript client."""
    links = list[str]()

    async def elicit(_: Any, params: Any) -> types.ElicitResult:
        links.append("elicitation")
        await connect(page, params.url)
        return types.ElicitResult(action="accept")

    callback: Any = None if mode == "legacy" else elicit
    headers = {"authorization": f"Bearer {await server.token(f'python-{mode}')}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        McpClient(
            streamable_http_client(server.mcp_url, http_client=http),
            mode=mode,
            elicitation_callback=callback,
        ) as client,
    ):
        assert [tool.name for tool in (await client.list_tools()).tools] == [tool.name for tool in TOOLS]
        answer = await client.call_tool("call_read", ME)
        if answer.is_error:
            links.append("text")
            await connect(page, answer.structured_content["connect_url"])
            answer = await client.call_tool("call_read", ME)
    assert links == [link_of(mode)]
    return answer.structured_content


async def test_official_clients_go_on_after_the_person_has_connected_in_a_browser(
    server: AgentServer, page: Page
) -> None:
    for mode in MODES:
        answers = (
            await use_python(server, page, mode),
            await converse([NODE, SCRIPT], server, page, f"javascript-{mode}", link_of(mode), MCP_MODE=mode),
        )
        for answer in answers:
            assert (answer["status"], answer["data"]["account"]["name"]) == (200, "Globex Corporation"), mode
