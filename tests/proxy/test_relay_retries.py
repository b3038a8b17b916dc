"""Proxy calls that fail: error codes, retries, and requests that are never sent twice (P12)."""

import asyncio
import json
from datetime import timedelta
from email.utils import format_datetime
from typing import Final

import pytest

from one_runtime.settings import Settings
from tests.application import RunningAcme
from tests.database import ANY_DATABASE
from tests.proxy.relay import KEY, OK, Arrived, Relay, read_body, relaying
from tests.waiting import eventually

BUSY: Final = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@ANY_DATABASE
async def test_idempotent_call_is_retried_on_request(relay: Relay, method: str) -> None:
    relay.upstream.answers = [b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"] * 2
    relay.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    answer = await relay.call(method, "/x", "One-Runtime-Retry: idempotent")
    assert (answer.status, answer.named(b"one-runtime-attempts")) == (200, [b"3"])


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@ANY_DATABASE
async def test_post_and_patch_are_never_retried(relay: Relay, method: str) -> None:
    relay.upstream.answer = BUSY
    answer = await relay.call(method, "/x", "One-Runtime-Retry: idempotent", body=b"{}")
    assert (answer.status, len(relay.upstream.arrived)) == (503, 1)


@ANY_DATABASE
async def test_nothing_is_retried_without_the_header(relay: Relay) -> None:
    relay.upstream.answer = BUSY
    answer = await relay.call("GET")
    assert (answer.status, answer.body, answer.named(b"retry-after")) == (503, b"busy", [b"0"])
    assert len(relay.upstream.arrived) == 1


@ANY_DATABASE
async def test_call_is_attempted_at_most_three_times(relay: Relay) -> None:
    relay.upstream.answer = BUSY
    answer = await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")
    assert (answer.status, len(relay.upstream.arrived)) == (503, 3)


@ANY_DATABASE
async def test_time_in_retry_after_is_compared_with_the_clock_of_the_installation(relay: Relay) -> None:
    in_an_hour = format_datetime(relay.application.clock() + timedelta(hours=1), usegmt=True)
    relay.upstream.answers = [f"HTTP/1.1 503 Busy\r\nRetry-After: {in_an_hour}\r\nContent-Length: 0\r\n\r\n".encode()]
    relay.application.clock.advance(hours=1)
    answer = await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")
    assert (answer.status, answer.named(b"one-runtime-attempts")) == (200, [b"2"])


@pytest.mark.parametrize(
    "header",
    ["Retry-After: 3600", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT", "X-RateLimit-Reset: 99999999999",
     "RateLimit-Reset: 120"],
)  # fmt: skip
@ANY_DATABASE
async def test_long_retry_after_is_returned_to_the_caller(relay: Relay, header: str) -> None:
    relay.upstream.answer = f"HTTP/1.1 429 Slow\r\n{header}\r\nContent-Length: 0\r\n\r\n".encode()
    answer = await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")
    assert (answer.status, len(relay.upstream.arrived)) == (429, 1)


@ANY_DATABASE
@pytest.mark.slow
async def test_unreachable_and_silent_providers_have_different_codes(relay: Relay) -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: Arrived) -> None:
        await reader.read()

    relay.upstream.handler = hang
    slow = await relay.call("GET", "/x", "One-Runtime-Timeout: 0.2")
    assert (slow.status, slow.problem) == (504, "upstream_timeout")
    assert "sent nothing for 0.2 seconds" in json.loads(slow.body)["detail"]
    await eventually(relay.upstream.closed.is_set)

    async def drop(_: asyncio.StreamReader, __: asyncio.StreamWriter, ___: Arrived) -> None:
        return

    relay.upstream.handler = drop
    dropped = await relay.call("GET")
    assert (dropped.status, dropped.problem) == (502, "upstream_unreachable")
    again = await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")
    assert (again.status, again.problem) == (502, "upstream_unreachable")
    relay.upstream.handler = None
    relay.upstream.answer = b"what is this\r\n\r\n"
    odd = await relay.call("GET")
    assert (odd.status, odd.problem) == (502, "upstream_protocol_error")


