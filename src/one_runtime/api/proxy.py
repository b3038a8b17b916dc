"""Serve `/v1/proxy/{integration_slug}/{path}`: call a provider's API with an end user's credential.

The route is plain ASGI, and accepts every method except CONNECT and TRACE.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from one_runtime.api import proxy_self_check
from one_runtime.api.fields import IDENTIFIER_SCHEMA
from one_runtime.api.request_body import ClientDisconnected, RequestBody, too_large
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, AsgiRoute, RouteSpec, authorize
from one_runtime.api.services import services_of
from one_runtime.catalog.disabled_integrations import IntegrationDisabled
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.db.ids import ID_PATTERN, canonical_id
from one_runtime.egress.errors import (
    RequestRefused,
    TargetRefused,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from one_runtime.egress.limits import Limits
from one_runtime.encryption import self_check
from one_runtime.errors import (
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    OneRuntimeError,
    RequestTimeout,
    TooLarge,
)
from one_runtime.integrations.oauth_clients import HostNotRegistered, OAuthClientMissing
from one_runtime.jobs.liveness import UnconfirmedCopy
from one_runtime.proxy import lookup
from one_runtime.proxy.concurrency import CallRecord, TooManyCalls
from one_runtime.proxy.lookup import ConnectionSelector, ConnectRequired
from one_runtime.proxy.relay import CredentialsRefreshedRetry, ProxyRequest, call
from one_runtime.tenancy.authentication import RATE_LIMIT_HEADERS
from one_runtime.tokens.refresh import ClientRefused

PROXIED: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Methods that the OpenAPI document lists."""
PREFIX: Final = "/v1/proxy/"
PATH: Final = "/v1/proxy/{integration_slug}/{path}"
MAX_REPLAYED_BODY: Final = 256 * 1024
"""Maximum size in bytes of a request body that the proxy keeps in memory. The proxy can send such a body again."""

MAX_CONNECT_TIMEOUT: Final = 60
MAX_IDLE_TIMEOUT: Final = 600
"""Maximum values in seconds of the two timeouts that a caller can set."""

_END_USER: Final = b"one-runtime-end-user"
_CONNECTION: Final = b"one-runtime-connection"
_OPTIONS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "One-Runtime-End-User": ("Your own identifier of the end user who has the connection.", IDENTIFIER_SCHEMA),
    "One-Runtime-Connection": (
        "The id of the connection. If you send this header, `One-Runtime-End-User` is optional.",
        {"type": "string", "pattern": ID_PATTERN},
    ),
    "One-Runtime-Base-Url": (
        "Sends the request to another base URL of the provider. The integration must list this URL.",
        {"type": "string", "format": "uri"},
    ),
    "One-Runtime-Retry": (
        "Repeats an idempotent request after the status 429, 502, 503 or 504, or if the provider does not answer.",
        {"type": "string", "enum": ["idempotent"]},
    ),
    "One-Runtime-Timeout": (
        "Maximum number of seconds to wait for each part of the provider's response. Default: 60.",
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_IDLE_TIMEOUT},
    ),
    "One-Runtime-Connect-Timeout": (
        "Maximum number of seconds to connect to the provider. Default: 10.",
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_CONNECT_TIMEOUT},
    ),
    "One-Runtime-Trace": ("Forwards the trace headers to the provider.", {"type": "string", "enum": ["pass"]}),
}
"""Request headers that control One Runtime, each with its description and JSON Schema."""
_OPTION_NAMES: Final = frozenset(name.lower().encode() for name in _OPTIONS)
_REFUSED_METHODS: Final = frozenset({"TRACE", "CONNECT"})
_NO_LIMIT: Final = 1 << 62
_SCOPE: Final = "use"


class WebSocketUnsupported(OneRuntimeError):
    """The request is a WebSocket handshake. The proxy does not relay WebSocket."""

    code, status, title = "websocket_unsupported", 501, "WebSocket is not relayed"
    documentation = (
        "The proxy does not support WebSocket connections.",
        "Connect to the provider without the proxy.",
    )


