"""Serve `/v1/mcp` and `/v1/mcp/{organization_id}`: authenticate an agent, limit its requests, and hand them to the MCP
server.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.types import Message, Receive, Scope, Send

from one_runtime.agents.authorization.resources import METADATA_PATH, scopes_of, suffix_of
from one_runtime.agents.caller import AgentCaller, verify_key, verify_token
from one_runtime.agents.calls import AgentCalls
from one_runtime.agents.concurrency import ConcurrencyLimit
from one_runtime.agents.operations.data import read_folder
from one_runtime.agents.operations.file import OperationFile
from one_runtime.agents.operations.library import OperationLibrary, Reader
from one_runtime.context import Installation
from one_runtime.errors import InvalidInput, RequestTimeout, TooLarge, Unauthenticated
from one_runtime.mcp.tools import Tools
from one_runtime.proxy.concurrency import ProxyCalls
from one_runtime.tenancy.authentication import Authenticator
from one_runtime.validation.json_values import require_few_values

if TYPE_CHECKING:
    from one_runtime.mcp.server import McpServer

MAX_BODY: Final = 1024 * 1024
MAX_OF_AGENT: Final = 8
MAX_OF_ORGANIZATION: Final = 64
"""Maximum numbers of concurrent requests in this process: of one token, of one end user of an API key, and of one
organization."""

_END_USER: Final = b"one-runtime-end-user"
_MAX_IDENTIFIER: Final = 255
_MISSING: Final = (
    "Send the header `Authorization: Bearer orut_…` with an end-user token (POST /v1/end-user-tokens), or one of your "
    "organization's API keys with the header `One-Runtime-End-User`."
)


class McpEndpoint:
    """The ASGI endpoint of `/v1/mcp` and `/v1/mcp/{organization_id}`."""

    def __init__(
        self,
        installation: Installation,
        authenticator: Authenticator,
        proxy_calls: ProxyCalls,
        readers: Sequence[Reader] = (read_folder,),
    ) -> None:
        """`readers`: functions that read the functions of integrations."""
        self._installation, self._authenticator = installation, authenticator
        file = OperationFile(Path(installation.settings.tools_file))
        self._library = OperationLibrary(installation.catalog, readers, file)
        self._tools = Tools(installation, AgentCalls(installation, proxy_calls), self._library)
        self._requests = ConcurrencyLimit("requests", MAX_OF_AGENT, MAX_OF_ORGANIZATION)
        self._starting = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._server: McpServer | None = None
        self._running: asyncio.Task[None] | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (the ASGI endpoint). Raises: OneRuntimeError."""
        caller = await self._authenticate(scope)
        scope["organization_id"], scope["api_key_id"] = caller.organization_id, caller.api_key_id
        with self._requests.admit(caller):
            body = await _read_body(receive, self._installation.settings.body_timeout)
            require_few_values(body)
            server = self._server or await self._start()
            scope["one_runtime.agent_caller"] = caller
            scope["headers"] = _without_spaces(scope["headers"])
            await server.answer(scope, _replay(body, receive), send)

    async def stop(self) -> None:
        """Stop the MCP server. Requests in progress end."""
        self._stopping.set()
        if self._running is not None:
            with suppress(asyncio.CancelledError):
                await self._running
        await self._tools.close()
        self._library.close()

    async def _authenticate(self, scope: Scope) -> AgentCaller:
        """Raises: Unauthenticated; InsufficientScope; InvalidInput; NotFound; RateLimited."""
        suffix = suffix_of(scope["path"])
        try:
            caller = await self._verify(scope)
            _require_organization(caller, suffix)
        except Unauthenticated as error:
            raise self._challenge(scope, suffix, error) from error
        return caller

    async def _verify(self, scope: Scope) -> AgentCaller:
        """Raises: Unauthenticated; InsufficientScope; InvalidInput; RateLimited."""
        token = self._authenticator.present_end_user_token(scope)
        key = self._authenticator.present(scope) if token is None else None
        async with self._installation.database.read() as tx:
            if token is not None:
                return await verify_token(tx, token, self._installation.clock())
            assert key is not None  # noqa: S101 - `present` returns a key, or raises
            return await verify_key(tx, key, _end_user_of(scope))

    def _challenge(self, scope: Scope, suffix: str, error: Unauthenticated) -> Unauthenticated:
        """Return the error with the parameters of the header `WWW-Authenticate` (RFC 9728 section 5.1).

        `suffix`: the organization's part of the path. An OAuth client requests all scopes that the challenge names, so
        that the end user can choose on the organization's page.
        """
        has_token = any(name == b"authorization" for name, _ in scope["headers"])
        challenge = Unauthenticated(error.detail if has_token else _MISSING)
        url = f"{self._installation.settings.public_url}{METADATA_PATH}{suffix}"
        invalid = 'error="invalid_token", ' if has_token else ""
        scopes = scopes_of("write")
        challenge.parameters = f'{invalid}resource_metadata="{url}", scope="{scopes}"'
        return challenge

    async def _start(self) -> "McpServer":
        """Import the SDK in a thread, because the import takes half a second, and start the server."""
        async with self._starting:
            if self._server is None:
                module = await asyncio.to_thread(import_module, "one_runtime.mcp.server")
                settings = self._installation.settings
                server: McpServer = module.McpServer(
                    self._tools, self._installation.vault, settings.public_url, MAX_BODY
                )
                started = asyncio.Event()
                # The empty context does not contain the request that starts the server.
                self._running = asyncio.create_task(self._run(server, started), context=Context())
                await started.wait()
                self._server = server
        return self._server

    async def _run(self, server: "McpServer", started: asyncio.Event) -> None:
        async with server.run():
            started.set()
            await self._stopping.wait()


def _without_spaces(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers without spaces around their values (RFC 9110 section 5.5). httptools keeps some spaces."""
    return [(name, value.strip(b" \t")) for name, value in headers]


def _require_organization(caller: AgentCaller, suffix: str) -> None:
    """Raises: Unauthenticated if the address belongs to another organization. `suffix`: see `suffix_of`."""
    if suffix and caller.organization_id != suffix.removeprefix("/"):
        raise Unauthenticated("The token or API key belongs to another organization than this address.")


def _end_user_of(scope: Scope) -> str:
    """Return the identifier of the end user. Raises: InvalidInput."""
    values = [value for name, value in scope["headers"] if name == _END_USER]
    if len(values) > 1:
        raise InvalidInput.of("One-Runtime-End-User", "must occur only once")
    try:
        identifier = values[0].decode().strip() if values else ""
    except UnicodeDecodeError as error:
        raise InvalidInput.of("One-Runtime-End-User", "must be UTF-8") from error
    if not 0 < len(identifier) <= _MAX_IDENTIFIER:
        raise InvalidInput.of(
            "One-Runtime-End-User",
            f"is required with an API key: your own identifier of the end user, with 1 to {_MAX_IDENTIFIER} characters",
        )
    return identifier


async def _read_body(receive: Receive, timeout: float) -> bytes:
    """Return the body of a request. `timeout`: seconds until the next part. Raises: RequestTimeout; TooLarge."""
    body, more = bytearray(), True
    while more:
        try:
            async with asyncio.timeout(timeout):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout("The next part of the body did not arrive in time. Send the request again.") from None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise TooLarge(f"The body must be at most {MAX_BODY // 1024 // 1024} MB.")
        more = message.get("more_body", False)
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` function that returns the body, and then waits for the disconnection of the client."""
    unread = [body]

    async def receive_again() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return receive_again
