"""P1: tenants share no network connection, and a connection that received data without a request is not used again."""

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvloop

from one_runtime.egress.client import Egress
from one_runtime.egress.limits import DEFAULT_POOL_LIMITS, Limits, PoolLimits
from tests.egress.certificates import tls_contexts
from tests.egress.network import LoopbackNetwork
from tests.egress.upstream import REACHED, Upstream, Writes, answer, hang, running_upstream
from tests.waiting import eventually

URL = "http://public.example/"
UNSOLICITED = answer(200, body=b"unsolicited")
TENANTS = ("northwind", "southwind", "eastwind", "westwind")
Send: TypeAlias = Callable[..., Awaitable[bytes]]
Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


@asynccontextmanager
async def providers(
    tmp_path: Path, scheme: str, limits: PoolLimits = DEFAULT_POOL_LIMITS
) -> AsyncIterator[tuple[Upstream, Egress]]:
    """Run one server as every host over http or https, with an outbound network that leads to the server."""
    server, client = tls_contexts(tmp_path, "public.example", "other.example") if scheme == "https" else (None, None)
    async with (
        running_upstream(server) as upstream,
        Egress(network=LoopbackNetwork(upstream.port, tls=client), pool_limits=limits) as egress,
    ):
        yield upstream, egress


async def request(egress: Egress, url: str = URL, method: str = "GET") -> bytes:
    return (await egress.request(method, url)).body


async def relayed(egress: Egress, url: str = URL) -> bytes:
    async with egress.stream("GET", url, headers=(), body=None, limits=Limits()) as response:
        return b"".join([piece async for piece in response.body])


@contextmanager
def silent_provider(tls: ssl.SSLContext) -> Iterator[int]:
    """Run a server that answers the first request of one connection, and then reads nothing more. Yield its port."""
    over = threading.Event()

    def serve() -> None:
        with tls.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(REACHED)
            over.wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join(10)


class RecordingNetwork(LoopbackNetwork):
    """Records the sockets of all connections."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(port, tls=tls)
        self.sockets: list[socket.socket] = []

    def open_socket(self, family: int, address: str, port: int) -> socket.socket:
        self.sockets.append(super().open_socket(family, address, port))
        return self.sockets[-1]


def wrong_after_the_first_request() -> Writes:
    """Answer the first request of a connection correctly, and each later request with a response to another request."""
    requests: Counter[asyncio.StreamWriter] = Counter()

    async def write(writer: asyncio.StreamWriter) -> None:
        requests[writer] += 1
        writer.write(REACHED if requests[writer] == 1 else UNSOLICITED)
        await writer.drain()

    return write


@pytest.mark.promise("P1")
@pytest.mark.parametrize("send", [request, relayed])
async def test_p1_unsolicited_response_reaches_no_other_organization(upstream: Upstream, send: Send) -> None:
    upstream.anything = wrong_after_the_first_request()
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        assert [await send(egress.for_tenant(tenant)) for tenant in TENANTS] == [b"reached"] * len(TENANTS)
    assert upstream.connections == len(TENANTS)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("send", [request, relayed])
async def test_requests_of_one_organization_use_one_connection(tmp_path: Path, scheme: str, send: Send) -> None:
    async with providers(tmp_path, scheme) as (upstream, egress):
        for _ in range(3):
            assert await send(egress.for_tenant("northwind"), f"{scheme}://public.example/") == b"reached"
        assert (len(upstream.requests), upstream.connections) == (3, 1)


async def test_request_without_an_organization_uses_a_connection_of_its_own(upstream: Upstream) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        for _ in range(3):
            assert await request(egress) == b"reached"
        await eventually(lambda: upstream.open_connections == 0)
    assert upstream.connections == 3


@pytest.mark.promise("P1")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("data", [UNSOLICITED, UNSOLICITED[:20]], ids=["response", "incomplete response"])
@pytest.mark.parametrize("read", [False, True], ids=["not yet read", "read by the event loop"])
def test_p1_unsolicited_response_on_an_idle_connection_discards_the_connection(
    tmp_path: Path, run: Run, scheme: str, method: str, data: bytes, read: bool
) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def write(writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(REACHED)
        await writer.drain()

    async def scenario() -> None:
        async with providers(tmp_path, scheme) as (upstream, egress):
            upstream.anything = write
            northwind = egress.for_tenant("northwind")
            await request(northwind, f"{scheme}://public.example/")
            writers[0].write(data)
            if read:  # this request needs several iterations of the event loop, which also read the data
                await request(northwind, f"{scheme}://other.example/")
            assert await request(northwind, f"{scheme}://public.example/", method) == b"reached"
            assert writers[-1] is not writers[0]
            assert [each.method for each in upstream.requests].count("POST") == (method == "POST")

    run(scenario())


@pytest.mark.promise("P1")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_p1_unsolicited_response_closes_an_idle_connection_at_once(
    tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a provider could fill the memory with responses until the connection is used again."""

    async def twice(writer: asyncio.StreamWriter) -> None:
        writer.write(REACHED)
        await finished.wait()
        writer.write(UNSOLICITED)

    finished = asyncio.Event()
    monkeypatch.setattr("one_runtime.egress.connector._KEEPALIVE", 60.0)
    async with providers(tmp_path, scheme) as (upstream, egress):
        upstream.anything = twice
        assert await request(egress.for_tenant("northwind"), f"{scheme}://public.example/") == b"reached"
        finished.set()
        await eventually(lambda: upstream.open_connections == 0, seconds=10)


