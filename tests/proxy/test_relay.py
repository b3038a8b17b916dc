"""Requests and responses pass the proxy byte for byte, except for headers that are removed or added."""

import asyncio
import json

import pytest

from tests.proxy.relay import KEY, Arrived, Relay, chunks, read_answer, read_body, read_head
from tests.waiting import eventually

pytestmark = pytest.mark.only_database("sqlite")  # nothing here depends on the database

TARGETS = [
    "/x", "/", "", "//", "/a//b", "/a%2Fb", "/a%2fb", "/a/./b", "/a;b=c/d", "/a:b@c", "/a..b", "/..a", "/a../b", "/...",
    "/..a;/b", "/a?b=/../c", "/%2e", "/a..%2Fb",
    "/%E2%82%AC", "/%00", "/a%20b", "/a+b", "/~a/b!$&'()*,=", "/[a]", "/a?b", "/a?b=c&b=d", "/a?b=c%26d&e=%2F", "/a?",
    "/?a=b;c", "/a?b=c?d=/e", "/a?%FF=%00", "/a?b=[c]&d={e}", "/" + "a" * 4000, "/a?" + "b" * 4000, "/v1/proxy/raw/x",
    "/a%252Fb",
]  # fmt: skip


# A slash and two dots, in forms that servers decode or normalize.
CLIMBING = [
    "/a/../b", "/%2e%2e/b", "/..", "/a/..", "/.%2e/b", "/%2E./b", "/%2e%2E/b", "/..;/b", "/..;a=b/c", "/a/..;",
    "/..%3b/b", "/..%2fb", "/a%2F../b", "/a%2f%2e%2e%2fb", "/..%5cb", "/a%5C../b", "/%252e%252e/b",
    "/a%25252F%25252e./b", "//../b", "/..%3Fb", "/..%23b", "/..%00/b", "/..?a=b",
]  # fmt: skip


async def test_path_and_query_arrive_unchanged(relay: Relay) -> None:
    targets = [("raw", target) for target in TARGETS] + [("dotted", target) for target in (*TARGETS, *CLIMBING)]
    for slug, target in targets:
        assert (await relay.call("GET", target, slug=slug)).status == 200, target
        path, _, query = target.partition("?")
        expected = f"/api{path}" + (f"?{query}" if query else "")
        assert relay.last.line == f"GET {expected} HTTP/1.1".encode(), target


@pytest.mark.promise("P7")
async def test_path_that_could_leave_the_base_url_is_refused_unless_the_entry_allows_it(relay: Relay) -> None:
    """Review L9. The test above sends the same paths with an entry that has `allow_dot_segments`."""
    for target in CLIMBING:
        answer = await relay.call("GET", target)
        assert (answer.status, answer.problem) == (422, "invalid_input"), target
        (error,) = json.loads(answer.body)["errors"]
        assert error["field"] == "path"
        assert "allow_dot_segments" in error["message"]
    upload = f"One-Runtime-Base-Url: http://127.0.0.1:{relay.upstream.port}/upload"
    assert (await relay.call("POST", "/../api/x", upload, body=b"{}")).status == 422
    assert relay.upstream.arrived == []


async def test_every_method_arrives(relay: Relay) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "M-SEARCH"):
        answer = await relay.call(method, "/x", body=b"" if method in {"GET", "OPTIONS"} else b"{}")
        assert answer.status == 200, method
        assert relay.last.line.split(b" ")[0] == method.encode()


