"""Limit what a browser can send to the dashboard: the body, its media type, and characters that no text can have."""

import asyncio
import time
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.types import Message, Receive

from one_runtime.errors import MalformedRequest, RequestTimeout, TooLarge

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""Maximum size of a form. The largest form uploads an OpenAPI document."""

_URL_ENCODED: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_INVALID: Final = "contains a character that cannot be stored. Remove the character, and try again."


def limit_body(receive: Receive, timeout: float) -> Receive:
    """Return a `receive` function that limits the body. `timeout`: seconds until the whole body must have arrived.

    The returned function raises TooLarge or RequestTimeout.
    """
    size, more, deadline = 0, True, time.monotonic() + timeout

    async def receive_limited() -> Message:
        nonlocal size, more
        remaining = max(deadline - time.monotonic(), 0) if more else None  # after the body, only a disconnect follows
        try:
            async with asyncio.timeout(remaining):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout("The form did not arrive in time. Send the form again.") from None
        more = message.get("more_body", False)
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"A form can have at most {MAX_BODY_BYTES // 1024 // 1024} MB.")
        return message

    return receive_limited


def require_text_in_url(request: Request) -> None:
    """Raises: MalformedRequest if the path or the query contains a NUL, which PostgreSQL cannot store."""
    query = request.scope["query_string"].decode("latin-1")
    if "\x00" in request.scope["path"] or "\x00" in unquote(query):
        raise MalformedRequest(f"The address {_INVALID}")


def require_form(request: Request) -> None:
    """Check the media type of a body. A body without a media type must be empty.

    A form with several parts could name a character set whose decoder needs minutes, such as punycode. Browsers never
    name the character set of such a form.

    Raises: MalformedRequest.
    """
    header = request.headers.get("content-type", "").lower()
    media_type = header.partition(";")[0].strip()
    if media_type not in {"", _URL_ENCODED, _MULTIPART} or (media_type == _MULTIPART and "charset" in header):
        raise MalformedRequest("Send the form of the page. Its text has to be UTF-8.")


def require_text(value: str) -> None:
    """Raises: MalformedRequest if a field contains a NUL or a part of a surrogate pair."""
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise MalformedRequest(f"A field of the form {_INVALID}")
