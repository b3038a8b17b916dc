"""P12: a provider's failure affects no other provider. Timeouts, size and connection limits, error messages."""

import asyncio
import gzip
import socket
import time
import traceback
import tracemalloc
import zlib
from pathlib import Path

import pytest

from one_runtime.egress.client import Egress
from one_runtime.egress.errors import (
    EgressError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from one_runtime.egress.hop import first_hop
from one_runtime.egress.limits import Limits, PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.pool import Pool
from tests.egress.certificates import tls_contexts
from tests.egress.network import LoopbackNetwork
from tests.egress.upstream import Upstream, Writes, answer, hang, running_upstream
from tests.waiting import async_attempts, eventually

pytestmark = pytest.mark.promise("P12")

SECRET = "s3cret"
URL = f"http://public.example/path?key={SECRET}"


def send_then_hang(head: bytes) -> Writes:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        await hang(writer)

    return write


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send single bytes without end, each within the idle timeout."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    async for _ in async_attempts():
        writer.write(b"x")
        await writer.drain()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def request_error(upstream: Upstream, limits: Limits, url: str = URL) -> EgressError:
    async with Egress(network=LoopbackNetwork(upstream.port), limits=limits) as egress, asyncio.timeout(5):
        with pytest.raises(EgressError) as caught:
            await egress.request("POST", url, headers=[("X-Api-Key", SECRET)], body=SECRET.encode())
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(caught.value)
    assert "public.example" in caught.value.detail
    return caught.value


@pytest.mark.parametrize(
    "silent",
    [
        hang,
        send_then_hang(b"HTTP/1.1 200 OK\r\n"),
        send_then_hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
    ],
    ids=["before the answer", "in the head", "in the body"],
)
async def test_p12_silent_upstream_times_out(upstream: Upstream, silent: Writes) -> None:
    upstream.anything = silent
    assert isinstance(await request_error(upstream, Limits(idle=0.05)), UpstreamTimeout)


@pytest.mark.promise("P8")
async def test_request_is_not_sent_after_its_deadline(upstream: Upstream) -> None:
    """A paused process can reach the last step before it sends the request, although the time has passed."""
    pool = Pool(frozenset(), LoopbackNetwork(upstream.port), PoolLimits(), None)
    late = pool.exchange(first_hop("GET", URL, [], None), Limits(), "northwind", time.monotonic())
    with pytest.raises(UpstreamTimeout):
        async with late:
            pass
    await pool.close()
    assert upstream.requests == []


async def test_p12_dripping_upstream_times_out(upstream: Upstream) -> None:
    upstream.anything = drip
    error = await request_error(upstream, Limits(idle=5, total=0.2))
    assert isinstance(error, UpstreamTimeout)
    assert error.status == 504


async def test_p12_endless_interim_responses_time_out(upstream: Upstream) -> None:
    async def interim(writer: asyncio.StreamWriter) -> None:
        async for _ in async_attempts():
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()

    upstream.anything = interim
    assert isinstance(await request_error(upstream, Limits(idle=5, total=0.2)), UpstreamTimeout)


async def test_p12_unaccepted_connection_times_out() -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):  # the queue of connections not accepted is full after these
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        async with Egress(network=LoopbackNetwork(listener.getsockname()[1]), limits=Limits(connect=0.1)) as egress:
            with pytest.raises(
                UpstreamTimeout, match=r"No connection to public.example:80 could be made within 0.1 seconds"
            ):
                await egress.request("GET", URL)


async def test_p12_unanswered_look_up_times_out(upstream: Upstream) -> None:
    class UnansweredNetwork(LoopbackNetwork):
        async def resolve(self, host: str, port: int) -> list[str]:
            await asyncio.Event().wait()
            return []

    async with (
        Egress(network=UnansweredNetwork(upstream.port), limits=Limits(connect=0.05)) as egress,
        asyncio.timeout(5),
    ):
        with pytest.raises(UpstreamTimeout):
            await egress.request("GET", URL)


