"""Middleware that compresses public responses (with `Cache-Control: public`) of all routes.

Public responses contain no private data, so their compressed length reveals no secret (the BREACH attack). This
middleware does not compress responses to authenticated requests.
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
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # The cache has room for all public responses of an installation.
        self._compressor = Compressor(SMALL, capacity=16 * 1024 * 1024)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(self, send, coding_of(scope)).send)

    async def compressed(self, body: bytes, coding: Coding) -> bytes:
        """Return the compressed body."""
        return await self._compressor.compress(hashlib.blake2b(body, digest_size=16).digest(), body, coding)


@dataclass(slots=True)
class _Answer:
    """A response in progress. Its headers wait for the body, because they contain the body's compressed length."""

    compression: CompressPublic
    pass_on: Send
    coding: Coding | None
    head: Message | None = None

    async def send(self, message: Message) -> None:
        """Receive the ASGI messages of the application."""
        if message["type"] == "http.response.start" and _is_public(message):
            self.head = {**message, "headers": [*message["headers"], (b"vary", b"accept-encoding")]}
            return
        if self.head is not None:
            head, self.head = self.head, None
            body = message.get("body", b"")
            # A streamed response stays unchanged, because its length is not known yet.
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
    """Return True for a public response that may be compressed, or for a 304 that stands for such a response."""
    headers: Mapping[bytes, bytes] = {name.lower(): value for name, value in message["headers"]}
    kind = headers.get(b"content-type", b"").decode("latin-1")
    compressible = kind.startswith(_TYPES) or message["status"] == 304
    return (
        compressible and headers.get(b"cache-control", b"").startswith(b"public") and b"content-encoding" not in headers
    )
