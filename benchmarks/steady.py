"""`python -m benchmarks.steady`: a steady rate of requests from a process of its own, in an open loop.

The program starts each request at a fixed time, whether or not earlier requests have ended. A duration begins at this
fixed time. So a server that stops for a second delays all requests of this second, and the durations show it.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.proxy.load import content_length

CONNECTIONS: Final = 8
_READ: Final = 256 * 1024
_FIRST: Final = 0.2  # seconds until the first request


@dataclass(frozen=True, slots=True)
class Steady:
    """The durations of requests in milliseconds."""

    requests: int
    p50: float
    p99: float


def figures(took: list[float]) -> Steady:
    """Return the figures of requests. `took`: their durations in milliseconds."""
    took = sorted(took)
    return Steady(len(took), took[len(took) // 2], took[int(len(took) * 0.99)])


@asynccontextmanager
async def steady(port: int, request: bytes, rate: float) -> AsyncIterator["Requests"]:
    """Send the request at this rate per second, until the block ends. Then the results are available."""
    arguments = ("-m", "benchmarks.steady", str(port), str(rate), request.hex())
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=PIPE, stdout=PIPE)
    requests = Requests()
    try:
        yield requests
    finally:
        output, _ = await process.communicate(b"")  # closes the input, which ends the program
    requests.took = sorted(json.loads(output))


class Requests:
    """The requests of one process. `took`: the sorted durations in milliseconds, after the end of the process."""

    took: list[float]

    def result(self) -> Steady:
        """Return the figures of all requests."""
        return figures(self.took)


class _Connection(threading.Thread):
    """Sends every n-th request on a connection of its own."""

    def __init__(self, port: int, request: bytes, first: float, interval: float) -> None:
        super().__init__()
        self._port, self._request, self._due, self._interval = port, request, first, interval
        self.stopped = threading.Event()
        self.took: list[float] = []

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            buffer = bytearray(_READ)
            _exchange(connection, self._request, buffer)  # the first request of a connection is slower
            while not self.stopped.wait(max(self._due - time.perf_counter(), 0)):
                _exchange(connection, self._request, buffer)
                self.took.append((time.perf_counter() - self._due) * 1000)
                self._due += self._interval


def _exchange(connection: socket.socket, request: bytes, buffer: bytearray) -> None:
    connection.sendall(request)
    received, expected, beginning = 0, None, b""
    while expected is None or received < expected:
        size = connection.recv_into(buffer)
        assert size, "the server closed the connection"
        received += size
        if expected is None:
            beginning += buffer[:size]
            head, separator, _ = beginning.partition(b"\r\n\r\n")
            if separator:
                assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 204")), head
                has_body = b"content-length:" in head.lower()
                expected = len(head) + len(separator) + (content_length(head) if has_body else 0)


def main() -> None:
    """Send requests until the standard input ends. Print the durations in milliseconds as JSON."""
    port, rate, request = int(sys.argv[1]), float(sys.argv[2]), bytes.fromhex(sys.argv[3])
    first, interval = time.perf_counter() + _FIRST, CONNECTIONS / rate
    connections = [_Connection(port, request, first + number / rate, interval) for number in range(CONNECTIONS)]
    for connection in connections:
        connection.start()
    sys.stdin.read()
    for connection in connections:
        connection.stopped.set()
    for connection in connections:
        connection.join()
    print(json.dumps([each for connection in connections for each in connection.took]))


if __name__ == "__main__":
    main()
