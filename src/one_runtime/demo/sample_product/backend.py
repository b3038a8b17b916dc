"""Serve the backend of the demo's sample product. Only the backend has the API key and calls One Runtime.

In a real product, you write the backend. The backend acts only for the signed-in end user (visit.py).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from one_runtime.demo.sample_product.agent_links import decline, open_agent_link
from one_runtime.demo.sample_product.calls import (
    SESSIONS,
    ApiResponse,
    OneRuntime,
    Send,
    Unreachable,
    error_detail,
    over_http,
    session_path,
)
from one_runtime.demo.sample_product.inbox import Inbox
from one_runtime.demo.sample_product.page import file_routes, show_page
from one_runtime.demo.sample_product.product import AGENT_LINKS, CONNECTED, END_USERS, SampleProduct
from one_runtime.demo.sample_product.returning import handle_return
from one_runtime.demo.sample_product.scripted_agent import ScriptedAgent
from one_runtime.demo.sample_product.visit import (
    BadRequest,
    ProductVisit,
    is_cross_site,
    read_body,
    sign_in,
    signed_in,
    text,
)

_Handler = Callable[[ProductVisit], Awaitable[Response]]
_Endpoint = Callable[[Request], Awaitable[Response]]

_LINK_LIFETIME: Final = 3600  # in seconds: the maximum that One Runtime allows


def create_sample_product(product: SampleProduct, send: Send | None = None) -> Starlette:
    """Create the sample product as an ASGI application. Tests replace `send`, the transport to One Runtime."""
    transport = send or over_http(product.one_runtime_url)
    agent = ScriptedAgent()

    def visit(request: Request) -> ProductVisit:
        one_runtime = OneRuntime(product.one_runtime_url, product.api_key, transport)
        return ProductVisit(request, signed_in(request, product.origin), one_runtime, product)

    def page(handler: _Handler) -> _Endpoint:
        async def endpoint(request: Request) -> Response:
            return await handler(visit(request))

        return endpoint

    def api(handler: _Handler) -> _Endpoint:
        async def endpoint(request: Request) -> Response:
            return await _answer_own_page(handler, visit(request))

        return endpoint

    routes = [
        Route("/", page(_open)),
        Route(CONNECTED, page(_return)),
        *file_routes(),
        Route("/api/sign-in", api(_sign_in), methods=["POST"]),
        Route("/api/integrations", api(_list_integrations), methods=["GET"]),
        Route("/api/sessions", api(_create_session), methods=["POST"]),
        Route("/api/sessions/{session_id}", api(_get_session), methods=["GET"]),
        Route("/api/disconnect", api(_disconnect), methods=["POST"]),
        Route(AGENT_LINKS, page(_open_agent_link)),
        Route("/api/agents/decline", api(_decline), methods=["POST"]),
        Route("/api/agents/tokens", api(partial(_create_token, agent)), methods=["POST"]),
        Route("/api/agents/calls", api(partial(_call_tool, agent)), methods=["POST"]),
        *Inbox(product.webhook_secret).routes(),
    ]
    return Starlette(routes=routes)


async def _answer_own_page(handler: _Handler, visit: ProductVisit) -> Response:
    if is_cross_site(visit.request, visit.product.origin):
        return _answer({"error": "This backend accepts requests only from its own page."}, 403, visit)
    try:
        return await handler(visit)
    except BadRequest as error:
        return _answer({"error": error.detail}, error.status, visit)
    except Unreachable as error:
        return _answer({"error": str(error)}, 502, visit)


async def _open(visit: ProductVisit) -> Response:
    """Show the settings page. With `?end_user_id=`, first sign in as this end user, so that links can select a user."""
    query, origin = visit.request.query_params, visit.product.origin
    if "end_user_id" not in query:
        return show_page(visit.product, visit.end_user_id)
    home = RedirectResponse("/", 303)
    if is_cross_site(visit.request, origin) or not query["end_user_id"].strip():
        return home
    return sign_in(home, origin, query["end_user_id"].strip())


async def _return(visit: ProductVisit) -> Response:
    return show_page(visit.product, visit.end_user_id, await handle_return(visit))


async def _open_agent_link(visit: ProductVisit) -> Response:
    """Show the page that the link of an agent opens, or redirect to One Runtime's page for an approval."""
    link = await open_agent_link(visit)
    if isinstance(link, str):
        return RedirectResponse(link, 303)
    return show_page(visit.product, visit.end_user_id, agent_link=link)


