"""What the Python client sends: with whose key, and what it refuses to send."""

from collections.abc import AsyncIterator, Iterator
from traceback import walk_tb

import httpx2
import pytest
import pytest_asyncio

from one_runtime_client.asked import Content, Server
from one_runtime_client.proxy import call
from tests.clients.python_callers import KINDS, Faults, Kind, calling, standing

pytestmark = pytest.mark.only_database("sqlite")  # the client speaks HTTP: nothing here depends on the database

KEY = "oru_key_0123456789"


@pytest_asyncio.fixture
async def northwind() -> AsyncIterator[tuple[Faults, str]]:
    async with standing() as one:
        yield one


@pytest.mark.parametrize("kind", KINDS)
async def test_no_frame_of_a_failure_holds_the_key(northwind: tuple[Faults, str], kind: Kind) -> None:
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(TypeError) as failed:
            await caller.do("proxy.post", "acme", "/", end_user_id="u", json={"at": object()})
    frames = [repr(frame.f_locals) for frame, _ in walk_tb(failed.value.__traceback__)]
    assert not [one for one in frames if KEY in one]


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_is_masked_where_the_request_is_shown(kind: Kind) -> None:
    server = Server("http://127.0.0.1", KEY)
    http = httpx2.Client() if kind == "blocking" else httpx2.AsyncClient()
    request = server.request(http, call("GET", "acme", "/", end_user_id="u"))
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{server!r} {request!r} {request.headers!r}"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_body_for_the_other_client_is_not_sent(northwind: tuple[Faults, str], kind: Kind) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"{}"

    async def later() -> AsyncIterator[bytes]:
        yield b"{}"

    content: Content = later() if kind == "blocking" else pieces()
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(TypeError, match="content is bytes, text or an"):
            await caller.do("proxy.post", "acme", "/", content=content, end_user_id="u")
    assert northwind[0].seen == []
