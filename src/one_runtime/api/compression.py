"""Compress public responses: the responses with `Cache-Control: public`.

A public response contains no secret. Any other response can contain a secret. The length of a compressed response can
reveal such a secret (the BREACH attack). So the middleware compresses only public responses.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from one_runtime.api.headers import coding_of
from one_runtime.integrations.content_coding import MIN_SIZE, SMALL, Coding, Compressor

_TYPES: Final = ("text/", "application/json", "image/svg+xml")


class CompressPublic:
    """The ASGI middleware, with a cache of compressed bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # The cache has room for all public responses of an installation.
        self._compressor = Compressor(SMALL, capacity=16 * 1024 * 1024)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(self, send, coding_of(scope)).send)

    async def compressed(self, body: bytes, coding: Coding) -> bytes:
        """Return the compressed body."""
        return await self._compressor.compress(hashlib.blake2b(body, digest_size=16).digest(), body, coding)


@dataclass(slots=True)
class _Answer:
    """A response in progress.

    `head`: the message with the status and the headers. The headers contain the length of the compressed body. So the
    middleware first compresses the body, and sends `head` after the compression.
    """

    compression: CompressPublic
    pass_on: Send
    coding: Coding | None
    head: Message | None = None

    async def send(self, message: Message) -> None:
        """Handle an ASGI message from the application."""
        if message["type"] == "http.response.start" and _is_public(message):
            self.head = {**message, "headers": [*message["headers"], (b"vary", b"accept-encoding")]}
            return
        if self.head is not None:
            head, self.head = self.head, None
            body = message.get("body", b"")
            # The headers of a streamed response are sent before its length is known. So a streamed response stays
            # uncompressed.
            if self.coding and not message.get("more_body") and head["status"] == 200 and len(body) >= MIN_SIZE:
                body = await self.compression.compressed(body, self.coding)
                message = {**message, "body": body}
                head["headers"] = [header for header in head["headers"] if header[0].lower() != b"content-length"] + [
                    (b"content-encoding", self.coding.encode()),
                    (b"content-length", str(len(body)).encode()),
                ]
            await self.pass_on(head)
        await self.pass_on(message)


def _is_public(message: Message) -> bool:
    """Return True for a public response with a content type that compresses well, and for a public 304 response.

    A 304 response must have the same `Vary` header as the full response (RFC 9110 section 15.4.5).
    """
    headers: Mapping[bytes, bytes] = {name.lower(): value for name, value in message["headers"]}
    kind = headers.get(b"content-type", b"").decode("latin-1")
    compressible = kind.startswith(_TYPES) or message["status"] == 304
    return (
        compressible and headers.get(b"cache-control", b"").startswith(b"public") and b"content-encoding" not in headers
    )
