"""The Python client's requests: API key, concurrency, timeouts, and bodies that it refuses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from traceback import walk_tb
from typing import Final

import httpx2
import pytest
import pytest_asyncio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from one_runtime_client import InvalidInput, Unavailable
from one_runtime_client.calls import Body, Files, Server
from one_runtime_client.client import TIMEOUT
from one_runtime_client.proxy import proxy_call
from tests.clients import python_callers
from tests.clients.python_callers import KINDS, Faults, Kind, calling, problem, serving_northwind
from tests.proxy.relay import Arrived, Upstream

pytestmark = pytest.mark.only_database("sqlite")  # the client speaks HTTP: nothing here depends on the database

KEY = "oru_key_0123456789"
CROWD: Final = 120
"""More than the 100 connections that httpx2 opens by default."""


@pytest_asyncio.fixture
async def northwind() -> AsyncIterator[tuple[Faults, str]]:
    async with serving_northwind() as server:
        yield server


@dataclass
class _Meeting:
    """Answers when all requests have arrived."""

    come: int = 0
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.come += 1
        if self.come == CROWD:
            self.complete.set()
        await self.complete.wait()
        await python_callers.northwind(scope, receive, send)


@pytest.mark.parametrize("kind", KINDS)
async def test_client_does_not_limit_concurrent_calls(northwind: tuple[Faults, str], kind: Kind) -> None:
    northwind[0].app = _Meeting()
    with ThreadPoolExecutor(CROWD) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        async with calling(kind, northwind[1], KEY, timeout=20) as caller:
            answers = await asyncio.gather(*(caller.do("organization.get") for _ in range(CROWD)))
    assert len(answers) == CROWD


@pytest.mark.parametrize("kind", KINDS)
async def test_no_frame_of_a_traceback_contains_the_key(northwind: tuple[Faults, str], kind: Kind) -> None:
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(TypeError) as failed:
            await caller.do("proxy.post", "acme", "/", end_user_id="u", json={"at": object()})
    frames = [repr(frame.f_locals) for frame, _ in walk_tb(failed.value.__traceback__)]
    assert not [frame for frame in frames if KEY in frame]


@pytest.mark.parametrize("kind", KINDS)
def test_repr_of_a_request_masks_the_key(kind: Kind) -> None:
    server = Server("http://127.0.0.1", KEY, TIMEOUT)
    http = httpx2.Client() if kind == "blocking" else httpx2.AsyncClient()
    request = server.request(http, proxy_call("GET", "acme", "/", end_user_id="u"))
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{server!r} {request!r} {request.headers!r}"


@pytest.mark.parametrize("kind", KINDS)
async def test_body_for_the_other_client_is_refused(northwind: tuple[Faults, str], kind: Kind) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"{}"

    async def later() -> AsyncIterator[bytes]:
        yield b"{}"

    body: Body = later() if kind == "blocking" else pieces()
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(TypeError, match="body must be bytes, text or an"):
            await caller.do("proxy.post", "acme", "/", body=body, end_user_id="u")
    assert northwind[0].seen == []


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A server that records each request of a client byte for byte, and answers as a provider does."""
    upstream = Upstream(answer=b"HTTP/1.1 200 OK\r\nOne-Runtime-Attempts: 1\r\nContent-Length: 0\r\n\r\n")
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    async with server:
        upstream.port = server.sockets[0].getsockname()[1]
        yield upstream


