"""The backend of the made-up customer: it alone holds the API key, and asks One Runtime for its page.

This is the part a customer writes. A real one takes the end user from its own login session, never from the page;
the playground lets the visitor choose, to show that each end user has connections of their own.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.demo.playground.calls import Answer, OneRuntime, Send, Unreachable, over_http

END_USERS: Final[Mapping[str, str]] = {"user_123": "Ada Lindqvist", "user_456": "Tomás Reyes"}

_Handler = Callable[[Request, OneRuntime], Awaitable[Response]]
_Endpoint = Callable[[Request], Awaitable[Response]]

_MAX_BODY: Final = 16_384
_FILES: Final = {
    "page.js": "text/javascript",
    "requests.js": "text/javascript",
    "page.css": "text/css",
    "mark.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Playground:
    """What the backend is given: its own origin, One Runtime's, the API key, and keys of Acme CRM to try."""

    origin: str
    one_runtime_url: str
    api_key: str = field(repr=False)
    acme_keys: Mapping[str, str] = field(repr=False)


class _BadRequest(Exception):
    """The page, or somebody else, sent something that the backend does not take."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


def create_playground(playground: Playground, send: Send | None = None) -> Starlette:
    """The playground as an ASGI application. `send` is the way to One Runtime, for tests."""
    way = send or over_http(playground.one_runtime_url)

    def asks(handler: _Handler) -> _Endpoint:
        return _with_one_runtime(playground, way, handler)

    routes = [
        Route("/", _page(playground)),
        *(Route(f"/{name}", _file(name, media_type)) for name, media_type in _FILES.items()),
        Route("/api/integrations", asks(_list_integrations), methods=["GET"]),
        Route("/api/sessions", asks(_create_session), methods=["POST"]),
        Route("/api/disconnect", asks(_disconnect), methods=["POST"]),
    ]
    return Starlette(routes=routes)


async def _list_integrations(request: Request, one_runtime: OneRuntime) -> Response:
    end_user_id = _text(dict(request.query_params), "end_user_id")
    query = {"end_user_id": end_user_id, "logo": "url", "expand": "connections"}
    return _passed_on(await one_runtime.get("/v1/integrations", query), one_runtime)


async def _create_session(request: Request, one_runtime: OneRuntime) -> Response:
    given = await _body(request)
    end_user_id = _text(given, "end_user_id")
    session = {"integration_slug": _text(given, "integration_slug"), "end_user_id": end_user_id}
    if end_user_id in END_USERS:
        session["end_user_name"] = END_USERS[end_user_id]
    return _passed_on(await one_runtime.post("/v1/hosted-connection-sessions", session), one_runtime)


async def _disconnect(request: Request, one_runtime: OneRuntime) -> Response:
    given = await _body(request)
    wish = {"integration_slug": _text(given, "integration_slug"), "end_user_id": _text(given, "end_user_id")}
    return _passed_on(await one_runtime.post("/v1/disconnect", wish), one_runtime)


def _with_one_runtime(playground: Playground, send: Send, handler: _Handler) -> _Endpoint:
    async def endpoint(request: Request) -> Response:
        one_runtime = OneRuntime(playground.one_runtime_url, playground.api_key, send)
        try:
            _refuse_other_sites(request, playground.origin)
            return await handler(request, one_runtime)
        except _BadRequest as error:
            return _answer({"error": error.detail}, error.status, one_runtime)
        except Unreachable as error:
            return _answer({"error": str(error)}, 502, one_runtime)

    return endpoint


def _refuse_other_sites(request: Request, origin: str) -> None:
    """Only our own page may make the backend act with its API key."""
    if request.headers.get("origin", origin) != origin or request.headers.get("sec-fetch-site") == "cross-site":
        raise _BadRequest("This backend serves its own page only.", 403)


def _passed_on(answer: Answer, one_runtime: OneRuntime) -> Response:
    data = answer.json()
    if answer.status < 400:
        return _answer(data, 200, one_runtime)
    detail = data.get("detail") or f"One Runtime answered {answer.status}."
    return _answer({"error": detail, "code": data.get("code")}, 502 if answer.status >= 500 else 422, one_runtime)


def _answer(data: Mapping[str, Any], status: int, one_runtime: OneRuntime) -> Response:
    content = {**data, "requests": [call.shown() for call in one_runtime.calls]}
    return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store"})


async def _body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _BadRequest("Send JSON.", 415)
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise _BadRequest("That is too much.", 413)
    try:
        data = json.loads(body)
    except ValueError as error:
        raise _BadRequest("Send JSON.") from error
    if not isinstance(data, dict):
        raise _BadRequest("Send a JSON object.")
    return data


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _BadRequest(f"{name} is missing.")
    return value.strip()


def _page(playground: Playground) -> _Endpoint:
    facts = {
        "one_runtime_url": playground.one_runtime_url,
        "end_users": [{"id": id_, "name": name} for id_, name in END_USERS.items()],
        "acme_keys": [{"account": account, "key": key} for account, key in playground.acme_keys.items()],
    }
    # `<` cannot end the element from inside a JSON text that has none.
    page = _read("page.html").replace("{facts}", json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c"))
    headers = {"Content-Security-Policy": _policy(playground.one_runtime_url), **_HEADERS}

    async def show(_request: Request) -> Response:
        return Response(page, media_type="text/html", headers=headers)

    return show


def _policy(one_runtime: str) -> str:
    """The strict policy of a careful customer: One Runtime needs three sources in it and no `unsafe-inline`."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        f"connect-src 'self'; style-src 'self'; img-src 'self' {one_runtime} data:; "
        f"script-src 'self' {one_runtime}; frame-src {one_runtime}"
    )


def _file(name: str, media_type: str) -> _Endpoint:
    content = _read(name)

    async def send_file(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return send_file


def _read(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Referrer-Policy": "strict-origin",
    "X-Content-Type-Options": "nosniff",
}
