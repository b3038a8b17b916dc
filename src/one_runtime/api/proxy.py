"""`ANY /v1/proxy/{integration_slug}/{path}`: the provider's API, called with an end user's credential. Raw ASGI."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Final

from starlette.types import Receive, Scope, Send

from one_runtime.api.auth import authorize
from one_runtime.api.incoming import ClientDisconnected, RequestBody, too_large
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.connections.connections import Connection
from one_runtime.context import Installation
from one_runtime.db.ids import new_id
from one_runtime.egress import Limits, UpstreamTooLarge
from one_runtime.errors import InvalidInput, MalformedRequest, MethodNotAllowed, OneRuntimeError, RateLimited
from one_runtime.proxy import lookup
from one_runtime.proxy.lookup import ConnectionSelector, ConnectRequired
from one_runtime.proxy.relay import AttemptCounter, ProxyRequest, ProxyResponse, call
from one_runtime.proxy.request_log import LONGEST_PATH, LoggedRequest, RequestLog
from one_runtime.tenancy.authentication import Authenticator, PresentedKey
from one_runtime.tokens.state import CredentialState

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


class TooManyCalls(RateLimited):
    """The organization has as many calls under way as it may have."""

    code = "too_many_calls"


class WebSocketUnsupported(OneRuntimeError):
    """WebSocket connections are not relayed."""

    code, status, title = "websocket_unsupported", 501, "WebSocket is not relayed"


class ProxyEndpoint:
    """Relays calls: one statement, then the request and its answer as they come."""

    def __init__(self, installation: Installation, authenticator: Authenticator, log: RequestLog) -> None:
        self._installation, self._authenticator, self._log = installation, authenticator, log
        self._under_way = _UnderWay(installation.settings.proxy_calls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI endpoint. Raises: OneRuntimeError before the answer has begun; after that it breaks off."""
        if scope["method"] in _NEVER:
            raise MethodNotAllowed("TRACE and CONNECT are not relayed.")
        key = self._authenticator.present(scope)
        headers = _once(scope)
        if headers.get(b"upgrade", b"").lower() == b"websocket":
            raise WebSocketUnsupported("WebSocket is not relayed. Read the credential, and connect to the provider.")
        wanted = ConnectionSelector(_address(scope)[0], _header(headers, _END_USER), _header(headers, _CONNECTION))
        state = await self._state(scope, key, wanted)
        has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        tally, incoming = _Tally(begun=perf_counter()), RequestBody(receive, has_body=has_body)
        with self._under_way.one(state.connection):
            try:
                with suppress(ClientDisconnected):
                    await self._relay(scope, state, incoming, (tally, send))
            except OneRuntimeError as error:
                tally.failed(error.code, error.status)
                raise
            except Exception:
                tally.failed("internal_error", 500)
                raise
            finally:
                self._log.note(_line(scope, state, tally, incoming, self._installation.clock()))

    async def _state(self, scope: Scope, key: PresentedKey, wanted: ConnectionSelector) -> CredentialState:
        installation = self._installation
        async with installation.database.read() as tx:
            found = await lookup.find(tx, key, wanted)
            authorize(scope, found.principal, "use")
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

    async def _relay(
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


class _UnderWay:
    """How many calls organizations have under way. One integration has half of them at the most: where it hangs, the
    others have the rest (P12)."""

    def __init__(self, most: int) -> None:
        self._most, self._most_of_one = most, max(1, most // 2)
        self._counts: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def one(self, connection: Connection) -> Iterator[None]:
        """One more, until the block ends. Raises: TooManyCalls."""
        whole, part = (connection.organization_id, ""), (connection.organization_id, connection.integration_slug)
        if self._counts[whole] >= self._most:
            raise TooManyCalls(f"{self._most} calls of your organization are under way, and more have to wait.", 1)
        if self._counts[part] >= self._most_of_one:
            raise TooManyCalls(
                f"{self._most_of_one} calls of your organization to {connection.integration_slug} are under way, and "
                "more have to wait.",
                1,
            )
        self._counts.update((whole, part))
        try:
            yield
        finally:
            for key in (whole, part):
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]


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
