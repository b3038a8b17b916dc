"""The popup's routes: parse, call one step of the flow, render. Nothing is logged here (P11)."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.catalog.model import Integration
from one_runtime.connect.assets import Assets, load_assets
from one_runtime.connect.authorization_routes import AuthorizationRoutes
from one_runtime.connect.cookies import Cookies
from one_runtime.connect.forms import is_from_our_page, read_form
from one_runtime.connect.pages import Site, render
from one_runtime.connect.requests import Endpoint, is_framed, json_endpoint, page_response, read_body
from one_runtime.connect.screens import Screens
from one_runtime.connect.top_level_pages import TopLevelPages
from one_runtime.connect.wire import connected_answer, read_connect, read_view, view_answer
from one_runtime.connecting import popup
from one_runtime.context import Installation
from one_runtime.errors import MalformedRequest, NotFound, TooLarge
from one_runtime.tenancy.authentication import client_address

_PUBLIC_MODULE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=300, stale-while-revalidate=3600",
    "X-Content-Type-Options": "nosniff",
}


def router(installation: Installation, public_url: str, logo_url: Callable[[Integration], str | None]) -> list[Route]:
    """Return every route of the popup. `logo_url` gives the address on this server of an integration's logo."""
    assets = load_assets()
    address = urlsplit(public_url)
    origin = f"{address.scheme}://{address.netloc}"
    site = Site(address.path.rstrip("/"), assets.hash)
    screens, cookies = Screens(site, logo_url), Cookies(secure=address.scheme == "https")
    pages = TopLevelPages(installation, screens, cookies)

    async def view(token: str, request: Request) -> BaseModel:
        picked = read_view(await read_body(request))
        return view_answer(await popup.load_view(installation, token, integration_slug=picked), logo_url)

    async def connect(token: str, request: Request) -> BaseModel:
        submitted = read_connect(await read_body(request))
        current = await popup.load_view(installation, token, integration_slug=submitted.integration_slug, opening=False)
        return connected_answer(await popup.connect(installation, current, submitted, client_address(request.scope)))

    async def cancel(token: str, _: Request) -> None:
        await popup.cancel(installation, token)

    return [
        Route("/connect", _page(installation, pages, site), methods=["GET"], name="connect"),
        Route("/connect", _form(pages, origin), methods=["POST"]),
        Route("/connect/session", json_endpoint(view), methods=["POST"]),
        Route("/connect/session/connect", json_endpoint(connect), methods=["POST"]),
        Route("/connect/session/cancel", json_endpoint(cancel), methods=["POST"]),
        *AuthorizationRoutes(installation, pages, screens, cookies, origin).routes(),
        Route("/connect/assets/{hash}/{name}", _asset(assets)),
        Route("/connect.js", _module(assets.connect_js, "text/javascript; charset=utf-8")),
        Route("/connect.d.ts", _module(assets.connect_types, "text/plain; charset=utf-8")),
    ]


def _page(installation: Installation, pages: TopLevelPages, site: Site) -> Endpoint:
    async def page(request: Request) -> Response:
        token = request.query_params.get("session_token")
        session_id = None if token is not None else request.query_params.get("session")
        shell = await popup.load_shell(installation, token=token, session_id=session_id)
        if shell.mode == "embed":
            # Without `Sec-Fetch-Dest` (http, old browsers) the page's script checks whether the page is framed.
            return page_response(render(site, shell, framed=request.headers.get("sec-fetch-dest") != "document"))
        if is_framed(request):
            return page_response(pages.refuse("framed", 403))
        return page_response(await pages.open(shell, token, opening=request.method == "GET"))

    return page


def _form(pages: TopLevelPages, public_origin: str) -> Endpoint:
    """A form of a top-level page. The response is a page, or a redirect to the app."""

    async def form(request: Request) -> Response:
        if is_framed(request):
            return page_response(pages.refuse("framed", 403))
        if not is_from_our_page(request.headers, public_origin):
            return page_response(pages.refuse("foreign", 403))
        try:
            post = read_form(request.headers.get("content-type", ""), await read_body(request))
        except (MalformedRequest, TooLarge) as error:
            return page_response(pages.refuse("broken", error.status))
        return page_response(await pages.submit(post, client_address(request.scope)))

    return form


def _asset(assets: Assets) -> Endpoint:
    async def asset(request: Request) -> Response:
        file = assets.files.get(request.path_params["name"])
        if file is None:
            raise NotFound("There is no such file.")
        current = request.path_params["hash"] == assets.hash
        # During a rollout a page of the other version may ask this server: its file serves, but must not be cached.
        caching = "public, max-age=31536000, immutable" if current else "no-store"
        headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
        return Response(file.body, 200, headers, file.media_type)

    return asset


def _module(body: bytes, media_type: str) -> Endpoint:
    async def module(_: Request) -> Response:
        return Response(body, 200, _PUBLIC_MODULE, media_type)

    return module
