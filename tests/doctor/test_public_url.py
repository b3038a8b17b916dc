"""What `doctor` says of a public URL that leads elsewhere, of certificates, proxies, and of headers on the way."""

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
from one_runtime.doctor.proxy import FORGED, examine_popup, examine_proxy
from one_runtime.encryption import self_check
from one_runtime.encryption.vault import new_key
from one_runtime.settings import Settings
from tests.application import running
from tests.deploy.proxies import free_port
from tests.doctor.conftest import Patient, World, patient_on, served
from tests.egress.certificates import HOUR, tls_contexts
from tests.egress.upstream import answer, hang, redirect, running_upstream

pytestmark = pytest.mark.slow

PROBLEM: Final = [("Request-Id", "0192"), ("Content-Type", "application/problem+json")]


@pytest.mark.parametrize(
    "said, verdict, words",
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
async def test_who_else_answers_is_said(said: bytes, verdict: str, words: str, on_sqlite: Patient) -> None:
    async with running_upstream() as stranger:
        stranger.anything = said
        found = (await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=stranger.url))["public URL"]
    assert (found.verdict, words.format(url=stranger.url) in found.saw) == (verdict, True), found
    assert "a=b" not in found.saw


async def test_who_never_answers_is_not_waited_for_much_longer_than_five_seconds(on_sqlite: Patient) -> None:
    async with running_upstream() as stranger:
        stranger.anything = hang
        started = system_clock()
        found = (await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=stranger.url))["public URL"]
    assert (found.verdict, "for 4 seconds" in found.saw) == ("problem", True), found
    assert system_clock() - started < datetime.timedelta(seconds=12)


async def test_another_database_with_the_same_ring_is_not_taken_for_this_one(
    on_sqlite: Patient, world: World, tmp_path: Path
) -> None:
    async with served(on_sqlite):
        pass  # this database has been served before
    other = replace(on_sqlite, environ=on_sqlite.environ | {"ONE_RUNTIME_DATABASE_URL": f"sqlite:///{tmp_path}/o.db"})
    await asyncio.to_thread(migrate, other.database_url)
    async with served(other):
        found = (await on_sqlite.examined())["public URL"]
    assert (found.verdict, found.saw.startswith("a server with this key ring and another database")) == (
        "problem",
        True,
    )


async def test_a_server_with_another_public_url_is_said(on_sqlite: Patient) -> None:
    async with served(on_sqlite, ONE_RUNTIME_PUBLIC_URL="https://connect.example.com"):
        found = (await on_sqlite.examined())["public URL"]
    assert (found.verdict, "has https://connect.example.com" in found.saw) == ("problem", True)


async def test_exactly_the_public_urls_host_and_port_may_be_private(on_sqlite: Patient) -> None:
    """A redirect is not followed, so nothing else on a private network is asked."""
    async with running_upstream() as inside, running_upstream() as stranger:
        stranger.anything = redirect(f"{inside.url}/self-check")
        await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=stranger.url)
    assert stranger.seen
    assert inside.seen == []


async def certificate_of(patient: Patient, tls: ssl.SSLContext, host: str = "localhost") -> Finding:
    """What is said of a server with this certificate."""
    async with running_upstream(tls) as server:
        found = await patient.examined(ONE_RUNTIME_PUBLIC_URL=f"https://{host}:{server.port}")
    return found["certificate"]


async def test_a_certificate_that_is_fine_is_said_with_its_end(on_sqlite: Patient) -> None:
    found = await certificate_of(on_sqlite, on_sqlite.world.server_tls)
    assert (found.verdict, found.saw.startswith("valid until 20")) == ("ok", True)


async def test_a_certificate_in_the_last_part_of_its_life_is_said(on_sqlite: Patient) -> None:
    on_sqlite.clock.advance(minutes=50)
    found = await certificate_of(on_sqlite, on_sqlite.world.server_tls)
    assert (found.verdict, "for 0 days" in found.saw) == ("warning", True)


@pytest.mark.parametrize(
    "names, valid_for, words",
    [
        (["localhost"], -HOUR / 2, "certificate has expired"),
        (["elsewhere.example.com"], HOUR, "Hostname mismatch, certificate is not valid for 'localhost'"),
    ],
)
async def test_a_certificate_that_browsers_refuse_is_said_with_the_reason(
    names: list[str], valid_for: datetime.timedelta, words: str, on_sqlite: Patient, tmp_path: Path
) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    tls, on_sqlite.world.tls = tls_contexts(folder, *names, valid_for=valid_for)
    found = await certificate_of(on_sqlite, tls)
    assert (found.verdict, words in found.saw) == ("problem", True), found


