"""Steps of the proxy tests: an upstream, an installation and a caller that exchange raw bytes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from tests.application import Application, Client, RunningAcme, SetClock, lifespan, running

SVG: Final = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8"/></svg>'
KEY: Final = "key-0123456789abcdef"
CODES: Final = {"status": [401, 404], "json": [{"path": "error", "equals": "token_revoked"}]}
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Arrived:
    """A request as the provider received it, byte for byte."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def named(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Arrived], Awaitable[None]]


@dataclass
class Upstream:
    """A provider that records requests and sends raw responses."""

    port: int = 0
    answer: bytes = OK
    answers: list[bytes] = field(default_factory=list)
    pages: dict[str, bytes] = field(default_factory=dict)
    """Responses by method and path, before all other responses."""
    handler: Handler | None = None
    arrived: list[Arrived] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lines(self) -> list[str]:
        """Return method and path of each received request."""
        return [arrived.line.decode().rpartition(" ")[0] for arrived in self.arrived]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                arrived = await read_head(reader)
                self.arrived.append(arrived)
                if self.handler is not None:
                    await self.handler(reader, writer, arrived)
                    return
                arrived.body = await read_body(reader, arrived)
                page = self.pages.get(self.lines[-1])
                response = page or (self.answers.pop(0) if self.answers else self.answer)
                writer.write(response)
                await writer.drain()
                if b"Connection: close" in response:
                    return
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.closed.set()
            writer.close()


def json_response(status: int, **body: object) -> bytes:
    """Return a raw JSON response."""
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(text),
        text,
    )


async def read_head(reader: asyncio.StreamReader) -> Arrived:
    line, *fields = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    pairs = [header.partition(b":") for header in fields]
    return Arrived(line, [(name, value.strip()) for name, _, value in pairs])


async def read_body(reader: asyncio.StreamReader, arrived: Arrived) -> bytes:
    if arrived.named(b"transfer-encoding"):
        return b"".join([piece async for piece in chunks(reader)])
    length = arrived.named(b"content-length")
    return await reader.readexactly(int(length[0])) if length else b""


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        await reader.readline()
    await reader.readline()


