"""`ANY /v1/proxy/{integration_slug}/{path}`: the provider's API, called with an end user's credential. Raw ASGI."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from one_runtime.api.fields import IDENTIFIER_SCHEMA
from one_runtime.api.incoming import ClientDisconnected, RequestBody, too_large
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, AsgiRoute, RouteSpec, authorize
from one_runtime.api.services import services_of
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.db.ids import ID_PATTERN, new_id
from one_runtime.egress import (
    Limits,
    RequestRefused,
    TargetRefused,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from one_runtime.errors import InvalidInput, MalformedRequest, MethodNotAllowed, NotFound, OneRuntimeError, TooLarge
from one_runtime.integrations.oauth_clients import OAuthClientMissing
from one_runtime.proxy import lookup
from one_runtime.proxy.bulkhead import TooManyCalls
from one_runtime.proxy.lookup import ConnectionSelector, ConnectRequired
from one_runtime.proxy.relay import AttemptCounter, CredentialsRefreshedRetry, ProxyRequest, ProxyResponse, call
from one_runtime.proxy.request_log import LONGEST_PATH, LoggedRequest
from one_runtime.tenancy.authentication import PresentedKey
from one_runtime.tokens.state import CredentialState

PROXIED: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Documented methods. The proxy relays any method except CONNECT and TRACE."""
PREFIX: Final = "/v1/proxy/"
PATH: Final = "/v1/proxy/{integration_slug}/{path}"
REPLAYED: Final = 256 * 1024
"""Bytes of a body that is kept until there is an answer, so that it can be sent once more."""

LONGEST_CONNECT: Final = 60.0
LONGEST_IDLE: Final = 600.0
"""Seconds that a call may ask for: until there is a connection, and between two pieces of an answer."""

_END_USER: Final = b"one-runtime-end-user"
_CONNECTION: Final = b"one-runtime-connection"
_NEVER: Final = frozenset({"TRACE", "CONNECT"})
_NO_LIMIT: Final = 1 << 62
_SCOPE: Final = "use"


class WebSocketUnsupported(OneRuntimeError):
    """WebSocket connections are not relayed."""

    code, status, title = "websocket_unsupported", 501, "WebSocket is not relayed"


