"""The Python client's proxy: it returns the provider's responses and raises errors of One Runtime."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from starlette.responses import PlainTextResponse

from one_runtime.demo.acme import GLOBEX
from one_runtime.egress.hop import USER_AGENT
from one_runtime.settings import Settings
from one_runtime_client import ConnectionFailed, ConnectRequired, InvalidInput, NotFound, RateLimited, Unavailable
from one_runtime_client.calls import Body
from tests.application import ACME_KEYS, RunningAcme
from tests.clients.python_callers import KINDS, SCHEDULE, Kind, Served, calling, problem, served
from tests.proxy.relay import Relay, relaying

# Nothing here depends on the database: the client speaks HTTP.
pytestmark = [pytest.mark.slow, pytest.mark.only_database("sqlite")]

ROOT: Final = Path(__file__).resolve().parent.parent.parent


@pytest_asyncio.fixture(params=KINDS)
async def one_runtime(request: pytest.FixtureRequest, settings: Settings, acme: RunningAcme) -> AsyncIterator[Served]:
    async with served(settings, acme, request.param) as installation:
        yield installation


@pytest_asyncio.fixture
async def relay(settings: Settings, acme: RunningAcme) -> AsyncIterator[Relay]:
    async with relaying(settings, acme) as relay:
        yield relay


async def test_call_returns_the_response_of_the_provider(one_runtime: Served) -> None:
    created = await one_runtime.connect()
    answer = await one_runtime.do("proxy.get", "acme", "/v1/me", end_user_id="user_123")
    assert (answer.status_code, answer.json()["account"]["id"]) == (200, GLOBEX)
    assert answer.headers["one-runtime-connection"] == created.id
    by_id = await one_runtime.do("proxy.request", "GET", "acme", "v1/me", connection_id=created.id, timeout=5)
    assert by_id.json() == answer.json()
    head = await one_runtime.do("proxy.head", "acme", "/v1/me", end_user_id="user_123")
    assert (head.status_code, head.content) == (200, b"")


async def test_calls_are_listed_without_their_query(one_runtime: Served) -> None:
    created = await one_runtime.connect()
    for _ in range(3):
        await one_runtime.do("proxy.get", "acme", "/v1/me?secret=1", end_user_id="user_123")
    await one_runtime.application.app.services.request_log.flush()
    calls = await one_runtime.do("proxy_requests.list", connection_id=created.id, http_status=200, limit=2)
    assert [(call.method, call.path, call.end_user_id, call.error_code) for call in calls] == [
        ("GET", "/v1/me", "user_123", None)
    ] * 3
    assert await one_runtime.do("proxy_requests.list", http_status=500) == []


async def test_program_of_the_readme_connects_an_account_and_uses_it(one_runtime: Served) -> None:
    readme = (ROOT / "clients" / "python" / "README.md").read_text(encoding="utf-8")
    program, *_ = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    for placeholder, value in (("https://connect.example.com", one_runtime.url), ("hubspot", "acme"), ("/crm/", "/")):
        assert placeholder in program
        program = program.replace(placeholder, value)
    names: dict[str, Any] = {"API_KEY": await one_runtime.application.key(one_runtime.organization)}
    exec(program.replace("/v3/objects/contacts", "/v1/contacts"), names)
    with names["one_runtime"]:
        first = await asyncio.to_thread(names["contacts"], "user_123")
        popup = one_runtime.application.client()
        assert (await popup.type_key(first["session_token"], ACME_KEYS[GLOBEX])).status_code == 200
        assert "contacts" in await asyncio.to_thread(names["contacts"], "user_123")


async def test_each_method_reaches_the_provider_with_its_body(one_runtime: Served) -> None:
    whose = {"end_user_id": (await one_runtime.connect()).end_user_id}
    created = await one_runtime.do(
        "proxy.post", "acme", "/v1/contacts", json={"name": "Ada", "email": "ada@example.com"}, **whose
    )
    assert created.status_code == 201, created.text
    address = f"/v1/contacts/{created.json()['id']}"
    changed = await one_runtime.do("proxy.patch", "acme", address, json={"name": "Ada L."}, **whose)
    assert changed.json()["name"] == "Ada L."
    put = await one_runtime.do("proxy.put", "acme", address, body=b"{}", **whose)
    assert (put.status_code, "one-runtime-error" in put.headers) == (405, False)
    assert (await one_runtime.do("proxy.delete", "acme", address, **whose)).is_success


async def test_form_with_a_file_reaches_the_provider_with_its_length(relay: Relay) -> None:
    async with calling("awaiting", f"http://127.0.0.1:{relay.port}", relay.key) as caller:
        await caller.do(
            "proxy.post", "raw", "/files", end_user_id="user_123", data={"title": "T"}, files={"file": b"words"}
        )
    (arrived,) = relay.upstream.arrived
    assert arrived.named(b"content-length") == [str(len(arrived.body)).encode()]
    assert arrived.named(b"transfer-encoding") == []
    assert (b'name="title"\r\n\r\nT\r\n' in arrived.body, b"\r\n\r\nwords\r\n" in arrived.body) == (True, True)


async def test_error_of_the_provider_is_a_response(one_runtime: Served) -> None:
    await one_runtime.connect()
    answer = await one_runtime.do("proxy.get", "acme", "/v1/contacts/none", end_user_id="user_123")
    assert answer.status_code == 404


async def test_errors_of_one_runtime_are_raised_for_head_and_streams_too(one_runtime: Served) -> None:
    for call in ("proxy.get", "proxy.head"):
        with pytest.raises(ConnectRequired) as required:
            await one_runtime.do(call, "acme", "/v1/me", end_user_id="nobody")
        assert required.value.code == "connect_required"
    with pytest.raises(NotFound):
        await one_runtime.do("proxy.get", "no-such", "/v1/me", end_user_id="nobody")
    with pytest.raises(ConnectRequired):
        await one_runtime.caller.streamed("GET", "acme", "/v1/me", end_user_id="nobody")


async def test_only_refusals_of_one_runtime_are_retried(one_runtime: Served) -> None:
    await one_runtime.connect()
    whose = {"end_user_id": "user_123"}
    refusal = problem(503, "unavailable", one_runtime_error="unavailable", retry_after="2")
    one_runtime.faults.answers = [refusal]
    assert (await one_runtime.do("proxy.get", "acme", "/v1/me", **whose)).status_code == 200
    assert one_runtime.caller.waited([2.0])
    one_runtime.faults.answers = [PlainTextResponse("theirs", 503, {"retry-after": "1", "one-runtime-attempts": "1"})]
    answer = await one_runtime.do("proxy.get", "acme", "/v1/me", **whose)
    assert (answer.status_code, answer.text, len(one_runtime.caller.slept)) == (503, "theirs", 1)
    one_runtime.faults.answers = [problem(429, "too_many_calls", one_runtime_error="too_many_calls")] * 7
    with pytest.raises(RateLimited) as limited:
        await one_runtime.do("proxy.get", "acme", "/v1/me", **whose)
    assert limited.value.code == "too_many_calls"
    assert one_runtime.caller.waited([2.0, *SCHEDULE])


async def test_body_that_can_be_read_once_is_sent_once(one_runtime: Served) -> None:
    await one_runtime.connect()

    def pieces() -> Iterator[bytes]:
        yield b"{}"

    async def later() -> AsyncIterator[bytes]:
        yield b"{}"

    body: Body = pieces() if one_runtime.kind == "blocking" else later()
    one_runtime.faults.answers = [problem(503, "database_busy", one_runtime_error="database_busy")]
    with pytest.raises(Unavailable):
        await one_runtime.do("proxy.post", "acme", "/v1/contacts", body=body, end_user_id="user_123")
    assert one_runtime.caller.slept == []


async def test_path_that_leads_to_another_address_is_not_sent(one_runtime: Served) -> None:
    before = len(one_runtime.faults.seen)
    for path in ("/../connections", "..", "/a/%2e%2E/b", "/./a", "/a#b", "/a\nb", "/a\\..\\b"):
        with pytest.raises(ValueError, match="path"):
            await one_runtime.do("proxy.delete", "acme", path, end_user_id="user_123")
    with pytest.raises(ValueError, match="control"):
        await one_runtime.do("proxy.get", "acme", "/", end_user_id="a\r\nX-Other: b")
    with pytest.raises(ValueError, match="connection_id"):
        await one_runtime.do("proxy.get", "acme", "/")
    assert len(one_runtime.faults.seen) == before


@pytest.mark.parametrize("kind", KINDS)
async def test_path_query_headers_and_body_arrive_unchanged(relay: Relay, kind: Kind) -> None:
    async with calling(kind, f"http://127.0.0.1:{relay.port}/", relay.key) as caller:
        await caller.do(
            "proxy.post",
            "raw",
            "/a%2Fb/c//d:e?x=%20y",
            end_user_id="user_123",
            query={"tag": ["a", "b"], "none": None, "q": "ä&"},
            body=b"\x00body",
            headers={"X-Theirs": "1", "Authorization": "Bearer somebody-elses"},
            retry=True,
        )
    line, arrived = relay.upstream.arrived[-1].line.decode(), relay.upstream.arrived[-1]
    assert line == "POST /api/a%2Fb/c//d:e?x=%20y&tag=a&tag=b&q=%C3%A4%26 HTTP/1.1"
    assert (arrived.body, arrived.named(b"x-theirs")) == (b"\x00body", [b"1"])
    assert b"somebody-elses" not in b"".join(value for _, value in arrived.headers)


@pytest.mark.parametrize("kind", KINDS)
async def test_provider_receives_the_user_agent_of_the_server_unless_the_caller_sets_one(
    relay: Relay, kind: Kind
) -> None:
    async with calling(kind, f"http://127.0.0.1:{relay.port}", relay.key) as caller:
        await caller.do("proxy.get", "raw", "/x", end_user_id="user_123")
        await caller.do("proxy.get", "raw", "/x", end_user_id="user_123", headers={"User-Agent": "shop/1"})
    assert [arrived.named(b"user-agent") for arrived in relay.upstream.arrived] == [[USER_AGENT.encode()], [b"shop/1"]]


@pytest.mark.parametrize("kind", KINDS)
async def test_retry_lets_one_runtime_repeat_the_call(relay: Relay, kind: Kind) -> None:
    passing = b"HTTP/1.1 503 Later\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    async with calling(kind, f"http://127.0.0.1:{relay.port}", relay.key) as caller:
        relay.upstream.answers = [passing]
        once = await caller.do("proxy.put", "raw", "/x", end_user_id="user_123", json={})
        assert once.status_code == 503
        relay.upstream.answers = [passing]
        again = await caller.do("proxy.put", "raw", "/x", end_user_id="user_123", json={}, retry=True, timeout=9)
        assert (again.status_code, again.headers["one-runtime-attempts"], caller.slept) == (200, "2", [])


@pytest.mark.parametrize("kind", KINDS)
async def test_base_url_selects_an_address_of_the_integration_and_no_other(relay: Relay, kind: Kind) -> None:
    whose = {"end_user_id": "user_123"}
    async with calling(kind, f"http://127.0.0.1:{relay.port}", relay.key) as caller:
        address = f"http://127.0.0.1:{relay.upstream.port}/upload"
        await caller.do("proxy.get", "raw", "/x", base_url=address, **whose)
        with pytest.raises(InvalidInput) as refused:
            await caller.do("proxy.get", "raw", "/x", base_url="https://elsewhere.example", **whose)
    assert relay.upstream.lines == ["GET /upload/x"]
    assert [error.field for error in refused.value.errors] == ["One-Runtime-Base-Url"]


@pytest.mark.parametrize("kind", KINDS)
async def test_stream_is_read_in_pieces(relay: Relay, kind: Kind) -> None:
    relay.upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with calling(kind, f"http://127.0.0.1:{relay.port}", relay.key) as caller:
        response, body = await caller.streamed("GET", "raw", "/x", end_user_id="user_123")
    assert (response.status_code, body, response.is_closed) == (200, b"abcde", True)


@pytest.mark.parametrize("kind", KINDS)
async def test_response_that_ends_early_is_an_error_in_a_stream_too(relay: Relay, kind: Kind) -> None:
    relay.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc"
    async with calling(kind, f"http://127.0.0.1:{relay.port}", relay.key) as caller:
        with pytest.raises(ConnectionFailed):
            await caller.streamed("POST", "raw", "/x", end_user_id="user_123")
        with pytest.raises(ConnectionFailed):
            await caller.do("proxy.post", "raw", "/x", end_user_id="user_123")
    assert caller.slept == []


async def test_cookie_of_a_provider_is_not_sent_with_the_next_call(one_runtime: Served) -> None:
    """The proxy drops cookies, but a client must not rely on the version of the server."""
    await one_runtime.connect()
    headers = {"set-cookie": "of=one-user", "one-runtime-attempts": "1"}
    one_runtime.faults.answers = [PlainTextResponse("ok", 200, headers)]
    for _ in range(2):
        await one_runtime.do("proxy.get", "acme", "/v1/me", end_user_id="user_123")
    assert ["cookie" in headers for _, _, headers in one_runtime.faults.seen[-2:]] == [False, False]
