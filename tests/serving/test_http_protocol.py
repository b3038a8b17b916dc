"""Heads, trailers and transfer codings that the server refuses, sent over sockets to uvicorn with our protocol."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import ClassVar

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from one_runtime.serving.http_protocol import MAX_HEAD, PIECE, HttpProtocol
from tests.waiting import eventually

pytestmark = pytest.mark.slow

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n"
START = b"GET / HTTP/1.1\r\n"
LARGE = 16 * 1024 * 1024
CHUNKED = b"POST %b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Impatient(HttpProtocol):
    """The protocol with little time for a head."""

    head_seconds = 0.3


class Crowded(HttpProtocol):
    """The protocol with room for three connections that wait for a head."""

    max_waiting = 3


class Sending(HttpProtocol):
    """The protocol with little time for a caller that reads nothing. `open`: the open connections."""

    send_seconds = 0.5
    open: ClassVar[set[HttpProtocol]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.open.discard(self)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Return the number of bytes of the request's body. `/slow` takes longer than the time for a head.

    `/refused` reads no body, as if the key were wrong. `/late` neither, and answers a little later. `/headers` returns
    the number of headers after the body. `/large` returns 16 MB, at once or, with a query, in pieces.
    """
    size, more = 0, scope["path"] not in {"/refused", "/late"}
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    if scope["path"] == "/late":
        for _ in range(30):
            await asyncio.sleep(0)
    if scope["path"] == "/slow":
        with suppress(TimeoutError):
            await asyncio.wait_for(receive(), 2 * Impatient.head_seconds)
    if scope["path"] == "/large":
        pieces = 256 if scope["query_string"] else 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
        for _ in range(pieces):
            await send({"type": "http.response.body", "body": bytes(LARGE // pieces), "more_body": True})
        await send({"type": "http.response.body"})
        return
    body = b"%d" % (len(scope["headers"]) if scope["path"] == "/headers" else size)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(protocol: type[HttpProtocol] = HttpProtocol, keep_alive: int = 5) -> AsyncIterator[int]:
    """Serve `app` with uvicorn on a loopback port. `keep_alive`: seconds for which an idle connection stays open."""
    config = uvicorn.Config(app, port=0, http=protocol, lifespan="off", log_config=None, timeout_keep_alive=keep_alive)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection, and close it at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def response(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return the status line and the body of one response."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head.split(b"\r\n")[0], await reader.readexactly(size)


def head_of(size: int, method: bytes = b"GET", *headers: bytes) -> bytes:
    """Return a head with exactly this size."""
    start = b"%b / HTTP/1.1\r\nHost: localhost\r\n%bX-Padding: " % (method, b"".join(headers))
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


async def test_head_of_64_kilobytes_is_served_and_a_larger_one_gets_431() -> None:
    async with served() as port, connected(port) as (reader, writer):
        for _ in range(2):  # the second request is on a connection that is kept open
            writer.write(head_of(MAX_HEAD))
            assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")
        writer.write(head_of(MAX_HEAD + 1))
        status, body = await response(reader)
        assert (status.split()[1], b"at most 65536 bytes" in body) == (b"431", True)
        assert await reader.read() == b""


@pytest.mark.parametrize(
    "beginning, piece",
    [
        (b"GET / HTTP/1.1\r\n", b"X-Name: value\r\n"),
        (b"GET / HTTP/1.1\r\nX-Name: ", b"endless value"),
        (b"GET /", b"endless-path"),
        (b"", b"\r\n"),
    ],
)
async def test_endless_head_ends_the_connection(beginning: bytes, piece: bytes) -> None:
    async with served() as port, connected(port) as (_, writer):
        writer.write(beginning)
        block, blocks = piece * (MAX_HEAD // len(piece)), 0
        with suppress(ConnectionError):
            while blocks < 1_000:
                writer.write(block)
                blocks += 1
                await writer.drain()
        assert blocks < 200


def recording(received: bytearray) -> type[HttpProtocol]:
    """Return the protocol, which adds all data that it receives to `received`."""

    class Recording(HttpProtocol):
        def data_received(self, data: bytes) -> None:
            received.extend(data)
            super().data_received(data)

    return Recording


async def parts_until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Send headers in parts of 1 kB until the server closes the connection. Return the number of parts, at most 200."""
    ended, parts = asyncio.ensure_future(reader.read()), 0
    while parts < 200 and not ended.done():
        writer.write(b"X-Padding: %b\r\n" % (b"x" * 1_000))
        parts += 1
        await asyncio.sleep(0)  # the server receives the part before the next part
    ended.cancel()
    await asyncio.gather(ended, return_exceptions=True)
    return parts


@pytest.mark.parametrize(
    "earlier",
    [
        [START],
        [REQUEST, START],
        [UPLOAD + b"x", START],
        [UPLOAD, b"x", START],
        [2 * REQUEST, START],
        [2 * (UPLOAD + b"x"), START],
        [REQUEST + START],
        [UPLOAD, b"x" + START],
    ],
    ids=[
        "first",
        "after a request",
        "after a body",
        "after a separate body",
        "after two requests",
        "after two bodies",
        "pipelined after a request",
        "pipelined after a separate body",
    ],
)
async def test_endless_head_in_small_parts_ends_the_connection(earlier: list[bytes]) -> None:
    received, sent = bytearray(), bytearray()
    async with served(recording(received)) as port, connected(port) as (reader, writer):
        for data in earlier:
            writer.write(data)
            sent.extend(data)
            await eventually(lambda: received == sent)
        for _ in range(sent.count(b"\r\n\r\n")):
            assert (await response(reader))[0] == b"HTTP/1.1 200 OK"
        assert MAX_HEAD // 1_100 < await parts_until_the_end(reader, writer) < 100


async def test_endless_head_during_a_response_ends_the_connection() -> None:
    async with served() as port, connected(port) as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n" + START)
        assert await parts_until_the_end(reader, writer) < 100


async def test_large_body_after_a_small_head_is_served() -> None:
    async with served() as port, connected(port) as (reader, writer):
        size = 10 * MAX_HEAD
        upload = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
        for _ in range(2):
            writer.write(upload)
            assert await response(reader) == (b"HTTP/1.1 200 OK", b"%d" % size)
        writer.write(upload + REQUEST)  # a pipelined request
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"%d" % size)
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")


@pytest.mark.parametrize("requests", [0, 1])
@pytest.mark.parametrize("beginning", [b"GET", b"GET / HTTP/1.1\r\nHost: local", b"\r\n"])
async def test_slow_head_ends_the_connection(requests: int, beginning: bytes) -> None:
    async with served(Impatient) as port, connected(port) as (reader, writer):
        for _ in range(requests):
            writer.write(REQUEST)
            await response(reader)
        writer.write(beginning)
        assert await reader.read() == b""


async def test_connection_without_a_request_ends() -> None:
    async with served(Impatient) as port, connected(port) as (reader, _):
        assert await reader.read() == b""


async def test_slow_head_does_not_end_a_response() -> None:
    async with served(Impatient) as port, connected(port) as (reader, writer):
        writer.write(b"POST /slow HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")  # the server asks for the body
        writer.write(b"x")
        await writer.drain()
        writer.write(b"GE")
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"1")


async def test_kept_connection_has_time_until_the_first_byte_of_the_next_head() -> None:
    async with served(Impatient) as port, connected(port) as (reader, writer):
        writer.write(REQUEST)
        await response(reader)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * Impatient.head_seconds):
                await reader.read()
        writer.write(REQUEST)
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")


async def test_new_connection_closes_the_one_that_waits_longest_if_too_many_wait() -> None:
    async with served(Crowded) as port, connected(port) as (first, _), AsyncExitStack() as stack:
        others = [await stack.enter_async_context(connected(port)) for _ in range(3)]
        assert await first.read() == b""
        for reader, writer in others:
            writer.write(REQUEST)
            assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")


@pytest.mark.parametrize("path", [b"/", b"/refused"])
@pytest.mark.parametrize("piece", [b"X-Name: %b\r\n" % (b"x" * 1_000), b"endless name"])
async def test_endless_trailers_end_the_connection(path: bytes, piece: bytes) -> None:
    async with served() as port, connected(port) as (_, writer):
        writer.write(CHUNKED % path + b"3\r\nabc\r\n0\r\n")
        block, blocks = piece * (MAX_HEAD // len(piece)), 0
        with suppress(ConnectionError):
            while blocks < 1_000:
                writer.write(block)
                blocks += 1
                await writer.drain()
        assert blocks < 200


@pytest.mark.parametrize("path", [b"/", b"/refused"])
@pytest.mark.parametrize(
    "earlier",
    [[b"0\r\n"], [b"3\r\nabc\r\n0\r\n"], [b"3\r\n", b"abc\r\n", b"0\r\n"], [b"3\r\nabc\r\n0\r\nX-Na"]],
    ids=["empty", "at once", "in parts", "with the first trailer"],
)
async def test_endless_trailers_in_small_parts_end_the_connection(path: bytes, earlier: list[bytes]) -> None:
    received, sent = bytearray(), bytearray()
    async with served(recording(received)) as port, connected(port) as (reader, writer):
        for data in [REQUEST, CHUNKED % path, *earlier]:
            writer.write(data)
            sent.extend(data)
            await eventually(lambda: received == sent)
        assert MAX_HEAD // 1_100 < await parts_until_the_end(reader, writer) < 100


async def test_trailers_of_64_kilobytes_are_accepted_and_do_not_become_headers() -> None:
    async with served() as port, connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(CHUNKED % b"/headers" + b"3\r\nabc\r\n")
            trailer = b"0\r\nAuthorization: Bearer other\r\nX-Padding: "
            writer.write(trailer + b"x" * (MAX_HEAD - len(trailer) - 4) + b"\r\n\r\n")
            assert await response(reader) == (b"HTTP/1.1 200 OK", b"2")
        writer.write(REQUEST)
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")


async def test_large_chunked_body_is_served() -> None:
    async with served() as port, connected(port) as (reader, writer):
        chunk = b"%x\r\n%b\r\n" % (10 * MAX_HEAD, b"x" * 10 * MAX_HEAD)
        for part in (CHUNKED % b"/", chunk, chunk[:9], chunk[9:], b"0\r\n\r\n" + REQUEST):
            writer.write(part)
            await writer.drain()
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"%d" % (20 * MAX_HEAD))
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")


@pytest.mark.parametrize("rest", [b"", b"3\r\nabc\r\n", b"0\r\n", b"0\r\nX-Name: va"])
async def test_slow_rest_of_a_request_after_its_response_ends_the_connection(rest: bytes) -> None:
    async with served(Impatient) as port, connected(port) as (reader, writer):
        writer.write(CHUNKED % b"/refused")
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")
        writer.write(rest)
        ended = asyncio.ensure_future(reader.read())
        for _ in range(400):  # one byte after another, in the length of an extension of a chunk or in a trailer
            if ended.done():
                break
            writer.write(b"1" if rest.endswith(b"va") else b"")
            await asyncio.wait([ended], timeout=Impatient.head_seconds / 10)
        assert ended.done()
        assert await ended == b""


async def test_connection_ends_when_the_rest_of_a_request_has_arrived_after_its_response_and_nothing_follows() -> None:
    async with served(keep_alive=1) as port, connected(port) as (reader, writer):
        writer.write(CHUNKED % b"/refused")
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")
        writer.write(b"3\r\nabc\r\n0\r\n\r\n" + REQUEST)
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")
        writer.write(CHUNKED % b"/refused")
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")
        writer.write(b"0\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 30) == b""


@pytest.mark.parametrize(
    "coding",
    [b"gzip, chunked", b"identity, chunked", b"chunked, chunked", b"gzip", b"identity", b"chunked;q=1", b"\x0bchunked"],
)
@pytest.mark.parametrize("earlier", [b"", REQUEST])
async def test_other_transfer_codings_than_chunked_are_refused(coding: bytes, earlier: bytes) -> None:
    async with served() as port, connected(port) as (reader, writer):
        if earlier:
            writer.write(earlier)
            await response(reader)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: %b\r\n\r\n0\r\n\r\n" % coding)
        status, _ = await response(reader)
        assert status.split()[1] in {b"501", b"400"}
        assert await reader.read() == b""


async def test_two_headers_with_transfer_codings_are_refused_and_chunked_in_capitals_is_served() -> None:
    codings = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: %b\r\n"
    async with served() as port, connected(port) as (reader, writer):
        writer.write(codings % b"Chunked" + b"\r\n1\r\nx\r\n0\r\n\r\n")
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"1")
        writer.write(codings % b"gzip" + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
        status, body = await response(reader)
        assert (status, b"must be chunked" in body) == (b"HTTP/1.1 501 Not Implemented", True)


async def test_transfer_coding_in_http_1_0_is_refused() -> None:
    async with served() as port, connected(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
        assert (await response(reader))[0].split()[1] in {b"501", b"400"}


async def test_malformed_chunk_gets_400_and_malformed_next_request_does_not_disturb_a_response() -> None:
    async with served() as port:
        async with connected(port) as (reader, writer):
            writer.write(CHUNKED % b"/" + b"no number\r\n")
            assert (await response(reader))[0] == b"HTTP/1.1 400 Bad Request"
        async with connected(port) as (reader, writer):
            writer.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"\x00\x00\r\n\r\n")
            assert await reader.read() == b""


async def test_many_requests_sent_at_once_are_answered_in_order_and_wait_outside_the_parser() -> None:
    parsed, most_waiting, count = 0, 0, 5_000

    class Counting(HttpProtocol):
        def on_message_complete(self) -> None:
            nonlocal parsed
            parsed += 1
            super().on_message_complete()

        def on_response_complete(self) -> None:
            nonlocal parsed, most_waiting
            most_waiting, parsed = max(most_waiting, parsed), parsed - 1
            super().on_response_complete()

    requests = [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (number % 7, b"x" * (number % 7))
        for number in range(count)
    ]
    async with served(Counting) as port, connected(port) as (reader, writer):
        writer.write(b"".join(requests))
        bodies = [(await response(reader))[1] for _ in range(count)]
    assert bodies == [b"%d" % (number % 7) for number in range(count)]
    assert most_waiting <= 2 * PIECE // len(requests[0])


async def test_tiny_chunks_let_other_connections_take_turns() -> None:
    chunks, most, count = 0, 0, 30_000

    class Hurried(HttpProtocol):
        parse_seconds = 0.0

        def on_chunk_header(self) -> None:
            nonlocal chunks, most
            chunks += 1
            most = max(most, chunks)
            super().on_chunk_header()

    async def begin_turns() -> None:
        nonlocal chunks
        while True:
            chunks = 0
            await asyncio.sleep(0)

    async with served(Hurried) as port, connected(port) as (reader, writer):
        turns = asyncio.create_task(begin_turns())
        writer.write(CHUNKED % b"/" + b"1\r\nx\r\n" * count + b"0\r\n\r\n")
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"%d" % count)
        turns.cancel()
    assert most <= 2 * PIECE // len(b"1\r\nx\r\n")


@pytest.mark.parametrize("path", [b"/refused", b"/late"])
async def test_large_rest_of_a_request_after_its_response_is_read_and_the_next_request_served(path: bytes) -> None:
    class Hurried(HttpProtocol):
        parse_seconds = 0.0

    chunk = b"20000\r\n%b\r\n" % (b"x" * 0x20000)
    async with served(Hurried) as port, connected(port) as (reader, writer):
        writer.write(CHUNKED % path + 20 * chunk)
        assert await response(reader) == (b"HTTP/1.1 200 OK", b"0")
        writer.write(b"0\r\n\r\n" + REQUEST)
        assert await asyncio.wait_for(response(reader), HttpProtocol.head_seconds / 2) == (b"HTTP/1.1 200 OK", b"0")


@pytest.mark.parametrize("path", [b"/large", b"/large?pieces"])
async def test_caller_that_reads_nothing_loses_the_connection(path: bytes) -> None:
    loop = asyncio.get_running_loop()
    async with served(Sending) as port:
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.setblocking(False)
            await loop.sock_connect(caller, ("127.0.0.1", port))
            await eventually(lambda: Sending.open)
            await loop.sock_sendall(caller, b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
            await eventually(lambda: not Sending.open)


async def test_send_timeout_leaves_time_for_all_keepalive_probes() -> None:
    sockets = list[socket.socket]()

    class Recorded(HttpProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
            super().connection_made(transport)
            sockets.append(transport.get_extra_info("socket"))

    async with served(Recorded) as port, connected(port) as (reader, writer):
        writer.write(REQUEST)
        await response(reader)
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        options = [sockets[0].getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
    idle, interval, probes, send_milliseconds = options
    assert (idle, interval, probes) == (60, 15, 4)
    assert send_milliseconds == (idle + interval * probes) * 1000
