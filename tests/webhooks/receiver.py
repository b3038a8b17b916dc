"""A receiver of webhooks on a loopback port. It verifies each message with the reference library `standardwebhooks`."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from standardwebhooks import Webhook
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from one_runtime.settings import Settings
from tests.application import RunningAcme, running, settings_for
from tests.waiting import eventually

Answer: TypeAlias = Callable[["Message"], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. `path`: the path of the URL, which tells the endpoints of a test apart."""

    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.raw)
        return document

    @property
    def type(self) -> str:
        kind: str = self.body["type"]
        return kind

    def verify(self, secret: str) -> Any:
        verify: Any = Webhook(secret).verify
        return verify(self.raw, dict(self.headers))


@dataclass(slots=True)
class Receiver:
    """`answers`: how the receiver answers at a path. By default, it accepts every message."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str = "/hook") -> list[Message]:
        return [message for message in self.messages if message.path == path]

    async def wait_for(self, kind: str, path: str = "/hook", count: int = 1) -> Message:
        """Return the newest message of a type, as soon as `count` of them have arrived."""

        def arrived() -> list[Message]:
            matching = [message for message in self.at(path) if message.type == kind]
            return matching if len(matching) >= count else []

        return (await eventually(arrived))[-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await accept_lifespan(scope, receive, send)
            return
        request = Request(scope, receive)
        message = Message(request.url.path, dict(request.headers), await request.body())
        self.messages.append(message)
        answer = self.answers.get(message.path, _accept)(message)
        response = answer if isinstance(answer, Response) else await answer
        await response(scope, receive, send)


def _accept(_: Message) -> Response:
    return Response(status_code=204)


async def accept_lifespan(_: Scope, receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


def with_status(status: int, **headers: str) -> Answer:
    """Answer every message with a status."""
    return lambda _: Response(
        f"answer {status}", status, {name.replace("_", "-"): text for name, text in headers.items()}
    )


async def never(_: Message) -> Response:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


def after(seconds: float) -> Answer:
    """Accept every message after some seconds."""

    async def answer(message: Message) -> Response:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await never(message)
        return _accept(message)

    return answer


class _Dripping(asyncio.Protocol):
    """Sends response headers byte by byte, and never ends them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment] # of a TCP server
        self.transport.write(b"HTTP/1.1 200 OK\r\nx-drip: ")
        self._drip()

    def _drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"x")
            asyncio.get_running_loop().call_later(0.5, self._drip)


@asynccontextmanager
async def dripping() -> AsyncIterator[int]:
    """Run a receiver that never ends its response headers. Yield the port."""
    protocols: list[_Dripping] = []

    def connect() -> _Dripping:
        protocols.append(_Dripping())
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for protocol in protocols:
            protocol.transport.abort()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with running(receiver) as port:
        receiver.port = port
        yield receiver


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def settings_with_receiver(database_url: str, acme: RunningAcme, receiver: Receiver) -> Settings:
    """The settings of an installation that may send requests to the receiver."""
    allowed = frozenset({("127.0.0.1", acme.port), ("127.0.0.1", receiver.port)})
    return settings_for(database_url, acme, egress_allow=allowed)
