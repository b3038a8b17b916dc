"""Headers of providers' responses that the caller receives (P1)."""

from typing import Final

import pytest

from tests.proxy.relay import Relay

SELECTING: Final = b"Authorization, One-Runtime-End-User, One-Runtime-Connection, One-Runtime-Base-Url"


@pytest.mark.promise("P1")
@pytest.mark.parametrize(
    "provided, returned",
    [
        ((), b"private"),
        ((b"public, max-age=60",), b"private, max-age=60"),
        ((b"Public", b"S-MaxAge=60, max-age=5"), b"private, max-age=5"),
        ((b"max-age=60, must-revalidate, proxy-revalidate",), b"private, max-age=60, must-revalidate"),
        ((b"private, no-cache",), b"private, no-cache"),
        ((b'private="set-cookie, public", no-cache="set-cookie"',), b"private, no-cache"),
        ((b"no-store, must-understand",), b"private, no-store"),
        ((b'public;max-age=9, "s-maxage=9", max-age="7", max-age=-1',), b'private, max-age="7"'),
        (
            (b"immutable, no-transform, stale-while-revalidate=5",),
            b"private, immutable, no-transform, stale-while-revalidate=5",
        ),
        ((b"x=\xe9, public",), b"private"),
    ],
)
async def test_response_is_only_for_private_caches(relay: Relay, provided: tuple[bytes, ...], returned: bytes) -> None:
    """A shared cache would give the answer for one end user to another: the URL does not name the end user."""
    caching = b"".join(b"Cache-Control: %b\r\n" % value for value in provided)
    relay.upstream.answer = (
        b"HTTP/1.1 200 OK\r\n%bSurrogate-Control: max-age=60\r\nCDN-Cache-Control: max-age=60\r\n"
        b"Vercel-CDN-Cache-Control: max-age=60\r\nEdge-Control: max-age=60\r\nX-LiteSpeed-Cache-Control: public\r\n"
        b"Vary: Accept\r\nVary: Accept-Language\r\nETag: x\r\nContent-Length: 2\r\n\r\nok" % caching
    )
    answer = await relay.call("GET")
    assert answer.named(b"cache-control") == [returned]
    assert answer.named(b"vary") == [b"Accept, Accept-Language, " + SELECTING]
    assert answer.named(b"etag") == [b"x"]
    others = (b"cdn-cache-control", b"vercel-cdn-cache-control", b"surrogate-control", b"edge-control")
    assert [answer.named(name) for name in (*others, b"x-litespeed-cache-control")] == [[]] * 5


@pytest.mark.parametrize(
    "line",
    [
        b"X-Accel-Redirect: /v1/proxy/known/x",
        b"X-Accel-Buffering: yes",
        b"X-Sendfile: /a",
        b"X-Sendfile2: /a 0-9",
        b"X-LIGHTTPD-send-tempfile: /a",
        b"X-LiteSpeed-Location: /v1/me",
        b"X-Reproxy-URL: http://127.0.0.1/",
        b"X_Reproxy_URL: http://127.0.0.1/",
        b"Fly-Replay: app=other",
        b"X-Envoy-Immediate-Health-Check-Fail: true",
        b"Endpoint-Load-Metrics: JSON {}",
        b'Alt-Svc: h3=":443"',
        b"Strict-Transport-Security: max-age=1",
        b'NEL: {"report_to": "x", "max_age": 9}',
        b'Report-To: {"group": "x"}',
        b'Reporting-Endpoints: x="https://example.com"',
        b"Refresh: 0; url=/connect",
    ],
)
async def test_header_for_others_is_not_returned(relay: Relay, line: bytes) -> None:
    """A reverse proxy in front of One Runtime, or a browser, would obey it."""
    relay.upstream.answer = b"HTTP/1.1 200 OK\r\n%b\r\nX-Mine: yes\r\nContent-Length: 2\r\n\r\nok" % line
    answer = await relay.call("GET")
    assert answer.named(b"x-mine") == [b"yes"]
    assert answer.named(line.partition(b":")[0].lower()) == []