async def relay_request(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI endpoint. Raises: OneRuntimeError before the answer has begun; after that it breaks off."""
    if scope["method"] in _NEVER:
        raise MethodNotAllowed("TRACE and CONNECT are not relayed.", PROXIED)
    services = services_of(scope)
    key = services.authenticator.present(scope)
    headers = _once(scope)
    if headers.get(b"upgrade", b"").lower() == b"websocket":
        raise WebSocketUnsupported("WebSocket is not relayed. Read the credential, and connect to the provider.")
    wanted = ConnectionSelector(_address(scope)[0], _header(headers, _END_USER), _header(headers, _CONNECTION))
    state = await _state(services.installation, scope, key, wanted)
    has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
    tally, incoming = _Tally(begun=perf_counter()), RequestBody(receive, has_body=has_body)
    connection = state.connection
    with services.call_limit.acquire(connection.organization_id, connection.integration_slug):
        try:
            with suppress(ClientDisconnected):
                await _Relaying(services.installation).relay(scope, state, incoming, (tally, send))
        except OneRuntimeError as error:
            tally.failed(error.code, error.status)
            raise
        except Exception:
            tally.failed("internal_error", 500)
            raise
        finally:
            services.request_log.note(_line(scope, state, tally, incoming, services.installation.clock()))


class _Relaying:
    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    async def relay(
        self, scope: Scope, state: CredentialState, incoming: RequestBody, outgoing: "tuple[_Tally, Send]"
    ) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        most = self._installation.settings.proxy_max_bytes or _NO_LIMIT
        length, chunked = _length(headers), b"transfer-encoding" in headers
        if length is not None and length > most:
            raise too_large(most)
        small = not chunked and (length or 0) <= REPLAYED
        limits = _limits(headers)
        body = (await incoming.whole() if small else incoming.pieces(most, limits.idle)) if length or chunked else None
        asked = ProxyRequest(
            method=scope["method"],
            path=_address(scope)[1],
            query=scope["query_string"].decode("latin-1"),
            headers=tuple(scope["headers"]),
            body=body,
            length=None if small else length,
            replayable=small,
            base_url=_header(headers, b"one-runtime-base-url"),
            retry=_choice(headers, b"one-runtime-retry", "idempotent"),
            trace=_choice(headers, b"one-runtime-trace", "pass"),
            limits=limits,
        )
        await incoming.unless_gone(self._answer(state, asked, incoming, outgoing, most))

    async def _answer(
        self,
        state: CredentialState,
        asked: ProxyRequest,
        incoming: RequestBody,
        outgoing: "tuple[_Tally, Send]",
        most: int,
    ) -> None:
        tally, send = outgoing
        async with call(self._installation, state, asked, tally.attempts) as answered:
            tally.status, tally.upstream = answered.relayed.status, answered.seconds
            incoming.hear()
            await send({"type": "http.response.start", "status": answered.relayed.status, "headers": _told(answered)})
            async for piece in answered.relayed.body:
                incoming.hear()
                tally.sent += len(piece)
                if tally.sent > most:
                    raise UpstreamTooLarge(f"The answer is larger than the {most} bytes that the operator allows.")
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _state(
    installation: Installation, scope: Scope, key: PresentedKey, wanted: ConnectionSelector
) -> CredentialState:
    async with installation.database.read() as tx:
        found = await lookup.find(tx, key, wanted)
        authorize(scope, found.principal, _SCOPE)
        state = await lookup.decrypt(tx, installation, found)
        if state is not None:
            return state
        slug = wanted.integration_slug
        integration = await installation.catalogs.get(tx, found.principal.organization_id, slug)
    if integration is None:
        raise unknown(slug)
    if wanted.end_user_id is None and wanted.connection_id is None:
        raise InvalidInput.of(
            "One-Runtime-End-User", "is required: whose connection to use (or One-Runtime-Connection, with its id)"
        )
    raise ConnectRequired(
        f"There is no such connection to {integration.name}. Have the end user connect: "
        f'POST /v1/hosted-connection-sessions with "integration_slug": "{slug}".'
    )


@dataclass(slots=True)
class _Tally:
    """How a call went, for the log. The status is 0 where the caller went away before there was one."""

    begun: float
    status: int = 0
    error: str | None = None
    attempts: AttemptCounter = field(default_factory=AttemptCounter)
    upstream: float | None = None
    sent: int = 0

    def failed(self, code: str, status: int) -> None:
        """The failure is ours; where the answer had begun, its status stays."""
        self.error, self.status = code, self.status or status


def _line(scope: Scope, state: CredentialState, tally: _Tally, incoming: RequestBody, now: datetime) -> LoggedRequest:
    connection = state.connection
    return LoggedRequest(
        id=new_id(),
        organization_id=connection.organization_id,
        at=now,
        end_user_id=connection.end_user_id,
        connection_id=connection.id,
        integration_slug=connection.integration_slug,
        method=scope["method"],
        path=_address(scope)[1][:LONGEST_PATH],
        status=tally.status,
        error=tally.error,
        attempts=tally.attempts.count,
        request_bytes=incoming.size,
        response_bytes=tally.sent,
        duration_ms=round((perf_counter() - tally.begun) * 1000),
        upstream_ms=None if tally.upstream is None else round(tally.upstream * 1000),
    )


def _address(scope: Scope) -> tuple[str, str]:
    """The slug, and the rest of the path as it came, percent-encoded or not."""
    raw = scope.get("raw_path") or scope["path"].encode()
    rest = raw.partition(b"?")[0][len(PREFIX) :]
    slug, slash, path = rest.partition(b"/")
    return slug.decode("latin-1").lower(), (slash + path).decode("latin-1")


def _once(scope: Scope) -> dict[bytes, bytes]:
    """The headers. Raises: InvalidInput, where one of ours comes twice: whoever adds it to a request that somebody else
    has made would not know which one counts."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers and (name.startswith(b"one-runtime-") or name == b"authorization"):
            raise InvalidInput.of(name.decode("latin-1"), "is given twice")
        headers[name] = value
    return headers


def _header(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        return value.decode().strip() or None
    except UnicodeDecodeError as error:
        raise InvalidInput.of(name.decode(), "is not UTF-8") from error


def _choice(headers: dict[bytes, bytes], name: bytes, only: str) -> bool:
    value = _header(headers, name)
    if value not in {None, only}:
        raise InvalidInput.of(name.decode(), f"can be {only!r}")
    return value is not None


def _limits(headers: dict[bytes, bytes]) -> Limits:
    """How long to wait: for a connection, and between two pieces of the answer."""
    connect = _seconds(headers, b"one-runtime-connect-timeout", 10.0, LONGEST_CONNECT)
    idle = _seconds(headers, b"one-runtime-timeout", 60.0, LONGEST_IDLE)
    return Limits(connect=connect, idle=idle)


def _seconds(headers: dict[bytes, bytes], name: bytes, default: float, most: float) -> float:
    value = _header(headers, name)
    if value is None:
        return default
    with suppress(ValueError):
        seconds = float(value)
        if 0 < seconds <= most:
            return seconds
    raise InvalidInput.of(name.decode(), f"is a number of seconds, {most:g} at the most")


def _length(headers: dict[bytes, bytes]) -> int | None:
    value = headers.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit():
        raise MalformedRequest("Content-Length is not a number.")
    return int(value)


def _told(answered: ProxyResponse) -> list[tuple[bytes, bytes]]:
    return [
        *answered.headers,
        (b"one-runtime-connection", answered.connection_id.encode()),
        (b"one-runtime-attempts", b"%d" % answered.attempts),
        (b"one-runtime-upstream-time", b"%.1f" % (answered.seconds * 1000)),
    ]


def _operation(method: str) -> dict[str, Any]:
    text = {"type": "string"}

    def header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}

    def seconds(most: int) -> dict[str, Any]:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": most}

    def part(name: str, description: str) -> dict[str, Any]:
        return {"name": name, "in": "path", "required": True, "description": description, "schema": text}

    operation: dict[str, Any] = {
        "summary": f"Call the provider ({method})",
        "description": "Calls the provider's API with the end user's credential in the request. Method, path (as it is "
        "encoded), query, headers and body pass through both ways, streamed. What the provider answers comes back as "
        "it is; our own failures are problems with the header `One-Runtime-Error`.",
        "operationId": f"proxy_{method.lower()}",
        "parameters": [
            part("integration_slug", "Whose API."),
            part("path", "The rest of the address, behind the integration's base address."),
            header("One-Runtime-End-User", "Whose connection: your own identifier of the user.", IDENTIFIER_SCHEMA),
            header(
                "One-Runtime-Connection",
                "Which connection, where a user has several, or in place of the user.",
                {"type": "string", "pattern": ID_PATTERN},
            ),
            header(
                "One-Runtime-Base-Url", "Another of the integration's addresses.", {"type": "string", "format": "uri"}
            ),
            header(
                "One-Runtime-Retry",
                "Try again on 429, 502, 503, 504 and without a connection.",
                {"type": "string", "enum": ["idempotent"]},
            ),
            header("One-Runtime-Timeout", "Seconds between two pieces of the answer; 60 unless told.", seconds(600)),
            header("One-Runtime-Connect-Timeout", "Seconds until there is a connection; 10 unless told.", seconds(60)),
            header(
                "One-Runtime-Trace",
                "The caller's trace headers go on to the provider.",
                {"type": "string", "enum": ["pass"]},
            ),
        ],
        "responses": {
            "200": {"description": "What the provider answers."},
            "default": {
                "description": "What the provider answers, or a problem of ours, with the header `One-Runtime-Error`.",
                "content": {"*/*": {}},
            },
        },
    }
    if method in {"POST", "PUT", "PATCH"}:
        operation["requestBody"] = {"required": False, "content": {"*/*": {"schema": {}}}}
    return operation


_ERRORS: Final = (
    NotFound,
    MalformedRequest,
    TooLarge,
    TooManyCalls,
    WebSocketUnsupported,
    ConnectRequired,
    CredentialsRefreshedRetry,
    OAuthClientMissing,
    ProviderUnavailable,
    *UNREADABLE_CREDENTIALS,
    TargetRefused,
    RequestRefused,
    UpstreamUnreachable,
    UpstreamTimeout,
    UpstreamProtocolError,
    UpstreamTooLarge,
)
ROUTE: Final = AsgiRoute(
    PATH.replace("{path}", "{path:path}"),
    relay_request,
    [RouteSpec(method, PATH, _SCOPE, tag="Proxy", errors=_ERRORS, operation=_operation(method)) for method in PROXIED],
    any_method=True,
    marks_errors=True,
)
