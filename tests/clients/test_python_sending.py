"""The Python client's requests: API key, concurrency, timeouts, and bodies that it refuses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import Final

import httpx2
import pytest
import pytest_asyncio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from one_runtime_client.calls import Body, Server
from one_runtime_client.client import TIMEOUT
from one_runtime_client.proxy import proxy_call
from tests.clients import python_callers
from tests.clients.python_callers import KINDS, Faults, Kind, calling, serving_northwind

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
