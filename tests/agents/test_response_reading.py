"""The event loop spends no time on large bodies of providers."""

import gzip
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from one_runtime.agents.response_reading import Reading, ReceivedBody, read_response
from one_runtime.agents.shaping import MAX_BYTES, MAX_FIELD, MAX_FIELDS
from one_runtime.computing.functions import FunctionPool
from one_runtime.egress.errors import UpstreamTooLarge

MIB = 1024 * 1024
KEY = "acme_9b2vhy2gtmzyw_lwtlesw0mtiz"
MOST = 0.05
"""CPU time of the event loop's thread for one response, in seconds. In this thread, each body needs 0.1 s to 1 s."""
FIELDS: Sequence[str] = [f"a.{number}.{'x.' * 13}".ljust(MAX_FIELD, "x") for number in range(MAX_FIELDS)]
READINGS = {
    "program": Reading.whole(),
    "tool": Reading.shortened(FIELDS, MAX_BYTES),
    "page": Reading.indented(20_000),
}
BODIES = {
    "objects": b"[" + b'{"a":{"1":1}},' * (2 * MIB // 14 - 1) + b"{}]",
    "escapes": b'"' + b"\\u003d" * (2 * MIB // 6 - 10) + KEY.encode() + b'"',
    "lists": b"[" * 90 + b"[]," * (2 * MIB // 3 - 100) + b"[]" + b"]" * 90,
    "binary": b"\xff" * 2 * MIB,
}


@pytest.fixture
async def functions() -> AsyncIterator[FunctionPool]:
    functions = FunctionPool(size=2)
    await read_response(functions, "", ReceivedBody(b"a" * MIB, "", "text/plain", [KEY]), Reading.whole())
    yield functions
    await functions.close()


@pytest.mark.promise("P17")
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
@pytest.mark.parametrize("name, encoding", [*((name, "") for name in BODIES), ("objects", "gzip")])
async def test_a_large_body_is_not_read_in_the_event_loop(
    functions: FunctionPool, name: str, encoding: str, reading: Reading
) -> None:
    body = BODIES[name]
    sent = gzip.compress(body) if encoding else body
    received = ReceivedBody(sent, encoding, "application/json", [KEY])
    start = time.thread_time()
    read = await read_response(functions, "", received, reading)
    used = time.thread_time() - start
    facts, data = reading.function(
        body, encoding="", content_type="application/json", secrets=[KEY], **reading.arguments
    )
    assert (read.data, read.truncated) == (data, facts.get("truncated"))
    assert KEY.encode() not in read.data
    assert used < MOST


async def test_a_small_body_needs_no_process() -> None:
    functions = FunctionPool()
    for body in (b"", b"a" * 16_384, gzip.compress(b"a" * 16_384)):
        encoding = "gzip" if body[:1] == b"\x1f" else ""
        read = await read_response(functions, "", ReceivedBody(body, encoding, "", []), Reading.whole())
        assert read.data == (gzip.decompress(body) if encoding else body)
    assert functions.pool.processes == []


async def test_a_response_that_finds_no_process_or_needs_too_long_is_refused_with_the_reason() -> None:
    large = ReceivedBody(b"a" * MIB, "", "text/plain", [])
    functions = FunctionPool(size=1, wait_seconds=0.01)
    async with functions.pool.reserve("other", 60):
        with pytest.raises(UpstreamTooLarge, match="reads many other large responses at the moment"):
            await read_response(functions, "one", large, Reading.whole())
    await functions.close()
    functions = FunctionPool(size=1, compute_seconds=0.001)
    with pytest.raises(UpstreamTooLarge, match=r"The response is too complex\. Request less data"):
        await read_response(functions, "one", large, Reading.whole())
    await functions.close()


async def test_an_unknown_or_wrong_encoding_is_refused(functions: FunctionPool) -> None:
    for body, encoding in ((b"a", "br"), (b"a" * MIB, "gzip")):
        with pytest.raises(UpstreamTooLarge, match="its content encoding is not supported"):
            await read_response(functions, "one", ReceivedBody(body, encoding, "", []), Reading.whole())