async def test_p12_unanswered_tls_handshake_times_out(upstream: Upstream) -> None:
    error = await request_error(upstream, Limits(connect=0.05), URL.replace("http:", "https:"))
    assert isinstance(error, UpstreamTimeout | UpstreamUnreachable)


@pytest.mark.parametrize("limits", [Limits(body=10), Limits(body=10, total=1)])
async def test_p12_body_over_the_limit_is_refused(upstream: Upstream, limits: Limits) -> None:
    upstream.anything = answer(200, body=b"x" * 11)
    assert isinstance(await request_error(upstream, limits), UpstreamTooLarge)


async def test_p12_content_length_over_the_limit_is_refused_at_once(upstream: Upstream) -> None:
    upstream.anything = send_then_hang(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n")
    assert isinstance(await request_error(upstream, Limits(body=10)), UpstreamTooLarge)


async def test_p12_chunked_body_over_the_limit_is_refused(upstream: Upstream) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 0x400 + b"\r\n")
            await writer.drain()

    upstream.anything = endless
    assert isinstance(await request_error(upstream, Limits(body=10_000)), UpstreamTooLarge)


async def test_body_of_exactly_the_limit_is_read(upstream: Upstream) -> None:
    upstream.answers = {
        "/plain": answer(200, body=b"x" * 10),
        "/gzip": answer(200, [("Content-Encoding", "gzip")], gzip.compress(b"x" * 40, mtime=0)),
    }
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        assert len((await egress.request("GET", "http://public.example/plain", limits=Limits(body=10))).body) == 10
        assert len((await egress.request("GET", "http://public.example/gzip", limits=Limits(body=40))).body) == 40


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_p12_decompression_bomb_is_refused_without_unpacking(upstream: Upstream, encoding: str) -> None:
    compress = gzip.compress if encoding == "gzip" else zlib.compress
    bomb = compress(bytes(64 * 1024 * 1024))
    upstream.anything = answer(200, [("Content-Encoding", encoding)], bomb)
    tracemalloc.start()
    try:
        assert isinstance(await request_error(upstream, Limits(body=len(bomb) + 1)), UpstreamTooLarge)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.slow
async def test_p12_hanging_upstream_does_not_block_other_upstreams(upstream: Upstream) -> None:
    upstream.answers["/hang"] = hang
    limits, pool_limits = Limits(connect=1), PoolLimits(per_upstream=2)
    async with Egress(network=LoopbackNetwork(upstream.port), limits=limits, pool_limits=pool_limits) as egress:
        hanging = [asyncio.create_task(egress.request("GET", "http://slow.example/hang")) for _ in range(2)]
        await eventually(lambda: len(upstream.requests) == 2)
        with pytest.raises(UpstreamTimeout):
            await egress.request("GET", "http://slow.example/")
        assert (await egress.request("GET", "http://quick.example/")).body == b"reached"
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert (await egress.request("GET", "http://slow.example/")).body == b"reached"


async def test_p12_connection_limit_is_separate_for_each_organization(upstream: Upstream) -> None:
    upstream.answers["/hang"] = hang

    async def call(tenant: str, path: str) -> int:
        limits = Limits(connect=0.2)
        url = f"http://slow.example/{path}"
        streaming = egress.for_tenant(tenant).stream("GET", url, headers=(), body=None, limits=limits)
        async with streaming as response:
            return response.status

    async with Egress(network=LoopbackNetwork(upstream.port), pool_limits=PoolLimits(per_upstream=1)) as egress:
        hanging = asyncio.create_task(call("northwind", "hang"))
        await eventually(lambda: len(upstream.requests) == 1)
        with pytest.raises(UpstreamTimeout, match="in progress, which is the limit"):
            await call("northwind", "")
        assert await call("southwind", "") == 200
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