async def relay_request(scope: Scope, receive: Receive, send: Send) -> None:
    """Relay one request (the ASGI endpoint).

    Raises: OneRuntimeError. After the start of the response, an error closes the TCP connection to the caller.
    """
    if scope["method"] in _REFUSED_METHODS:
        raise MethodNotAllowed("The proxy does not relay the methods TRACE and CONNECT.", (*PROXIED, "HEAD"))
    slug, path = _split_path(scope)
    if slug == self_check.PROXY_SLUG and await proxy_self_check.answer(path, scope, receive, send):
        return
    services = services_of(scope)
    installation = services.installation
    key = services.authenticator.present(scope)
    headers = _headers(scope)
    if headers.get(b"upgrade", b"").lower() == b"websocket":
        raise WebSocketUnsupported(
            "The proxy does not relay WebSocket. Remove the header Upgrade to send an ordinary request. To connect to "
            "the provider yourself, read the credentials with GET /v1/connections/{connection_id}/credentials, which "
            "needs the scope credentials:read."
        )
    options = _options(headers)
    selector = ConnectionSelector(slug, options.get(_END_USER), options.get(_CONNECTION))
    state = await lookup.load(installation, key, selector, partial(authorize, scope, required=_SCOPE))
    limit = installation.settings.proxy_max_bytes or _NO_LIMIT
    record = CallRecord(
        connection=state.connection,
        api_key_id=scope["api_key_id"],
        method=scope["method"],
        path=path,
        request_id=scope["request_id"],
        max_bytes=limit,
    )
    length = _body_length(headers)
    body = RequestBody(receive, record, installation.settings.body_timeout, has_body=length != 0)

    async def respond(request: ProxyRequest) -> None:
        async with call(installation, state, request, record) as response:
            body.touch()
            scope.pop(RATE_LIMIT_HEADERS, None)  # the provider's headers can include the provider's rate limit
            await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
            async for piece in response.body:
                body.touch()
                record.count_response(len(piece))
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    with services.proxy_calls.track(record), suppress(ClientDisconnected):
        request = await _parse(scope, options, length, body, record)
        await body.run_until_disconnect(respond(request))


async def _parse(
    scope: Scope, options: Mapping[bytes, str], length: int | None, body: RequestBody, record: CallRecord
) -> ProxyRequest:
    """Parse the request, and read a small body into memory. Raises: InvalidInput; RequestTimeout; TooLarge."""
    if length is not None and length > record.max_bytes:
        raise too_large(record.max_bytes)
    small = length is not None and length <= MAX_REPLAYED_BODY
    limits = Limits(
        connect=_seconds(options, b"one-runtime-connect-timeout", 10.0, MAX_CONNECT_TIMEOUT),
        idle=_seconds(options, b"one-runtime-timeout", 60.0, MAX_IDLE_TIMEOUT),
    )
    content = None
    if length != 0:
        content = await body.read_all() if small else body.pieces(limits.idle)
    return ProxyRequest(
        method=scope["method"],
        path=record.path,
        query=scope["query_string"].decode("latin-1"),
        headers=tuple(scope["headers"]),
        body=content,
        length=None if small else length,
        replayable=small,
        base_url=options.get(b"one-runtime-base-url"),
        retry=_is_set(options, b"one-runtime-retry", "idempotent"),
        trace=_is_set(options, b"one-runtime-trace", "pass"),
        limits=limits,
    )


def _split_path(scope: Scope) -> tuple[str, str]:
    """Return the slug, and the rest of the path with the caller's percent-encoding."""
    raw = scope.get("raw_path") or scope["path"].encode()
    slug, slash, path = raw.partition(b"?")[0][len(PREFIX) :].partition(b"/")
    return slug.decode("latin-1").lower(), (slash + path).decode("latin-1")


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name.

    Raises: InvalidInput if `Authorization` or a `One-Runtime-…` header occurs twice. This can happen if a program
    between the caller and One Runtime adds a header. Then One Runtime cannot know which value comes from the caller.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers and (name.startswith(b"one-runtime-") or name == b"authorization"):
            raise InvalidInput.of(_written(name), "must occur only once")
        headers[name] = value
    return headers


