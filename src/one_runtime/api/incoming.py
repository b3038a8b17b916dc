"""The body of a caller of the proxy as it comes, and whether they are still there."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Final

from starlette.types import Message, Receive

from one_runtime.egress import Limits, UpstreamTimeout
from one_runtime.errors import TooLarge

_NO_LIMIT: Final = 1 << 62


class Gone(Exception):
    """The caller has closed the connection."""


class Incoming:
    """The caller's body, and whether they are still there. `failure`: why no more of it comes."""

    def __init__(self, receive: Receive, limits: Limits, *, has_body: bool) -> None:
        self._receive, self.limits = receive, limits
        self.size = 0
        self.failure: Exception | None = None
        self._read = asyncio.Event()
        if not has_body:
            self._read.set()

    async def whole(self) -> bytes:
        """All of it. Raises: Gone."""
        return b"".join([piece async for piece in self.pieces(_NO_LIMIT)])

    async def pieces(self, most: int) -> AsyncIterator[bytes]:
        """Piece by piece. Raises: TooLarge; Gone."""
        call_later, more = asyncio.get_running_loop().call_later, True
        while more:
            message: Message = await self._receive()
            if message["type"] == "http.disconnect":
                raise self._failed(Gone())
            piece = message.get("body", b"")
            self.size += len(piece)
            if self.size > most:
                raise self._failed(too_large(most))
            if piece:
                stalled = call_later(self.limits.idle, self._stalled)
                try:
                    yield piece
                finally:
                    stalled.cancel()
            more = message.get("more_body", False)
        self._read.set()

    def _stalled(self) -> None:
        """Nobody reads of the caller meanwhile, so that nothing would tell that they have gone."""
        self._failed(UpstreamTimeout(f"The provider took nothing of the body for {self.limits.idle:g} seconds."))

    def _failed(self, failure: Exception) -> Exception:
        self.failure = failure
        self._read.set()
        return failure

    async def unless_gone(self, work: Coroutine[None, None, None]) -> None:
        """Do the work, and give it up as soon as the caller goes away, or their body fails. Raises: what either does;
        of both the body's failure, which the way out takes for the provider's."""
        task, leaving = asyncio.ensure_future(work), asyncio.ensure_future(self._left())
        try:
            await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if self.failure is not None:
                raise self.failure
            if task.done():
                await task
        finally:
            leaving.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # it was told, or something before it

    async def _left(self) -> None:
        await self._read.wait()
        while self.failure is None and (await self._receive())["type"] != "http.disconnect":
            pass


def too_large(most: int) -> TooLarge:
    """What a caller is told whose body has more than `most` bytes."""
    return TooLarge(f"The body is larger than the {most} bytes that the operator allows.")
