"""A small HTTP server on loopback that sends raw bytes, for responses that no HTTP library would send."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final


@dataclass
class ReceivedRequest:
    """A received request."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


Writes = Callable[[asyncio.StreamWriter], Awaitable[None]]
Answer = bytes | Writes


def answer(status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """Return a complete response with its Content-Length."""
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def redirect(location: str, status: int = 302) -> bytes:
    return answer(status, [("Location", location)])


async def hang(_: asyncio.StreamWriter) -> None:
    """Answer nothing until the connection is closed."""
    await asyncio.Event().wait()


REACHED: Final = answer(200, body=b"reached")


@dataclass
class Upstream:
    """A running server: `answers` has responses by path, `anything` is the response to all other paths."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    anything: Answer = REACHED
    requests: list[ReceivedRequest] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            while True:
                request = await _read(reader)
                self.requests.append(request)
                reply = self.answers.get(request.target.partition("?")[0], self.anything)
                if isinstance(reply, bytes):
                    writer.write(reply)
                    await writer.drain()
                else:
                    await reply(writer)
                if isinstance(reply, bytes) and b"connection: close" in reply.lower():
                    return
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self.open_connections -= 1
            writer.close()


async def _read(reader: asyncio.StreamReader) -> ReceivedRequest:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
    request = ReceivedRequest(method, target, headers, b"")
    request.body = await reader.readexactly(int(request.header("content-length") or 0))
    return request


@asynccontextmanager
async def running_upstream(tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    upstream = Upstream()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(upstream.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