async def _sign_in(visit: ProductVisit) -> Response:
    end_user_id = text(await read_body(visit.request), "end_user_id")
    return sign_in(_answer({"end_user_id": end_user_id}, 200, visit), visit.product.origin, end_user_id)


async def _list_integrations(visit: ProductVisit) -> Response:
    query = {"end_user_id": visit.end_user_id, "logo": "url", "expand": "connections"}
    return _pass_on(await visit.one_runtime.get("/v1/integrations", query), visit)


async def _create_session(visit: ProductVisit) -> Response:
    """Create a session for the signed-in end user. Without an integration, the popup lists all integrations."""
    data = await read_body(visit.request)
    session: dict[str, Any] = {"end_user_id": visit.end_user_id}
    if data.get("integration_slug") is not None:
        session["integration_slug"] = text(data, "integration_slug")
    if visit.end_user_id in END_USERS:
        session["end_user_name"] = END_USERS[visit.end_user_id]
    if data.get("connect_request_id") is not None:
        session["connect_request_id"] = text(data, "connect_request_id")
    session |= _session_fields(data.get("way", "popup"), visit.product.origin)
    return _pass_on(await visit.one_runtime.post(SESSIONS, session), visit)


def _session_fields(name: object, origin: str) -> dict[str, Any]:
    """Return the fields that differ between the three ways to connect."""
    match name:
        case "popup":
            return {}
        case "redirect":
            return {"return_url": f"{origin}{CONNECTED}"}
        case "link":
            return {"mode": "link", "expires_in": _LINK_LIFETIME}
    raise BadRequest("way must be popup, redirect or link.")


async def _get_session(visit: ProductVisit) -> Response:
    """Return a session of the signed-in end user.

    For a session of the mode `link`, the settings page calls this route to show the session's status.
    """
    answer = await visit.one_runtime.get(session_path(visit.request.path_params["session_id"]))
    if answer.status == 200 and answer.json().get("end_user_id") != visit.end_user_id:
        raise BadRequest("This is a session of another end user.", 404)
    return _pass_on(answer, visit)


async def _disconnect(visit: ProductVisit) -> Response:
    slug = text(await read_body(visit.request), "integration_slug")
    body = {"integration_slug": slug, "end_user_id": visit.end_user_id}
    return _pass_on(await visit.one_runtime.post("/v1/disconnect", body), visit)


async def _decline(visit: ProductVisit) -> Response:
    request_id = text(await read_body(visit.request), "connect_request_id")
    return _pass_on(await decline(visit, request_id), visit)


async def _create_token(agent: ScriptedAgent, visit: ProductVisit) -> Response:
    await read_body(visit.request)
    return _pass_on(await agent.create_token(visit), visit)


async def _call_tool(agent: ScriptedAgent, visit: ProductVisit) -> Response:
    """Call a tool of `/v1/mcp` for the scripted agent, and return both messages."""
    data = await read_body(visit.request)
    arguments = data.get("arguments")
    if not isinstance(arguments, dict):
        raise BadRequest("arguments must be an object.")
    exchange = await agent.call(visit, text(data, "tool"), arguments)
    return _answer(asdict(exchange), 200, visit)


def _pass_on(answer: ApiResponse, visit: ProductVisit) -> Response:
    data = answer.json()
    if answer.status < 400:
        return _answer(data, 200, visit)
    error = {"error": error_detail(answer), "code": data.get("code")}
    return _answer(error, 502 if answer.status >= 500 else 422, visit)


def _answer(data: Mapping[str, Any], status: int, visit: ProductVisit) -> Response:
    content = {**data, "requests": [asdict(call) for call in visit.one_runtime.calls]}
    return JSONResponse(content, status_code=status, headers={"Cache-Control": "no-store"})
