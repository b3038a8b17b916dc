"""What a request's headers ask of an answer: whether it changed (conditions), and how it may be coded."""

import hashlib
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from one_runtime.integrations.content_coding import Coding, choose

PUBLIC: Final = {"cache-control": "public, max-age=300", "access-control-allow-origin": "*"}
"""Of answers that hold nobody's data: they may be kept by anybody, and api/compression.py compresses them."""


def header(scope: Scope, wanted: bytes) -> bytes:
    """A header's value; of one that is there more than once, all of them (RFC 9110 section 5.3)."""
    return b", ".join([value for name, value in scope["headers"] if name == wanted])


def is_current(scope: Scope, etag: bytes) -> bool:
    """Whether `If-None-Match` names the tag, by weak comparison (RFC 9110 section 13.1.2)."""
    tags = header(scope, b"if-none-match")
    if not tags:
        return False
    wanted = {part.strip().removeprefix(b"W/") for part in tags.split(b",")}
    return b"*" in wanted or etag.removeprefix(b"W/") in wanted


def coding_of(scope: Scope) -> Coding | None:
    """The coding to answer in."""
    accepted = header(scope, b"accept-encoding")
    return choose(accepted.decode("latin-1")) if accepted else None


def public_answer(request: Request, text: bytes) -> Response:
    """JSON that anybody may keep, with its entity tag, or 304.

    The tag is weak: it is the same whatever the coding (RFC 9110 section 8.8.3.3).
    """
    etag = f'W/"{hashlib.blake2b(text, digest_size=16).hexdigest()}"'
    headers = {**PUBLIC, "etag": etag}
    if is_current(request.scope, etag.encode()):
        return Response(status_code=304, headers=headers)
    return Response(text, headers=headers, media_type="application/json")
