"""The load generator, a process outside the server: a closed loop over keep-alive connections.

The process reads one JSON job per line from standard input, and writes one line per job. The line contains the number
of requests for each duration in microseconds. So the line is short even after many requests.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from typing import Final, TypeAlias, cast

import uvloop

Job: TypeAlias = dict[str, object]

_PATIENCE: Final = 10.0  # seconds


class Caller(asyncio.Protocol):
    """One connection. It sends the next request after each complete response."""

    def __init__(self, requests: Iterator[bytes], until: float, status: bytes, latencies: list[float]) -> None:
        self._requests, self._until, self._latencies = requests, until, latencies
        self._head = b"HTTP/1.1 " + status
        self.size = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class does not inherit from asyncio's class
        self._send()

    def _send(self) -> None:
        self._received, self._wanted = b"", -1
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if self._wanted < 0:
            self._wanted = self._length()
        if self._wanted < 0 or len(self._received) < self._wanted:
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def _length(self) -> int:
        """Return the length of the whole response, or -1 until the response's head is complete."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return -1
        if not self._received.startswith(self._head) and not self.done.done():
            self.done.set_exception(RuntimeError(f"unexpected answer: {self._received[:2000]!r}"))
        start = self._received.find(b"content-length: ", 0, end)
        length = int(self._received[start + 16 : self._received.find(b"\r", start)]) if start >= 0 else 0
        self.size = length
        return end + 4 + length

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)


async def _load(job: Job) -> dict[str, object]:
    requests = cycle(str(request).encode() for request in _list(job["requests"]))
    latencies: list[float] = []
    started = time.perf_counter()
    until = started + float(str(job["seconds"]))
    callers: list[Caller] = []

    def call() -> Caller:
        callers.append(Caller(requests, until, str(job["status"]).encode(), latencies))
        return callers[-1]

    for _ in range(int(str(job["connections"]))):
        await asyncio.get_running_loop().create_connection(call, "127.0.0.1", int(str(job["port"])))
    async with asyncio.timeout(float(str(job["seconds"])) + _PATIENCE):
        await asyncio.gather(*(caller.done for caller in callers))
    counted = Counter(round(latency * 1e6) for latency in latencies)
    return {"seconds": time.perf_counter() - started, "latencies": counted, "size": callers[0].size}


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def main() -> None:
    """Run the jobs from standard input in order."""
    for line in sys.stdin:
        print(json.dumps(uvloop.run(_load(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
