"""Serve the API reference, the page of error codes, and the OpenAPI document. All files come from this server."""

from importlib.resources import files
from typing import Final

import fastapi_offline
from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from one_runtime.api.headers import public_answer
from one_runtime.errors import NotFound, OneRuntimeError, error_kinds

router = APIRouter(include_in_schema=False)

_PAGES: Final = Environment(
    loader=PackageLoader("one_runtime.api"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    auto_reload=False,
)
_OURS: Final = files("one_runtime.api") / "templates"
_SWAGGER: Final = files(fastapi_offline) / "static"
_ASSETS: Final = {
    "swagger-ui-bundle.js": (_SWAGGER, "text/javascript; charset=utf-8"),
    "swagger-ui.css": (_SWAGGER, "text/css; charset=utf-8"),
    "icon.svg": (files("one_runtime"), "image/svg+xml"),
    "reference.css": (_OURS, "text/css; charset=utf-8"),
    "start.js": (_OURS, "text/javascript; charset=utf-8"),
}
_HEADERS: Final = {
    # Swagger UI needs 'unsafe-inline', because it sets style attributes. Scripts come only from this server.
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


@router.get("/")
async def get_root() -> RedirectResponse:
    """Redirect a browser that opens the server's public URL to the API reference."""
    return RedirectResponse("/docs", headers={"cache-control": "no-store"})


@router.get("/openapi.json")
async def get_openapi_document(request: Request) -> Response:
    """Return the OpenAPI document."""
    return public_answer(request, request.app.openapi_text)


@router.get("/docs")
async def get_reference() -> HTMLResponse:
    """Return the page of the API reference."""
    return HTMLResponse(_PAGES.get_template("reference.html").render(), headers=_HEADERS)


@router.get("/docs/errors")
async def get_errors() -> HTMLResponse:
    """Return the page of error codes. The `type` of each error response links to this page."""
    errors = [
        {"code": kind.code, "status": kind.status, "title": kind.title, "parts": _parts(kind)} for kind in error_kinds()
    ]
    return HTMLResponse(_PAGES.get_template("errors.html").render(errors=errors), headers=_HEADERS)


@router.get("/docs/assets/{name}")
async def get_asset(name: str) -> Response:
    """Return a static file of the reference. Raises: NotFound."""
    if name not in _ASSETS:
        raise NotFound("There is no such file.")
    folder, media_type = _ASSETS[name]
    headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
    return Response((folder / name).read_bytes(), headers=headers, media_type=media_type)


def _parts(kind: type[OneRuntimeError]) -> list[str]:
    """Return the explanation of an error. Each second part is code, which stands in backquotes."""
    return " ".join(kind.explanation).split("`")
