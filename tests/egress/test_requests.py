"""Requests are sent byte for byte as composed, without additions of the HTTP client or the machine."""

import gzip
import time
import zlib
from importlib.metadata import version

import pytest

from one_runtime.egress.client import Egress
from one_runtime.egress.errors import RequestRefused, TargetRefused
from one_runtime.egress.network import Network
from one_runtime.egress.response import Response
from one_runtime.egress.target import parse
from tests.egress.network import LoopbackNetwork
from tests.egress.upstream import Upstream, answer


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a%2Fb/%2e%2e/c",
        "/a/../b/./c//d",
        "/%E4%BD%A0?q=%41+%20b&&c=%2B",
        "/p;x=1,2/(a)'!*~?x=[1]&y={z}|^`\"<>",
        "/?x=?&y=/",
        "//double//slash",
        "/%zz",
        "/?a=1&a=2&A=",
    ],
)
async def test_path_and_query_are_sent_unchanged(upstream: Upstream, target: str) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        await egress.request("GET", "http://public.example" + target)
    assert upstream.requests[0].target == target


@pytest.mark.parametrize(
    "url, target, host",
    [
        ("HTTP://PUBLIC.Example", "/", "public.example"),
        ("http://public.example?x=1", "/?x=1", "public.example"),
        ("http://public.example/?", "/", "public.example"),
        ("http://public.example/a#fragment", "/a", "public.example"),
        ("http://public.example:80/", "/", "public.example"),
        ("http://public.example:8080/", "/", "public.example:8080"),
        ("http://münchen.example/", "/", "xn--mnchen-3ya.example"),
        ("http://faß.example/", "/", "xn--fa-hia.example"),
        ("http://[2606:4700:4700:0::1111]:8080/", "/", "[2606:4700:4700::1111]:8080"),
    ],
)
async def test_host_is_canonical(upstream: Upstream, url: str, target: str, host: str) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        await egress.request("GET", url)
    assert (upstream.requests[0].target, upstream.requests[0].header("host")) == (target, host)


@pytest.mark.parametrize(
    "path", ["/ä", "/a b", "/a\\b", "/a\tb", "/a\nb", "/a\x00b", "/a\x7fb", "/?ä", "/" + "x" * 20_000]
)
def test_path_that_is_not_plain_ascii_is_refused(path: str) -> None:
    with pytest.raises(TargetRefused):
        parse("http://public.example" + path)


@pytest.mark.parametrize(
    "name, value",
    [
        ("X-Key", "a\r\nX-Injected: 1"),
        ("X-Key", "a\nb"),
        ("X-Key", "a\rb"),
        ("X-Key", "a\x00b"),
        ("X-Key", "a\x7fb"),
        ("X-Key", "ä"),
        ("X-Key", "a\u2028b"),
        ("X-Key\r\nX-Injected", "1"),
        ("X-Key:", "1"),
        ("X Key", "1"),
        ("", "1"),
        ("Schlüssel", "1"),
        ("Host", "127.0.0.1"),
        ("host", "127.0.0.1"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Upgrade", "h2c"),
        ("Proxy-Authorization", "Basic eA=="),
    ],
)
async def test_header_that_alters_the_message_is_refused(upstream: Upstream, name: str, value: str) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        with pytest.raises(RequestRefused) as refused:
            await egress.request("GET", "http://public.example/", headers=[(name, value)])
    assert value not in refused.value.detail or len(value) < 3
    assert upstream.requests == []


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "trace", "", "GET /", "GET\r\nX: y", "GÉT"])
async def test_method_without_plain_request_semantics_is_refused(upstream: Upstream, method: str) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        with pytest.raises(RequestRefused):
            await egress.request(method, "http://public.example/")
    assert upstream.requests == []


async def test_headers_are_sent_in_order_with_their_case_and_duplicates(upstream: Upstream) -> None:
    headers = [("X-One", "1"), ("x-TWO", "a"), ("x-TWO", "b"), ("X-One", "\t spaced")]
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        await egress.request("GET", "http://public.example/", headers=headers)
    sent = [(name, value) for name, value in upstream.requests[0].headers if name.lower().startswith("x-")]
    assert sent == [(name, value.strip()) for name, value in headers]


async def test_default_headers_are_exactly_four(upstream: Upstream) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        await egress.request("GET", "http://public.example/")
        await egress.request("POST", "http://public.example/", body=b"x", headers=[("user-agent", "Mine/1")])
    assert dict(upstream.requests[0].headers) == {
        "Host": "public.example",
        "User-Agent": f"One-Runtime/{version('one-runtime')}",
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
    }
    agents = [value for name, value in upstream.requests[1].headers if name.lower() == "user-agent"]
    assert agents == ["Mine/1"]
    assert upstream.requests[1].header("content-type") is None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_body_is_sent(upstream: Upstream, method: str) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        await egress.request(method, "http://public.example/", body=b"\x00body\xff")
        await egress.request(method, "http://public.example/", body=b"")
    assert [request.body for request in upstream.requests] == [b"\x00body\xff", b""]
    assert {request.method for request in upstream.requests} == {method}


