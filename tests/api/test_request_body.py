"""Bodies that callers send slowly, or not to their end (review L1)."""

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Final

import pytest
import pytest_asyncio

from one_runtime.encryption import self_check
from one_runtime.proxy.request_log import RequestLog
from one_runtime.settings import Settings
from tests.application import RunningAcme
from tests.proxy.relay import Arrived, Relay, chunks, read_answer, read_body, read_head, relaying
from tests.waiting import eventually

pytestmark = [pytest.mark.only_database("sqlite"), pytest.mark.slow]  # nothing here depends on the database

LIMIT: Final = 1.0
"""Seconds until the next part of a body."""
PAUSE: Final = 0.3
"""Seconds between two parts. Four pauses are longer than the limit."""


@pytest_asyncio.fixture
async def relay(settings: Settings, acme: RunningAcme) -> AsyncIterator[Relay]:
    """An installation with a short limit. An organization can have one call in progress."""
    async with relaying(settings.model_copy(update={"body_timeout": LIMIT, "proxy_calls": 1}), acme) as relay:
        yield relay


async def last_logged(relay: Relay) -> dict[str, Any]:
    """Return the newest entry of the request log."""
    log: RequestLog = relay.application.app.services.request_log
    await log.flush()
    newest: dict[str, Any] = (await relay.client.get("/v1/proxy-requests", limit=1)).json()["proxy_requests"][0]
    return newest


async def pause() -> None:
    """Wait until the timer of the event loop fires."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(PAUSE, over.set)
    await over.wait()


@pytest.mark.promise("P12")
@pytest.mark.parametrize(
    "framing, part",
    [
        ("Content-Length: 10", b"123"),
        ("Content-Length: 10000000", b"x" * 100_000),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\n"),
    ],
    ids=["kept in memory", "streamed", "chunked"],
)
async def test_caller_that_withholds_its_body_gets_408_and_frees_its_call(
    relay: Relay, framing: str, part: bytes
) -> None:
    async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter, arrived: Arrived) -> None:
        await read_body(reader, arrived)

    relay.upstream.handler = read
    reader, writer = await relay.opened(relay.head("POST", "/x", framing) + part)
    async with asyncio.timeout(10 * LIMIT):
        answer = await read_answer(reader, "POST")
        assert (answer.status, answer.problem) == (408, "request_timeout")
        assert answer.named(b"connection") == [b"close"]
        assert await reader.read() == b""
    writer.close()
    entry = await last_logged(relay)
    assert (entry["http_status"], entry["error_code"]) == (408, "request_timeout")
    relay.upstream.handler = None
    assert (await relay.call("GET")).status == 200


async def test_doctor_whose_proxy_withholds_the_body_gets_408(relay: Relay) -> None:
    installation = relay.application.installation
    signature = self_check.authorization(installation.vault, installation.clock())
    head = relay.head(
        "POST", "/x", f"{self_check.HEADER}: {signature}", "Content-Length: 10", slug=self_check.PROXY_SLUG
    )
    reader, writer = await relay.opened(head + b"123")
    async with asyncio.timeout(10 * LIMIT):
        answer = await read_answer(reader, "POST")
    assert (answer.status, answer.problem) == (408, "request_timeout")
    writer.close()


async def test_body_that_stops_after_the_start_of_the_response_ends_the_call(relay: Relay) -> None:
    async def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        await read_body(reader, arrived)

    relay.upstream.handler = start
    reader, writer = await relay.opened(relay.head("POST", "/x", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
    async with asyncio.timeout(10 * LIMIT):
        answer = await read_answer(reader, "POST")
        await relay.upstream.closed.wait()
    assert (answer.status, answer.broken) == (200, True)
    writer.close()
    await eventually(lambda: not relay.application.app.services.proxy_calls._counts)
    assert (await last_logged(relay))["error_code"] == "request_timeout"


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
async def test_body_may_take_longer_than_the_limit_if_its_parts_keep_arriving(relay: Relay, framing: str) -> None:
    reader, writer = await relay.opened(relay.head("POST", "/x", framing))
    is_chunked = "chunked" in framing
    for _ in range(5):
        await pause()
        writer.write(b"1\r\nx\r\n" if is_chunked else b"x")
    writer.write(b"0\r\n\r\n" if is_chunked else b"")
    assert (await read_answer(reader, "POST")).status == 200
    assert relay.last.body == b"xxxxx"
    writer.close()


async def test_provider_that_sends_restarts_the_time_for_the_body(relay: Relay) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            await pause()
            writer.write(b"1\r\ny\r\n")
            await writer.drain()
        body = await read_body(reader, arrived)
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        await writer.drain()

    relay.upstream.handler = speak
    reader, writer = await relay.opened(relay.head("POST", "/x", "Transfer-Encoding: chunked") + b"3\r\none\r\n")
    await read_head(reader)
    pieces = chunks(reader)
    assert [await anext(pieces) for _ in range(5)] == [b"y"] * 5
    writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
    assert await anext(pieces) == b"onetwo"
    writer.close()


async def test_other_routes_refuse_a_withheld_body_too(relay: Relay) -> None:
    body = json.dumps({"integration_slug": "raw", "end_user_id": "user_456"}).encode()
    head = (
        f"POST /v1/disconnect HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {relay.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    reader, writer = await relay.opened(head + body[:10])
    async with asyncio.timeout(10 * LIMIT):
        answer = await read_answer(reader, "POST")
        assert (answer.status, json.loads(answer.body)["code"]) == (408, "request_timeout")
        assert answer.named(b"connection") == [b"close"]
        assert await reader.read() == b""
    writer.close()
    assert (await relay.send(head + body)).status == 200


@pytest.mark.parametrize("more", [[], [(b"idempotency-key", b"one")]], ids=["", "idempotent"])
@pytest.mark.parametrize(
    "path, kind", [("/v1/disconnect", b"application/json"), ("/v1/custom-integrations", b"application/yaml")]
)
async def test_caller_that_disconnects_within_its_body_is_no_crash(
    relay: Relay, path: str, kind: bytes, more: list[tuple[bytes, bytes]]
) -> None:
    headers = [(b"authorization", f"Bearer {relay.key}".encode()), (b"content-type", kind), *more]
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    await relay.application.app(scope, receive, send)
    assert sent[0]["status"] == 400
