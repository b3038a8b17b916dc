"""The HTTP protocol of the server: uvicorn's protocol, with limits for the head of a request, and TCP keepalive.

A request's head consists of the request line and the headers. One Runtime authenticates a request only after the head,
so any caller can send a head. uvicorn sets no limits for the size and the time of a head.

If the machine of a caller crashes, the caller does not close the TCP connection. Without keepalive, the server would
wait for data of this caller forever.
"""

import asyncio
import socket
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD: Final = 64 * 1024
"""Maximum size of a head in bytes."""

IDLE: Final = 60
"""Seconds without data after which the system sends the first keepalive probe."""

# The interval is in seconds. macOS names the first option differently, so the idle time on macOS stays two hours.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))

_REFUSAL: Final = f"The request line and the headers together must be at most {MAX_HEAD} bytes."


class HttpProtocol(HttpToolsProtocol):
    """One connection of a client."""

    head_seconds: ClassVar = 20.0
    """Seconds from the first byte of a head, or from the start of the connection, to the end of the head."""

    max_waiting: ClassVar = 1_000
    """Maximum number of connections that wait for a head. If more wait, close the connection that waits longest."""

    _waiting: ClassVar[dict["HttpProtocol", asyncio.TimerHandle]] = {}

    @classmethod
    def awaits_head(cls) -> bool:
        """Return True if a connection has not sent its first head yet, or has sent a part of a head."""
        return bool(cls._waiting)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_size = 0
        # uvicorn creates a cycle (the object for one request and its response) at the end of each head. If this
        # attribute and `self.cycle` are the same, the server has received the last request completely, and the next
        # byte belongs to a head.
        self._complete: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Turn on TCP keepalive, and start the timer for the first head."""
        super().connection_made(transport)
        _keep_alive(transport.get_extra_info("socket"))
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer for a head."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data. Refuse a head that is too large."""
        last, room = self.cycle, MAX_HEAD - self._head_size
        in_head = self._complete is last
        if in_head and len(data) > room:
            self.data_received(data[:room])
            if self._head_size >= MAX_HEAD:
                self._refuse()
            if not self.transport.is_closing():
                self.data_received(data[room:])
            return
        super().data_received(data)
        if in_head and self.cycle is last:
            self._head_size += len(data)
            if self not in self._waiting:
                self._wait()
        else:
            # If the data ends with a part of the next head (a pipelined request), this part does not count towards the
            # head's size.
            self._head_size = 0
            self._stop_waiting()

    def on_message_complete(self) -> None:
        """End the request. The next byte begins the next head."""
        super().on_message_complete()
        self._complete = self.cycle

    def _wait(self) -> None:
        if len(self._waiting) >= self.max_waiting:
            next(iter(self._waiting))._close()  # noqa: SLF001 - of the same class
        self._waiting[self] = self.loop.call_later(self.head_seconds, self._end_waiting)

    def _stop_waiting(self) -> None:
        timer = self._waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _end_waiting(self) -> None:
        self._stop_waiting()
        if self._is_responding():  # a part of the next head arrived during the response
            self._wait()
        else:
            self.transport.close()

    def _is_responding(self) -> bool:
        return not getattr(self.cycle, "response_complete", True)

    def _close(self) -> None:
        self._stop_waiting()
        self.transport.close()

    def _refuse(self) -> None:
        """Send 431 (RFC 6585 section 5), but not into a response that is still running. Close the connection."""
        if not self._is_responding():
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_REFUSAL), _REFUSAL.encode())
            )
        self._close()


def _keep_alive(connection: socket.socket | None) -> None:
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