@pytest.mark.promise("P12")
async def test_organization_with_many_hanging_hosts_leaves_connections_to_others(upstream: Upstream) -> None:
    upstream.answers["/hang"] = hang
    limits, pool_limits = Limits(connect=0.2), PoolLimits(connections=4, per_upstream=2, per_tenant=3)
    async with Egress(network=LoopbackNetwork(upstream.port), limits=limits, pool_limits=pool_limits) as egress:
        northwind, southwind = egress.for_tenant("northwind"), egress.for_tenant("southwind")
        urls = [f"http://{name}.example/hang" for name in ("a", "a", "b")]
        hanging = [asyncio.create_task(northwind.request("GET", url)) for url in urls]
        await eventually(lambda: len(upstream.requests) == 3)
        for _ in range(2):
            with pytest.raises(UpstreamTimeout, match="3 requests of the organization are in progress"):
                await northwind.request("GET", "http://c.example/")
        with pytest.raises(UpstreamTimeout, match=r"2 requests to a\.example:80 are in progress"):
            await northwind.request("GET", "http://a.example/")
        assert (await southwind.request("GET", "http://c.example/")).body == b"reached"
        hanging[2].cancel()
        assert (await northwind.request("GET", "http://c.example/")).body == b"reached"
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_requests_of_all_organizations_together_are_limited(upstream: Upstream) -> None:
    upstream.answers["/hang"] = hang
    limits, pool_limits = Limits(connect=0.2), PoolLimits(connections=1)
    async with Egress(network=LoopbackNetwork(upstream.port), limits=limits, pool_limits=pool_limits) as egress:
        hanging = asyncio.create_task(egress.for_tenant("northwind").request("GET", "http://slow.example/hang"))
        await eventually(lambda: len(upstream.requests) == 1)
        with pytest.raises(UpstreamTimeout, match=r"No connection to quick\.example:80 could be made"):
            await egress.for_tenant("southwind").request("GET", "http://quick.example/")
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        assert (await egress.for_tenant("southwind").request("GET", "http://quick.example/")).body == b"reached"


async def test_connections_to_one_upstream_are_limited(upstream: Upstream) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port), pool_limits=PoolLimits(per_upstream=3)) as egress:
        await asyncio.gather(*(egress.for_tenant("northwind").request("GET", URL) for _ in range(20)))
    assert len(upstream.requests) == 20
    assert upstream.connections == 3


async def test_p12_waiting_callers_are_served_fairly_beside_a_hanging_upstream(upstream: Upstream) -> None:
    """The connection limit of aiohttp could starve some callers here."""
    upstream.answers["/hang"] = hang
    done: list[int] = []
    waited: list[int] = []

    async def ask(number: int) -> None:
        for _ in range(20):
            before = len(done)
            await egress.request("GET", "http://quick.example/")
            waited.append(len(done) - before)
            done.append(number)

    async with Egress(network=LoopbackNetwork(upstream.port), pool_limits=PoolLimits(per_upstream=2)) as egress:
        hanging = [asyncio.create_task(egress.request("GET", "http://slow.example/hang")) for _ in range(20)]
        await eventually(lambda: len(upstream.requests) == 2)
        await asyncio.gather(*(ask(number) for number in range(10)))
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
    assert max(waited) <= 12, "a caller waited for more than one request of each other caller"


async def test_request_that_breaks_connections_is_sent_at_most_twice(upstream: Upstream) -> None:
    async def crash(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    gate = asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(answer(200, body=b"reached"))

    upstream.answers.update({"/wait": wait, "/crash": crash})
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        northwind = egress.for_tenant("northwind")
        tasks = [asyncio.create_task(northwind.request("GET", "http://slow.example/wait")) for _ in range(10)]
        await eventually(lambda: len(upstream.requests) == 10)
        gate.set()
        await asyncio.gather(*tasks)
        with pytest.raises(UpstreamUnreachable):
            await northwind.request("GET", "http://slow.example/crash")
    assert [request.target for request in upstream.requests].count("/crash") == 2


async def test_cancelled_waiter_frees_its_place(upstream: Upstream) -> None:
    upstream.answers["/hang"] = hang
    async with Egress(network=LoopbackNetwork(upstream.port), pool_limits=PoolLimits(per_upstream=1)) as egress:
        tasks = [asyncio.create_task(egress.request("GET", "http://slow.example/hang")) for _ in range(50)]
        await eventually(lambda: len(upstream.requests) == 1)
        for task in tasks:  # a cancelled waiter may acquire the connection at the same moment
            task.cancel()
        assert all(
            isinstance(result, asyncio.CancelledError)
            for result in await asyncio.gather(*tasks, return_exceptions=True)
        )
        assert (await egress.request("GET", "http://slow.example/")).body == b"reached"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "broken",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 500 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        answer(200, [("Content-Encoding", "br")], b"x"),
        answer(200, [("Content-Encoding", "gzip, gzip")], b"x"),
        answer(200, [("Content-Encoding", "gzip")], b"not gzip"),
        answer(200, [("Content-Encoding", "gzip")], gzip.compress(b"cut off", mtime=0)[:-3]),
        answer(200, [("Content-Encoding", "gzip")], gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0)),
    ],
)
async def test_p12_malformed_response_is_a_protocol_error(upstream: Upstream, broken: bytes) -> None:
    upstream.anything = broken
    error = await request_error(upstream, Limits(total=5))
    assert isinstance(error, UpstreamProtocolError)
    assert error.status == 502


