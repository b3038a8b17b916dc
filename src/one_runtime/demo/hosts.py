"""Limit the requests that the servers of the demo accept.

Against DNS rebinding, each server of the demo accepts requests for only one host.

The servers listen only on the loopback address, but an attacker's host name can resolve to the loopback address. A page
of the attacker can then send requests from the user's browser to the demo. The `Host` header of these requests contains
the attacker's host name, so the servers refuse the requests.
"""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from one_runtime.api.middleware import limit_body

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_BODY_SECONDS: Final = 60.0
"""Maximum number of seconds until the next part of a body arrives, the same as the default of `serve`."""


class CanonicalHost:
    """Middleware that accepts only requests for `host`, such as `127.0.0.1:8000`, or for one of the `others`.

    A request for another host receives the status 421. With `redirect`, a GET or HEAD request for another host receives
    a redirect to `host` instead.
    """

    def __init__(self, app: ASGIApp, *, host: str, others: Sequence[str] = (), redirect: bool = False) -> None:
        self._app = app
        self._host = host
        self._accepted = [[each] for each in (host, *others)]
        self._redirect = redirect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or Headers(scope=scope).getlist("host") in self._accepted:
            await self._app(scope, receive, send)
        else:
            await self._elsewhere(scope)(scope, receive, send)

    def _elsewhere(self, scope: Scope) -> Response:
        if self._redirect and scope["method"] in _SAFE_METHODS:
            raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
            query: bytes = scope["query_string"]
            target = raw_path + (b"?" + query if query else b"")
            return RedirectResponse(f"http://{self._host}{target.decode('latin-1')}", status_code=307)
        detail = f"This server answers only at http://{self._host}. Use this address."
        problem = {"title": "Misdirected request", "status": 421, "detail": detail, "code": "misdirected_request"}
        return JSONResponse(problem, status_code=421, media_type="application/problem+json")


class LimitedBodies:
    """Middleware that limits the bodies of requests as One Runtime's API does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limited = limit_body(scope, receive, _BODY_SECONDS) if scope["type"] == "http" else receive
        await self._app(scope, limited, send)
