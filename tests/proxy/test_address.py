"""Redirects of a provider: a caller that follows them sends no API key to an address that the provider chose (P7)."""

import httpx2
import pytest

from tests.proxy.relay import KEY, Relay

pytestmark = pytest.mark.promise("P7")

REDIRECT = b"HTTP/1.1 %d X\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n"


async def location(
    relay: Relay, value: bytes, target: str = "/a/b?c=d", *, status: int = 302, slug: str = "raw"
) -> str:
    """Return the location of a redirect as the caller received it, with `PROVIDER` for the provider's host."""
    relay.upstream.answer = REDIRECT % (status, value)
    answer = await relay.call("GET", target, slug=slug)
    assert answer.status == status
    received = answer.named(b"location")
    return received[0].decode().replace(f"127.0.0.1:{relay.upstream.port}", "PROVIDER") if received else "none"


@pytest.mark.parametrize(
    "provided, returned",
    [
        (b"/v1/connections", "http://PROVIDER/v1/connections"),
        (b"x", "http://PROVIDER/api/a/x"),
        (b"?page=2", "http://PROVIDER/api/a/b?page=2"),
        (b"", "http://PROVIDER/api/a/b?c=d"),
        (b"../../../v1/connections", "http://PROVIDER/v1/connections"),
        (b"https://example.com/x?a=%20b#part", "https://example.com/x?a=%20b#part"),
        (b"//example.com/x", "http://example.com/x"),
        (b"/\xc3\xa9 x", "http://PROVIDER/%C3%A9%20x"),
        (b"ht\ttps://one-runtime.example/v1/me", "http://PROVIDER/api/a/ht%09tps:/one-runtime.example/v1/me"),
    ],
)
async def test_location_is_at_the_provider(relay: Relay, provided: bytes, returned: str) -> None:
    """A client resolves a relative location with the URL of the call, which is a URL of One Runtime."""
    assert await location(relay, provided) == returned


@pytest.mark.parametrize(
    "provided",
    [
        b"http://one-runtime.example/v1/connections",
        b"//one-runtime.example/v1/connections",
        b"https://ONE-RUNTIME.example:443/v1/connections",
        b"https://one-runtime.example./v1/connections",
        b"http://127.0.0.1:8000/v1/connections",
        b"https:/one-runtime.example/v1/connections",
        b"https:one-runtime.example/v1/connections",
        b"/\\one-runtime.example/v1/connections",
        b"https://a@one-runtime.example/v1/connections",
        b"https://one-runtime%2eexample/v1/connections",
        b"http://one-runtime.example\xef\xbc\x8f/v1/connections",
        b"http://[::1/",
        b"javascript:alert(1)",
    ],
)
async def test_location_at_one_runtime_is_not_returned(relay: Relay, provided: bytes) -> None:
    assert await location(relay, provided) == "none"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_each_redirect_is_checked(relay: Relay, status: int) -> None:
    assert await location(relay, b"/v1/connections", status=status) == "http://PROVIDER/v1/connections"


async def test_location_of_a_new_resource_is_unchanged(relay: Relay) -> None:
    """No client follows it, and the caller can send its path to the proxy."""
    assert await location(relay, b"/v1/things/5", status=201) == "/v1/things/5"


async def test_location_shows_no_part_of_the_credential(relay: Relay) -> None:
    """Some integrations send the credential in the path or in the query."""
    assert await location(relay, b"x", "/a/b", slug="pathed") == "none"
    assert await location(relay, b"", "/a/b?c=d", slug="in-query") == "http://PROVIDER/api/a/b?c=d"
    assert KEY.encode() in relay.last.line, "the provider received the credential"


@pytest.mark.parametrize("target", ["/v1/organization", "http://{host}/v1/organization"])
async def test_client_that_follows_redirects_sends_no_api_key(relay: Relay, target: str) -> None:
    host = f"127.0.0.1:{relay.port}"
    relay.upstream.answers = [REDIRECT % (307, target.format(host=host).encode())]
    headers = {"Authorization": f"Bearer {relay.key}", "One-Runtime-End-User": "user_123"}
    async with httpx2.AsyncClient(follow_redirects=True) as client:
        answer = await client.get(f"http://{host}/v1/proxy/raw/x", headers=headers)
    assert relay.organization not in answer.text
    assert all(
        relay.key.encode() not in b"".join(arrived.named(b"authorization")) for arrived in relay.upstream.arrived
    )
