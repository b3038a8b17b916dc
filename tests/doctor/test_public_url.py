"""Findings of `doctor` about the public URL: other servers, certificates, proxies, headers."""

import asyncio
import datetime
import ssl
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from one_runtime.clock import system_clock
from one_runtime.db.migrations import migrate
from one_runtime.doctor import Finding
from one_runtime.doctor.public_url import FORGED, examine_popup, examine_proxy, examine_readiness
from one_runtime.egress.response import Response
from one_runtime.encryption import self_check
from one_runtime.encryption.vault import new_key
from one_runtime.settings import Settings
from tests.application import running
from tests.doctor.conftest import Patient, World, patient_on, served
from tests.egress.certificates import HOUR, tls_contexts
from tests.egress.upstream import answer, hang, redirect, running_upstream
from tests.ports import free_port

pytestmark = pytest.mark.slow

PROBLEM: Final = [("Request-Id", "0192"), ("Content-Type", "application/problem+json")]


@pytest.mark.parametrize(
    "response, verdict, words",
    [
        (answer(200, body=b"Welcome"), "problem", "another program answers at {url}, with status 200"),
        (answer(200, [("Date", "yesterday")]), "problem", "another program answers at {url}, with status 200"),
        (answer(403, body=b"No"), "problem", "another program answers at {url}, with status 403"),
        (answer(404, PROBLEM, b"{}"), "problem", "another One Runtime answers at {url}"),
        (answer(502, body=b"Bad gateway"), "problem", "the proxy at {url} answers 502: it cannot reach the server"),
        (redirect("https://www.example.com/en?a=b"), "problem", "{url} redirects to https://www.example.com"),
        (redirect("/login", 307), "problem", "{url} redirects"),
        (answer(200, body=b"{}"), "problem", "another program answers"),
        (answer(200, body=b'{"public_url": 1}'), "problem", "another program answers"),
        (b"SSH-2.0-server\r\n", "problem", "sent a malformed HTTP response"),
    ],
)
async def test_another_server_at_the_public_url_is_reported(
    response: bytes, verdict: str, words: str, on_sqlite: Patient
) -> None:
    async with running_upstream() as stranger:
        stranger.anything = response
        finding = (await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=stranger.url))["public URL"]
    assert (finding.verdict, words.format(url=stranger.url) in finding.saw) == (verdict, True), finding
    assert "a=b" not in finding.saw
    if "another One Runtime" in words:
        listen = on_sqlite.environ["ONE_RUNTIME_LISTEN"]
        advice = f"Set ONE_RUNTIME_PUBLIC_URL to the address of this server, such as http://{listen}."
        assert finding.advice == advice


async def test_silent_public_url_times_out_after_about_five_seconds(on_sqlite: Patient) -> None:
    async with running_upstream() as stranger:
        stranger.anything = hang
        started = system_clock()
        finding = (await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=stranger.url))["public URL"]
    assert (finding.verdict, "for 4 seconds" in finding.saw) == ("problem", True), finding
    assert system_clock() - started < datetime.timedelta(seconds=12)


async def test_server_with_the_same_ring_on_another_database_is_reported(
    on_sqlite: Patient, world: World, tmp_path: Path
) -> None:
    async with served(on_sqlite):
        pass  # this database has been served before
    other = replace(on_sqlite, environ=on_sqlite.environ | {"ONE_RUNTIME_DATABASE_URL": f"sqlite:///{tmp_path}/o.db"})
    await asyncio.to_thread(migrate, other.database_url)
    async with served(other):
        finding = (await on_sqlite.examined())["public URL"]
    assert (finding.verdict, finding.saw.startswith("a server with this key ring and another database")) == (
        "problem",
        True,
    )


async def test_server_with_another_public_url_is_reported(on_sqlite: Patient) -> None:
    async with served(on_sqlite, ONE_RUNTIME_PUBLIC_URL="https://connect.example.com"):
        finding = (await on_sqlite.examined())["public URL"]
    assert (finding.verdict, "has https://connect.example.com" in finding.saw) == ("problem", True)