@pytest.mark.promise("P1")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_p1_unsolicited_response_at_the_end_of_a_response_discards_the_connection(
    tmp_path: Path, scheme: str
) -> None:
    """The client receives the end of the body and the unsolicited response together."""
    head_received = asyncio.Event()

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(REACHED[:-3])
        await head_received.wait()
        writer.write(REACHED[-3:] + UNSOLICITED)

    async with providers(tmp_path, scheme) as (upstream, egress):
        upstream.answers["/first"] = write
        url, northwind = f"{scheme}://public.example/", egress.for_tenant("northwind")
        async with northwind.stream("GET", f"{url}first", headers=(), body=None, limits=Limits()) as response:
            head_received.set()
            assert b"".join([piece async for piece in response.body]) == b"reached"
        assert await request(northwind, url) == b"reached"
        assert upstream.connections == 2


@pytest.mark.promise("P1")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("parts", [(UNSOLICITED + REACHED,), (UNSOLICITED, REACHED)], ids=["one part", "two parts"])
async def test_p1_unsolicited_response_after_the_next_request_affects_only_this_request(
    tmp_path: Path, scheme: str, parts: tuple[bytes, ...]
) -> None:
    """HTTP/1.1 does not number responses, so the request receives the unsolicited response. Then the connection ends.

    The correct response to the request arrives on the idle connection, so it is the next unsolicited response.
    """
    requests: Counter[asyncio.StreamWriter] = Counter()

    async def write(writer: asyncio.StreamWriter) -> None:
        requests[writer] += 1
        for part in parts if requests.total() == 2 else (REACHED,):
            writer.write(part)

    async with providers(tmp_path, scheme) as (upstream, egress):
        upstream.anything = write
        northwind, southwind = egress.for_tenant("northwind"), egress.for_tenant("southwind")
        url = f"{scheme}://public.example/"
        bodies = [await request(each, url) for each in (northwind, northwind, northwind, southwind)]
    assert bodies == [b"reached", b"unsolicited", b"reached", b"reached"]
    assert list(requests.values()) == [2, 1, 1]


async def test_oldest_idle_connection_over_the_limit_is_closed(upstream: Upstream) -> None:
    limits = PoolLimits(idle_connections=2)
    async with Egress(network=LoopbackNetwork(upstream.port), pool_limits=limits) as egress:
        for tenant in ("northwind", "southwind", "northwind", "eastwind"):
            await request(egress.for_tenant(tenant))
        assert upstream.connections == 3
        await eventually(lambda: upstream.open_connections == 2)
        for tenant in ("northwind", "eastwind"):
            await request(egress.for_tenant(tenant))
        assert upstream.connections == 3
        await request(egress.for_tenant("southwind"))
        assert upstream.connections == 4


