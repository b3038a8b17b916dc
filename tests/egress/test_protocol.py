"""P12: what a provider can send leaves time for other work, and is limited, over sockets to a loopback server."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvloop

from one_runtime.egress.client import Egress
from one_runtime.egress.errors import UpstreamProtocolError
from one_runtime.egress.limits import Limits
from one_runtime.egress.protocol import PIECE, Protocol
from tests.egress.certificates import tls_contexts
from tests.egress.network import LoopbackNetwork
from tests.egress.upstream import Upstream, Writes, running_upstream
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P12")

URL = "http://public.example/"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
COUNT = 50_000
LINES = b"\n" * 3_000_000
Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


async def relayed(egress: Egress, url: str = URL) -> bytes:
    async with egress.for_tenant("northwind").stream("GET", url, headers=(), body=None, limits=Limits()) as response:
        return b"".join([piece async for piece in response.body])


def endless(beginning: bytes, piece: bytes) -> Writes:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while True:
            writer.write(piece * (65536 // len(piece)))
            await writer.drain()

    return send


async def test_many_tiny_chunks_on_many_connections_leave_time_for_other_work(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, most = 0, 0
    original = Protocol._parse

    def count(protocol: Protocol, data: bytes) -> None:
        nonlocal parsed, most
        parsed += len(data)
        most = max(most, parsed)
        original(protocol, data)

    async def begin_slices() -> None:
        nonlocal parsed
        while True:
            parsed = 0
            await asyncio.sleep(0)

    monkeypatch.setattr("one_runtime.egress.protocol.TIME_SLICE", 0.0)
    monkeypatch.setattr(Protocol, "_parse", count)
    upstream.anything = CHUNKED + b"1\r\nx\r\n" * COUNT + b"0\r\n\r\n"
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        slices = asyncio.create_task(begin_slices())
        bodies = await asyncio.gather(*(relayed(egress) for _ in range(3)))
        slices.cancel()
    assert bodies == [b"x" * COUNT] * 3
    assert most <= 2 * PIECE


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "response, body",
    [
        (CHUNKED + b"1\r\n\n\r\n" * COUNT + b"0\r\n\r\n", b"\n" * COUNT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LINES), LINES), LINES),
        (UNTIL_CLOSED + LINES, LINES),
    ],
    ids=["chunked", "with a length", "until the end of the connection"],
)
def test_held_data_becomes_the_whole_body(
    run: Run, scheme: str, response: bytes, body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("one_runtime.egress.protocol.TIME_SLICE", 0.0)

    async def test() -> None:
        server, client = tls_contexts(tmp_path, "public.example") if scheme == "https" else (None, None)
        async with (
            running_upstream(server) as upstream,
            Egress(network=LoopbackNetwork(upstream.port, tls=client)) as egress,
        ):
            upstream.anything = response
            for _ in range(2):
                assert await relayed(egress, f"{scheme}://public.example/") == body
            assert upstream.connections == (2 if response.startswith(UNTIL_CLOSED) else 1)

    run(test())


async def test_reader_that_pauses_gets_the_whole_body(upstream: Upstream) -> None:
    upstream.anything = CHUNKED + b"1\r\nx\r\n" * COUNT + b"0\r\n\r\n"
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        size = 0
        async with egress.stream("GET", URL, headers=(), body=None, limits=Limits()) as response:
            async for piece in response.body:
                size += len(piece)
                for _ in range(20 if size < COUNT // 2 else 0):
                    await asyncio.sleep(0)
        assert size == COUNT


@pytest.mark.promise("P1")
async def test_p1_held_data_after_a_response_is_no_response_to_the_next_request(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser gets the other data separately, after time slices of other connections."""
    monkeypatch.setattr("one_runtime.egress.protocol.TIME_SLICE", 0.0)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    body = b"\n" * (PIECE - len(head % PIECE))
    upstream.anything = head % len(body) + body + b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nunsolicited" * 1_000
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:

        async def request_thrice() -> list[bytes]:
            return [await relayed(egress) for _ in range(3)]

        assert await asyncio.gather(*(request_thrice() for _ in range(5))) == [[body] * 3] * 5
    assert upstream.connections == 15


@pytest.mark.parametrize(
    "response",
    [
        endless(CHUNKED + b"1;", b"e"),
        endless(CHUNKED, b"1;" + b"e" * 1_000 + b"\r\nx\r\n"),
        endless(b"", b"\r\n"),
        endless(CHUNKED + b"0\r\n", b"X-Name: value\r\n"),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n%b\r\n" % (b"X-Name: %b\r\n" % (b"x" * 8_000) * 6)),
    ],
    ids=["extension", "extensions", "line breaks", "trailers", "informational responses"],
)
async def test_endless_bytes_that_are_not_body_end_the_request(upstream: Upstream, response: Writes) -> None:
    upstream.anything = response
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        try:
            body = await asyncio.wait_for(relayed(egress), 30)
        except UpstreamProtocolError:
            pass
        else:
            assert body == b""  # for aiohttp, the body ends before the trailers
        await eventually(lambda: upstream.open_connections == 0)


async def test_long_body_in_tiny_chunks_is_within_the_limit(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("one_runtime.egress.protocol._MOST_OTHER_BYTES", 1_000)
    upstream.anything = CHUNKED + b"1\r\nx\r\n" * COUNT + b"0\r\n\r\n"
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        assert await relayed(egress) == b"x" * COUNT
