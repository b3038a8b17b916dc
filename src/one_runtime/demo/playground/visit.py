"""One visit to the backend: who is signed in, by a cookie of its own, and what the page sent.

A real product has a login in this place. Here the visitor may be any end user, so nothing guards what the cookie says;
but it is the backend that reads it, and neither the page nor an address says for whom the backend acts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from one_runtime.demo.playground.calls import OneRuntime
from one_runtime.demo.playground.product import END_USERS, Playground

_MAX_BODY: Final = 16_384
_MAX_ID: Final = 255


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of a browser, who is signed in there, and the API to ask for them."""

    request: Request
    end_user_id: str
    one_runtime: OneRuntime
    playground: Playground


class BadRequest(Exception):
    """The page, or somebody else, sent something that the backend does not take."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


def signed_in(request: Request, origin: str) -> str:
    """The end user of this browser; without a cookie the first one."""
    return unquote(request.cookies.get(_cookie(origin), "")).strip()[:_MAX_ID] or next(iter(END_USERS))


def sign_in(response: Response, origin: str, end_user_id: str) -> Response:
    """Be this end user from now on. Lax: the browser sends the cookie along when it comes back from One Runtime."""
    response.set_cookie(_cookie(origin), quote(end_user_id, safe=""), httponly=True, samesite="lax")
    return response


def _cookie(origin: str) -> str:
    """Named by the port: cookies do not tell the ports of a host apart, and two demos may run side by side."""
    return f"fernhill_{urlsplit(origin).port}"


def is_from_elsewhere(request: Request, origin: str) -> bool:
    """Return true if another site caused the request. Only our own page may make the backend act."""
    return request.headers.get("origin", origin) != origin or request.headers.get("sec-fetch-site") == "cross-site"


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object that the page sent. Raises: BadRequest."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BadRequest("Send JSON.", 415)
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise BadRequest("That is too much.", 413)
    try:
        data = json.loads(body)
    except ValueError as error:
        raise BadRequest("Send JSON.") from error
    if not isinstance(data, dict):
        raise BadRequest("Send a JSON object.")
    return data


def text(given: Mapping[str, Any], name: str) -> str:
    """One text of what was sent. Raises: BadRequest."""
    value = given.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"{name} is missing.")
    if len(value.strip()) > _MAX_ID:
        raise BadRequest(f"{name} is too long.")
    return value.strip()
