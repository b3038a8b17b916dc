"""The HTTP protocol of outbound connections: aiohttp's protocol, with limits for what a provider can send.

aiohttp parses everything that arrives at once, and the event loop can read several megabytes of a connection before
anything else runs. A provider that sends one byte in each chunk would so stop the event loop, and with it the requests
to all other providers (promise P12 of docs/security.md). aiohttp also reads any number of bytes that belong to no body,
such as the extensions of a chunk (RFC 9112 section 7.1.1).
"""

import asyncio
import select
import time
from asyncio import AbstractEventLoop
from collections import OrderedDict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aiohttp import ClientPayloadError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader

PIECE: Final = 4 * 1024
"""Number of bytes that the parser gets at once, if they can contain many chunks."""

TIME_SLICE: Final = 0.005
"""Seconds for which all connections together parse, before other work continues."""

_SPARSE: Final = 64
"""Data with a line break in at most each 64th byte contains few chunks. The parser gets such data at once."""

_MOST_INFORMATIONAL: Final = 100
"""Maximum number of informational responses (1xx) before the final response."""

_MOST_OTHER_BYTES: Final = 4 * 1024 * 1024
_OTHER_BYTES_OF_BODY: Final = 16
"""Limits of the bytes of a response that are not body: a number, and a number for each byte of the body.

A chunk of one byte has five other bytes. A head has at most 128 headers of 16 kB.
"""

Idle: TypeAlias = OrderedDict[ResponseHandler, None]
"""Idle connections, in the order in which the connections became idle."""

SingleUse: TypeAlias = dict[ResponseHandler, asyncio.Transport]
"""Open connections of requests without a tenant, such as the requests of `one-runtime doctor`.

The dictionary stores each transport, because a protocol that is closing no longer has its transport.
"""


class TimeSlices:
    """Shares the time for parsing between the connections of an event loop, and leaves time for other work."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._used = 0.0
        self._waiting: dict[Protocol, None] = {}
        self._next: asyncio.Handle | None = None

    @property
    def is_over(self) -> bool:
        """Return True until the next time slice begins, if this one is used up."""
        return self._next is not None

    def use(self, seconds: float) -> None:
        """Count time that a connection has used for parsing."""
        self._used += seconds
        if self._used >= TIME_SLICE:
            self._end()

    def wait(self, protocol: "Protocol") -> None:
        """Let a connection continue in the next time slice."""
        self._waiting[protocol] = None
        self._end()

    def _end(self) -> None:
        if self._next is None:
            self._next = self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._next, self._used = None, 0.0
        waiting, self._waiting = self._waiting, {}
        while waiting and not self.is_over:
            protocol = next(iter(waiting))
            del waiting[protocol]
            protocol.parse_held()
        self._waiting = {**waiting, **self._waiting}


class Protocol(ResponseHandler):
    """One connection to a provider.

    - Closes an idle connection that receives data. No request asked for this data.
    - Closes a connection with too many informational responses (1xx), or with too many bytes that are not body. aiohttp
      reads any number of these, and each of them restarts the time without data.
    - Parses data that can contain many chunks in pieces, and holds the others until the next time slice.
    """

    def __init__(self, idle: Idle, single_use: SingleUse, slices: TimeSlices, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self._informational = 0
        self._idle = idle
        self._single_use = single_use
        self._slices = slices
        self._received = 0
        """Number of bytes since the request."""
        self._held = bytearray()
        self._readable = select.poll()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def set_response_params(self, **parameters: Any) -> None:
        """Prepare the connection for the next response."""
        self._received = 0
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        # aiohttp calls `data_received(b"")` after a pause, to continue parsing. Such a call contains no data.
        if not data:
            super().data_received(data)
        elif self in self._idle:
            self.abort()
        elif self._held or self._slices.is_over or self._may_have_many_chunks(data):
            self._held += data
            self.parse_held()
        else:
            self._parse(data)

    @staticmethod
    def _may_have_many_chunks(data: bytes) -> bool:
        return len(data) > PIECE and data.count(b"\n") > len(data) // _SPARSE

    def parse_held(self) -> None:
        """Parse held data until the time slice is over, or until the reader of the body has too much to read."""
        while self._held and not (self._slices.is_over or self._reading_paused or self._has_ended()):
            piece = bytes(self._held[:PIECE])
            del self._held[:PIECE]
            self._parse(piece)
        if self._has_ended():
            self._held.clear()
        elif self._held:
            if not self._buffer_paused:
                self._pause_reading_for_buffer()
            if not self._reading_paused:
                self._slices.wait(self)
        elif self._buffer_paused:
            self._resume_reading_for_buffer()

    def _parse(self, data: bytes) -> None:
        begun = time.monotonic()
        self._received += len(data)
        super().data_received(data)
        if self._received > _MOST_OTHER_BYTES:
            self._limit_other_bytes()
        self._slices.use(time.monotonic() - begun)

    def _limit_other_bytes(self) -> None:
        payload = self._payload
        body = payload.total_bytes if payload is not None else 0
        if self._received <= _MOST_OTHER_BYTES + (1 + _OTHER_BYTES_OF_BODY) * body or self._has_ended():
            return
        self.abort()
        self.set_exception(HttpProcessingError(message="too many bytes that are not body"))
        if payload is not None:
            payload.set_exception(ClientPayloadError("too many bytes that are not body"))

    def _has_ended(self) -> bool:
        """Return True if this side has closed the connection. If the provider did, held data is still to be parsed."""
        return self.transport is None or self.exception() is not None

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - as in aiohttp
        """Continue when the reader of the body has read enough."""
        super().resume_reading(resume_parser)
        if self._held and not self._reading_paused:
            self._slices.wait(self)

    def feed_data(self, data: "tuple[RawResponseMessage, StreamReader]", size: int = 0) -> None:
        message, _ = data
        self._informational = self._informational + 1 if message.code < HTTPStatus.OK else 0
        if self._informational <= _MOST_INFORMATIONAL:
            super().feed_data(data, size)
        elif self.transport is not None:
            self.abort()
            self.set_exception(HttpProcessingError(message="too many informational responses"))

    @property
    def should_close(self) -> bool:
        """Return True if no further request can use the connection, for example because data followed the response."""
        return bool(self._held) or super().should_close

    def has_received(self) -> bool:
        """Return True if this idle connection has received data since the last response, or is closed.

        `data_received` misses two cases:

        - The data has arrived at the socket, but the event loop has not read the data yet.
        - The event loop read the data together with the end of the last response. Then `should_close` is True.
        """
        return self.transport is None or self.should_close or bool(self._readable.poll(0))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._idle.pop(self, None)
        self._single_use.pop(self, None)
        if self._held and exc is None and not self._has_ended():  # the provider has closed the connection
            data = bytes(self._held)
            self._held.clear()
            self._parse(data)
        self._held.clear()
        super().connection_lost(exc)
