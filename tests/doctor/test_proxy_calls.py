"""`one-runtime doctor` behind a real nginx whose configuration breaks proxy calls."""

from pathlib import Path
from typing import Final

import httpx2
import pytest

from one_runtime.clock import system_clock
from one_runtime.doctor import Finding
from one_runtime.doctor.public_url import examine_public_url
from one_runtime.encryption import self_check
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.settings import load_settings
from tests.application import Application, running
from tests.deploy.proxies import NGINX, changed_nginx
from tests.doctor.conftest import World, patient_on
from tests.ports import free_port

pytestmark = [pytest.mark.foreign, pytest.mark.slow]

BLOCK: Final = NGINX[NGINX.index("    location /v1/proxy/ {") : NGINX.index("    location /connect {")]
FORWARD: Final = "        proxy_pass http://one_runtime;"
DELAY: Final = 2.0


def before_forwarding(*lines: str) -> dict[str, str]:
    """Return a change that adds lines to the block of proxy calls."""
    return {BLOCK: BLOCK.replace(FORWARD, "\n".join((*lines, FORWARD)))}


async def findings_behind(world: World, database_url: str, folder: Path, changes: dict[str, str]) -> list[Finding]:
    """Run a server behind nginx with these changes of our file. Return the findings about proxy calls."""
    patient, port = patient_on(database_url, world), free_port()
    environ = patient.environ | {"ONE_RUNTIME_PUBLIC_URL": f"https://localhost:{port}"}
    settings = load_settings(environ)
    vault = Vault(parse_keys(settings.encryption_keys.get_secret_value()))
    async with running(patient.app(**environ), int(settings.listen.rpartition(":")[2])):
        with changed_nginx(folder, settings.listen, port, changes):
            report = await examine_public_url(settings, vault, system_clock, world, DELAY)
    assert report.echo is not None, report
    return [finding for finding in report.findings if finding.check == "proxy calls"]


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, [("ok", "bodies and paths arrive unchanged; the proxy waits at least 2 s")]),
        (
            {BLOCK: ""},
            [("problem", "refuses a proxy call with a body of 2 MB"), ("warning", "stores the whole response")],
        ),
        (
            {"        proxy_request_buffering off;\n        proxy_buffering off;\n": ""},
            [("warning", "stores the whole body"), ("warning", "stores the whole response")],
        ),
        (
            {"proxy_read_timeout 60s": "proxy_read_timeout 1s", "proxy_read_timeout 2100s": "proxy_read_timeout 1s"},
            [
                ("problem", "does not wait 2 seconds for a response below /v1/proxy/"),
                ("problem", "does not wait 2 seconds for a response"),
            ],
        ),
        (
            {BLOCK: BLOCK.replace("http://one_runtime", "http://one_runtime/v1/proxy/")},
            [("problem", "changes the path of proxy calls: /a%2Fb//c%20d arrives as /a/b/c%20d")],
        ),
        (
            {BLOCK: "    location /v1/proxy/ { client_max_body_size 0; return 403; }\n"},
            [("problem", "got the status 403")],
        ),
        (
            before_forwarding("if ($request_method = POST) { return 503; }"),
            [("problem", "got the status 503")],
        ),
        (
            before_forwarding("if ($arg_delay) { return 524; }"),
            [("problem", "does not wait 2 seconds for a response below /v1/proxy/")],
        ),
        (
            before_forwarding("if ($arg_delay) { return 444; }"),  # nginx closes the connection without a response
            [("problem", "does not wait 2 seconds for a response below /v1/proxy/")],
        ),
        (
            before_forwarding("proxy_pass_request_body off;", 'proxy_set_header Content-Length "";'),
            [("problem", "changes the body of proxy calls: 0 of 2016384 bytes arrive")],
        ),
    ],
    ids=[
        "our file",
        "no block",
        "buffers",
        "short timeouts",
        "decoded path",
        "not forwarded",
        "refused bodies",
        "timeout of Cloudflare",
        "closed connection",
        "no body",
    ],
)
async def test_proxy_that_changes_proxy_calls_is_reported(
    migrated_sqlite_url: str,
    world: World,
    tmp_path: Path,
    changes: dict[str, str],
    expected: list[tuple[str, str]],
) -> None:
    findings = await findings_behind(world, migrated_sqlite_url, tmp_path, changes)
    assert [finding.verdict for finding in findings] == [verdict for verdict, _ in expected], findings
    assert all(words in finding.saw for finding, (_, words) in zip(findings, expected, strict=True)), findings


async def test_only_the_doctor_gets_an_answer_of_the_self_check(application: Application) -> None:
    """For other callers, `self-check` is a slug that no integration has."""
    vault, now = application.installation.vault, application.clock()
    http: httpx2.AsyncClient = application.client().http
    url = f"/v1/proxy/{self_check.PROXY_SLUG}/a%2Fb?delay=-1&pause=none"
    doctors = {self_check.HEADER: self_check.authorization(vault, now)}
    echo = self_check.read_echo(
        self_check.ProxyCallEcho, (await http.post(url, content=b"12345", headers=doctors)).content
    )
    assert echo is not None
    assert (echo.path, echo.body_bytes) == ("/a%2Fb", 5)
    for headers in ({}, {self_check.HEADER: "1.2"}):
        answer = await http.post(url, content=b"12345", headers=headers)
        other = await http.post(url.replace("self-check", "unknown"), content=b"12345", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (other.status_code, other.json()["code"])
        assert answer.json()["code"] in {"unauthenticated", "not_found"}