@dataclass
class Answer:
    """A response as the caller received it. `broken`: the connection ended within the body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    broken: bool = False

    def named(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def problem(self) -> str:
        """Return our error code, which header and body repeat."""
        code = self.named(b"one-runtime-error")[0].decode()
        assert json.loads(self.body)["code"] == code
        return code


@dataclass
class Relay:
    """An installation between a caller and the upstream."""

    application: Application
    upstream: Upstream
    port: int
    key: str
    organization: str

    @property
    def client(self) -> Client:
        """Return a client of the organization for the rest of the API."""
        return self.application.client(self.key)

    def head(self, method: str, target: str, *headers: str, slug: str = "raw", user: str | None = "user_123") -> bytes:
        end_user = [f"One-Runtime-End-User: {user}"] if user else []
        lines = [
            f"{method} /v1/proxy/{slug}{target} HTTP/1.1",
            "Host: one-runtime.example",
            f"Authorization: Bearer {self.key}",
            *end_user,
            *headers,
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def call(
        self,
        method: str,
        target: str = "/x",
        *headers: str,
        body: bytes = b"",
        slug: str = "raw",
        user: str | None = "user_123",
    ) -> Answer:
        """Send one call on a new connection."""
        length = [f"Content-Length: {len(body)}"] if body else []
        return await self.send(self.head(method, target, *length, *headers, slug=slug, user=user) + body, method)

    async def send(self, request: bytes, method: str = "GET") -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            await writer.drain()
            return await read_answer(reader, method)
        finally:
            writer.close()

    async def opened(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        await writer.drain()
        return reader, writer

    @property
    def last(self) -> Arrived:
        return self.upstream.arrived[-1]


async def read_answer(reader: asyncio.StreamReader, method: str) -> Answer:
    head = await read_head(reader)
    status = int(head.line.split(b" ")[1])
    answer = Answer(status, head.headers, b"")
    if method == "HEAD" or status in {204, 304}:
        return answer
    try:
        if head.named(b"transfer-encoding") or head.named(b"content-length"):
            answer.body = await read_body(reader, head)
        else:
            answer.body = await reader.read()
    except (asyncio.IncompleteReadError, ValueError, ConnectionError):
        answer.broken = True
    return answer


def entry(slug: str, port: int, **auth: Any) -> Integration:
    """Return an integration whose API is the upstream."""
    where = "https://www.example.com"
    base = f"http://127.0.0.1:{port}/api"
    auth_entry: dict[str, Any] = {
        "type": "api_key",
        "fields": [{"name": "api_key", "label": "Key", "where": "There.", "pattern": "[!-~]{1,100}"}],
        "base_url": base,
        "headers": {"X-Version": "2026-01"},
        "send": {"headers": {"X-Key": "{api_key}"}},
        "check": {"path": "/me", "expect": {"json": [{"path": "id", "exists": True}]}},
        "verified": {"how": "unverified"},
        **auth,
    }
    words = {"description": "A provider.", "category": "Data", "website": where, "docs": where}
    data = {"slug": slug, "name": slug.title(), **words, "auth": [auth_entry]}
    return Integration.model_validate(data, context={"allow_http": True})


def oauth(port: int) -> Integration:
    base = f"http://127.0.0.1:{port}"
    return entry(
        "granted",
        port,
        type="oauth2",
        fields=[],
        client={"where": "There."},
        authorization={"url": f"{base}/authorize"},
        pkce="supported",
        token={"url": f"{base}/token", "auth": "post"},
        send={"headers": {"Authorization": "Bearer {access_token}"}},
    )


async def granted(relay: Relay, **more: Any) -> str:
    """Create an OAuth connection and return its id."""
    client = relay.client
    secret = {"client_id": "ours", "client_secret": "s3cret-s3cret"}
    assert (await client.send("PUT", "/v1/integrations/granted/oauth-client", secret)).status_code == 200
    tokens = {"access_token": "at-0", "refresh_token": "rt-0", **more}
    body = {"integration_slug": "granted", "end_user_id": "user_123", "auth_type": "oauth2", "check": False}
    response = await client.post("/v1/connections", {**body, "credentials": tokens})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


@asynccontextmanager
async def relaying(settings: Settings, acme: RunningAcme) -> AsyncIterator[Relay]:
    """Run an installation with an end user who is connected to every integration of the upstream."""
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = upstream.port = server.sockets[0].getsockname()[1]
    entries = (
        entry("raw", port, more_base_urls=[f"http://127.0.0.1:{port}/upload"]),
        entry("underscored", port, send={"headers": {"Api_Key": "{api_key}"}}),
        entry("dotted", port, allow_dot_segments=True),
        entry("in-query", port, send={"query": {"key": "{api_key}"}}),
        entry("pathed", port, base_url=f"http://127.0.0.1:{port}/bot{{api_key}}", send={}),
        entry("coded", port, check={"path": "/me", "refused": CODES}),
        entry("known", port, send={"basic": {"username": "{api_key}", "password": "x"}}),
        oauth(port),
    )
    catalog = Catalog.of(entries, {integration.slug: SVG.encode() for integration in entries}, "raw")
    allowed = settings.egress_allow | {("127.0.0.1", port)}
    clock = SetClock()
    app = create_app(settings.model_copy(update={"egress_allow": allowed}), catalog, clock=clock)
    async with server, running(app) as listening:
        application = Application(app, app.services.installation, clock, acme)
        organization = await application.organization()
        relay = Relay(application, upstream, listening, await application.key(organization), organization)
        client = application.client(relay.key)
        for slug in ("raw", "dotted", "underscored", "in-query", "known", "pathed", "coded"):
            body = {"integration_slug": slug, "end_user_id": "user_123", "auth_type": "api_key", "check": False}
            response = await client.post("/v1/connections", {**body, "credentials": {"api_key": KEY}})
            assert response.status_code == 201, response.text
        yield relay


__all__ = ["KEY", "Answer", "Arrived", "Relay", "lifespan", "read_answer", "relaying"]
