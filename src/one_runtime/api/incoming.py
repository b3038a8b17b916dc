"""The body of a caller of the proxy as it comes, and whether they are still there."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Final

from starlette.types import Message, Receive

from one_runtime.egress import UpstreamTimeout
from one_runtime.errors import TooLarge

_NO_LIMIT: Final = 1 << 62


class ClientDisconnected(Exception):
    """The caller has closed the connection."""


class RequestBody:
    """The caller's body, and whether they are still there. `failure`: why no more of it comes."""

    def __init__(self, receive: Receive, *, has_body: bool) -> None:
        self._receive = receive
        self._heard = 0.0
        self.size = 0
        self.failure: Exception | None = None
        self._read = asyncio.Event()
        if not has_body:
            self._read.set()

    def hear(self) -> None:
        """The provider says something: it is there, also where it does not read."""
        self._heard = asyncio.get_running_loop().time()

    async def whole(self) -> bytes:
        """All of it. Raises: Gone."""
        return b"".join([piece async for piece in self.pieces(_NO_LIMIT)])

    async def pieces(self, most: int, idle: float | None = None) -> AsyncIterator[bytes]:
        """Piece by piece; `idle`: seconds in which the provider has to take one, or to say something. Raises: TooLarge;
        Gone."""
        more = True
        while more:
            message: Message = await self._receive()
            if message["type"] == "http.disconnect":
                raise self._failed(ClientDisconnected())
            piece = message.get("body", b"")
            self.size += len(piece)
            if self.size > most:
                raise self._failed(too_large(most))
            if piece and idle is not None:
                self._watch(idle, idle)
                try:
                    yield piece
                finally:
                    self._watching.cancel()
            elif piece:
                yield piece
            more = message.get("more_body", False)
        self._read.set()

    def _watch(self, idle: float, seconds: float) -> None:
        self._watching = asyncio.get_running_loop().call_later(seconds, self._look, idle)

    def _look(self, idle: float) -> None:
        """Nobody reads of the caller while a piece is not taken, so that nothing would tell that they have gone."""
        quiet = asyncio.get_running_loop().time() - self._heard
        if quiet < idle:
            self._watch(idle, idle - quiet)
        else:
            self._failed(UpstreamTimeout(f"The provider took nothing of the body for {idle:g} seconds."))

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
