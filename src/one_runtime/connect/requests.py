"""What the popup's routes have in common: how a request is read, and how its answer is sent."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from one_runtime.connect.pages import Page
from one_runtime.errors import TooLarge, Unauthenticated
from one_runtime.tenancy.authentication import bearer_token

MAX_BODY_BYTES: Final = 256 * 1024
PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# What a request for something inside of another page says of itself, in browsers that say anything.
_FRAMES: Final = frozenset({"iframe", "frame", "fencedframe", "embed", "object"})

Call: TypeAlias = Callable[[str, Request], Awaitable[BaseModel | None]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def is_framed(request: Request) -> bool:
    """Whether a browser says that it wants to show the answer inside of another page."""
    return request.headers.get("sec-fetch-dest") in _FRAMES


def rendered(page: Page) -> Response:
    """The page as a response."""
    return Response(page.body, page.status, page.headers)


def called(call: Call) -> Endpoint:
    """An endpoint for the page's script: session token in, JSON out. Errors are the app's to answer, as everywhere."""

    async def endpoint(request: Request) -> Response:
        answer = await call(token_of(request), request)
        if answer is None:
            return Response(status_code=204, headers=PRIVATE)
        return Response(answer.model_dump_json(), 200, PRIVATE, "application/json")

    return endpoint


def token_of(request: Request) -> str:
    """The session token. Raises: Unauthenticated."""
    token = bearer_token(request.scope["headers"])
    if token is None:
        raise Unauthenticated("Send the session token in the header `Authorization: Bearer orcs_…`.")
    return token


async def body_of(request: Request) -> bytes:
    """The body, at most so much of it. Raises: TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"The body may have {MAX_BODY_BYTES} bytes.")
    return bytes(body)