async def test_only_host_and_port_of_the_public_url_may_be_private(on_sqlite: Patient) -> None:
    """The doctor follows no redirect, so no other host of a private network receives a request."""
    async with running_upstream() as inside, running_upstream() as stranger:
        stranger.anything = redirect(f"{inside.url}/self-check")
        await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=stranger.url)
    assert stranger.requests
    assert inside.requests == []


async def certificate_of(patient: Patient, tls: ssl.SSLContext, host: str = "localhost") -> Finding:
    """Return the certificate finding of a server with this certificate."""
    async with running_upstream(tls) as server:
        findings = await patient.examined(ONE_RUNTIME_PUBLIC_URL=f"https://{host}:{server.port}")
    return findings["certificate"]


async def test_valid_certificate_is_reported_with_its_end(on_sqlite: Patient) -> None:
    finding = await certificate_of(on_sqlite, on_sqlite.world.server_tls)
    assert (finding.verdict, finding.saw.startswith("valid until 20")) == ("ok", True)


async def test_certificate_close_to_its_end_is_reported(on_sqlite: Patient) -> None:
    on_sqlite.clock.advance(minutes=50)
    finding = await certificate_of(on_sqlite, on_sqlite.world.server_tls)
    assert (finding.verdict, "(0 days left)" in finding.saw) == ("warning", True)


@pytest.mark.parametrize(
    "names, valid_for, words",
    [
        (["localhost"], -HOUR / 2, "certificate has expired"),
        (["elsewhere.example.com"], HOUR, "Hostname mismatch, certificate is not valid for 'localhost'"),
    ],
)
async def test_certificate_that_browsers_refuse_is_reported_with_the_reason(
    names: list[str], valid_for: datetime.timedelta, words: str, on_sqlite: Patient, tmp_path: Path
) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    tls, on_sqlite.world.tls = tls_contexts(folder, *names, valid_for=valid_for)
    finding = await certificate_of(on_sqlite, tls)
    assert (finding.verdict, words in finding.saw) == ("problem", True), finding


async def test_certificate_of_an_unknown_authority_is_reported(on_sqlite: Patient, tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    tls, _ = tls_contexts(tmp_path / "tls", "localhost")
    finding = await certificate_of(on_sqlite, tls)
    assert (finding.verdict, "self-signed certificate" in finding.saw) == ("problem", True), finding


async def test_port_without_tls_or_without_server_is_reported(on_sqlite: Patient) -> None:
    async def answer_without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer(400))
        writer.close()

    async with await asyncio.start_server(answer_without_tls, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        finding = (await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=f"https://localhost:{port}"))["public URL"]
    assert "No TLS connection to localhost" in finding.saw
    finding = (await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=f"https://localhost:{free_port()}"))["public URL"]
    assert "refuses connections" in finding.saw


@pytest.mark.parametrize(
    "status, body, verdict, words",
    [
        (200, b'{"status": "ok"}', "ok", "status 200"),
        (503, b'{"detail": "The disk of the database is full."}', "problem", "503: The disk of the database is full."),
        (503, b"<h1>Try later</h1>", "problem", "status 503"),
        (503, b'{"detail": 1}', "problem", "status 503"),
    ],
)
def test_server_that_is_not_ready_is_reported_with_its_reason(
    status: int, body: bytes, verdict: str, words: str
) -> None:
    finding = examine_readiness(Response(status, (), body))
    assert (finding.verdict, finding.saw.endswith(words)) == (verdict, True), finding


def echo(client: str | None, forwarded_for: str | None) -> self_check.RequestEcho:
    return self_check.RequestEcho(
        database_fingerprint="m",
        public_url="https://connect.example.com",
        now=system_clock(),
        client=client,
        forwarded_for=forwarded_for,
    )


def settings(*trusted: str) -> Settings:
    networks = tuple(ip_network(network) for network in trusted)
    return Settings(
        public_url="https://connect.example.com", encryption_keys=SecretStr(new_key()), trusted_proxies=networks
    )