@pytest.mark.parametrize("kind", KINDS)
async def test_request_has_one_length(upstream: Upstream, kind: Kind) -> None:
    """Two lengths of one body enable request smuggling (RFC 9112, 6.1)."""

    def pieces() -> Iterator[bytes]:
        yield b"he"
        yield b"llo"

    async def later() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    def stream() -> Body:
        return pieces() if kind == "blocking" else later()

    length, chunked = {"content-length": "5"}, {"Transfer-Encoding": "chunked"}
    cases: list[tuple[Body, dict[str, str], str]] = [
        (stream(), {}, "chunked"),
        (stream(), length, "length"),
        (stream(), {**length, **chunked}, "length"),
        (b"hello", {}, "length"),
        ("hello", chunked, "chunked"),
    ]
    async with calling(kind, f"http://127.0.0.1:{upstream.port}", KEY) as caller:
        for body, headers, framing in cases:
            await caller.do("proxy.put", "acme", "/upload", end_user_id="u", body=body, headers=headers)
            arrived = upstream.arrived[-1]
            lengths = (arrived.named(b"content-length"), arrived.named(b"transfer-encoding"))
            assert lengths == (([b"5"], []) if framing == "length" else ([], [b"chunked"])), (headers, framing)
            assert arrived.body == b"hello"


@pytest.mark.parametrize("kind", KINDS)
async def test_length_that_contradicts_the_body_is_refused(upstream: Upstream, kind: Kind) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"he"
        yield b"llo"

    async def later() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    reasons = {
        "4": "the body is longer than the declared 4",
        "6": "the body ends after 5 of 6 bytes",
        "5, 5": "'5, 5' is not a number of bytes",
        "+5": "'+5' is not a number of bytes",
    }
    async with calling(kind, f"http://127.0.0.1:{upstream.port}", KEY) as caller:
        for length, reason in reasons.items():
            for body in (b"hello", pieces() if kind == "blocking" else later()):
                headers = {"Content-Length": length}
                with pytest.raises(InvalidInput) as refused:
                    await caller.do("proxy.put", "acme", "/upload", end_user_id="u", body=body, headers=headers)
                assert (refused.value.code, refused.value.errors[0].message) == ("invalid_input", reason)
        assert caller.slept == []
        await caller.do("proxy.put", "acme", "/upload", end_user_id="u", body=b"", headers={"Content-Length": "0"})
    assert upstream.arrived[-1].named(b"content-length") == [b"0"]


def parsed(arrived: Arrived) -> list[tuple[str, str | None, str, bytes]]:
    """Return the parts of a form: field, name of the file, media type, content."""
    (media_type,) = arrived.named(b"content-type")
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + media_type + b"\r\n\r\n" + arrived.body)
    assert message.get_content_type() == "multipart/form-data"
    parts = []
    for part in message.iter_parts():
        field = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(field, str)
        assert isinstance(content, bytes)
        parts.append((field, part.get_filename(), part.get_content_type(), content))
    return parts


