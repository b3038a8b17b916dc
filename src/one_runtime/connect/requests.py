"""Read the requests of browsers, and build JSON endpoints, for all routes of the popup."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from one_runtime.connect.problems import members_of
from one_runtime.errors import OneRuntimeError, TooLarge, Unauthenticated
from one_runtime.tenancy.authentication import bearer_token

MAX_BODY_BYTES: Final = 256 * 1024
PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# Values of the header `Sec-Fetch-Dest` in a request for the page of a frame. Some old browsers omit this header.
_FRAMES: Final = frozenset({"iframe", "frame", "fencedframe", "embed", "object"})

Call: TypeAlias = Callable[[str, Request], Awaitable[BaseModel | None]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def is_framed(request: Request) -> bool:
    """Return True if the browser reports that the response is for a frame."""
    return request.headers.get("sec-fetch-dest") in _FRAMES


def json_endpoint(call: Call) -> Endpoint:
    """Return an endpoint for the script of the popup. The script sends the session token and receives JSON."""

    async def endpoint(request: Request) -> Response:
        token = bearer_token(request.scope["headers"])
        if token is None:
            raise Unauthenticated("Send the session token in the header `Authorization: Bearer orcs_…`.")
        try:
            answer = await call(token, request)
        except OneRuntimeError as error:
            error.members = members_of(error)
            raise
        if answer is None:
            return Response(status_code=204, headers=PRIVATE)
        return Response(answer.model_dump_json(), 200, PRIVATE, "application/json")

    return endpoint


async def read_body(request: Request) -> bytes:
    """Return the body of a request. Raises: TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"The body must have at most {MAX_BODY_BYTES} bytes.")
    return bytes(body)
