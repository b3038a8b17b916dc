"""Limit what a browser can send to the dashboard: the body, its media type, and characters that no text can have."""

import asyncio
import time
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.types import Message, Receive

from one_runtime.dashboard.form_bodies import MAX_MULTIPART, MAX_PUBLIC, MAX_URL_ENCODED, MULTIPART, URL_ENCODED
from one_runtime.errors import MalformedRequest, RequestTimeout, TooLarge

_MAX_QUERY: Final = 32 * 1024

_INVALID: Final = "contains a character that cannot be stored. Remove the character, and try again."


def limit_time(receive: Receive, timeout: float) -> Receive:
    """Return a `receive` function that raises RequestTimeout.

    `timeout`: seconds until the whole body must have arrived.
    """
    more, deadline = True, time.monotonic() + timeout

    async def receive_limited() -> Message:
        nonlocal more
        remaining = max(deadline - time.monotonic(), 0) if more else None  # after the body, only a disconnect follows
        try:
            async with asyncio.timeout(remaining):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout("The form did not arrive in time. Send the form again.") from None
        more = message.get("more_body", False)
        return message

    return receive_limited


async def read_body(request: Request, *, is_public: bool) -> bytes:
    """Return the body of a form. `is_public`: True for a page that anybody can use.

    Raises: MalformedRequest; TooLarge; RequestTimeout.
    """
    media_type = _media_type(request)
    most = MAX_PUBLIC if is_public else MAX_MULTIPART if media_type == MULTIPART else MAX_URL_ENCODED
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise TooLarge(f"This form can have at most {most // 1024} kB.")
    return bytes(body)


def require_text_in_url(request: Request) -> None:
    """Check the path and the query of a page.

    Raises: TooLarge for a long query, whose thousands of parameters would occupy the event loop (promise P17);
    MalformedRequest if the path or the query contains a NUL, which PostgreSQL cannot store.
    """
    query = request.scope["query_string"].decode("latin-1")
    if len(query) > _MAX_QUERY:
        raise TooLarge(f"The query of this address can have at most {_MAX_QUERY // 1024} kB. Use fewer filters.")
    if "\x00" in request.scope["path"] or "\x00" in unquote(query):
        raise MalformedRequest(f"The address {_INVALID}")


def _media_type(request: Request) -> str:
    """Return the media type of a body. A body without a media type must be empty.

    A form with several parts could name a character set whose decoder needs minutes, such as punycode. Browsers never
    name the character set of such a form.

    Raises: MalformedRequest.
    """
    header = request.headers.get("content-type", "").lower()
    media_type = header.partition(";")[0].strip()
    if media_type not in {"", URL_ENCODED, MULTIPART} or (media_type == MULTIPART and "charset" in header):
        raise MalformedRequest("Send the form of the page. Its text has to be UTF-8.")
    return media_type


def require_text(value: str) -> None:
    """Raises: MalformedRequest if a field contains a NUL or a part of a surrogate pair."""
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedRequest(f"A field of the form {_INVALID}")