@pytest.mark.parametrize(
    "header",
    ["One-Runtime-Timeout: 0", "One-Runtime-Timeout: 601", "One-Runtime-Timeout: x", "One-Runtime-Connect-Timeout: -1",
     "One-Runtime-Retry: always", "One-Runtime-Trace: yes"],
)  # fmt: skip
@ANY_DATABASE
async def test_invalid_proxy_headers_are_refused(relay: Relay, header: str) -> None:
    answer = await relay.call("GET", "/x", header)
    assert (answer.status, answer.problem) == (422, "invalid_input")
    assert json.loads(answer.body)["errors"][0]["field"] == header.partition(":")[0]
    assert relay.upstream.arrived == []


@ANY_DATABASE
async def test_bodies_over_the_configured_size_are_refused(settings: Settings, acme: RunningAcme) -> None:
    async with relaying(settings.model_copy(update={"proxy_max_bytes": 1000}), acme) as relay:
        large = await relay.call("POST", "/x", body=b"x" * 1001)
        assert (large.status, large.problem) == (413, "too_large")
        assert (await relay.call("POST", "/x", body=b"x" * 1000)).status == 200
        relay.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001
        answer = await relay.call("GET")
        assert (answer.status, answer.broken) == (200, True)


@pytest.mark.promise("P12")
@ANY_DATABASE
async def test_hanging_provider_does_not_delay_another(relay: Relay) -> None:
    async def by_path(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        if b"/hang" in arrived.line:
            await reader.read()
            return
        await read_body(reader, arrived)
        writer.write(OK)
        await writer.drain()

    relay.upstream.handler = by_path
    hanging = [asyncio.ensure_future(relay.call("GET", "/hang")) for _ in range(50)]
    await eventually(lambda: len(relay.upstream.arrived) == 50)
    assert (await relay.call("GET", "/x")).status == 200
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.promise("P11")
@ANY_DATABASE
async def test_no_error_contains_the_key(relay: Relay) -> None:
    relay.upstream.answer = b"what is this\r\n\r\n"
    for slug in ("raw", "in-query", "known", "pathed"):
        for header in ("X-Nothing: special", "One-Runtime-Base-Url: http://127.0.0.1/other"):
            answer = await relay.call("GET", "/x?a=b", header, slug=slug)
            assert answer.status in {502, 422}
            assert KEY.encode() not in answer.body
            assert b"a=b" not in answer.body


@ANY_DATABASE
async def test_unanswered_request_is_not_resent_without_the_header(relay: Relay) -> None:
    """Idempotent methods are not resent either: a repeated DELETE would answer 404."""

    async def drop(_: asyncio.StreamReader, __: asyncio.StreamWriter, ___: Arrived) -> None:
        return

    relay.upstream.handler = drop
    for number, method in enumerate(("GET", "PUT", "DELETE", "POST"), start=1):
        answer = await relay.call(method, "/x")
        assert (answer.status, answer.problem, len(relay.upstream.arrived)) == (502, "upstream_unreachable", number)


@pytest.mark.parametrize("method, status", [("GET", 200), ("HEAD", 200), ("DELETE", 502), ("POST", 502)])
@ANY_DATABASE
async def test_safe_request_is_resent_when_a_pooled_connection_was_being_closed(
    relay: Relay, method: str, status: int
) -> None:
    connections: list[int] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Arrived) -> None:
        connections.append(1)
        writer.write(OK if len(connections) == 1 else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")  # the connection closes after the next request

    relay.upstream.handler = answer_once
    assert (await relay.call("GET")).status == 200
    assert (await relay.call(method)).status == status
    assert len(connections) == (2 if status == 200 else 1)


@ANY_DATABASE
async def test_repeated_proxy_header_is_refused(relay: Relay) -> None:
    """A backend that adds the header to a browser's request could not know which value counts."""
    for header in ("One-Runtime-End-User: somebody_else", "Authorization: Bearer other"):
        answer = await relay.call("GET", "/x", header)
        assert (answer.status, answer.problem) == (422, "invalid_input")
        assert "must occur only once" in answer.body.decode()
    assert relay.upstream.arrived == []


@pytest.mark.slow
@pytest.mark.parametrize("wait", ["Mon, 01 Jan 99999999999999 00:00:00 GMT", "soon", "-1", "1e999"])
@ANY_DATABASE
async def test_invalid_retry_after_is_ignored(relay: Relay, wait: str) -> None:
    relay.upstream.answers = [f"HTTP/1.1 503 Busy\r\nRetry-After: {wait}\r\nContent-Length: 0\r\n\r\n".encode(), OK]
    assert (await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")).status == 200
