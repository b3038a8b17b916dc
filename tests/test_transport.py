"""One write for the head and body of a response, without a long delay."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import Message, Receive, Scope, Send

from one_runtime.transport import OneWriteProtocol, OneWriteTransport
from tests.application import _stop
from tests.waiting import eventually

App = Callable[[Scope, Receive, Send], Awaitable[None]]
HEAD: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]}


class Wire(asyncio.Transport):
    """A connection that records its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: object) -> None:
        assert isinstance(list_of_data, tuple)
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


async def test_head_and_body_are_one_write() -> None:
    wire = Wire()
    transport = OneWriteTransport(wire)
    transport.write(b"head ")
    assert wire.writes == []
    transport.write(b"body")
    assert wire.writes == [b"head body"]


async def test_a_head_alone_leaves_with_the_loops_next_turn() -> None:
    wire = Wire()
    transport = OneWriteTransport(wire)
    transport.write(b"head")
    await asyncio.sleep(0)
    assert wire.writes == [b"head"]
    transport.write(b"chunk")
    await asyncio.sleep(0)
    assert wire.writes == [b"head", b"chunk"]


async def test_closing_sends_what_is_held() -> None:
    wire = Wire()
    transport = OneWriteTransport(wire)
    transport.write(b"last words")
    transport.close()
    await asyncio.sleep(0)
    assert (wire.writes, wire.closed, transport.is_closing()) == ([b"last words"], True, True)


async def test_what_is_held_for_a_caller_who_left_is_dropped() -> None:
    wire = Wire()
    transport = OneWriteTransport(wire)
    transport.write(b"head")
    wire.closed = True
    await asyncio.sleep(0)
    assert wire.writes == []


@asynccontextmanager
async def served(app: App) -> AsyncIterator[int]:
    config = uvicorn.Config(app, log_config=None, lifespan="off", http=OneWriteProtocol)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await eventually(lambda: server.started or task.done())
        try:
            yield listener.getsockname()[1]
        finally:
            await _stop(server, task)


async def test_uvicorn_answers_over_it_and_streams_over_it() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(HEAD)
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await go_on.wait()
        await send({"type": "http.response.body", "body": b"last!" if scope["path"] == "/stream" else b"0123456789"})

    async with served(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(10) == b"0123456789"
        writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(5) == b"first"
        go_on.set()
        assert await reader.read() == b"last!"
        writer.close()
