"""Read the request headers for caches and compression, and send responses with entity tags."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope, Send

from one_runtime.integrations.content_coding import Coding, choose

Header: TypeAlias = tuple[bytes, bytes]

CODED: Final[Mapping[Coding, Header]] = {
    "gzip": (b"content-encoding", b"gzip"),
    "zstd": (b"content-encoding", b"zstd"),
}
"""The response header for each content coding."""

_JSON: Final[Header] = (b"content-type", b"application/json")

PUBLIC_HEADERS: Final = {"cache-control": "public, max-age=300", "access-control-allow-origin": "*"}
"""Headers of public responses.

Every cache can store a response with these headers for 5 minutes, and every website can read the response. The
middleware `CompressPublic` compresses the response.
"""


PREFLIGHT_HEADERS: Final = {
    "allow": "GET, HEAD, OPTIONS",
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, OPTIONS",
    "access-control-allow-headers": "*",
    "access-control-max-age": "86400",
}
"""Headers of the response to a CORS preflight request for a public resource."""


def header(scope: Scope, name: bytes) -> bytes:
    """Return the value of a header, or an empty value if the header is absent.

    If the request has several headers with this name, join the values with commas (RFC 9110 section 5.3).
    """
    values = [value for other, value in scope["headers"] if other == name]
    return values[0] if len(values) == 1 else b", ".join(values)


def is_current(scope: Scope, etag: bytes) -> bool:
    """Return True if the caller already has the response with this entity tag.

    The function compares the header `If-None-Match` with the tag (weak comparison, RFC 9110 section 13.1.2).
    """
    tags = header(scope, b"if-none-match")
    if not tags:
        return False
    if tags == etag:
        return True
    accepted = {part.strip().removeprefix(b"W/") for part in tags.split(b",")}
    return b"*" in accepted or etag.removeprefix(b"W/") in accepted


def is_unchanged(scope: Scope, etag: bytes | None) -> bool:
    """Return True if a request with the header `If-Match` can change a resource, or if the header is absent.

    `etag`: the present entity tag, or None if the resource does not exist. The comparison is strong (RFC 9110 section
    13.1.1), so a weak tag never matches.
    """
    tags = header(scope, b"if-match")
    accepted = {part.strip() for part in tags.split(b",")}
    return not tags or (etag is not None and (b"*" in accepted or etag in accepted))


def coding_of(scope: Scope) -> Coding | None:
    """Return the content coding for the response. Return None if the caller accepts only an uncompressed response."""
    accepted = header(scope, b"accept-encoding")
    return choose(accepted.decode("latin-1")) if accepted else None


def public_answer(request: Request, text: bytes) -> Response:
    """Return a public JSON response with an entity tag. If the caller already has the JSON text, return a 304 response.

    The tag is weak, because compressed and uncompressed responses have the same tag (RFC 9110 section 8.8.3.3).
    """
    etag = f'W/"{hashlib.blake2b(text, digest_size=16).hexdigest()}"'
    headers = {**PUBLIC_HEADERS, "etag": etag}
    if is_current(request.scope, etag.encode()):
        return Response(status_code=304, headers=headers)
    return Response(text, headers=headers, media_type="application/json")


async def send_json(send: Send, body: bytes, headers: Iterable[Header]) -> None:
    """Send a JSON response from a plain ASGI endpoint."""
    all_headers = [*headers, _JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


async def send_not_modified(send: Send, headers: Iterable[Header]) -> None:
    """Send a 304 response from a plain ASGI endpoint."""
    await send({"type": "http.response.start", "status": 304, "headers": [*headers]})
    await send({"type": "http.response.body", "body": b""})
