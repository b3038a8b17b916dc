"""Read the bodies of proxy requests, and detect that the caller has disconnected.

Each part of a body has to arrive within a time limit.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine

from starlette.types import Message, Receive

from one_runtime.egress.errors import UpstreamTimeout
from one_runtime.errors import RequestTimeout, TooLarge
from one_runtime.proxy.concurrency import CallRecord


class ClientDisconnected(Exception):
    """The caller closed the connection."""


class RequestBody:
    """The body of a proxy request.

    `record` counts the bytes of the body. `failure`: the error that stopped the reading of the body, or None.
    """

    def __init__(self, receive: Receive, record: CallRecord, timeout: float, *, has_body: bool) -> None:
        """`timeout`: maximum time in seconds to wait for the next part of the body.

        Each part of the provider's response restarts this time.
        """
        self._receive = receive
        self._record = record
        self._timeout = timeout
        self._waiting: asyncio.Timeout | None = None
        self._last_activity = 0.0
        self.failure: Exception | None = None
        self._ended = asyncio.Event()
        if not has_body:
            self._ended.set()

    def touch(self) -> None:
        """Restart the limits `timeout` and `idle`. Call this method after each part of the provider's response."""
        self._last_activity = asyncio.get_running_loop().time()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._last_activity + self._timeout)

    async def read_all(self) -> bytes:
        """Return the whole body. Raises: RequestTimeout; TooLarge; ClientDisconnected."""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self, idle: float | None = None) -> AsyncIterator[bytes]:
        """Yield the body piece by piece. Raises: RequestTimeout; TooLarge; ClientDisconnected.

        `idle`: maximum number of seconds without activity of the provider. The provider is active when it reads a piece
        or sends a part of the response. None means no limit.
        """
        more = True
        while more:
            message = await self._next_message()
            if message["type"] == "http.disconnect":
                raise self._fail(ClientDisconnected())
            piece = message.get("body", b"")
            self._record.request_bytes += len(piece)
            if self._record.request_bytes > self._record.max_bytes:
                raise self._fail(too_large(self._record.max_bytes))
            if piece and idle is not None:
                self._schedule_idle_check(idle, idle)
                try:
                    yield piece
                finally:
                    self._idle_check.cancel()
            elif piece:
                yield piece
            more = message.get("more_body", False)
        self._ended.set()

    async def _next_message(self) -> Message:
        """Wait for the next part of the body, at most `timeout` seconds. Without a limit, the wait could be endless."""
        try:
            async with asyncio.timeout(self._timeout) as self._waiting:
                return await self._receive()
        except TimeoutError:
            raise self._fail(too_slow()) from None
        finally:
            self._waiting = None

    def _schedule_idle_check(self, idle: float, delay: float) -> None:
        self._idle_check = asyncio.get_running_loop().call_later(delay, self._check_idle, idle)

    def _check_idle(self, idle: float) -> None:
        """Stop reading the body if the provider has been idle for at least `idle` seconds.

        While a piece waits for the provider, One Runtime does not call `receive`. So One Runtime cannot notice that the
        caller disconnects. This check ends the call after the idle time.
        """
        quiet = asyncio.get_running_loop().time() - self._last_activity
        if quiet < idle:
            self._schedule_idle_check(idle, idle - quiet)
        else:
            self._fail(UpstreamTimeout(f"The provider did not read from the request body for {idle:g} seconds."))

    def _fail(self, failure: Exception) -> Exception:
        self.failure = failure
        self._ended.set()
        return failure

    async def run_until_disconnect(self, work: Coroutine[None, None, None]) -> None:
        """Run `work`. Cancel `work` if the caller disconnects, or if an error stops the reading of the body.

        Raises: the error in `failure`, if there is such an error. Otherwise, the error of `work`. After a failure, the
        error of `work` can name a wrong cause.
        """
        task, disconnect = asyncio.ensure_future(work), asyncio.ensure_future(self._wait_for_disconnect())
        try:
            await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if self.failure is not None:
                raise self.failure
            if task.done():
                await task
        finally:
            disconnect.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # retrieve the exception, so that asyncio does not log it

    async def _wait_for_disconnect(self) -> None:
        await self._ended.wait()
        while self.failure is None and (await self._receive())["type"] != "http.disconnect":
            pass


def too_slow() -> RequestTimeout:
    """Return the error for a part of a body that did not arrive in time."""
    return RequestTimeout(
        "The next part of the body did not arrive in time. Send the request again. The operator sets the limit with "
        "ONE_RUNTIME_BODY_TIMEOUT."
    )


def too_large(limit: int) -> TooLarge:
    """Return the error for a body of more than `limit` bytes."""
    return TooLarge(f"The body must be at most {limit} bytes. The operator has set this limit.")