async def test_cookies_are_not_stored(upstream: Upstream) -> None:
    upstream.anything = answer(200, [("Set-Cookie", "session=s3cret; Path=/"), ("Set-Cookie", "b=c")])
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        response = await egress.request("GET", "http://public.example/")
        await egress.request("GET", "http://public.example/")
    assert [value for name, value in response.headers if name == "Set-Cookie"] == ["session=s3cret; Path=/", "b=c"]
    assert upstream.requests[1].header("cookie") is None


async def test_proxy_of_the_environment_is_not_used(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    network = LoopbackNetwork(upstream.port)
    async with Egress(network=network) as egress:
        assert (await egress.request("GET", "http://public.example/")).body == b"reached"
    assert network.lookups == ["public.example"]


@pytest.mark.parametrize(
    "encoding, body",
    [
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("GZIP", gzip.compress(b"hello", mtime=0)),
        ("x-gzip", gzip.compress(b"hello", mtime=0) + b"\x00\x00"),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", zlib.compress(b"hello")[2:-4]),
        ("identity", b"hello"),
    ],
)
async def test_compressed_body_is_decoded(upstream: Upstream, encoding: str, body: bytes) -> None:
    upstream.anything = answer(200, [("Content-Encoding", encoding), ("X-Kept", "1")], body)
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        response = await egress.request("GET", "http://public.example/")
    assert response.body == b"hello"
    assert response.headers == (("X-Kept", "1"),)


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_response_without_a_body_is_read(upstream: Upstream, method: str, status: int) -> None:
    upstream.anything = f"HTTP/1.1 {status} X\r\nContent-Encoding: gzip\r\nContent-Length: 99999999\r\n\r\n".encode()
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        response = await egress.request(method, "http://public.example/")
    assert (response.status, response.body) == (status, b"")


async def test_error_responses_are_returned(upstream: Upstream) -> None:
    upstream.anything = answer(401, body=b'{"message": "no"}')
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        response = await egress.request("GET", "http://public.example/")
    assert (response.status, response.body) == (401, b'{"message": "no"}')


async def test_connection_is_reused_for_the_next_request(upstream: Upstream) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        for _ in range(3):
            await egress.for_tenant("northwind").request("GET", "http://public.example/")
    assert upstream.connections == 1


async def test_connection_is_not_reused_when_a_server_may_close_it(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Node.js and uvicorn close a connection that is idle for 5 seconds. A POST at this moment would fail."""
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        await egress.for_tenant("northwind").request("POST", "http://public.example/")
        monkeypatch.setattr("aiohttp.connector.monotonic", lambda: time.monotonic() + 4.5)
        await egress.for_tenant("northwind").request("POST", "http://public.example/")
    assert upstream.connections == 2


async def test_failing_before_request_stops_the_request(upstream: Upstream) -> None:
    def transaction_is_open() -> None:
        raise AssertionError("a transaction is open")

    network = LoopbackNetwork(upstream.port)
    async with Egress(network=network, before_request=transaction_is_open) as egress:
        with pytest.raises(AssertionError, match="a transaction is open"):
            await egress.request("GET", "http://public.example/")
    assert network.dialled == []


async def test_closed_egress_sends_nothing(upstream: Upstream) -> None:
    egress = Egress(network=LoopbackNetwork(upstream.port))
    await egress.request("GET", "http://public.example/")
    await egress.close()
    with pytest.raises(RuntimeError):
        await egress.request("GET", "http://public.example/")


async def test_egress_that_is_closed_before_its_first_request_sends_nothing(upstream: Upstream) -> None:
    network = LoopbackNetwork(upstream.port)
    egress = Egress(network=network)
    await egress.close()
    with pytest.raises(RuntimeError, match="this egress is closed"):
        await egress.for_tenant("northwind").request("GET", "http://public.example/")
    assert network.dialled == []


async def test_closing_twice_is_harmless(upstream: Upstream) -> None:
    egress = Egress(network=LoopbackNetwork(upstream.port))
    await egress.request("GET", "http://public.example/")
    await egress.close()
    await egress.close()


async def test_names_are_resolved_by_the_system() -> None:
    network = Network()
    try:
        assert set(await network.resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
        with pytest.raises(OSError, match=r".+"):
            await network.resolve("does-not-exist.invalid", 80)
    finally:
        network.close()


@pytest.mark.promise("P11")
def test_p11_secrets_are_not_shown() -> None:
    response = Response(200, (("Set-Cookie", "s3cret"),), b"s3cret")
    assert "s3cret" not in repr(response)
    assert "s3cret" not in repr(parse("http://public.example/s3cret?key=s3cret"))


async def test_http_client_still_has_the_private_switch_for_retries(upstream: Upstream) -> None:
    """`Pool` sets it; a release of aiohttp without it would send PUT and DELETE twice."""
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        await egress.for_tenant("northwind").request("GET", "http://public.example/")
        session = egress._pool._session
        assert session is not None
    assert "_retry_connection" in type(session).ATTRS
    assert session._retry_connection is False
