"""Health, and the API reference: its assets come from this server."""

import html
from importlib.resources import files
from typing import Final, Literal

import fastapi_offline
from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from one_runtime.api.auth import Installed
from one_runtime.api.fields import Answer
from one_runtime.errors import NotFound, OneRuntimeError

router = APIRouter(tags=["System"])

_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
}
_START: Final = b"""SwaggerUIBundle({url: "/openapi.json", dom_id: "#reference", deepLinking: true,
  persistAuthorization: false, tryItOutEnabled: false});
"""
_HEADERS: Final = {
    # The reference's own library sets style attributes; scripts come from here only.
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Health(Answer):
    """Up, and ready to serve."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", summary="The process runs")
async def healthz() -> Health:
    """Liveness: the process answers. It says nothing about the database."""
    return Health()


@router.get("/readyz", summary="The process can serve")
async def readyz(installation: Installed) -> Health:
    """Readiness: the database answers too; 503 where it does not."""
    await installation.database.ping()
    return Health()


@router.get("/docs", include_in_schema=False)
async def reference() -> HTMLResponse:
    """The API reference."""
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>One Runtime API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head><body><div id="reference"></div>'
        '<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="/docs/assets/start.js"></script>'
        "</body></html>"
    )
    return HTMLResponse(page, headers=_HEADERS)


@router.get("/docs/assets/{name}", include_in_schema=False)
async def reference_asset(name: str) -> Response:
    """A file of the reference."""
    if name not in _ASSETS:
        raise NotFound("There is no such file.")
    body = _START if name == "start.js" else files(fastapi_offline).joinpath("static", name).read_bytes()
    headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
    return Response(body, headers=headers, media_type=_ASSETS[name])


@router.get("/docs/errors", include_in_schema=False)
async def error_reference() -> HTMLResponse:
    """Every error code, its status and what it means: where a problem's `type` leads."""
    rows = "".join(
        f'<dt id="{one.code}"><code>{one.code}</code> ({one.status})</dt><dd>{html.escape(one.title)}. '
        f"{html.escape((one.__doc__ or '').strip())}</dd>"
        for one in sorted(error_kinds(), key=lambda one: one.code)
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Errors of One Runtime</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"</head><body><main><h1>Errors</h1><dl>{rows}</dl></main></body></html>"
    )
    return HTMLResponse(page, headers=_HEADERS)


def error_kinds() -> list[type[OneRuntimeError]]:
    """Every error with a code of its own, by code."""
    kinds: dict[str, type[OneRuntimeError]] = {}
    waiting: list[type[OneRuntimeError]] = [OneRuntimeError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        kinds.setdefault(kind.code, kind)
    return list(kinds.values())