@pytest.mark.parametrize("size", [0, 1, 1000, 256 * 1024, 256 * 1024 + 1, 10 * 1024 * 1024])
async def test_body_of_every_size_arrives_with_its_length(relay: Relay, size: int) -> None:
    body = bytes(number % 251 for number in range(1000)) * (size // 1000 + 1)
    await relay.call("POST", "/x", body=body[:size])
    assert relay.last.body == body[:size]
    assert relay.last.named(b"content-length") == [str(size).encode()]
    assert relay.last.named(b"transfer-encoding") == []


async def test_chunked_body_arrives_chunked(relay: Relay) -> None:
    request = relay.head("POST", "/x", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    assert (await relay.send(request)).status == 200
    assert relay.last.body == b"abcdefg"
    assert relay.last.named(b"transfer-encoding") == [b"chunked"]
    assert relay.last.named(b"content-length") == []


async def test_headers_arrive_in_their_order_with_duplicates(relay: Relay) -> None:
    odd = ["X-Two: 1", "X-Two: 2", "Accept: text/x; q=0.5", "X-Odd!#$: a\tb", "X-Empty:", "Cookie: a=b", "X-UTF: €"]
    await relay.call("GET", "/x", *odd)
    names = {b"x-two", b"accept", b"x-odd!#$", b"x-empty", b"cookie", b"x-utf"}
    assert [(name.lower(), value) for name, value in relay.last.headers if name.lower() in names] == [
        (b"x-two", b"1"), (b"x-two", b"2"), (b"accept", b"text/x; q=0.5"), (b"x-odd!#$", b"a\tb"), (b"x-empty", b""),
        (b"cookie", b"a=b"), (b"x-utf", "€".encode()),
    ]  # fmt: skip


async def test_only_headers_of_the_entry_and_user_agent_are_added(relay: Relay) -> None:
    await relay.call("GET", "/x")
    names = sorted(name.lower() for name, _ in relay.last.headers)
    assert names == [b"host", b"user-agent", b"x-key", b"x-version"]
    assert relay.last.named(b"host") == [f"127.0.0.1:{relay.upstream.port}".encode()]
    assert relay.last.named(b"user-agent")[0].startswith(b"One-Runtime/")
    await relay.call("GET", "/x", "User-Agent: ours/1", "X-Version: 2027-01")
    assert relay.last.named(b"user-agent") == [b"ours/1"]
    assert relay.last.named(b"x-version") == [b"2027-01"]


@pytest.mark.promise("P11")
async def test_hop_by_hop_and_proxy_headers_are_not_forwarded(relay: Relay) -> None:
    mine = [
        "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "TE: trailers", "Proxy-Authorization: x",
        "Forwarded: for=10.0.0.1", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "X-Real-IP: 10.0.0.1",
        "Via: 1.1 us", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=b",
        "baggage: a=b", "One-Runtime-Retry: idempotent", "X-Stays: 1",
    ]  # fmt: skip
    await relay.call("GET", "/x", *mine)
    assert sorted(name.lower() for name, _ in relay.last.headers) == [
        b"host", b"user-agent", b"x-key", b"x-stays", b"x-version",
    ]  # fmt: skip
    assert all(relay.key.encode() not in value for _, value in relay.last.headers)
    await relay.call("GET", "/x", "tracestate: a=b", "One-Runtime-Trace: pass")
    assert relay.last.named(b"tracestate") == [b"a=b"]


async def test_headers_that_the_fetch_of_node_adds_are_not_forwarded(relay: Relay) -> None:
    added = ["Sec-Fetch-Mode: cors", "Sec_Fetch_Site: cross-site", "Accept-Language: *"]
    await relay.call("GET", "/x", *added, "Sec-CH-UA-Mobile: ?0")
    assert sorted(name.lower() for name, _ in relay.last.headers) == [
        b"host", b"sec-ch-ua-mobile", b"user-agent", b"x-key", b"x-version",
    ]  # fmt: skip
    for language in ("de", "de, *;q=0.5"):
        await relay.call("GET", "/x", f"Accept-Language: {language}")
        assert relay.last.named(b"accept-language") == [language.encode()]


async def test_credential_of_the_entry_replaces_what_the_caller_sends(relay: Relay) -> None:
    await relay.call("GET", "/x", "X-Key: mine")
    assert relay.last.named(b"x-key") == [KEY.encode()]
    await relay.call("GET", "/x?a=1&key=mine&%6bey=mine&b=2", slug="in-query")
    assert relay.last.line == f"GET /api/x?a=1&b=2&key={KEY} HTTP/1.1".encode()
    await relay.call("GET", "/x", slug="known")
    assert relay.last.named(b"authorization")[0].startswith(b"Basic ")


async def test_header_names_with_underscores_count_as_names_with_hyphens(relay: Relay) -> None:
    """Review L10. Many servers map `X_Key` and `X-Key` to the same variable (RFC 3875)."""
    mine = [
        "X_Key: evil", "x_KEY: evil", "X_Version: 2027-01", "Transfer_Encoding: chunked", "Content_Length: 7",
        "Connection: X_Hop, X-Hop-2", "X-Hop: 1", "X_Hop_2: 1", "X_Forwarded_For: 10.0.0.1", "X_Real_IP: 10.0.0.1",
        "Proxy_Authorization: x", "One_Runtime_End_User: user_456", "User_Agent: ours/1", "X_Stays: 1",
    ]  # fmt: skip
    await relay.call("GET", "/x", *mine)
    assert sorted((name.lower(), value) for name, value in relay.last.headers) == [
        (b"host", f"127.0.0.1:{relay.upstream.port}".encode()), (b"user_agent", b"ours/1"), (b"x-key", KEY.encode()),
        (b"x_stays", b"1"), (b"x_version", b"2027-01"),
    ]  # fmt: skip


async def test_credential_in_a_header_with_an_underscore_replaces_the_name_with_a_hyphen(relay: Relay) -> None:
    """Review L10, the other direction."""
    await relay.call("GET", "/x", "Api-Key: evil", "api_key: evil", slug="underscored")
    assert [(name, value) for name, value in relay.last.headers if b"key" in name.lower()] == [
        (b"Api_Key", KEY.encode())
    ]


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
    (b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc", 201, b"abc"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n", 200, b"abc"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304, b""),
    (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n", 302, b""),
    (b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\r\nno", 401, b"no"),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404, b"no"),
    (b"HTTP/1.1 422 X\r\nContent-Type: application/problem+json\r\nContent-Length: 2\r\n\r\n{}", 422, b"{}"),
    (b"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", 429, b""),
    (b"HTTP/1.1 500 Oops\r\nContent-Length: 1\r\n\r\nx", 500, b"x"),
    (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", 599, b""),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8bxyz", 200, b"\x1f\x8bxyz"),
    (b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nto the end", 200, b"to the end"),
]  # fmt: skip


@pytest.mark.parametrize(
    "response, status, body",
    ANSWERS,
    ids=lambda value: value[9:25].decode() if isinstance(value, bytes) and value[:4] == b"HTTP" else "",
)
async def test_status_and_body_come_back_unchanged(relay: Relay, response: bytes, status: int, body: bytes) -> None:
    relay.upstream.answer = response
    answer = await relay.call("GET")
    assert (answer.status, answer.body, answer.broken) == (status, body, False)
    assert answer.named(b"one-runtime-error") == []
    assert answer.named(b"one-runtime-attempts") == [b"1"]


async def test_response_headers_keep_duplicates_and_get_ours_added(relay: Relay) -> None:
    relay.upstream.answer = (
        b"HTTP/1.1 200 OK\r\nX-Two: 1\r\nX-Two: 2\r\nX-RateLimit-Remaining: 5\r\nLink: </a>; rel=next\r\n"
        b"Request-Id: req_theirs\r\nOne-Runtime-Error: forged\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
        b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nETag: \"x\"\r\nContent-Length: 2\r\n\r\nok"
    )  # fmt: skip
    answer = await relay.call("GET")
    assert answer.named(b"x-two") == [b"1", b"2"]
    for name, value in ((b"x-ratelimit-remaining", b"5"), (b"link", b"</a>; rel=next"), (b"etag", b'"x"')):
        assert answer.named(name) == [value]
    assert answer.named(b"one-runtime-upstream-request-id") == [b"req_theirs"]
    assert len(answer.named(b"request-id")[0]) == 36
    assert [len(answer.named(name)) for name in (b"request-id", b"date", b"x-hop", b"keep-alive")] == [1, 1, 0, 0]
    assert answer.named(b"one-runtime-error") == []
    assert len(answer.named(b"one-runtime-connection")[0]) == 36
    assert float(answer.named(b"one-runtime-upstream-time")[0]) > 0


async def test_response_headers_for_the_origin_of_the_popup_are_not_returned(relay: Relay) -> None:
    """Review L13. A browser would apply these headers to One Runtime's origin, which is also the popup's origin."""
    relay.upstream.answer = (
        b'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nSet-Cookie2: c=3\r\nClear-Site-Data: "*"\r\n'
        b"Access-Control-Allow-Origin: *\r\naccess-control-allow-credentials: true\r\n"
        b"Access-Control-Expose-Headers: *\r\nContent-Security-Policy: sandbox\r\n"
        b"Content-Security-Policy-Report-Only: sandbox\r\nContent-Type: text/plain\r\nVary: Origin\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    answer = await relay.call("GET")
    names = {name.lower() for name, _ in answer.headers if not name.lower().startswith(b"one-runtime-")}
    ours = {b"cache-control", b"date", b"request-id", b"server", b"vary"}
    assert names == {b"content-length", b"content-type", *ours}


async def test_head_response_has_headers_and_no_body(relay: Relay) -> None:
    relay.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: 1\r\n\r\n"
    answer = await relay.call("HEAD")
    assert (answer.status, answer.named(b"content-length"), answer.named(b"x-a")) == (200, [b"1234"], [b"1"])
    assert relay.last.line.startswith(b"HEAD ")


async def test_server_sent_events_are_streamed(relay: Relay) -> None:
    go_on = asyncio.Event()

    async def stream(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        await writer.drain()

    relay.upstream.handler = stream
    reader, writer = await relay.opened(relay.head("GET", "/events"))
    await read_head(reader)
    pieces = chunks(reader)
    assert await anext(pieces) == b"data: 1\n\n"
    go_on.set()
    assert await anext(pieces) == b"data: 2\n\n"
    writer.close()


async def test_both_directions_are_streamed_at_once(relay: Relay) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        async for piece in chunks(reader):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    relay.upstream.handler = echo
    reader, writer = await relay.opened(relay.head("POST", "/echo", "Transfer-Encoding: chunked"))
    writer.write(b"3\r\none\r\n")
    await read_head(reader)
    pieces = chunks(reader)
    assert await anext(pieces) == b"one"
    writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
    assert await anext(pieces) == b"two"
    writer.close()


async def test_response_may_arrive_before_the_body_is_sent(relay: Relay) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        await writer.drain()

    relay.upstream.handler = refuse
    reader, writer = await relay.opened(relay.head("POST", "/x", "Content-Length: 100000000"))
    writer.write(b"x" * 100_000)
    answer = await read_answer(reader, "POST")
    assert (answer.status, answer.body) == (413, b"big")
    writer.close()


async def test_expect_100_continue_is_answered(relay: Relay) -> None:
    reader, writer = await relay.opened(relay.head("POST", "/x", "Content-Length: 3", "Expect: 100-continue"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    assert (await read_answer(reader, "POST")).status == 200
    assert (relay.last.body, relay.last.named(b"expect")) == (b"abc", [])
    writer.close()


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ],
    ids=["by length", "in chunks"],
)
async def test_broken_response_is_broken_for_the_caller(relay: Relay, response: bytes) -> None:
    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
        writer.write(response)
        await writer.drain()

    relay.upstream.handler = break_off
    answer = await relay.call("GET")
    assert (answer.status, answer.broken) == (200, True)


@pytest.mark.promise("P12")
@pytest.mark.parametrize("sends_body", [False, True])
async def test_upstream_request_is_cancelled_when_the_caller_disconnects(relay: Relay, sends_body: bool) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        await read_body(reader, arrived)
        await reader.read()
        writer.close()

    relay.upstream.handler = hang
    body = b"x" * 300_000 if sends_body else b""
    more = [f"Content-Length: {len(body)}"] if body else []
    _, writer = await relay.opened(relay.head("POST" if body else "GET", "/hang", *more) + body)
    await eventually(lambda: bool(relay.upstream.arrived))
    writer.close()
    async with asyncio.timeout(5):
        await relay.upstream.closed.wait()


async def test_caller_that_disconnects_within_its_body_leaves_nothing_behind(relay: Relay) -> None:
    _, writer = await relay.opened(relay.head("POST", "/x", "Content-Length: 10000000") + b"x" * 100_000)
    await eventually(lambda: bool(relay.upstream.arrived))
    writer.close()
    async with asyncio.timeout(5):
        await relay.upstream.closed.wait()


async def test_only_base_urls_of_the_entry_can_be_selected(relay: Relay) -> None:
    base = f"http://127.0.0.1:{relay.upstream.port}"
    assert (await relay.call("GET", "/x", f"One-Runtime-Base-Url: {base}/upload")).status == 200
    assert relay.last.line == b"GET /upload/x HTTP/1.1"
    inside = [f"{base}/{path}" for path in ("other", "uploads", "api@evil.example", "upload/x?a=", "upload/x")]
    for other in (*inside, "https://evil.example", "x"):
        answer = await relay.call("GET", "/x", f"One-Runtime-Base-Url: {other}")
        assert answer.status == 422, other
        assert json.loads(answer.body)["errors"][0]["field"] == "One-Runtime-Base-Url"


async def test_websocket_is_refused_with_its_own_code(relay: Relay) -> None:
    answer = await relay.call("GET", "/x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    assert (answer.status, answer.named(b"one-runtime-error")) == (501, [b"websocket_unsupported"])
