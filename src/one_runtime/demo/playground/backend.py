"""The backend of the imaginary customer: only the backend has the API key and calls One Runtime.

A customer writes this part. It acts for the end user of its own login (visit.py), never for a user that the page or a
URL names.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from one_runtime.demo.playground.calls import ApiResponse, OneRuntime, Send, Unreachable, over_http
from one_runtime.demo.playground.page import file_routes, show_page
from one_runtime.demo.playground.product import CONNECTED, END_USERS, Playground
from one_runtime.demo.playground.returning import handle_return
from one_runtime.demo.playground.visit import (
    BadRequest,
    Visit,
    is_cross_site,
    read_body,
    sign_in,
    signed_in,
    text,
)

_Handler = Callable[[Visit], Awaitable[Response]]
_Endpoint = Callable[[Request], Awaitable[Response]]

_SESSIONS: Final = "/v1/hosted-connection-sessions"
_LINK_LASTS: Final = 3600  # seconds; the most there is


def create_playground(playground: Playground, send: Send | None = None) -> Starlette:
    """Create the playground as an ASGI application. Tests replace `send`, the transport to One Runtime."""
    way = send or over_http(playground.one_runtime_url)

    def visited(handler: _Handler) -> _Endpoint:
        async def endpoint(request: Request) -> Response:
            one_runtime = OneRuntime(playground.one_runtime_url, playground.api_key, way)
            return await handler(Visit(request, signed_in(request, playground.origin), one_runtime, playground))

        return endpoint

    def asks(handler: _Handler) -> _Endpoint:
        return visited(_for_our_page(handler))

    routes = [
        Route("/", visited(_open)),
        Route(CONNECTED, visited(_return)),
        *file_routes(),
        Route("/api/sign-in", asks(_sign_in), methods=["POST"]),
        Route("/api/integrations", asks(_list_integrations), methods=["GET"]),
        Route("/api/sessions", asks(_create_session), methods=["POST"]),
        Route("/api/sessions/{session_id}", asks(_look_at_session), methods=["GET"]),
        Route("/api/disconnect", asks(_disconnect), methods=["POST"]),
    ]
    return Starlette(routes=routes)


async def _open(visit: Visit) -> Response:
    """Show the settings page. `?end_user_id=` signs in as that user, for links to a user's page."""
    query, origin = visit.request.query_params, visit.playground.origin
    if "end_user_id" not in query:
        return show_page(visit.playground, visit.end_user_id)
    home = RedirectResponse("/", 303)
    if is_cross_site(visit.request, origin) or not query["end_user_id"].strip():
        return home
    return sign_in(home, origin, query["end_user_id"].strip())


async def _return(visit: Visit) -> Response:
    return show_page(visit.playground, visit.end_user_id, await handle_return(visit))


async def _sign_in(visit: Visit) -> Response:
    end_user_id = text(await read_body(visit.request), "end_user_id")
    return sign_in(_answer({"end_user_id": end_user_id}, 200, visit), visit.playground.origin, end_user_id)


async def _list_integrations(visit: Visit) -> Response:
    query = {"end_user_id": visit.end_user_id, "logo": "url", "expand": "connections"}
    return _pass_on(await visit.one_runtime.get("/v1/integrations", query), visit)


async def _create_session(visit: Visit) -> Response:
    """Create a session for the signed-in end user, for one integration or for the list."""
    data = await read_body(visit.request)
    session: dict[str, Any] = {"end_user_id": visit.end_user_id}
    if data.get("integration_slug") is not None:
        session["integration_slug"] = text(data, "integration_slug")
    if visit.end_user_id in END_USERS:
        session["end_user_name"] = END_USERS[visit.end_user_id]
    session |= _session_fields(data.get("way", "popup"), visit.playground.origin)
    return _pass_on(await visit.one_runtime.post(_SESSIONS, session), visit)


def _session_fields(name: object, origin: str) -> dict[str, Any]:
    """Return the fields that differ between the three ways to connect."""
    match name:
        case "popup":
            return {}
        case "redirect":
            return {"return_url": f"{origin}{CONNECTED}"}
        case "link":
            return {"mode": "link", "expires_in": _LINK_LASTS}
    raise BadRequest("way must be popup, redirect or link.")


async def _look_at_session(visit: Visit) -> Response:
    """Return a session of the signed-in end user, to see whether a link was used."""
    answer = await visit.one_runtime.get(f"{_SESSIONS}/{quote(visit.request.path_params['session_id'], safe='')}")
    if answer.status == 200 and answer.json().get("end_user_id") != visit.end_user_id:
        raise BadRequest("This is a session of another end user.", 404)
    return _pass_on(answer, visit)


async def _disconnect(visit: Visit) -> Response:
    slug = text(await read_body(visit.request), "integration_slug")
    wish = {"integration_slug": slug, "end_user_id": visit.end_user_id}
    return _pass_on(await visit.one_runtime.post("/v1/disconnect", wish), visit)


def _for_our_page(handler: _Handler) -> _Handler:
    async def guarded(visit: Visit) -> Response:
        try:
            _require_our_page(visit)
            return await handler(visit)
        except BadRequest as error:
            return _answer({"error": error.detail}, error.status, visit)
        except Unreachable as error:
            return _answer({"error": str(error)}, 502, visit)

    return guarded


def _require_our_page(visit: Visit) -> None:
    if is_cross_site(visit.request, visit.playground.origin):
        raise BadRequest("This backend serves its own page only.", 403)


def _pass_on(answer: ApiResponse, visit: Visit) -> Response:
    data = answer.json()
    if answer.status < 400:
        return _answer(data, 200, visit)
    detail = data.get("detail") or f"One Runtime answered {answer.status}."
    return _answer({"error": detail, "code": data.get("code")}, 502 if answer.status >= 500 else 422, visit)


def _answer(data: Mapping[str, Any], status: int, visit: Visit) -> Response:
    content = {**data, "requests": [call.shown() for call in visit.one_runtime.calls]}
    return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store"})
