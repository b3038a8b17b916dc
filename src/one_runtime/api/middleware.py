"""Handle each request before FastAPI: add a request id, measure the request, and convert errors to responses."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from one_runtime.api import problems
from one_runtime.api.application import ApiApplication
from one_runtime.api.invalid_requests import require_utf8
from one_runtime.api.routing import AsgiRoute
from one_runtime.api.services import Services
from one_runtime.db.ids import new_id
from one_runtime.errors import OneRuntimeError
from one_runtime.telemetry.current_request import current_request
from one_runtime.telemetry.logger import Logger
from one_runtime.telemetry.request_observer import Observer
from one_runtime.tenancy.authentication import RATE_LIMIT_HEADERS

MAX_BODY_BYTES: Final = 1024 * 1024
_NO_STORE: Final = (b"cache-control", b"no-store")
"""Header of every response that says nothing about caching. So no response with a key or a token is stored."""

_REQUESTED: Final = "one_runtime.requested_method"
"""Key of the request's method in the ASGI scope, if the application handles another method."""

log = Logger()


class RequestMiddleware:
    """The outermost middleware of the application. The middleware calls each `AsgiRoute` without FastAPI."""

    def __init__(
        self,
        app: ApiApplication,
        services: Services,
        observer: Observer,
        routes: Iterable[AsgiRoute],
        *,
        listeners: Mapping[int, ASGIApp] | None = None,
    ) -> None:
        """`listeners`: the applications of other listeners of this process, by port."""
        self.app = app
        self.listeners = listeners or {}
        self.services = services
        self.observer = observer
        self._exact: dict[str, AsgiRoute] = {}
        self._prefixed: list[tuple[str, AsgiRoute]] = []
        for route in routes:
            prefix, has_parameters, _ = route.path.partition("{")
            if has_parameters:
                self._prefixed.append((prefix, route))
            else:
                self._exact[prefix] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self._run_lifespan(scope, receive, send)
            return
        if self.listeners:
            other = self.listeners.get(_port(scope))
            if other is not None:
                await other(scope, receive, send)
                return
        if scope["method"] == "HEAD" and self.app.answers_head(scope["path"]):
            # The web server keeps the original scope. So it expects no body, although the headers contain a length.
            await self._handle({**scope, "method": "GET", _REQUESTED: "HEAD"}, receive, _without_body(send))
        else:
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_id()
        scope["request_id"] = request_id
        self.services.attach(scope)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, headers = message["status"], message["headers"]
                added = [*headers, (b"request-id", request_id.encode()), *scope.get(RATE_LIMIT_HEADERS, ())]
                # A provider's response has its own rules, and every other one without `Cache-Control` is not stored.
                if b"cache-control" not in dict(headers) and not getattr(scope.get("route"), "relays", False):
                    added.append(_NO_STORE)
                message["headers"] = added
            await send(message)

        failure: OneRuntimeError | None = None
        current = current_request.set(scope)
        started = self.observer.begin(scope)
        try:
            try:
                route = self._asgi_route(scope["path"], scope["method"])
                if route is not None:
                    scope["route"] = route
                    await route.app(scope, receive, send_with_id)
                else:
                    require_utf8(scope["query_string"])
                    timeout = self.services.installation.settings.body_timeout
                    await self.app(scope, limit_body(scope, receive, timeout), send_with_id)
            except OneRuntimeError as error:
                failure = error
            except Exception as error:  # only the log contains the details
                kind = type(error).__name__
                log.exception("request_crashed", request_id=request_id, route=self.observer.route_of(scope), kind=kind)
                failure = problems.internal_error(request_id)
            if failure is not None and not status:
                await self._send_problem(failure, scope, receive, send_with_id)
        finally:
            scope["method"] = scope.get(_REQUESTED, scope["method"])
            self.observer.end(scope, status, started)
            current_request.reset(current)

    def _asgi_route(self, path: str, method: str) -> AsgiRoute | None:
        route = self._exact.get(path)
        if route is None:
            for prefix, prefixed in self._prefixed:
                if path.startswith(prefix):
                    route = prefixed
                    break
            else:
                return None
        return route if route.relays or method in (route.methods or ()) else None

    async def _send_problem(self, error: OneRuntimeError, scope: Scope, receive: Receive, send: Send) -> None:
        scope["error_code"] = error.code
        response = problems.problem(error, scope["request_id"], self.services.installation.settings.public_url)
        route = scope.get("route")
        if isinstance(route, AsgiRoute) and route.relays:
            response.headers["one-runtime-error"] = error.code
        await response(scope, receive, send)

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the start and the stop of the application.

        After a failure, Starlette sends the text of the exception to uvicorn, and uvicorn prints the text. The text can
        contain a secret (promise P11 of docs/security.md). So this method removes the text, and logs the traceback
        without secrets.
        """

        async def send_without_text(message: Message) -> None:
            await send({"type": message["type"]})

        try:
            await self.app(scope, receive, send_without_text)
        except Exception as error:  # the process ends with this error
            log.exception("lifespan_failed", kind=type(error).__name__)
            raise


def _port(scope: Scope) -> int:
    """Return the port of the listener that accepted the connection, or 0 for a Unix socket."""
    server = scope.get("server")
    return (server[1] or 0) if server else 0


def _without_body(send: Send) -> Send:
    """Return a `send` function that sends the headers of a response, and no body."""

    async def send_headers(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_headers


def limit_body(scope: Scope, receive: Receive, timeout: float) -> Receive:
    """Return a `receive` function that limits the body to `MAX_BODY_BYTES`.

    `timeout`: maximum number of seconds until the next part of the body arrives.

    The returned function raises HTTPException. FastAPI would report any other exception of `receive` as invalid JSON.
    """
    if scope["method"] in {"GET", "HEAD"}:
        return receive
    size, more = 0, True

    async def receive_limited() -> Message:
        nonlocal size, more
        try:
            async with asyncio.timeout(timeout if more else None):  # after the body, `receive` waits for a disconnect
                message = await receive()
        except TimeoutError:
            raise HTTPException(408) from None
        if more and message["type"] == "http.disconnect":
            raise HTTPException(400)  # an exception of the framework would be logged as a crash
        more = message.get("more_body", False)
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise HTTPException(413)
        return message

    return receive_limited
