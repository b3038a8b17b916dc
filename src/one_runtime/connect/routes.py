"""The popup's routes: parse, call one step of the flow, render. No cookie is read or set; nothing is logged here."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.connect.assets import Assets, load_assets
from one_runtime.connect.pages import Site, render
from one_runtime.connect.wire import connected_answer, read_connect, view_answer
from one_runtime.connect_flow import ConnectFlow
from one_runtime.errors import NotFound, TooLarge, Unauthenticated

MAX_BODY_BYTES: Final = 256 * 1024
_MAX_TOKEN_LENGTH: Final = 200
_PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_PUBLIC_MODULE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=300, stale-while-revalidate=3600",
    "X-Content-Type-Options": "nosniff",
}

Call: TypeAlias = Callable[[str, Request], Awaitable[BaseModel | None]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def router(flow: ConnectFlow, public_url: str, logo_url: Callable[[str], str | None]) -> list[Route]:
    """Every route of the popup. `logo_url` gives the address on this server of an integration's logo, by slug."""
    assets = load_assets()
    site = Site(urlsplit(public_url).path.rstrip("/"), assets.hash)

    async def view(token: str, _: Request) -> BaseModel:
        return view_answer(await flow.view(token), logo_url)

    async def connect(token: str, request: Request) -> BaseModel:
        sent = read_connect(await _body(request))
        address = request.client.host if request.client else None
        return connected_answer(await flow.connect(token, sent, address=address))

    async def cancel(token: str, _: Request) -> None:
        await flow.cancel(token)

    return [
        Route("/connect", _page(flow, site), name="connect"),
        Route("/connect/session", _call(view), methods=["POST"]),
        Route("/connect/session/connect", _call(connect), methods=["POST"]),
        Route("/connect/session/cancel", _call(cancel), methods=["POST"]),
        Route("/connect/assets/{hash}/{name}", _asset(assets)),
        Route("/connect.js", _module(assets.connect_js, "text/javascript; charset=utf-8")),
        Route("/connect.d.ts", _module(assets.connect_types, "text/plain; charset=utf-8")),
    ]


def _page(flow: ConnectFlow, site: Site) -> Endpoint:
    async def page(request: Request) -> Response:
        token = request.query_params.get("session_token")
        session_id = None if token is not None else request.query_params.get("session")
        shell = await flow.shell(token=token, session_id=session_id)
        # Browsers name the destination to every trustworthy origin; where one does not, the page's script looks.
        framed = request.headers.get("sec-fetch-dest") != "document"
        page = render(site, shell, framed=framed)
        return Response(page.body, page.status, page.headers)

    return page


def _call(call: Call) -> Endpoint:
    """An endpoint for the page's script: session token in, JSON out. Errors are the app's to answer, as everywhere."""

    async def endpoint(request: Request) -> Response:
        answer = await call(_token(request), request)
        if answer is None:
            return Response(status_code=204, headers=_PRIVATE)
        return Response(answer.model_dump_json(), 200, _PRIVATE, "application/json")

    return endpoint


def _token(request: Request) -> str:
    """The session token. Raises: Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= _MAX_TOKEN_LENGTH:
        raise Unauthenticated("A session token is needed in the Authorization header.")
    return token.strip()


async def _body(request: Request) -> bytes:
    """The body, at most so much of it. Raises: TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"The body may have {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def _asset(assets: Assets) -> Endpoint:
    async def asset(request: Request) -> Response:
        found = assets.files.get(request.path_params["name"])
        if found is None:
            raise NotFound("There is no such file.")
        current = request.path_params["hash"] == assets.hash
        # While a new version is rolled out, a page may ask a server of the other one: ours will do, but not for good.
        caching = "public, max-age=31536000, immutable" if current else "no-store"
        headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
        return Response(found.body, 200, headers, found.media_type)

    return asset


def _module(body: bytes, media_type: str) -> Endpoint:
    async def module(_: Request) -> Response:
        return Response(body, 200, _PUBLIC_MODULE, media_type)

    return module
