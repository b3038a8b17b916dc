"""A closed loop of callers, each on a connection that it keeps: how many calls a second, and how long each takes."""

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
    """What is sent to whom."""

    port: int
    request: bytes
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """Calls a second, and of one call the median and the 99th percentile, in milliseconds."""

    rate: float
    p50: float
    p99: float


async def load(call: Call, callers: int, seconds: float) -> Load:
    """Call for so many seconds, after each has called once: a server that is busy takes new connections one by one."""
    took: list[float] = []
    opened = [await _opened(call) for _ in range(callers)]
    await asyncio.gather(*(_exchange(*each, call.request) for each in opened))
    end = time.perf_counter() + seconds
    await asyncio.gather(*(_call_until(each, call, end, took) for each in opened))
    took.sort()
    return Load(len(took) / seconds, took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000)


async def repeat(call: Call, callers: int, times: int) -> None:
    """Call so many times in all."""
    left = times

    async def one() -> None:
        nonlocal left
        reader, writer = await _opened(call)
        while left > 0:
            left -= 1
            await _exchange(reader, writer, call.request)
        writer.close()

    await asyncio.gather(*(one() for _ in range(callers)))


@asynccontextmanager
async def waiting(call: Call, callers: int) -> AsyncIterator[None]:
    """Callers who are left without an answer, or get one and call again, as long as the block lasts."""
    opened = [await _opened(call) for _ in range(callers)]
    tasks = [asyncio.ensure_future(_call_until(each, call, float("inf"), [])) for each in opened]
    await asyncio.sleep(1)  # until all of them wait
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
    await reader.readexactly(int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]))
