"""Bodies much larger than the memory limit go through without taking memory. `make soak` sends bodies of 3 GB."""

import asyncio
import os
from pathlib import Path
from typing import Final

import pytest

from tests.proxy.relay import Arrived, Relay, read_head

pytestmark = [pytest.mark.only_database("sqlite"), pytest.mark.slow, pytest.mark.timeout(300)]

PIECE: Final = b"x" * 1024 * 1024
SIZES: Final = [pytest.param(256, id="256 MB"), pytest.param(3 * 1024, id="3 GB", marks=pytest.mark.soak)]
"""Numbers of pieces. 3 GB is more than a signed number of 32 bits can hold."""
MOST_GROWTH: Final = 40 * 1024 * 1024


def resident() -> int:
    """Return the resident memory of this process in bytes, including upstream and caller."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("pieces", SIZES)
async def test_large_response_is_streamed(relay: Relay, pieces: int) -> None:
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(PIECE) * pieces))
        for _number in range(pieces):
            writer.write(PIECE)
            await writer.drain()

    relay.upstream.handler = pour
    reader, writer = await relay.opened(relay.head("GET", "/big"))
    await read_head(reader)
    remaining, most, begun = len(PIECE) * pieces, 0, resident()
    while remaining:
        remaining -= len(await reader.read(1024 * 1024))
        most = max(most, resident() - begun)
    writer.close()
    assert most < MOST_GROWTH


@pytest.mark.parametrize("pieces", SIZES)
async def test_large_request_is_streamed(relay: Relay, pieces: int) -> None:
    received = 0

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        nonlocal received
        while received < int(arrived.named(b"content-length")[0]):
            received += len(await reader.read(1024 * 1024))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    relay.upstream.handler = swallow
    reader, writer = await relay.opened(relay.head("PUT", "/big", f"Content-Length: {len(PIECE) * pieces}"))
    most, begun = 0, resident()
    for _ in range(pieces):
        writer.write(PIECE)
        await writer.drain()
        most = max(most, resident() - begun)
    assert (await read_head(reader)).line.split(b" ")[1] == b"200"
    writer.close()
    assert received == len(PIECE) * pieces
    assert most < MOST_GROWTH
