"""A provider that answers at once: `python -m benchmarks.upstream PORT`. A kilobyte, or ten megabytes at /large."""

import asyncio
import sys
from typing import Final

import uvloop

_SMALL: Final = b'{"data":"' + b"x" * 1013 + b'"}'
_LARGE: Final = b"x" * 10_000_000
_END: Final = b"\r\n\r\n"


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


_ANSWERS: Final = {True: _answer(_LARGE), False: _answer(_SMALL)}


class Provider(asyncio.Protocol):
    """Reads requests with a Content-Length or without a body, one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment] # of a TCP server
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while _END in self._received:
            head, _, rest = self._received.partition(_END)
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = int(length or b"0")
            if len(rest) < body:
                return
            self._received = rest[body:]
            self._transport.write(_ANSWERS[b" /api/large " in head.partition(b"\r\n")[0] + b" "])


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