async def test_body_that_ends_early_is_a_protocol_error(upstream: Upstream) -> None:
    async def short(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")
        await writer.drain()
        writer.close()

    upstream.anything = short
    assert isinstance(await request_error(upstream, Limits()), UpstreamProtocolError)


async def test_connection_closed_without_a_response_is_unreachable(upstream: Upstream) -> None:
    upstream.anything = hang_up
    assert isinstance(await request_error(upstream, Limits()), UpstreamUnreachable)


async def test_refused_connection_is_unreachable() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        async with Egress(allow=frozenset({("127.0.0.1", port)})) as egress:
            with pytest.raises(UpstreamUnreachable, match=f"127.0.0.1:{port} refuses connections"):
                await egress.request("GET", f"http://127.0.0.1:{port}/")


async def test_error_names_a_missing_network() -> None:
    class Offline(Network):
        async def resolve(self, host: str, port: int) -> list[str]:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        def open_socket(self, family: int, address: str, port: int) -> socket.socket:
            raise OSError(101, "Network is unreachable")

    async with Egress(network=Offline()) as egress:
        with pytest.raises(UpstreamUnreachable, match=r"public.example cannot be resolved"):
            await egress.request("GET", URL)
        with pytest.raises(UpstreamUnreachable, match="cannot be reached over the network"):
            await egress.request("GET", "http://8.8.8.8/")


async def test_name_that_does_not_exist_is_unreachable() -> None:
    async with Egress(limits=Limits(connect=15)) as egress:
        with pytest.raises(UpstreamUnreachable, match=r"does-not-exist\.invalid"):
            await egress.request("GET", "http://does-not-exist.invalid/")


async def test_name_without_addresses_is_unreachable(upstream: Upstream) -> None:
    network = LoopbackNetwork(upstream.port, {"public.example": [[]]})
    async with Egress(network=network) as egress:
        with pytest.raises(UpstreamUnreachable):
            await egress.request("GET", URL)


async def test_untrusted_certificate_or_one_for_another_host_is_refused(tmp_path: Path) -> None:
    server, client = tls_contexts(tmp_path, "secure.example")
    async with running_upstream(server) as upstream:
        for network, reason in (
            (LoopbackNetwork(upstream.port), "self-signed certificate"),
            (LoopbackNetwork(upstream.port, tls=client), "Hostname mismatch, certificate is not valid"),
        ):
            async with Egress(network=network) as egress:
                with pytest.raises(UpstreamUnreachable, match=f"is not valid or not trusted: {reason}"):
                    await egress.request("GET", "https://other.example/?key=s3cret")
        assert upstream.requests == []


async def test_server_without_tls_is_unreachable_by_https() -> None:
    async def speak_first(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak_first, "127.0.0.1", 0)
    async with server, Egress(network=LoopbackNetwork(server.sockets[0].getsockname()[1])) as egress:
        with pytest.raises(UpstreamUnreachable, match=r"The TLS handshake with .* failed: \w+"):
            await egress.request("GET", "https://public.example/")
