"""Read a request from the sample product's page to its backend: the signed-in end user and the JSON body.

A cookie contains the id of the end user. A real product has a login here. In the demo, a visitor can sign in as any end
user, so the cookie needs no protection. The backend acts only for the end user in the cookie.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from one_runtime.demo.sample_product.calls import OneRuntime
from one_runtime.demo.sample_product.product import FIRST_END_USER, SampleProduct

_MAX_BODY: Final = 16_384
_MAX_ID: Final = 255


@dataclass(frozen=True, slots=True)
class ProductVisit:
    """A browser's request, with the signed-in end user and a client of One Runtime's API."""

    request: Request
    end_user_id: str
    one_runtime: OneRuntime
    product: SampleProduct


class BadRequest(Exception):
    """The backend refuses the input."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


def signed_in(request: Request, origin: str) -> str:
    """Return the end user of this browser. Without a cookie, return the first end user of the demo."""
    return unquote(request.cookies.get(_cookie(origin), "")).strip()[:_MAX_ID] or FIRST_END_USER


def sign_in(response: Response, origin: str, end_user_id: str) -> Response:
    """Sign in as this end user.

    The cookie is SameSite=Lax, so the browser also sends the cookie when One Runtime redirects to the backend.
    """
    response.set_cookie(_cookie(origin), quote(end_user_id, safe=""), httponly=True, samesite="lax")
    return response


def _cookie(origin: str) -> str:
    """Return the cookie's name. The name contains the port, because browsers send cookies to all ports of a host."""
    return f"fernhill_{urlsplit(origin).port}"


def is_cross_site(request: Request, origin: str) -> bool:
    """Return True if another website caused the request."""
    return request.headers.get("origin", origin) != origin or request.headers.get("sec-fetch-site") == "cross-site"


async def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object of the body. Raises: BadRequest."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BadRequest("Send JSON.", 415)
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise BadRequest("The body must be at most 16 kB.", 413)
    try:
        data = json.loads(body)
    except ValueError as error:
        raise BadRequest("Send JSON.") from error
    if not isinstance(data, dict):
        raise BadRequest("Send a JSON object.")
    return data


def text(data: Mapping[str, Any], name: str) -> str:
    """Return a text field of the input. Raises: BadRequest."""
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"{name} is missing.")
    if len(value.strip()) > _MAX_ID:
        raise BadRequest(f"{name} is too long.")
    return value.strip()
