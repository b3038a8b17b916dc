"""Call a tool of `/v1/mcp` as a client of MCP 2026-07-28 does: one JSON-RPC message in one POST, without a session.

Most agents use a library. The sample product shows the messages themselves, so its backend builds the messages.
"""

from dataclasses import dataclass
from typing import Any, Final

from one_runtime.demo.sample_product.calls import OneRuntime, RecordedCall

PATH: Final = "/v1/mcp"

_VERSION: Final = "2026-07-28"
_META: Final = {
    "io.modelcontextprotocol/protocolVersion": _VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "fernhill-scripted-agent", "version": "1"},
    # Without the capability `elicitation`, the answer is an error with a link for the end user.
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True, slots=True)
class ToolExchange:
    """A message of the agent, One Runtime's answer, and the HTTP request as a curl command."""

    message: dict[str, Any]
    answer: dict[str, Any]
    call: RecordedCall


async def call_tool(client: OneRuntime, tool: str, arguments: dict[str, Any]) -> ToolExchange:
    """Call a tool. Raises: Unreachable."""
    params = {"name": tool, "arguments": arguments, "_meta": _META}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": _VERSION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    response = await client.post(PATH, message, headers)
    return ToolExchange(message, response.json(), client.calls[-1])