@pytest.mark.parametrize("kind", KINDS)
async def test_form_with_files_is_sent_with_its_length(upstream: Upstream, kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    with (tmp_path / "photo.png").open("rb") as photo:
        files: Files = [("file", photo), ("text", ("words.txt", "hé")), ("data", ("d", b"{}", "application/json"))]
        async with calling(kind, f"http://127.0.0.1:{upstream.port}", KEY) as caller:
            fields = {"title": "A photo", "tag": ["a", "b"], "none": None}
            await caller.do("proxy.post", "acme", "/files", end_user_id="u", data=fields, files=files)
    (arrived,) = upstream.arrived
    assert arrived.named(b"content-length") == [str(len(arrived.body)).encode()]
    assert arrived.named(b"transfer-encoding") == []
    assert parsed(arrived) == [
        ("title", None, "text/plain", b"A photo"),
        ("tag", None, "text/plain", b"a"),
        ("tag", None, "text/plain", b"b"),
        ("file", "photo.png", "image/png", b"\x89PNG"),
        ("text", "words.txt", "text/plain", "hé".encode()),
        ("data", "d", "application/json", b"{}"),
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_form_without_files_is_sent_as_text(upstream: Upstream, kind: Kind) -> None:
    async with calling(kind, f"http://127.0.0.1:{upstream.port}", KEY) as caller:
        fields = {"name": "Ada & Co", "tag": ["a", "b"], "active": True, "none": None}
        await caller.do("proxy.post", "acme", "/contacts", end_user_id="u", data=fields)
    (arrived,) = upstream.arrived
    assert arrived.named(b"content-type") == [b"application/x-www-form-urlencoded"]
    assert arrived.body == b"name=Ada+%26+Co&tag=a&tag=b&active=true"


@pytest.mark.parametrize("kind", KINDS)
async def test_only_one_body_is_accepted(northwind: tuple[Faults, str], kind: Kind) -> None:
    bodies: list[dict[str, object]] = [
        {"json": {}, "body": b""},
        {"json": 0, "data": {"a": "b"}},
        {"body": "", "files": {"file": b""}},
    ]
    async with calling(kind, northwind[1], KEY) as caller:
        for more in bodies:
            with pytest.raises(TypeError, match="as json, as body, or as data and files"):
                await caller.do("proxy.post", "acme", "/", end_user_id="u", **more)
    assert northwind[0].seen == []


@pytest.mark.parametrize("kind", KINDS)
async def test_form_is_repeated_only_if_its_files_are_in_memory(
    northwind: tuple[Faults, str], kind: Kind, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    faults, url = northwind
    with (tmp_path / "photo.png").open("rb") as photo:
        cases: list[tuple[Files, int]] = [
            ({"file": b"\x89PNG", "text": ("words.txt", "words")}, 2),
            ({"file": ("words.txt", photo)}, 1),
            ([("text", "words"), ("file", photo)], 1),
        ]
        for files, attempts in cases:
            faults.seen = []
            faults.answers = [problem(503, "database_busy", one_runtime_error="database_busy") for _ in range(attempts)]
            async with calling(kind, url, KEY, max_retries=1) as caller:
                with pytest.raises(Unavailable):
                    await caller.do("proxy.post", "acme", "/", end_user_id="u", files=files)
            assert len(faults.seen) == attempts, files


@pytest.mark.parametrize(
    "timeout,retry,patience",
    [
        (None, False, 60 + 15),
        (5, False, 5 + 15),
        (900, False, 600 + 15),
        (None, True, 3 * (60 + 15) + 2 * 30),
        (9, True, 3 * (9 + 15) + 2 * 30),
    ],
)
def test_client_waits_longer_than_one_runtime(timeout: float | None, retry: bool, patience: float) -> None:
    """One Runtime waits 10 seconds for a connection, and `timeout` for the answer; with `retry`, three times."""
    call = proxy_call("GET", "acme", "/", end_user_id="u", timeout=timeout, retry=retry)
    with httpx2.Client(timeout=TIMEOUT) as http:
        waits = Server("http://127.0.0.1", KEY, TIMEOUT).request(http, call).extensions["timeout"]
    assert (waits["read"], waits["connect"]) == (patience, min(patience, TIMEOUT))


@pytest.mark.parametrize("kind", KINDS)
async def test_pull_waits_for_events_longer_than_its_timeout(northwind: tuple[Faults, str], kind: Kind) -> None:
    faults, url = northwind
    limits: list[float] = []

    def note(request: httpx2.Request) -> None:
        limits.append(request.extensions["timeout"]["read"])

    async def note_later(request: httpx2.Request) -> None:
        note(request)

    http = {
        "blocking": lambda: httpx2.Client(event_hooks={"request": [note]}),
        "awaiting": lambda: httpx2.AsyncClient(event_hooks={"request": [note_later]}),
    }[kind]
    faults.answers = [Response('{"messages": []}', media_type="application/json") for _ in range(3)]
    async with calling(kind, url, KEY, timeout=20, http_client=http) as caller:
        await caller.do("webhook_deliveries.pull", "endpoint", wait_seconds=30)
        await caller.do("webhook_deliveries.pull", "endpoint", wait_seconds=30, timeout=4)
        await caller.do("webhook_deliveries.pull", "endpoint")
    assert limits == [20 + 30, 4 + 30, 20]
