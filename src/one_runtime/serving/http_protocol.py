"""The HTTP protocol of the server: uvicorn's protocol, with limits for what any caller can send, and TCP keepalive.

A request's head consists of the request line and the headers. One Runtime authenticates a request only after the head,
so any caller can send a head. After the last chunk of a chunked body, any caller can send trailers (RFC 9112 section
7.1.2), and after a response with an error, the rest of the request. uvicorn limits neither size nor time of these. It
also parses everything that arrives at once: tiny chunks, or requests that the caller sends before the response to an
earlier request (pipelining). So `HttpProtocol` parses small pieces, and holds the others.

If the machine of a caller crashes, the caller does not close the TCP connection. Without keepalive, the server would
wait for data of this caller forever. A caller that reads nothing keeps its connection too, because the server closes a
connection only after the caller has the whole response. So the system ends a connection whose caller takes no data.
"""

import asyncio
import socket
import time
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD: Final = 64 * 1024
"""Maximum size of a head in bytes."""

PIECE: Final = 4 * 1024
"""Number of bytes that the parser gets at once. A piece contains at most 227 requests."""

IDLE: Final = 60
"""Seconds without data after which the system sends the first keepalive probe."""

_SEND_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)  # RFC 5482; only Linux has it

# The interval is in seconds. macOS names the first option differently, so the idle time on macOS stays two hours.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))

_TOO_LARGE: Final = (
    431,  # RFC 6585 section 5
    "Request Header Fields Too Large",
    f"The request line and the headers together must be at most {MAX_HEAD} bytes, and the trailers too.",
)
# RFC 9112 section 6.1. The parser ignores other codings, and a proxy in front of the server possibly does not.
_UNKNOWN_CODING: Final = (
    501,
    "Not Implemented",
    "Transfer-Encoding must be chunked, in HTTP/1.1. Send the body without another transfer coding.",
)


class _Flow(FlowControl):
    """Reads nothing from the network while the protocol holds data."""

    is_holding = False

    def resume_reading(self) -> None:
        """Continue to read, unless the protocol holds data."""
        if not self.is_holding:
            super().resume_reading()


