"""Compare a body with the `Content-Length` that the caller declared.

Without this check, httpx2 raises an error of another library (h11), which is no error of this client.
"""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Final

import httpx2

from one_runtime_client.errors import FieldError, InvalidInput

CONTENT_LENGTH: Final = "content-length"
_NUMBER: Final = re.compile("[0-9]{1,18}")


class _Count:
    """The number of bytes of a body, compared with the declared length."""

    def __init__(self, declared: int) -> None:
        self._declared, self._sent = declared, 0

    def add(self, part: bytes) -> bytes:
        """Raises: InvalidInput for a body that is too long."""
        self._sent += len(part)
        if self._sent > self._declared:
            raise _contradiction(f"the body is longer than the declared {self._declared:,}")
        return part

    def finish(self) -> None:
        """Raises: InvalidInput for a body that is too short."""
        if self._sent < self._declared:
            raise _contradiction(f"the body ends after {self._sent:,} of {self._declared:,} bytes")


class _SyncBody(httpx2.SyncByteStream):
    def __init__(self, body: httpx2.SyncByteStream, declared: int) -> None:
        self._body, self._declared = body, declared

    def __iter__(self) -> Iterator[bytes]:
        count = _Count(self._declared)
        for part in self._body:
            yield count.add(part)
        count.finish()

    def close(self) -> None:
        self._body.close()


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, body: httpx2.AsyncByteStream, declared: int) -> None:
        self._body, self._declared = body, declared

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = _Count(self._declared)
        async for part in self._body:
            yield count.add(part)
        count.finish()

    async def aclose(self) -> None:
        await self._body.aclose()


def compare_length(http: httpx2.Client | httpx2.AsyncClient, request: httpx2.Request) -> None:
    """Let a request with a declared length raise `InvalidInput` while its body is sent, if the length is wrong."""
    declared = request.headers[CONTENT_LENGTH]
    if not _NUMBER.fullmatch(declared):
        raise _contradiction(f"{declared[:40]!r} is not a number of bytes")
    body = request.stream
    if isinstance(http, httpx2.Client) and isinstance(body, httpx2.SyncByteStream):
        request.stream = _SyncBody(body, int(declared))
    elif isinstance(body, httpx2.AsyncByteStream):
        request.stream = _AsyncBody(body, int(declared))


def _contradiction(reason: str) -> InvalidInput:
    detail = f"Content-Length is wrong: {reason}. Omit the header, or send the length of the body."
    return InvalidInput(detail, errors=[FieldError("Content-Length", reason)])
