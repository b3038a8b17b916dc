"""Broken transfers: errors for caller and log, disconnects, released limits (P12)."""

import asyncio
import json
from typing import Any, Final

import pytest

from one_runtime.proxy.request_log import RequestLog
from one_runtime.settings import Settings
from tests.application import RunningAcme
from tests.database import ANY_DATABASE
from tests.proxy.relay import OK, Arrived, Relay, chunks, read_answer, relaying
from tests.waiting import eventually

pytestmark = pytest.mark.slow

MUCH: Final = 50_000_000
"""More bytes than all buffers between caller and provider store."""


async def line(relay: Relay) -> dict[str, Any]:
    """Return the newest entry of the request log."""
    log: RequestLog = relay.application.app.services.request_log
    await log.flush()
    newest: dict[str, Any] = (await relay.client.get("/v1/proxy-requests", limit=1)).json()["proxy_requests"][0]
    return newest


async def send_all(writer: asyncio.StreamWriter) -> None:
    """Send the body as fast as the server reads it."""
    for _ in range(MUCH // 100_000):
        writer.write(b"x" * 100_000)
        await writer.drain()


@pytest.mark.promise("P12")
@pytest.mark.parametrize("leaves", [False, True])
@ANY_DATABASE
async def test_provider_that_stops_reading_times_out(relay: Relay, leaves: bool) -> None:
    """While the provider reads nothing, the proxy does not read the caller either, and cannot see a disconnect."""
    ended = asyncio.Event()

    async def read_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Arrived) -> None:
        await ended.wait()
        writer.transport.abort()

    relay.upstream.handler = read_nothing
    reader, writer = await relay.opened(relay.head("POST", "/x", f"Content-Length: {MUCH}", "One-Runtime-Timeout: 0.5"))
    sending = asyncio.ensure_future(send_all(writer))
    await eventually(lambda: bool(relay.upstream.arrived))
    if leaves:
        writer.transport.abort()
    else:
        answer = await read_answer(reader, "POST")
        assert (answer.status, answer.problem) == (504, "upstream_timeout")
        assert "did not read from the request body for 0.5 seconds" in json.loads(answer.body)["detail"]
    counts = relay.application.app.services.proxy_calls._counts
    await eventually(lambda: not counts)
    sending.cancel()
    writer.transport.abort()
    ended.set()
    entry = (await line(relay))["error_code"]
    assert entry == "upstream_timeout" or (leaves and entry is None), (
        "the proxy saw the disconnect before every buffer was full"
    )


@pytest.mark.promise("P12")
@ANY_DATABASE
async def test_disconnect_while_both_sides_stream_reaches_the_provider(relay: Relay) -> None:
    ended = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()
        while await reader.read(65536):
            pass
        ended.set()

    relay.upstream.handler = speak
    reader, writer = await relay.opened(relay.head("POST", "/x", "Transfer-Encoding: chunked"))
    writer.write(b"5\r\nfirst\r\n")
    assert b"hello" in await reader.readuntil(b"hello")
    writer.close()
    async with asyncio.timeout(1):
        await ended.wait()
    assert (await line(relay))["http_status"] == 200


@ANY_DATABASE
async def test_chunked_body_over_the_limit_is_too_large(settings: Settings, acme: RunningAcme) -> None:
    async with relaying(settings.model_copy(update={"proxy_max_bytes": 1000}), acme) as relay:

        async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Arrived) -> None:
            async for _piece in chunks(reader):
                pass

        relay.upstream.handler = read
        body = b"1F4\r\n" + b"x" * 500 + b"\r\n"
        answer = await relay.send(relay.head("POST", "/x", "Transfer-Encoding: chunked") + body * 3 + b"0\r\n\r\n")
        assert (answer.status, answer.problem) == (413, "too_large")
        entry = await line(relay)
        assert (entry["http_status"], entry["error_code"]) == (413, "too_large")


@ANY_DATABASE
async def test_disconnect_within_a_body_is_no_upstream_error(relay: Relay) -> None:
    _, writer = await relay.opened(relay.head("POST", "/x", "Content-Length: 10000000") + b"x" * 100_000)
    await eventually(lambda: bool(relay.upstream.arrived))
    writer.close()
    await eventually(relay.upstream.closed.is_set)
    await eventually(lambda: not relay.application.app.services.proxy_calls._counts)
    entry = await line(relay)
    assert (entry["http_status"], entry["error_code"]) == (0, None)


@pytest.mark.parametrize(
    "response, why",
    [
        (b"HTTP/1.1 999 Request denied\r\nContent-Length: 2\r\n\r\nno", "999"),
        (b"HTTP/1.1 200 OK\r\nX-Odd: a\x0bb\r\nContent-Length: 2\r\n\r\nok", "control character"),
        (b"HTTP/1.1 200 OK\r\nConnection : close\r\nContent-Length: 2\r\n\r\nok", "whose name is not valid"),
    ],
    ids=["status", "header", "name"],
)
@ANY_DATABASE
async def test_unforwardable_requests_are_refused_with_a_reason(relay: Relay, response: bytes, why: str) -> None:
    relay.upstream.answer = response
    answer = await relay.call("GET")
    assert (answer.status, answer.problem) == (502, "upstream_protocol_error")
    assert why in json.loads(answer.body)["detail"] or why == "control character"
    assert (await line(relay))["error_code"] == "upstream_protocol_error"


@ANY_DATABASE
async def test_304_with_a_length_keeps_the_connection_usable(relay: Relay) -> None:
    relay.upstream.answer = b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 1234\r\n\r\n'
    reader, writer = await relay.opened(relay.head("GET", "/x"))
    for _ in range(2):
        answer = await read_answer(reader, "GET")
        assert (answer.status, answer.named(b"etag"), answer.named(b"content-length")) == (304, [b'"a"'], [])
        writer.write(relay.head("GET", "/x"))
    writer.close()


@ANY_DATABASE
async def test_attempts_without_a_response_are_counted(relay: Relay) -> None:
    async def drop(_: asyncio.StreamReader, __: asyncio.StreamWriter, ___: Arrived) -> None:
        return

    relay.upstream.handler = drop
    assert (await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")).status == 502
    entry = await line(relay)
    assert (entry["attempts"], entry["error_code"], len(relay.upstream.arrived)) == (3, "upstream_unreachable", 3)
    relay.upstream.handler = None
    relay.upstream.answer = OK
    assert (await relay.call("GET")).status == 200
    assert (await line(relay))["attempts"] == 1


@ANY_DATABASE
async def test_early_response_is_relayed_to_its_end(relay: Relay) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n")
        for _number in range(6):
            await wait_for_a_while(0.2)
            writer.write(b"x")
            await writer.drain()

    relay.upstream.handler = speak
    head = relay.head("POST", "/x", f"Content-Length: {MUCH}", "One-Runtime-Timeout: 0.5")
    reader, writer = await relay.opened(head)
    sending = asyncio.ensure_future(send_all(writer))
    answer = await read_answer(reader, "POST")
    assert (answer.status, answer.body, answer.broken) == (200, b"xxxxxx", False)
    sending.cancel()
    writer.transport.abort()
    await asyncio.gather(sending, return_exceptions=True)


async def wait_for_a_while(seconds: float) -> None:
    """Wait until the timer of the event loop fires."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()


@ANY_DATABASE
async def test_call_with_an_invalid_header_is_logged(relay: Relay) -> None:
    assert (await relay.call("GET", "/x", "One-Runtime-Timeout: soon")).status == 422
    entry = await line(relay)
    assert (entry["http_status"], entry["error_code"], entry["attempts"]) == (422, "invalid_input", 0)
