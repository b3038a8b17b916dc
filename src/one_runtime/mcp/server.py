"""Build the MCP server with the official SDK: both eras of the protocol, without sessions.

Any process can answer any request, because no process keeps a state for a client. Only `endpoint` imports this module.
"""

import base64
import json
import logging
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from mcp.server.lowlevel import Server
from mcp.server.request_state import InvalidRequestState, RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestURLParams,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as ToolDeclaration
from starlette.types import Receive, Scope, Send

from one_runtime import RELEASE
from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.paused_runs import Kind
from one_runtime.encryption.vault import Vault
from one_runtime.mcp.answers import ActionAnswer, ToolAnswer, error_answer
from one_runtime.mcp.tools import INSTRUCTIONS, TOOLS, Resumption, Tool, ToolCall, Tools

CALLER: Final = "one_runtime.agent_caller"
"""Key of the `AgentCaller` in the ASGI scope."""

NAME: Final = "One Runtime"
logging.getLogger("mcp").setLevel(logging.WARNING)  # the SDK logs each request, and One Runtime does so itself

_STATE_LIFETIME: Final = 600.0
_LIST_LIFETIME: Final = 300_000
_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"


class McpServer:
    """Answers the requests of agents. `run` must be active while the server answers."""

    def __init__(self, tools: Tools, vault: Vault, public_url: str, max_body: int) -> None:
        self._tools = tools
        server: Server[Any] = Server(
            NAME,
            version=RELEASE,
            instructions=INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            get_tool_input_schema=_SCHEMAS.get,
        )
        state = RequestStateSecurity(codec=_VaultCodec(vault), ttl=_STATE_LIFETIME, bind_principal=_identity_of)
        # This assignment removes the SDK's tracing, because One Runtime traces requests itself.
        server.middleware[:] = [RequestStateBoundary(state, default_audience=public_url)]
        self._manager = StreamableHTTPSessionManager(
            server,
            stateless=True,
            max_request_body_size=max_body,
            security_settings=_transport_security(public_url),
        )

    def run(self) -> AbstractAsyncContextManager[None]:
        """Return the context in which the server answers requests. The server cannot run a second time."""
        return self._manager.run()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. The scope contains the authenticated caller."""
        await self._manager.asgi_app(scope, receive, send)

    async def _list_tools(self, context: Any, _: PaginatedRequestParams | None) -> ListToolsResult:
        tools = [_declaration(tool) for tool in self._tools.listed(_caller_of(context))]
        return ListToolsResult(tools=tools, ttl_ms=_LIST_LIFETIME, cache_scope="private")

    async def _call_tool(self, context: Any, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        caller = _caller_of(context)
        call = ToolCall(caller, params.arguments, context.request.scope["request_id"])
        waited = _WaitState.of(params)
        if waited is not None:
            if waited.accepted:
                await self._tools.wait_for_end_user(caller, waited.kind, waited.subject)
                call = replace(call, has_waited=True)
            elif waited.run_id is None:
                return _result(_declined(waited))
            if waited.run_id is not None:
                call = replace(call, resumption=Resumption(waited.run_id, refused=not waited.accepted))
        answer = await self._tools.run(params.name, call)
        if isinstance(answer, ActionAnswer):
            return _elicitation(answer) if _shows_urls(context) else _result(answer.answer)
        return _result(answer)


@dataclass(frozen=True, slots=True)
class _WaitState:
    """The end user's response to a request, with the state that One Runtime sent with the request.

    `subject`: the slug of the integration to connect, or the id of the approval request. `run_id`: the program that
    waits, or None.
    """

    kind: Kind
    subject: str
    run_id: str | None
    accepted: bool

    @classmethod
    def of(cls, params: CallToolRequestParams) -> "_WaitState | None":
        """Return the state, or None if the client did not send a response of the end user."""
        if params.input_responses is None or params.request_state is None:
            return None
        kind, subject, run_id = json.loads(params.request_state)
        response = params.input_responses.get(kind)
        return cls(kind, subject, run_id, getattr(response, "action", None) == "accept") if response else None


class _VaultCodec:
    """Signs the state that a client sends back, with the keys of the installation. The state contains no secret."""

    _PURPOSE: Final = b"mcp request state\x00"

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, payload: bytes) -> str:
        """Return the payload and its signature, as a text for a URL."""
        return f"{_encode(payload)}.{_encode(self._vault.mac(self._PURPOSE + payload))}"

    def unseal(self, token: str) -> bytes:
        """Return the payload. Raises: InvalidRequestState."""
        text, _, signature = token.partition(".")
        try:
            payload, mac = _decode(text), _decode(signature)
        except ValueError as error:
            raise InvalidRequestState("malformed") from error
        if not self._vault.verify_mac(self._PURPOSE + payload, mac):
            raise InvalidRequestState("signature")
        return payload


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    """Raises: ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _caller_of(context: Any) -> AgentCaller:
    caller: AgentCaller = context.request.scope[CALLER]
    return caller


def _identity_of(context: Any) -> str:
    return _caller_of(context).identity


def _shows_urls(context: Any) -> bool:
    """Return True if the client can ask its user to open a URL, and can send the request again."""
    meta = (context.params or {}).get("_meta") or {}
    elicitation = (meta.get(_CAPABILITIES) or {}).get("elicitation") or {}
    return isinstance(elicitation, dict) and "url" in elicitation


def _elicitation(needed: ActionAnswer) -> InputRequiredResult:
    action, program = needed.action, needed.program
    task = f"connect {action.integration.name}" if action.kind == "connect" else "approve a call"
    message = f"To go on, {task}. {action.reason}"
    ask = ElicitRequest(params=ElicitRequestURLParams(message=message, url=action.url))
    subject = action.integration.slug if action.kind == "connect" else action.request_id
    state = json.dumps([action.kind, subject, program.run_id if program is not None else None])
    return InputRequiredResult(input_requests={action.kind: ask}, request_state=state)


def _declined(waited: _WaitState) -> ToolAnswer:
    if waited.kind == "approve":
        return error_answer("write_refused", "The user has refused this call. Go on without it.")
    return error_answer("connect_declined", f"The user does not want to connect {waited.subject}. Go on without it.")


def _result(answer: ToolAnswer) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=answer.text)],
        structured_content=dict(answer.data),
        is_error=answer.is_error,
    )


def _declaration(tool: Tool) -> ToolDeclaration:
    hints = ToolAnnotations(
        read_only_hint=tool.reads,
        destructive_hint=None if tool.reads else tool.open_world,
        idempotent_hint=tool.idempotent,
        open_world_hint=tool.open_world,
    )
    return ToolDeclaration(
        name=tool.name, description=tool.description, input_schema=_SCHEMAS[tool.name], annotations=hints
    )


def _transport_security(public_url: str) -> TransportSecuritySettings:
    """Accept requests to the public host only, and pages of the public origin only (against DNS rebinding)."""
    address = urlsplit(public_url)
    return TransportSecuritySettings(
        allowed_hosts=[address.netloc], allowed_origins=[f"{address.scheme}://{address.netloc}"]
    )


_SCHEMAS: Final[dict[str, Any]] = {tool.name: tool.schema for tool in TOOLS}
