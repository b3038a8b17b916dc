"""The popup's routes: parse, call one step of the flow, render. Nothing is logged here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.catalog.model import Integration
from one_runtime.connect.assets import Assets, load_assets
from one_runtime.connect.consents import ConsentRoutes
from one_runtime.connect.cookies import Cookies
from one_runtime.connect.pages import Site, render
from one_runtime.connect.posted import is_from_our_page, read_form
from one_runtime.connect.requests import Endpoint, body_of, called, is_framed, rendered
from one_runtime.connect.screens import Screens
from one_runtime.connect.window import Opening, TopLevelPages
from one_runtime.connect.wire import connected_answer, read_connect, read_view, view_answer
from one_runtime.connecting.authorization import AuthorizationFlow
from one_runtime.connecting.popup import PopupFlow
from one_runtime.errors import MalformedRequest, NotFound, TooLarge
from one_runtime.tenancy.authentication import client_address

_PUBLIC_MODULE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=300, stale-while-revalidate=3600",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Flows:
    """What the popup's routes call."""

    connect: PopupFlow
    consent: AuthorizationFlow


def router(flows: Flows, public_url: str, logo_url: Callable[[Integration], str | None]) -> list[Route]:
    """Every route of the popup. `logo_url` gives the address on this server of an integration's logo."""
    assets, flow = load_assets(), flows.connect
    address = urlsplit(public_url)
    origin = f"{address.scheme}://{address.netloc}"
    site = Site(address.path.rstrip("/"), assets.hash)
    screens, cookies = Screens(site, logo_url), Cookies(secure=address.scheme == "https")
    window = TopLevelPages(flows.connect, flows.consent, screens, cookies)

    async def view(token: str, request: Request) -> BaseModel:
        picked = read_view(await body_of(request))
        return view_answer(await flow.view(token, door="frame", integration_slug=picked), logo_url)

    async def connect(token: str, request: Request) -> BaseModel:
        sent = read_connect(await body_of(request))
        return connected_answer(await flow.connect(token, sent, door="frame", address=client_address(request.scope)))

    async def cancel(token: str, _: Request) -> None:
        await flow.cancel(token)

    return [
        Route("/connect", _page(flow, window, site), methods=["GET"], name="connect"),
        Route("/connect", _posted(window, origin), methods=["POST"]),
        Route("/connect/session", called(view), methods=["POST"]),
        Route("/connect/session/connect", called(connect), methods=["POST"]),
        Route("/connect/session/cancel", called(cancel), methods=["POST"]),
        *ConsentRoutes(flows.consent, window, screens, cookies, origin).routes(),
        Route("/connect/assets/{hash}/{name}", _asset(assets)),
        Route("/connect.js", _module(assets.connect_js, "text/javascript; charset=utf-8")),
        Route("/connect.d.ts", _module(assets.connect_types, "text/plain; charset=utf-8")),
    ]


def _page(flow: PopupFlow, window: TopLevelPages, site: Site) -> Endpoint:
    async def page(request: Request) -> Response:
        token = request.query_params.get("session_token")
        session_id = None if token is not None else request.query_params.get("session")
        shell = await flow.shell(token=token, session_id=session_id)
        if shell.mode == "embed":
            # Browsers name the destination to every trustworthy origin; where one does not, the page's script looks.
            return rendered(render(site, shell, framed=request.headers.get("sec-fetch-dest") != "document"))
        return rendered(await window.open(shell, Opening(token, is_framed(request), request.method == "GET")))

    return page


def _posted(window: TopLevelPages, public_origin: str) -> Endpoint:
    """A form of a page in a window of its own. The answer is a page, or the way back to the app."""

    async def posted(request: Request) -> Response:
        if is_framed(request):
            return rendered(window.refuse("framed", 403))
        if not is_from_our_page(request.headers, public_origin):
            return rendered(window.refuse("foreign", 403))
        try:
            form = read_form(request.headers.get("content-type", ""), await body_of(request))
        except (MalformedRequest, TooLarge) as error:
            return rendered(window.refuse("broken", error.status))
        return rendered(await window.take(form, client_address(request.scope)))

    return posted


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