class HttpProtocol(HttpToolsProtocol):
    """One connection of a client."""

    head_seconds: ClassVar = 20.0
    """Seconds from the first byte of a head, or from the start of the connection, to the end of the head.

    After a response, also the time for the rest of the request.
    """

    send_seconds: ClassVar = 120.0
    """Seconds for which a caller may take none of the data that the server sends. Then the system ends the connection.

    Linux also ends a connection after this time without an answer to keepalive probes. So it is as long as all probes.
    """

    max_waiting: ClassVar = 1_000
    """Maximum number of connections with a timer. If there are more, close the connection that waits longest."""

    parse_seconds: ClassVar = 0.005
    """Seconds after which other connections have their turn, before the parser gets the next piece."""

    _waiting: ClassVar[dict["HttpProtocol", asyncio.TimerHandle]] = {}

    @classmethod
    def awaits_head(cls) -> bool:
        """Return True if a connection has not sent its first head yet, or has sent a part of a head."""
        return bool(cls._waiting)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_size = 0
        # The head or the trailers that the next byte continues, or None within a body. Each head and each trailer
        # section is another object.
        self._counted: object | None = object()
        # uvicorn creates a cycle (the object for one request and its response) at the end of each head. If this
        # attribute and `self.cycle` are the same, the server has received the last request completely.
        self._complete: RequestResponseCycle | None = None
        self._refusal: tuple[int, str, str] | None = None
        self._held = bytearray()
        self._next_parse: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Turn on TCP keepalive and the send timeout, and start the timer for the first head."""
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        _limit_silence(transport.get_extra_info("socket"), self.send_seconds)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer, and drop what the protocol holds."""
        self._stop_waiting()
        self._held.clear()
        if self._next_parse is not None:
            self._next_parse.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, or hold it while earlier data waits."""
        if len(data) <= PIECE and not self._held and self._next_parse is None and not self.pipeline:
            self._parse(data)  # nearly every request: the rest of this class would take 3 µs
            return
        self._held += data
        if self._next_parse is None:
            self._parse_held()

    def _parse_held(self) -> None:
        """Parse the next pieces. What follows a pipelined request waits until this request is running."""
        self._next_parse, until = None, time.monotonic() + self.parse_seconds
        while self._held and not self.pipeline and not self.transport.is_closing():
            piece = bytes(self._held[:PIECE])
            del self._held[:PIECE]
            self._parse(piece)
            if time.monotonic() >= until:
                self._continue_soon()
                break
        if self.transport.is_closing():
            self._held.clear()
        self._flow.is_holding = bool(self._held)
        if self._held:
            self._flow.pause_reading()
        elif not self.pipeline and not self._has_much_to_read():
            self._flow.resume_reading()

    def _has_much_to_read(self) -> bool:
        """Return True if the application has to read a part of the body before the next part arrives."""
        return self._is_responding() and len(self.cycle.body) > HIGH_WATER_LIMIT

    def _continue_soon(self) -> None:
        if self._held and not self.pipeline and self._next_parse is None:
            self._next_parse = self.loop.call_soon(self._parse_held)

    def _parse(self, data: bytes) -> None:
        """Refuse a head that is too large, and trailers that are too large."""
        counted, room = self._counted, MAX_HEAD - self._head_size
        if counted is not None and len(data) > room:
            self._parse(data[:room])
            if self._head_size >= MAX_HEAD:
                self._refuse(*_TOO_LARGE)
            if not self.transport.is_closing():
                self._parse(data[room:])
            return
        super().data_received(data)
        if counted is not None and self._counted is counted:
            self._head_size += len(data)
            if self not in self._waiting:
                self._wait()
        else:
            # If the data ends with a part of the next head (a pipelined request), this part does not count towards the
            # head's size.
            self._head_size = 0
            if self in self._waiting and not self._is_answered_early():
                self._stop_waiting()

    def on_headers_complete(self) -> None:
        """Start the request. Raises: ValueError if its transfer coding is unknown, which refuses the request."""
        for name, _ in self.headers:
            if name == b"transfer-encoding":
                self._check_coding()
                break
        super().on_headers_complete()
        self._counted = None

    def _check_coding(self) -> None:
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if b",".join(codings).lower() != b"chunked" or self.parser.get_http_version() != "1.1":
            self._refusal = _UNKNOWN_CODING
            raise ValueError(_UNKNOWN_CODING[-1])

    def on_chunk_header(self) -> None:
        """Count what follows: after the last chunk, trailers. The application does not get trailers.

        The parser does not say which chunk is the last one. All others have data, so `on_body` follows.
        """
        self._counted = object()
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Pass the data to the application."""
        self._counted = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request. The next byte begins the next head."""
        super().on_message_complete()
        self._complete, self._counted = self.cycle, object()
        if self.cycle.response_complete:  # the data that arrived after the response has stopped uvicorn's timer
            self._stop_waiting()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Continue with the next request. The rest of this request, if any, has as much time as a head."""
        super().on_response_complete()
        has_rest = self._complete is not self.cycle
        if not (has_rest or self._held) or self.transport.is_closing():
            return
        if self._is_answered_early() and self not in self._waiting:
            self._wait()
        self._continue_soon()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that the parser cannot parse, or that `on_headers_complete` refuses."""
        self._refuse(*(self._refusal or (400, "Bad Request", msg)))

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

    def _is_answered_early(self) -> bool:
        """Return True if the response was sent before the whole request has arrived."""
        return self._complete is not self.cycle and not self._is_responding()

    def _can_answer(self) -> bool:
        if self._complete is self.cycle:  # in a head
            return not self._is_responding()
        return not self.cycle.response_started and not self.pipeline

    def _close(self) -> None:
        self._stop_waiting()
        self.transport.close()

    def _refuse(self, status: int, reason: str, text: str) -> None:
        """Send an error if no response runs and this request has none. Close the connection."""
        if self._can_answer():
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (status, reason.encode(), len(text), text.encode())
            )
        self._close()


OPTIONS: Final[dict[str, Any]] = {
    "http": HttpProtocol,
    "access_log": False,
    "log_config": None,  # the command configures the log
    "server_header": False,
}
"""Options of uvicorn for every web server of One Runtime, so that all have the limits of `HttpProtocol`."""


def _limit_silence(connection: socket.socket | None, send_seconds: float) -> None:
    if connection is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if _SEND_TIMEOUT is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _SEND_TIMEOUT, round(send_seconds * 1000))
