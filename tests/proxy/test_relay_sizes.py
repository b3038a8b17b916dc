"""Bodies of gigabytes go through without taking memory."""

import asyncio
import os
from pathlib import Path
from typing import Final

import pytest

from tests.proxy.relay import Arrived, Relay, read_head

pytestmark = [pytest.mark.only_database("sqlite"), pytest.mark.slow, pytest.mark.timeout(300)]

PIECE: Final = b"x" * 1024 * 1024
PIECES: Final = 3 * 1024
MOST_GROWTH: Final = 40 * 1024 * 1024


def resident() -> int:
    """Return the resident memory of this process in bytes, including upstream and caller."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_response_of_three_gigabytes_is_streamed(relay: Relay) -> None:
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(PIECE) * PIECES))
        for _number in range(PIECES):
            writer.write(PIECE)
            await writer.drain()

    relay.upstream.handler = pour
    reader, writer = await relay.opened(relay.head("GET", "/big"))
    await read_head(reader)
    remaining, most, begun = len(PIECE) * PIECES, 0, resident()
    while remaining:
        remaining -= len(await reader.read(1024 * 1024))
        most = max(most, resident() - begun)
    writer.close()
    assert most < MOST_GROWTH


async def test_request_of_three_gigabytes_is_streamed(relay: Relay) -> None:
    received = 0

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        nonlocal received
        while received < int(arrived.named(b"content-length")[0]):
            received += len(await reader.read(1024 * 1024))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    relay.upstream.handler = swallow
    reader, writer = await relay.opened(relay.head("PUT", "/big", f"Content-Length: {len(PIECE) * PIECES}"))
    most, begun = 0, resident()
    for _ in range(PIECES):
        writer.write(PIECE)
        await writer.drain()
        most = max(most, resident() - begun)
    assert (await read_head(reader)).line.split(b" ")[1] == b"200"
    writer.close()
    assert received == len(PIECE) * PIECES
    assert most < MOST_GROWTH
