"""Compresses what is public: answers that say `Cache-Control: public`, of whatever route.

They hold nobody's data, so their lengths can give nothing away (BREACH); an answer that somebody had to be let in for
is not touched here. Compressed bodies are kept, by what they are compressed from.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from one_runtime.api.headers import coding_of
from one_runtime.integrations.content_coding import BLOCKING, WORTH_IT, Coding, Compressed, CompressedCache, compress

_KEPT_BYTES: Final = 16 * 1024 * 1024
_TYPES: Final = ("text/", "application/json", "image/svg+xml")


class CompressPublic:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept = CompressedCache(_KEPT_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(self, send, coding_of(scope)).send)

    async def compressed(self, body: bytes, coding: Coding) -> bytes:
        """The body, compressed: now, or when it was first sent."""
        key = hashlib.blake2b(body, digest_size=16).digest(), coding
        compressed: Compressed | None = self._kept.get(key)
        if compressed is None:
            if len(body) > BLOCKING:
                compressed = await asyncio.to_thread(compress, body, coding)
            else:
                compressed = compress(body, coding)
            self._kept.put(key, compressed)
        return compressed.after(b"")


@dataclass(slots=True)
class _Answer:
    """One answer on its way: its head waits for the body, which decides the length that the head tells."""

    compression: CompressPublic
    pass_on: Send
    coding: Coding | None
    head: Message | None = None

    async def send(self, message: Message) -> None:
        """Takes what the application sends."""
        if message["type"] == "http.response.start" and _is_public(message):
            self.head = {**message, "headers": [*message["headers"], (b"vary", b"accept-encoding")]}
            return
        if self.head is not None:
            head, self.head = self.head, None
            body = message.get("body", b"")
            # A stream is passed on as it comes.
            if self.coding and not message.get("more_body") and head["status"] == 200 and len(body) >= WORTH_IT:
                body = await self.compression.compressed(body, self.coding)
                message = {**message, "body": body}
                head["headers"] = [one for one in head["headers"] if one[0].lower() != b"content-length"] + [
                    (b"content-encoding", self.coding.encode()),
                    (b"content-length", str(len(body)).encode()),
                ]
            await self.pass_on(head)
        await self.pass_on(message)


def _is_public(message: Message) -> bool:
    """Whether an answer would be compressed for who takes that; a 304 is taken for what it stands for."""
    headers: Mapping[bytes, bytes] = {name.lower(): value for name, value in message["headers"]}
    kind = headers.get(b"content-type", b"").decode("latin-1")
    compressible = kind.startswith(_TYPES) or message["status"] == 304
    return (
        compressible and headers.get(b"cache-control", b"").startswith(b"public") and b"content-encoding" not in headers
    )
