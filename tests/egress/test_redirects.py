"""Redirects: the guard checks every hop, and no secret reaches another origin."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from one_runtime.egress.client import Egress
from one_runtime.egress.errors import TargetRefused, UpstreamProtocolError
from one_runtime.egress.limits import Limits
from tests.egress.certificates import tls_contexts
from tests.egress.network import PUBLIC, LoopbackNetwork
from tests.egress.upstream import ReceivedRequest, Upstream, answer, redirect, running_upstream

pytestmark = pytest.mark.promise("P7")

FIRST = "http://first.example/start"
SECRETS = [
    ("Authorization", "Bearer s3cret"),
    ("Cookie", "session=s3cret"),
    ("X-Api-Key", "s3cret"),
    ("Content-Type", "application/json"),
]
HARMLESS = [("Accept", "application/json"), ("Accept-Language", "de"), ("User-Agent", "Mine/1")]


@pytest.fixture
def network(upstream: Upstream) -> Iterator[LoopbackNetwork]:
    network = LoopbackNetwork(
        upstream.port, {"private.example": [["10.0.0.1"]], "mixed.example": [[PUBLIC, "127.0.0.1"]]}
    )
    yield network
    network.close()


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "//127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "http://localhost:8000/",
        "http://private.example/",
        "http://mixed.example/",
        "http://user:password@second.example/",
        "http://second.example:25/",
        "http:\\\\127.0.0.1/",
        "http://second.example\\@127.0.0.1/",
        "http://12７.0.0.1/".encode().decode("latin-1"),
        "http://%31%32%37.0.0.1/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "file:///etc/passwd",
        "ftp://second.example/",
        "javascript:alert(1)",
    ],
)
@pytest.mark.parametrize("status", [302, 307])
async def test_p7_redirect_to_a_refused_target_is_not_followed(
    upstream: Upstream, network: LoopbackNetwork, location: str, status: int
) -> None:
    upstream.answers["/start"] = redirect(location, status)
    async with Egress(network=network) as egress:
        with pytest.raises(TargetRefused):
            await egress.request("GET", FIRST, follow_redirects=True)
    assert [request.target for request in upstream.requests] == ["/start"]
    assert network.dialled == [(PUBLIC, 80)]


async def test_redirect_is_returned_by_default(upstream: Upstream, network: LoopbackNetwork) -> None:
    upstream.answers["/start"] = redirect("http://second.example/")
    async with Egress(network=network) as egress:
        response = await egress.request("GET", FIRST)
    assert response.status == 302
    assert ("Location", "http://second.example/") in response.headers


async def test_redirect_without_location_is_returned(upstream: Upstream, network: LoopbackNetwork) -> None:
    upstream.answers["/start"] = answer(302)
    async with Egress(network=network) as egress:
        assert (await egress.request("GET", FIRST, follow_redirects=True)).status == 302


async def test_relative_redirect_within_the_origin_keeps_headers(upstream: Upstream, network: LoopbackNetwork) -> None:
    upstream.answers["/start"] = redirect("next?x=%2F")
    async with Egress(network=network) as egress:
        await egress.request("GET", FIRST, headers=SECRETS + HARMLESS, follow_redirects=True)
    last = upstream.requests[-1]
    assert last.target == "/next?x=%2F"
    assert last.header("authorization") == "Bearer s3cret"
    assert last.header("x-api-key") == "s3cret"


@pytest.mark.parametrize("location", ["http://second.example/next", "http://first.example:8080/next"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_p7_redirect_to_another_origin_carries_no_secret(
    upstream: Upstream, network: LoopbackNetwork, location: str, status: int
) -> None:
    upstream.answers["/start"] = redirect(location, status)
    async with Egress(network=network) as egress:
        await egress.request("PUT", FIRST, headers=SECRETS + HARMLESS, body=b"s3cret", follow_redirects=True)
    last = upstream.requests[-1]
    assert last.target == "/next"
    assert not contains(last, "s3cret")
    assert last.header("content-type") is None
    assert [last.header(name) for name in ("accept", "accept-language", "user-agent")] == [v for _, v in HARMLESS]


async def test_p7_redirect_back_to_the_first_origin_carries_no_secret(
    upstream: Upstream, network: LoopbackNetwork
) -> None:
    upstream.answers["/start"] = redirect("http://second.example/back", 307)
    upstream.answers["/back"] = redirect("http://first.example/end", 307)
    async with Egress(network=network) as egress:
        await egress.request("POST", FIRST, headers=SECRETS, body=b"s3cret", follow_redirects=True)
    assert [request.target for request in upstream.requests] == ["/start", "/back", "/end"]
    assert contains(upstream.requests[0], "s3cret")
    assert not any(contains(request, "s3cret") for request in upstream.requests[1:])


@pytest.mark.parametrize(
    "method, status, then",
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("PUT", 303, "GET"),
        ("HEAD", 303, "HEAD"),
        ("PUT", 302, "PUT"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
    ],
)
async def test_redirect_changes_the_method_like_browsers(
    upstream: Upstream, network: LoopbackNetwork, method: str, status: int, then: str
) -> None:
    upstream.answers["/start"] = redirect("/next", status)
    upstream.anything = answer(204)
    async with Egress(network=network) as egress:
        await egress.request(
            method, FIRST, headers=[("Content-Type", "text/plain")], body=b"body", follow_redirects=True
        )
    last = upstream.requests[-1]
    assert last.method == then
    assert last.body == (b"body" if then == method != "HEAD" else last.body)
    if then != method:
        assert last.body == b""
        assert last.header("content-type") is None


@pytest.mark.promise("P12")
async def test_p12_redirect_loop_ends_at_the_limit(upstream: Upstream, network: LoopbackNetwork) -> None:
    upstream.answers["/start"] = redirect("/start")
    async with Egress(network=network, limits=Limits(redirects=3)) as egress:
        with pytest.raises(UpstreamProtocolError):
            await egress.request("GET", FIRST, follow_redirects=True)
    assert len(upstream.requests) == 4


async def test_redirects_up_to_the_limit_are_followed(upstream: Upstream, network: LoopbackNetwork) -> None:
    upstream.answers |= {"/start": redirect("/2"), "/2": redirect("/3")}
    async with Egress(network=network, limits=Limits(redirects=2)) as egress:
        assert (await egress.request("GET", FIRST, follow_redirects=True)).body == b"reached"


async def test_invalid_characters_of_a_location_are_quoted(upstream: Upstream, network: LoopbackNetwork) -> None:
    upstream.answers["/start"] = redirect("/näxt path?q=ü".encode().decode("latin-1"))
    async with Egress(network=network) as egress:
        await egress.request("GET", FIRST, follow_redirects=True)
    assert upstream.requests[-1].target == "/n%C3%A4xt%20path?q=%C3%BC"


async def test_p7_redirect_from_https_to_http_is_not_followed(tmp_path: Path) -> None:
    server, client = tls_contexts(tmp_path, "secure.example")
    async with running_upstream(server) as upstream:
        upstream.answers["/start"] = redirect("http://secure.example/next")
        network = LoopbackNetwork(upstream.port, tls=client)
        async with Egress(network=network) as egress:
            assert (await egress.request("GET", "https://secure.example/")).body == b"reached"
            with pytest.raises(TargetRefused, match="https to http"):
                await egress.request("GET", "https://secure.example/start", follow_redirects=True)
    assert {port for _, port in network.dialled} == {443}


async def test_redirect_from_http_to_https_is_followed_without_secrets(tmp_path: Path, upstream: Upstream) -> None:
    server, client = tls_contexts(tmp_path, "secure.example")
    async with running_upstream(server) as secure:

        class TwoPortNetwork(LoopbackNetwork):
            def open_socket(self, family: int, address: str, port: int) -> socket.socket:
                self.port = secure.port if port == 443 else upstream.port
                return super().open_socket(family, address, port)

        upstream.answers["/start"] = redirect("https://secure.example/next")
        async with Egress(network=TwoPortNetwork(upstream.port, tls=client)) as egress:
            await egress.request("GET", "http://secure.example/start", headers=SECRETS, follow_redirects=True)
        assert [request.target for request in secure.requests] == ["/next"]
        assert not contains(secure.requests[0], "s3cret")


async def test_before_request_runs_before_every_hop(upstream: Upstream, network: LoopbackNetwork) -> None:
    hops: list[int] = []
    upstream.answers["/start"] = redirect("/next")
    async with Egress(network=network, before_request=lambda: hops.append(len(upstream.requests))) as egress:
        await egress.request("GET", FIRST, follow_redirects=True)
    assert hops == [0, 1]


def contains(request: ReceivedRequest, text: str) -> bool:
    return text in repr(request)