async def test_connection_that_the_provider_closed_does_not_count_as_idle(upstream: Upstream) -> None:
    upstream.answers["/close"] = answer(200, [("Connection", "close")], b"closed")
    limits = PoolLimits(idle_connections=1)
    async with Egress(network=LoopbackNetwork(upstream.port), pool_limits=limits) as egress:
        await request(egress.for_tenant("northwind"))
        assert await request(egress.for_tenant("southwind"), f"{URL}close") == b"closed"
        await request(egress.for_tenant("northwind"))
        assert upstream.connections == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_request_in_progress_keeps_its_connection_over_the_limit(tmp_path: Path, scheme: str) -> None:
    gate = asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        writer.write(REACHED[:-3])
        await gate.wait()
        writer.write(REACHED[-3:])

    async with providers(tmp_path, scheme, PoolLimits(idle_connections=0)) as (upstream, egress):
        upstream.answers["/wait"] = wait
        url = f"{scheme}://public.example/"
        waiting = asyncio.create_task(relayed(egress.for_tenant("northwind"), f"{url}wait"))
        await eventually(lambda: len(upstream.requests) == 1)
        for tenant in ("southwind", "eastwind", "northwind"):
            assert await request(egress.for_tenant(tenant), url) == b"reached"
        gate.set()
        assert await asyncio.wait_for(waiting, 10) == b"reached"
        await eventually(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_response_is_complete_although_its_connection_was_closed_over_the_limit(
    tmp_path: Path, scheme: str
) -> None:
    """The connection becomes idle as soon as the client has received the response, before the caller reads the body."""
    body = b"x" * 30_000
    async with providers(tmp_path, scheme, PoolLimits(idle_connections=1)) as (upstream, egress):
        upstream.answers["/large"] = answer(200, body=body)
        url, northwind = f"{scheme}://public.example/", egress.for_tenant("northwind")
        async with northwind.stream("GET", f"{url}large", headers=(), body=None, limits=Limits()) as response:
            for tenant in ("southwind", "eastwind"):
                assert await request(egress.for_tenant(tenant), url) == b"reached"
            await eventually(lambda: upstream.open_connections == 1)
            assert b"".join([piece async for piece in response.body]) == body


async def test_connection_over_the_limit_closes_although_the_provider_reads_nothing_more(tmp_path: Path) -> None:
    """A normal end of a TLS connection would wait for the provider for 30 seconds."""
    server, client = tls_contexts(tmp_path, "public.example")
    with silent_provider(server) as port:
        network = RecordingNetwork(port, tls=client)
        async with Egress(network=network, pool_limits=PoolLimits(idle_connections=0)) as egress:
            assert await request(egress.for_tenant("northwind"), "https://public.example/") == b"reached"
            await eventually(lambda: [each.fileno() for each in network.sockets] == [-1], seconds=10)


async def test_closed_egress_leaves_no_socket_open_although_the_provider_reads_nothing_more(tmp_path: Path) -> None:
    """The event loop of a command stops soon after the egress is closed."""
    server, client = tls_contexts(tmp_path, "public.example")
    with silent_provider(server) as port:
        network = RecordingNetwork(port, tls=client)
        async with Egress(network=network) as egress:
            assert await request(egress, "https://public.example/") == b"reached"
        assert [each.fileno() for each in network.sockets] == [-1]


async def test_closed_egress_ends_the_requests_in_progress(upstream: Upstream) -> None:
    upstream.answers["/wait"] = hang
    egress = Egress(network=LoopbackNetwork(upstream.port))
    waiting = [asyncio.create_task(request(egress.for_tenant(tenant), f"{URL}wait")) for tenant in TENANTS]
    await eventually(lambda: len(upstream.requests) == len(TENANTS))
    await egress.close()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    assert all(isinstance(result, Exception) for result in results)
