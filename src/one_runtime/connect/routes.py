"""The popup's routes: parse, call one step of the flow, render. No cookie is read or set; nothing is logged here."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.connect.assets import Assets, load_assets
from one_runtime.connect.pages import Page, Site, render
from one_runtime.connect.posted import is_from_our_page, read_form
from one_runtime.connect.screens import Screens
from one_runtime.connect.window import Opening, Window
from one_runtime.connect.wire import connected_answer, read_connect, read_view, view_answer
from one_runtime.connect_flow import ConnectFlow
from one_runtime.errors import MalformedRequest, NotFound, TooLarge, Unauthenticated

MAX_BODY_BYTES: Final = 256 * 1024
_MAX_TOKEN_LENGTH: Final = 200
_PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_PUBLIC_MODULE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=300, stale-while-revalidate=3600",
    "X-Content-Type-Options": "nosniff",
}
# What a request for something inside of another page says of itself, in browsers that say anything.
_FRAMES: Final = frozenset({"iframe", "frame", "fencedframe", "embed", "object"})

Call: TypeAlias = Callable[[str, Request], Awaitable[BaseModel | None]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def router(flow: ConnectFlow, public_url: str, logo_url: Callable[[str], str | None]) -> list[Route]:
    """Every route of the popup. `logo_url` gives the address on this server of an integration's logo, by slug."""
    assets = load_assets()
    address = urlsplit(public_url)
    site = Site(address.path.rstrip("/"), assets.hash)
    window = Window(flow, Screens(site, logo_url))

    async def view(token: str, request: Request) -> BaseModel:
        picked = read_view(await _body(request))
        return view_answer(await flow.view(token, door="frame", integration_slug=picked), logo_url)

    async def connect(token: str, request: Request) -> BaseModel:
        sent = read_connect(await _body(request))
        return connected_answer(await flow.connect(token, sent, door="frame", address=_address(request)))

    async def cancel(token: str, _: Request) -> None:
        await flow.cancel(token)

    return [
        Route("/connect", _page(flow, window, site), methods=["GET"], name="connect"),
        Route("/connect", _posted(window, f"{address.scheme}://{address.netloc}"), methods=["POST"]),
        Route("/connect/session", _call(view), methods=["POST"]),
        Route("/connect/session/connect", _call(connect), methods=["POST"]),
        Route("/connect/session/cancel", _call(cancel), methods=["POST"]),
        Route("/connect/assets/{hash}/{name}", _asset(assets)),
        Route("/connect.js", _module(assets.connect_js, "text/javascript; charset=utf-8")),
        Route("/connect.d.ts", _module(assets.connect_types, "text/plain; charset=utf-8")),
    ]


def _page(flow: ConnectFlow, window: Window, site: Site) -> Endpoint:
    async def page(request: Request) -> Response:
        token = request.query_params.get("session_token")
        session_id = None if token is not None else request.query_params.get("session")
        shell = await flow.shell(token=token, session_id=session_id)
        if shell.mode == "embed":
            # Browsers name the destination to every trustworthy origin; where one does not, the page's script looks.
            return _rendered(render(site, shell, framed=request.headers.get("sec-fetch-dest") != "document"))
        return _rendered(await window.open(shell, Opening(token, is_framed(request), request.method == "GET")))

    return page


def _posted(window: Window, public_origin: str) -> Endpoint:
    """A form of a page in a window of its own. The answer is a page, or the way back to the app."""

    async def posted(request: Request) -> Response:
        if is_framed(request):
            return _rendered(window.refuse("framed", 403))
        if not is_from_our_page(request.headers, public_origin):
            return _rendered(window.refuse("foreign", 403))
        try:
            form = read_form(request.headers.get("content-type", ""), await _body(request))
        except (MalformedRequest, TooLarge) as error:
            return _rendered(window.refuse("broken", error.status))
        return _rendered(await window.take(form, _address(request)))

    return posted


def is_framed(request: Request) -> bool:
    """Whether a browser says that it wants to show the answer inside of another page."""
    return request.headers.get("sec-fetch-dest") in _FRAMES


def _rendered(page: Page) -> Response:
    return Response(page.body, page.status, page.headers)


def _address(request: Request) -> str | None:
    return request.client.host if request.client else None


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
