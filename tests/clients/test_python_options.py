"""The Python client's options: HTTP clients of the caller, environment variables, retries, headers and logs."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from starlette.responses import RedirectResponse

import one_runtime_client
from one_runtime_client import AsyncOneRuntime, ConnectionFailed, NotFound, OneRuntime, Page, RateLimited
from tests.clients.python_callers import (
    KINDS,
    ORGANIZATION,
    SCHEDULE,
    Caller,
    Faults,
    Kind,
    calling,
    problem,
    serving_northwind,
)
from tests.ports import free_port
from tests.proxy.relay import Arrived, Upstream, json_response

pytestmark = pytest.mark.only_database("sqlite")  # the client speaks HTTP: nothing here depends on the database

KEY: Final = "oru_key_0123456789"
CREATED: Final = {
    "session_token": "orcs_1",
    "connect_url": "https://x",
    "id": "1",
    "expires_at": "2026-11-25T01:02:03Z",
}


@pytest_asyncio.fixture
async def northwind() -> AsyncIterator[tuple[Faults, str]]:
    async with serving_northwind() as server:
        yield server


@dataclass
class Lossy:
    """A server that closes its first network connections after a request, without an answer."""

    upstream: Upstream
    url: str

    def lose(self, requests: int, answer: bytes) -> None:
        """Lose the next requests. Then send the answer."""
        self.upstream.arrived.clear()
        self.upstream.answer = answer
        lost = 0

        async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
            nonlocal lost
            lost += 1
            if lost == requests:
                self.upstream.handler = None

        self.upstream.handler = close


@pytest_asyncio.fixture
async def lossy() -> AsyncIterator[Lossy]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    async with server:
        yield Lossy(upstream, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


@pytest.mark.parametrize("kind", KINDS)
async def test_http_client_of_the_caller_sends_the_requests(northwind: tuple[Faults, str], kind: Kind) -> None:
    faults, url = northwind
    seen: list[str] = []
    headers = {"X-Gateway": "1", "Authorization": "Basic other"}
    options: dict[str, Any] = {"headers": headers, "follow_redirects": True, "auth": ("user", "password")}
    async with AsyncExitStack() as stack:
        if kind == "blocking":
            hooks = {"request": [lambda _: seen.append("hook")]}
            http = stack.enter_context(httpx2.Client(event_hooks=hooks, **options))
            one_runtime: OneRuntime | AsyncOneRuntime = OneRuntime(url, KEY, http_client=http)
        else:

            async def hook(_: httpx2.Request) -> None:
                seen.append("hook")

            waiting = await stack.enter_async_context(httpx2.AsyncClient(event_hooks={"request": [hook]}, **options))
            one_runtime = AsyncOneRuntime(url, KEY, http_client=waiting)
        caller = Caller(one_runtime, [])
        assert (await caller.do("organization.get")).display_name == "Northwind"
        faults.answers = [RedirectResponse("/elsewhere")]
        with pytest.raises(one_runtime_client.OneRuntimeError):
            await caller.do("organization.get")
        closing = one_runtime.close()
        if closing is not None:
            await closing
        with pytest.raises(RuntimeError, match="closed"):
            await caller.do("organization.get")
    (_, _, first), (_, _, second) = faults.seen
    assert (first["x-gateway"], seen) == ("1", ["hook", "hook"])
    assert first["authorization"] == second["authorization"] == f"Bearer {KEY}"


async def test_http_client_works_only_in_its_event_loop_but_a_function_opens_one_for_each(
    northwind: tuple[Faults, str],
) -> None:
    url = northwind[1]

    def in_another_loop(client: AsyncOneRuntime) -> str:
        return asyncio.run(client.organization.get()).display_name

    async with httpx2.AsyncClient() as http:
        client = AsyncOneRuntime(url, KEY, http_client=http)
        await client.organization.get()
        with pytest.raises(RuntimeError, match="Pass a function"):
            await asyncio.to_thread(in_another_loop, client)
    opened: list[httpx2.AsyncClient] = []

    def open_client() -> httpx2.AsyncClient:
        opened.append(httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=0)))
        return opened[-1]

    async with AsyncOneRuntime(url, KEY, http_client=open_client) as client:
        await client.organization.get()
        assert await asyncio.to_thread(in_another_loop, client) == "Northwind"
    assert [http.is_closed for http in opened] == [True, False]


@pytest.mark.parametrize("kind", KINDS)
async def test_address_and_key_come_from_the_environment(
    northwind: tuple[Faults, str], kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = OneRuntime if kind == "blocking" else AsyncOneRuntime
    monkeypatch.delenv("ONE_RUNTIME_URL", raising=False)
    monkeypatch.delenv("ONE_RUNTIME_API_KEY", raising=False)
    with pytest.raises(ValueError, match=r"base_url is missing\. Pass base_url, or set .* ONE_RUNTIME_URL"):
        create()
    monkeypatch.setenv("ONE_RUNTIME_URL", northwind[1])
    with pytest.raises(ValueError, match="api_key is missing"):
        create()
    monkeypatch.setenv("ONE_RUNTIME_API_KEY", KEY)
    one_runtime = create()
    await Caller(one_runtime, []).do("organization.get")
    closing = one_runtime.close()
    if closing is not None:
        await closing
    ((_, _, headers),) = northwind[0].seen
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"] == f"one-runtime-python/{one_runtime_client.__version__}"


@pytest.mark.parametrize("kind", KINDS)
async def test_max_retries_limits_the_attempts(northwind: tuple[Faults, str], kind: Kind) -> None:
    faults, url = northwind
    for retries in (0, 1):
        faults.answers, faults.seen = [problem(429, "rate_limited") for _ in range(3)], []
        async with calling(kind, url, KEY, max_retries=retries) as caller:
            with pytest.raises(RateLimited):
                await caller.do("organization.get")
        assert (len(faults.seen), len(caller.slept)) == (retries + 1, retries)


@pytest.mark.parametrize("kind", KINDS)
async def test_lost_connection_is_retried_only_if_a_second_request_is_harmless(lossy: Lossy, kind: Kind) -> None:
    organization = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    answer = organization % (len(ORGANIZATION), ORGANIZATION.encode())
    times = {"created_at": "2026-12-02T00:00:00Z", "updated_at": "2026-12-02T00:00:00Z"}
    end_user: dict[str, Any] = {"end_user_id": "1", "name": None, "email": None, "metadata": {}, **times}
    deleted = json_response(200, **end_user, deleted_connections=0, revocations=[])
    provider = b"HTTP/1.1 200 OK\r\nOne-Runtime-Attempts: 1\r\nContent-Length: 0\r\n\r\n"
    user = {"end_user_id": "u"}
    cases: list[tuple[str, tuple[Any, ...], dict[str, Any], bytes, bool]] = [
        ("organization.get", (), {}, answer, True),
        ("organization.replace", (), {"display_name": "Northwind"}, answer, True),
        ("end_users.delete", ("1",), {}, deleted, True),
        ("sessions.create", (), user, json_response(201, **CREATED), True),
        ("disconnect", (), {"integration_slug": "acme", **user}, b"", False),
        ("connections.update", ("1",), {"name": "N"}, b"", False),
        ("proxy.get", ("acme", "/"), user, provider, True),
        ("proxy.put", ("acme", "/"), {"retry": True, **user}, provider, True),
        ("proxy.put", ("acme", "/"), user, b"", False),
        ("proxy.post", ("acme", "/"), {"retry": True, "headers": {"Idempotency-Key": "k"}, **user}, b"", False),
    ]
    async with calling(kind, lossy.url, KEY) as caller:
        for method, arguments, options, response, repeated in cases:
            lossy.lose(2, response)
            if repeated:
                await caller.do(method, *arguments, **options)
            else:
                with pytest.raises(ConnectionFailed):
                    await caller.do(method, *arguments, **options)
            arrived = lossy.upstream.arrived
            assert len(arrived) == (3 if repeated else 1), method
            keys = [key for request in arrived for key in request.named(b"idempotency-key")]
            if method == "sessions.create":
                assert (len(keys), len({*keys}), len(keys[0])) == (3, 1, 36)
            elif method != "proxy.post":
                assert keys == []


@pytest.mark.parametrize("kind", KINDS)
async def test_call_that_was_never_sent_is_retried(kind: Kind) -> None:
    async with calling(kind, f"http://127.0.0.1:{free_port()}", KEY) as caller:
        for method, options in (("disconnect", {"integration_slug": "acme"}), ("sessions.create", {})):
            with pytest.raises(ConnectionFailed):
                await caller.do(method, end_user_id="u", **options)
    assert caller.waited([*SCHEDULE, *SCHEDULE])


@pytest.mark.parametrize("kind", KINDS)
async def test_retries_are_logged_without_secrets_and_without_names_of_end_users(
    northwind: tuple[Faults, str], kind: Kind, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, url = northwind
    records: list[logging.LogRecord] = []

    def collect(record: logging.LogRecord) -> bool:
        records.append(record)
        return True

    # A filter, because the server's first log line replaces all handlers, also those of pytest.
    monkeypatch.setattr(logging.getLogger("one_runtime_client"), "filters", [collect])
    faults.answers = [problem(503, "database_busy", one_runtime_error="database_busy") for _ in range(4)]
    caplog.set_level(logging.DEBUG, "one_runtime_client")
    async with calling(kind, url, KEY, max_retries=1) as caller:
        for call in (
            caller.do("end_users.delete", "ann@example.com"),
            caller.do("proxy.get", "acme", "/ann", end_user_id="u"),
        ):
            with pytest.raises(one_runtime_client.OneRuntimeError):
                await call
    lines = [record.getMessage() for record in records]
    assert [line.partition(" Retry 1 of 1 in 0.")[0] for line in lines] == [
        "DELETE /v1/end-users/{end_user_id}: 503 database_busy.",
        "GET /v1/proxy/acme/{path}: 503 database_busy.",
    ]
    assert {record.levelno for record in records} == {logging.INFO}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_call_takes_a_timeout_headers_and_an_idempotency_key(lossy: Lossy, kind: Kind) -> None:
    async with calling(kind, lossy.url, KEY, timeout=5) as caller:
        lossy.upstream.answer = json_response(201, **CREATED)
        await caller.do("sessions.create", end_user_id="u", idempotency_key="own", headers={"X-Trace": "ä"})
        await caller.do("sessions.create", end_user_id="u", headers={"Idempotency-Key": "header"})
        first, second = lossy.upstream.arrived
        assert (first.named(b"idempotency-key"), first.named(b"x-trace")) == ([b"own"], ["ä".encode()])
        assert second.named(b"idempotency-key") == [b"header"]
        lossy.upstream.handler = silent
        with pytest.raises(ConnectionFailed) as failed:
            await caller.do("organization.get", timeout=0.05)
    assert failed.value.code == "timeout"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
    await reader.read()


@pytest.mark.parametrize("kind", KINDS)
async def test_raw_response_has_the_status_and_the_headers(lossy: Lossy, kind: Kind) -> None:
    created = {"connections": [], "next_cursor": "c2"}
    head = b'HTTP/1.1 %b\r\nETag: "1"\r\nRequest-Id: r-1\r\n'
    page = json.dumps(created).encode()
    answers = {
        "200 OK": b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page),
        "304 Not Modified": b"\r\n",
    }
    async with calling(kind, lossy.url, KEY) as caller:
        for line, rest in answers.items():
            lossy.upstream.answer = head % line.encode() + rest
            call = "connections.with_raw_response.list"
            raw = await caller.do(call, end_user_id="u", headers={"If-None-Match": '"1"'})
            assert (raw.status, raw.etag, raw.request_id) == (int(line[:3]), '"1"', "r-1")
            if raw.status == 200:
                assert raw.parse() == Page((), "c2")
            else:
                with pytest.raises(one_runtime_client.OneRuntimeError, match="304"):
                    raw.parse()
        with pytest.raises(one_runtime_client.OneRuntimeError, match="with_raw_response"):
            await caller.do("organization.get", headers={"If-None-Match": '"1"'})
        lossy.upstream.answer = json_response(404, code="not_found", detail="No.").replace(b"/json", b"/problem+json")
        with pytest.raises(NotFound):
            await caller.do("connections.with_raw_response.get", "1")


@pytest.mark.parametrize("kind", KINDS)
async def test_update_sends_none_but_no_omitted_argument(lossy: Lossy, kind: Kind) -> None:
    lossy.upstream.answer = json_response(404)
    metadata = {"team": None, "since": datetime(2026, 11, 30, tzinfo=UTC)}
    changes: list[dict[str, Any]] = [{"name": None, "metadata": metadata}, {"name": "N"}]
    async with calling(kind, lossy.url, KEY) as caller:
        for arguments in changes:
            with pytest.raises(one_runtime_client.OneRuntimeError):
                await caller.do("connections.update", "1", **arguments)
        with pytest.raises(one_runtime_client.OneRuntimeError):
            await caller.do("sessions.create", end_user_id="u", integration_slug=None, scopes=("a", "b"))
        with pytest.raises(TypeError, match="list of strings"):
            await caller.do("sessions.create", end_user_id="u", scopes="a")
    assert [json.loads(arrived.body) for arrived in lossy.upstream.arrived] == [
        {"name": None, "metadata": {"team": None, "since": "2026-11-30T00:00:00+00:00"}},
        {"name": "N"},
        {"end_user_id": "u", "scopes": ["a", "b"]},
    ]
