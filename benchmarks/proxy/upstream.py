"""Simulated providers: `python -m benchmarks.proxy.upstream PLAIN TLS HANGING CERTIFICATE` (three ports and a file).

The first and the second provider answer /soon after a millisecond, and any other path at once. The response to /large
has ten megabytes, and any other response has a kilobyte. The third provider never answers.
"""

import asyncio
import ssl
import sys
from typing import Final

import uvloop

_SMALL: Final = b'{"data":"' + b"x" * 1013 + b'"}'
_LARGE: Final = b"x" * 10_000_000
_END: Final = b"\r\n\r\n"
_SOON: Final = 0.001


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


_ANSWERS: Final = {b"/api/large": _answer(_LARGE)}
_USUAL: Final = _answer(_SMALL)


class Provider(asyncio.Protocol):
    """Answers requests in order. A request has a `Content-Length` or no body."""

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
            self._say(head.split(b" ", 2)[1])

    def _say(self, path: bytes) -> None:
        answer = _ANSWERS.get(path, _USUAL)
        if path == b"/api/soon":
            asyncio.get_running_loop().call_later(_SOON, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def _serve(ports: list[int], certificate: str) -> None:
    plain, tls, hanging = ports
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(Provider, "127.0.0.1", plain, backlog=1024),
        await loop.create_server(Provider, "127.0.0.1", tls, backlog=1024, ssl=context),
        await loop.create_server(asyncio.Protocol, "127.0.0.1", hanging, backlog=1024),
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(_serve([int(port) for port in sys.argv[1:4]], sys.argv[4]))