def _options(headers: Mapping[bytes, bytes]) -> dict[bytes, str]:
    """Return the `_OPTIONS` headers as text, without blank values. Raises: InvalidInput."""
    options = {}
    for name in _OPTION_NAMES & headers.keys():
        try:
            options[name] = headers[name].decode().strip()
        except UnicodeDecodeError as error:
            raise InvalidInput.of(_written(name), "must be UTF-8") from error
    if _CONNECTION in options:
        options[_CONNECTION] = canonical_id(options[_CONNECTION])
    return {name: value for name, value in options.items() if value}


def _written(name: bytes) -> str:
    """Return the name of a header as in the documentation, such as `One-Runtime-Retry`."""
    return name.decode("latin-1").title()


def _is_set(options: Mapping[bytes, str], name: bytes, only: str) -> bool:
    value = options.get(name)
    if value not in {None, only}:
        raise InvalidInput.of(_written(name), f'must be "{only}", or must be left out')
    return value is not None


def _seconds(options: Mapping[bytes, str], name: bytes, default: float, limit: float) -> float:
    if name not in options:
        return default
    with suppress(ValueError):
        seconds = float(options[name])
        if 0 < seconds <= limit:
            return seconds
    raise InvalidInput.of(_written(name), f"must be a number of seconds above 0, at most {limit:g}")


def _body_length(headers: Mapping[bytes, bytes]) -> int | None:
    """Return the body's length in bytes, or None if `Transfer-Encoding` is set. Raises: MalformedRequest."""
    if b"transfer-encoding" in headers:
        return None
    value = headers.get(b"content-length", b"0")
    if not value.isdigit():
        raise MalformedRequest("Content-Length must be a number of bytes.")
    return int(value)


def _operation(method: str) -> dict[str, Any]:
    def part(name: str, description: str) -> dict[str, Any]:
        return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}

    operation: dict[str, Any] = {
        "summary": f"Call the provider ({method})",
        "description": "Calls the provider's API with the end user's credential. One Runtime forwards the method, the "
        "path with its percent-encoding, the query, the headers and the body, and streams the response. The provider's "
        "status, body and most headers stay unchanged. Only One Runtime's own errors have the header "
        "`One-Runtime-Error`.\n\nOpenAPI cannot describe a parameter with slashes. A generated client encodes the "
        "slashes of `path`, and many providers then answer 404. Send these requests with an HTTP client, or with One "
        "Runtime's client for Python or JavaScript.",
        "operationId": f"proxy_{method.lower()}",
        "parameters": [
            part("integration_slug", "The slug of the integration."),
            part("path", "The part of the URL after the integration's base URL."),
            *(
                {"name": name, "in": "header", "required": False, "description": description, "schema": schema}
                for name, (description, schema) in _OPTIONS.items()
            ),
        ],
        "responses": {
            "200": {"description": "The response of the provider.", "content": {"*/*": {"schema": {}}}},
            **{
                status: {
                    "description": "The response of the provider, or an error with the header `One-Runtime-Error`.",
                    "content": {"*/*": {"schema": {}}},
                }
                for status in ("4XX", "5XX")
            },
            "default": {"description": "The response of the provider.", "content": {"*/*": {"schema": {}}}},
        },
        "x-internal": True,
    }
    if method in {"POST", "PUT", "PATCH"}:
        operation["requestBody"] = {"required": False, "content": {"*/*": {"schema": {}}}}
    return operation


_ERRORS: Final = (
    NotFound,
    MalformedRequest,
    RequestTimeout,
    TooLarge,
    TooManyCalls,
    WebSocketUnsupported,
    ConnectRequired,
    CredentialsRefreshedRetry,
    ClientRefused,
    OAuthClientMissing,
    HostNotRegistered,
    UnconfirmedCopy,
    IntegrationDisabled,
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
    [
        RouteSpec(method, PATH, _SCOPE, tag="Proxy", errors=_ERRORS, relays=True, operation=_operation(method))
        for method in PROXIED
    ],
)