@pytest.mark.parametrize(
    "client, forwarded_for, trusted, verdict, words",
    [
        ("198.18.0.9", f"{FORGED}, 198.18.0.9", ["10.0.0.5/32"], "ok", "the proxy is trusted"),
        ("198.18.0.9", "198.18.0.9", ["10.0.0.5/32"], "ok", "the proxy is trusted"),
        ("10.0.0.5", f"{FORGED}, 198.18.0.9", [], "warning", "the proxy at 10.0.0.5 is not trusted"),
        ("10.0.0.5", f"{FORGED}, 198.18.0.9", ["10.0.0.6/32"], "warning", "the proxy at 10.0.0.5 is not trusted"),
        ("10.0.0.5", None, ["10.0.0.5/32"], "warning", "does not forward the caller's address"),
        ("10.0.0.5", FORGED, [], "warning", "does not forward the caller's address"),
        (FORGED, FORGED, ["10.0.0.5/32"], "problem", "can claim any address"),
        (FORGED, f"{FORGED}, 10.0.0.7", ["10.0.0.0/24"], "ok", ""),
        (FORGED, f"{FORGED}, not an address", ["10.0.0.0/24"], "problem", "can claim any address"),
    ],
)
def test_forwarded_address_of_a_proxy_is_judged(
    client: str, forwarded_for: str | None, trusted: list[str], verdict: str, words: str
) -> None:
    finding = examine_proxy(echo(client, forwarded_for), settings(*trusted))
    assert (finding.verdict, words in finding.saw) == (verdict, True), finding
    assert finding.verdict != "warning" or "not trusted" not in finding.saw or f"Add {client} to" in str(finding.advice)


PAGE: Final = [("content-security-policy", "default-src 'none'; frame-ancestors *"), ("cache-control", "no-store")]
SCRIPT: Final = [("access-control-allow-origin", "*")]


@pytest.mark.parametrize(
    "page, script, words",
    [
        ([*PAGE, ("x-frame-options", "SAMEORIGIN")], SCRIPT, "adds X-Frame-Options (SAMEORIGIN)"),
        ([*PAGE, ("content-security-policy", "default-src 'self'")], SCRIPT, "its own Content-Security-Policy"),
        (
            [("content-security-policy", "frame-ancestors 'self'")],
            SCRIPT,
            "removes or replaces the Content-Security-Policy",
        ),
        ([], SCRIPT, "removes or replaces the Content-Security-Policy, or answers /connect itself"),
        (PAGE, [*SCRIPT, *SCRIPT], "Access-Control-Allow-Origin: *, *, but the server sends only *"),
        (PAGE, [(SCRIPT[0][0], "null")], "Access-Control-Allow-Origin: null, but the server sends only *"),
        (PAGE, [], "the proxy removes the Access-Control-Allow-Origin header of connect.js, or answers /connect.js"),
    ],
)
def test_headers_that_break_the_popup_are_reported(
    page: list[tuple[str, str]], script: list[tuple[str, str]], words: str
) -> None:
    finding = examine_popup(page, script)
    assert (finding.verdict, words in finding.saw) == ("problem", True), finding
    assert examine_popup(PAGE, SCRIPT).verdict == "ok"


@pytest.mark.parametrize(
    "script, advice",
    [
        ([], "Configure the proxy to forward /connect.js and its headers unchanged."),
        ([*SCRIPT, *SCRIPT], "Remove this header from the proxy's configuration: the server already sends it."),
        (
            [("access-control-allow-origin", "null")],
            "Remove this header from the proxy's configuration: the server already sends it.",
        ),
    ],
)
def test_advice_for_the_header_of_the_script_fits_the_finding(script: list[tuple[str, str]], advice: str) -> None:
    """The proxy has to forward the server's header, and has to remove a header of its own."""
    assert examine_popup(PAGE, script).advice == advice


async def test_server_without_proxy_but_with_wide_trust_is_reported(migrated_sqlite_url: str, world: World) -> None:
    """The middleware of `serve` for trusted proxies trusts every caller from loopback here."""
    patient = patient_on(migrated_sqlite_url, world)
    patient.environ["ONE_RUNTIME_TRUSTED_PROXIES"] = "127.0.0.1/32"
    trusting = ProxyHeadersMiddleware(patient.app(), trusted_hosts=["127.0.0.1/32"])  # type: ignore[arg-type]
    async with running(trusting, int(patient.public_url.rpartition(":")[2])):  # type: ignore[arg-type]
        finding = (await patient.examined())["proxy"]
    assert (finding.verdict, "trusts the claim" in finding.saw) == ("problem", True)