async def test_a_certificate_of_nobody_we_know_is_said(on_sqlite: Patient, tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    tls, _ = tls_contexts(tmp_path / "tls", "localhost")
    found = await certificate_of(on_sqlite, tls)
    assert (found.verdict, "self-signed certificate" in found.saw) == ("problem", True), found


async def test_a_port_without_tls_or_without_anybody_is_said(on_sqlite: Patient) -> None:
    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer(400))
        writer.close()

    async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        found = (await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=f"https://localhost:{port}"))["public URL"]
    assert "The TLS handshake failed" in found.saw
    found = (await on_sqlite.examined(ONE_RUNTIME_PUBLIC_URL=f"https://localhost:{free_port()}"))["public URL"]
    assert "refuses connections" in found.saw


def echo(client: str | None, forwarded_for: str | None) -> self_check.RequestEcho:
    return self_check.RequestEcho(
        database_fingerprint="m",
        public_url="https://connect.example.com",
        now=system_clock(),
        client=client,
        forwarded_for=forwarded_for,
    )


def settings(*trusted: str) -> Settings:
    networks = tuple(ip_network(one) for one in trusted)
    return Settings(
        public_url="https://connect.example.com", encryption_keys=SecretStr(new_key()), trusted_proxies=networks
    )


@pytest.mark.parametrize(
    "client, forwarded_for, trusted, verdict, words",
    [
        ("198.18.0.9", f"{FORGED}, 198.18.0.9", ["10.0.0.5/32"], "ok", "it is trusted"),
        ("198.18.0.9", "198.18.0.9", ["10.0.0.5/32"], "ok", "it is trusted"),
        ("10.0.0.5", f"{FORGED}, 198.18.0.9", [], "warning", "the proxy at 10.0.0.5 is not trusted"),
        ("10.0.0.5", f"{FORGED}, 198.18.0.9", ["10.0.0.6/32"], "warning", "the proxy at 10.0.0.5 is not trusted"),
        ("10.0.0.5", None, ["10.0.0.5/32"], "warning", "does not pass the caller's address on"),
        ("10.0.0.5", FORGED, [], "warning", "does not pass the caller's address on"),
        (FORGED, FORGED, ["10.0.0.5/32"], "problem", "can claim any address"),
        (FORGED, f"{FORGED}, 10.0.0.7", ["10.0.0.0/24"], "ok", ""),
        (FORGED, f"{FORGED}, not an address", ["10.0.0.0/24"], "problem", "can claim any address"),
    ],
)
def test_whose_address_a_proxy_passes_on_is_judged(
    client: str, forwarded_for: str | None, trusted: list[str], verdict: str, words: str
) -> None:
    found = examine_proxy(echo(client, forwarded_for), settings(*trusted))
    assert (found.verdict, words in found.saw) == (verdict, True), found
    assert found.verdict != "warning" or "not trusted" not in found.saw or f"Add {client} to" in str(found.advice)


PAGE: Final = [("content-security-policy", "default-src 'none'; frame-ancestors *"), ("cache-control", "no-store")]
SCRIPT: Final = [("access-control-allow-origin", "*")]


@pytest.mark.parametrize(
    "page, script, words",
    [
        ([*PAGE, ("x-frame-options", "SAMEORIGIN")], SCRIPT, "adds X-Frame-Options (SAMEORIGIN)"),
        ([*PAGE, ("content-security-policy", "default-src 'self'")], SCRIPT, "a Content-Security-Policy of its own"),
        ([("content-security-policy", "frame-ancestors 'self'")], SCRIPT, "takes the Content-Security-Policy away"),
        ([], SCRIPT, "takes the Content-Security-Policy away, replaces it, or answers /connect itself"),
        (PAGE, [*SCRIPT, *SCRIPT], "arrives with 2 Access-Control-Allow-Origin headers"),
        (PAGE, [], "arrives with 0 Access-Control-Allow-Origin headers"),
    ],
)
def test_headers_that_break_the_popup_are_said(
    page: list[tuple[str, str]], script: list[tuple[str, str]], words: str
) -> None:
    found = examine_popup(page, script)
    assert (found.verdict, words in found.saw) == ("problem", True), found
    assert examine_popup(PAGE, SCRIPT).verdict == "ok"


async def test_a_server_on_its_own_with_a_wide_trust_is_caught_believing_anybody(
    migrated_sqlite_url: str, world: World
) -> None:
    """The middleware that `serve` turns on for trusted proxies, told to trust everybody who comes from loopback."""
    patient = patient_on(migrated_sqlite_url, world)
    patient.environ["ONE_RUNTIME_TRUSTED_PROXIES"] = "127.0.0.1/32"
    trusting = ProxyHeadersMiddleware(patient.app(), trusted_hosts=["127.0.0.1/32"])  # type: ignore[arg-type]
    async with running(trusting, int(patient.public_url.rpartition(":")[2])):  # type: ignore[arg-type]
        found = (await patient.examined())["proxy"]
    assert (found.verdict, "is believed" in found.saw) == ("problem", True)
