"""A closed loop of callers on keep-alive connections: calls per second and durations."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

_Opened: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_WINDOW: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """A request and its address."""

    port: int
    request: bytes
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """Calls per second, and the median and the 99th percentile of a call in milliseconds."""

    rate: float
    p50: float
    p99: float


async def load(call: Call, callers: int, seconds: float) -> Load:
    """Repeat the call for this many seconds.

    Before the measurement, each caller makes one call, because a busy server accepts connections slowly.
    """
    took: list[float] = []
    opened = [await _opened(call) for _ in range(callers)]
    await asyncio.gather(*(_exchange(*each, call.request) for each in opened))
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_call_until(each, call, end, took) for each in opened))
    took.sort()
    return Load(len(took) / seconds, took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000)


async def once(call: Call) -> bytes:
    """Make one call. Return the body of the response."""
    reader, writer = await _opened(call)
    writer.write(call.request)
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(content_length(head))
    writer.close()
    return body


async def repeat(call: Call, callers: int, times: int) -> None:
    """Make this many calls in total."""
    remaining = times

    async def caller() -> None:
        nonlocal remaining
        reader, writer = await _opened(call)
        while remaining > 0:
            remaining -= 1
            await _exchange(reader, writer, call.request)
        writer.close()

    await asyncio.gather(*(caller() for _ in range(callers)))


@asynccontextmanager
async def waiting(call: Call, callers: int) -> AsyncIterator[None]:
    """Run callers until the block ends. Each caller repeats the call, and waits if the provider does not answer."""
    opened = [await _opened(call) for _ in range(callers)]
    tasks = [asyncio.ensure_future(_call_until(each, call, float("inf"), [])) for each in opened]
    await asyncio.sleep(1)  # until all callers wait
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _call_until(opened: _Opened, call: Call, end: float, took: list[float]) -> None:
    try:
        while (begun := time.perf_counter()) < end:
            await _exchange(*opened, call.request)
            took.append(time.perf_counter() - begun)
    finally:
        opened[1].transport.abort()


async def _opened(call: Call) -> _Opened:
    host = "localhost" if call.tls else None
    return await asyncio.open_connection("127.0.0.1", call.port, limit=_WINDOW, ssl=call.tls, server_hostname=host)


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(content_length(head))


def content_length(head: bytes) -> int:
    """Return the length of the body of a request or of a response, from its head."""
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
