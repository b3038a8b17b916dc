"""Real nginx and Caddy in front of a real server: forwarding, unchanged responses, and logs without secrets."""

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio
from uvicorn import Config

from one_runtime.api.proxy import MAX_CONNECT_TIMEOUT, MAX_IDLE_TIMEOUT
from one_runtime.doctor import Finding, examine
from one_runtime.egress.limits import Limits
from one_runtime.egress.network import Network
from one_runtime.proxy.relay import MAX_ATTEMPTS, MAX_WAIT
from tests.application import JSON, ORIGIN
from tests.deploy.proxies import DEPLOY, KINDS, Kind, Proxy, proxying, reload_caddy, seconds
from tests.egress.certificates import tls_contexts
from tests.egress.upstream import REACHED, Upstream, running_upstream
from tests.ports import free_port
from tests.promises.canaries import leaks
from tests.promises.hostile import CHECKED, accepted
from tests.promises.serving import Served, Serving, make_key, serving
from tests.waiting import eventually

pytestmark = [pytest.mark.foreign, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CALLER: Final = "127.0.0.2"
"""Loopback address of browsers and the doctor, which differs from the proxy's address."""

PROXY: Final = "127.0.0.1"
HEADER: Final = "header X-Frame-Options DENY"


class FromTheCaller(Network):
    """The system network, with connections from the caller's address."""

    def open_socket(self, family: int, address: str, port: int) -> socket.socket:
        opened = super().open_socket(family, address, port)
        opened.bind((CALLER, 0))
        return opened


@dataclass(frozen=True, slots=True)
class Behind:
    """A server behind a proxy, the provider, and clients that connect to the proxy only."""

    proxy: Proxy
    served: Served
    http: httpx2.AsyncClient
    key: str
    provider: Upstream
    trust: ssl.SSLContext

    async def session(self) -> dict[str, Any]:
        """Create a session for Acme."""
        body = {"integration_slug": "acme", "end_user_id": "user_123"}
        answer = await self.http.post("/v1/hosted-connection-sessions", json=body, headers=self.backend)
        assert answer.status_code == 200, answer.text
        session: dict[str, Any] = answer.json()
        return session

    async def type_key(self, token: str) -> httpx2.Response:
        """Submit a key as an end user."""
        body = {"auth_type": "api_key", "credentials": {"api_key": "acme_somebodys_0123456789"}}
        headers = {"authorization": f"Bearer {token}", **JSON}
        return await self.http.post("/connect/session/connect", json=body, headers=headers)

    async def examined(self) -> dict[str, Finding]:
        """Return the doctor's findings by check."""
        environment = self.served.environment
        findings = await examine(environment, network=FromTheCaller(tls=self.trust))
        return {finding.check: finding for finding in findings}

    @property
    def backend(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


@asynccontextmanager
async def running_behind(
    kind: Kind, database_url: str, folder: Path, extra: str = "", trusted: str = "127.0.0.1/32"
) -> AsyncIterator[Behind]:
    """Run provider, server, proxy and browser until the block ends."""
    _, trust = tls_contexts(folder, "localhost")
    key, port = await make_key(database_url), free_port()
    async with running_upstream() as provider:
        provider.answers[CHECKED] = accepted()
        settings = {
            "ONE_RUNTIME_PUBLIC_URL": f"https://localhost:{port}",
            "ONE_RUNTIME_TRUSTED_PROXIES": trusted,
            "ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{provider.port}",
        }
        module = ("tests.promises.served_with_acme", provider.url)
        async with serving(Serving(database_url, module=module, settings=settings), folder) as served:
            with proxying(kind, folder, f"127.0.0.1:{served.port}", port, extra) as proxy:
                transport = httpx2.AsyncHTTPTransport(verify=trust, local_address=CALLER)
                async with httpx2.AsyncClient(base_url=proxy.url, transport=transport, timeout=40) as http:
                    yield Behind(proxy, served, http, key, provider, trust)


@pytest_asyncio.fixture(params=KINDS, scope="module", loop_scope="module")
async def shared_behind(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Behind]:
    """One server behind each proxy for all tests that leave it running."""
    folder = tmp_path_factory.mktemp(request.param)
    database = Path(shutil.copy(sqlite_template, folder / "one-runtime.db"))
    async with running_behind(request.param, f"sqlite:///{database}", folder) as behind:
        yield behind


@pytest.fixture
def behind(shared_behind: Behind) -> Behind:
    shared_behind.provider.answers.clear()
    shared_behind.provider.answers[CHECKED] = accepted()
    return shared_behind


async def test_event_of_a_connect_through_the_proxy_has_the_caller_address(behind: Behind) -> None:
    session = await behind.session()
    page = await behind.http.get(session["connect_url"], headers={"sec-fetch-dest": "iframe"})
    assert page.status_code == 200
    assert "x-frame-options" not in page.headers
    (policy,) = page.headers.get_list("content-security-policy")
    assert policy.endswith(f"frame-ancestors {ORIGIN}")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["strict-transport-security"] == "max-age=31536000"
    assert (await behind.type_key(session["session_token"])).status_code == 200
    events = (await behind.http.get("/v1/events", headers=behind.backend)).json()["events"]
    addresses = {event["type"]: event["address"] for event in events}
    assert addresses["hosted_connection_session.created"] == CALLER
    assert addresses["connection.created"] == CALLER


async def test_caller_cannot_forge_its_address_through_the_proxy(behind: Behind) -> None:
    body = {"integration_slug": "acme", "end_user_id": "user_123"}
    headers = {**behind.backend, "x-forwarded-for": "203.0.113.9"}
    assert (await behind.http.post("/v1/hosted-connection-sessions", json=body, headers=headers)).status_code == 200
    events = (await behind.http.get("/v1/events", headers=behind.backend)).json()["events"]
    assert {event["address"] for event in events if event["actor"]["type"] == "api_key"} == {CALLER}


@pytest.mark.promise("P11")
@pytest.mark.parametrize("kind", KINDS)
async def test_proxy_without_its_server_logs_no_token_and_is_reported_by_the_doctor(
    kind: Kind, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    async with running_behind(kind, migrated_sqlite_url, tmp_path) as behind:
        await expect_no_token_in_logs(behind)
        finding = (await behind.examined())["public URL"]
    assert (finding.verdict, "answers 502" in finding.saw) == ("problem", True), finding


async def expect_no_token_in_logs(behind: Behind) -> None:
    """Connect with and without the server, and search the proxy's logs for the tokens."""
    session = await behind.session()
    token = session["session_token"]
    referrer = {"referer": session["connect_url"], "sec-fetch-dest": "iframe"}
    assert (await behind.http.get(session["connect_url"], headers=referrer)).status_code == 200
    assert (await behind.type_key(token)).status_code == 200
    behind.served.process.terminate()
    await asyncio.to_thread(behind.served.process.wait, 20)
    assert (await behind.http.get(session["connect_url"], headers=referrer)).status_code == 502
    callback = {"code": "authorization-code-of-a-provider", "state": "state-of-an-attempt"}
    assert (await behind.http.get("/connect/callback/hubspot", params=callback)).status_code == 502
    assert (await behind.http.get("/healthz", headers=behind.backend)).status_code == 502
    await eventually(lambda: behind.proxy.logs().count(b"/connect") >= 4)
    logs = behind.proxy.logs()
    secrets = {"session token": token, "API key": behind.key, **callback}
    assert leaks(secrets, {"the proxy's logs": logs}) == []
    assert CALLER.encode() in logs
    assert b"session_token" not in logs


async def test_proxy_refuses_large_bodies_and_hides_metrics(behind: Behind) -> None:
    large = await behind.http.post("/v1/disconnect", content=b" " * 2_000_000, headers={**behind.backend, **JSON})
    straight = await asyncio.to_thread(
        httpx2.post, f"{behind.served.url}/v1/disconnect", content=b" " * 2_000_000, headers={**behind.backend, **JSON}
    )
    assert (large.status_code, straight.status_code) == (413, 413)
    assert large.headers["content-type"] == straight.headers["content-type"] == "application/problem+json"
    assert large.headers["request-id"] == large.json()["request_id"]
    assert without_origin(large) == without_origin(straight)
    assert (await behind.http.get("/metrics")).status_code == 404
    assert (await behind.http.get("/healthz")).status_code == 200


def without_origin(response: httpx2.Response) -> dict[str, Any]:
    """Return an error response without the request id and without the origin of its type."""
    problem: dict[str, Any] = response.json()
    return {**problem, "type": urlsplit(problem["type"])._replace(scheme="", netloc="").geturl(), "request_id": ""}


async def test_websocket_handshake_is_refused_and_does_not_reach_the_provider(behind: Behind) -> None:
    before = len(behind.provider.requests)
    handshake = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    answer = await behind.http.get("/v1/proxy/acme/socket", headers={**behind.backend, **handshake})
    assert (answer.status_code, answer.headers["one-runtime-error"]) == (501, "websocket_unsupported")
    assert len(behind.provider.requests) == before


async def test_only_the_server_compresses_responses(behind: Behind) -> None:
    """A proxy would also compress pages with secrets (BREACH)."""
    session = await behind.session()
    headers = {"accept-encoding": "gzip, br, zstd", "sec-fetch-dest": "iframe"}
    page = await behind.http.get(session["connect_url"], headers=headers)
    straight = await asyncio.to_thread(
        httpx2.get, f"{behind.served.url}/connect?session={session['id']}", headers=headers
    )
    assert page.headers.get("content-encoding") == straight.headers.get("content-encoding")


async def test_proxy_waits_for_a_long_check(behind: Behind) -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        await eventually(released.is_set, seconds=30)
        writer.write(accepted())
        await writer.drain()

    released = asyncio.Event()
    asyncio.get_running_loop().call_later(6, released.set)
    behind.provider.answers[CHECKED] = slowly
    session = await behind.session()
    assert (await behind.type_key(session["session_token"])).status_code == 200


async def test_proxy_writes_no_body_to_disk(behind: Behind) -> None:
    """nginx writes bodies over 16 kilobytes to disk by default and logs that."""
    body = b'{"integration_slug": "acme", "end_user_id": "user_123"}' + b" " * 500_000
    sent = await behind.http.post("/v1/disconnect", content=body, headers={**behind.backend, **JSON})
    assert sent.status_code == 200, sent.text
    assert b"temporary file" not in behind.proxy.logs()


async def test_proxy_calls_pass_unchanged(behind: Behind) -> None:
    """A body over the limit of other routes, a streamed response, and an encoded path pass unchanged."""
    connection = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "api_key", "check": False}
    body_with_key = {**connection, "credentials": {"api_key": "acme_somebodys_0123456789"}}
    assert (await behind.http.post("/v1/connections", json=body_with_key, headers=behind.backend)).status_code == 201
    headers = {**behind.backend, "one-runtime-end-user": "user_123", "x_odd": "kept"}
    body = b"x" * 3_000_000
    sent = await behind.http.post("/v1/proxy/acme/v1//a%2Fb/c?d=%20", content=body, headers=headers)
    assert (sent.status_code, sent.text) == (200, "reached")
    assert behind.provider.requests[-1].target == "/v1//a%2Fb/c?d=%20"
    assert behind.provider.requests[-1].body == body
    odd = behind.provider.requests[-1].header("x_odd")
    assert odd == ("kept" if behind.proxy.kind == "nginx" else None), "Caddy passes none on that has an underscore"
    first_was_read = asyncio.Event()

    async def in_pieces(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await first_was_read.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
        await writer.drain()

    behind.provider.answers["/events"] = in_pieces
    async with behind.http.stream("GET", "/v1/proxy/acme/events", headers=headers) as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        first_was_read.set()
        assert [piece async for piece in pieces] == [b"second"]
    assert b"user_123" not in behind.proxy.logs()


async def test_reload_of_caddy_does_not_interrupt_a_proxy_call(tmp_path: Path) -> None:
    """With `flush_interval -1`, Caddy 2.6.2 dies in this test."""
    started, reloaded = asyncio.Event(), asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        started.set()
        await reloaded.wait()
        writer.write(REACHED)
        await writer.drain()

    _, trust = tls_contexts(tmp_path, "localhost")
    async with running_upstream() as server, httpx2.AsyncClient(verify=trust, timeout=40) as http:
        server.answers["/v1/proxy/acme/late"] = late
        with proxying("caddy", tmp_path, f"127.0.0.1:{server.port}", free_port()) as proxy:
            call = asyncio.create_task(http.get(f"{proxy.url}/v1/proxy/acme/late"))
            await started.wait()
            await asyncio.to_thread(reload_caddy, proxy)
            reloaded.set()
            assert (await call).text == "reached"
            async with httpx2.AsyncClient(verify=trust, timeout=40) as later:
                assert (await later.get(f"{proxy.url}/readyz")).text == "reached"
            assert b"panic" not in proxy.logs()


async def test_proxy_closes_idle_connections_before_the_server() -> None:
    server = Config("one_runtime.serving.server:served_app").timeout_keep_alive
    nginx, caddy = ((DEPLOY / name).read_text(encoding="utf-8") for name in ("nginx.conf", "Caddyfile"))
    assert max(seconds(nginx, "keepalive_timeout") + seconds(caddy, "keepalive")) < server


async def test_proxy_timeouts_exceed_checks_and_calls() -> None:
    for file, directive in (("nginx.conf", "proxy_read_timeout"), ("Caddyfile", "response_header_timeout")):
        check, call = seconds((DEPLOY / file).read_text(encoding="utf-8"), directive)
        assert check > Limits().total
        assert call > MAX_ATTEMPTS * (MAX_CONNECT_TIMEOUT + MAX_IDLE_TIMEOUT + MAX_WAIT)


async def test_doctor_accepts_the_proxy(behind: Behind) -> None:
    findings = await behind.examined()
    assert findings["public URL"].saw == f"this installation answers at {behind.proxy.url}"
    for check in ("public URL", "proxy", "proxy calls", "popup", "clock"):
        assert findings[check].verdict == "ok", findings[check]
    assert findings["proxy"].saw == f"the proxy is trusted; this request came from {CALLER}"


@pytest.mark.parametrize("kind, extra", [("nginx", 'add_header X-Frame-Options "DENY" always;'), ("caddy", HEADER)])
async def test_doctor_names_the_untrusted_proxy_and_an_added_frame_header(
    kind: Kind, extra: str, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    async with running_behind(kind, migrated_sqlite_url, tmp_path, extra, trusted="10.9.8.7/32") as behind:
        findings = await behind.examined()
    assert findings["proxy"].verdict == "warning"
    assert findings["proxy"].advice == f"Add {PROXY} to ONE_RUNTIME_TRUSTED_PROXIES."
    assert findings["popup"].verdict == "problem"
    assert "X-Frame-Options (DENY)" in findings["popup"].saw
