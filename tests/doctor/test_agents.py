"""Findings of `doctor` about a reverse proxy that breaks the requests of agents."""

import json

import pytest

from one_runtime.agents.authorization.resources import METADATA_PATH, PATH
from one_runtime.clock import system_clock
from one_runtime.doctor.agents import judge_answers, judge_headers
from one_runtime.egress.response import Response
from one_runtime.encryption.self_check import AGENT_HEADERS, RequestEcho
from tests.doctor.conftest import Patient

URL = "https://connect.example.com:8443"
CHALLENGE = (("WWW-Authenticate", f'Bearer resource_metadata="{URL}{METADATA_PATH}", scope="agent:read"'),)
METADATA = json.dumps({"resource": f"{URL}{PATH}"}).encode()


def echo(host: str | None, **headers: str) -> RequestEcho:
    return RequestEcho(
        database_fingerprint=None,
        public_url=URL,
        now=system_clock(),
        client=None,
        forwarded_for=None,
        host=host,
        agent_headers={name: value for name, value in {**AGENT_HEADERS, **headers}.items() if value},
    )


@pytest.mark.parametrize(
    "received, words",
    [
        (echo("connect.example.com:8443"), None),
        (echo("connect.example.com"), f"from connect.example.com:8443 to connect.example.com, so {PATH} refuses"),
        (echo("127.0.0.1:8000"), "to 127.0.0.1:8000"),
        (echo("connect.example.com:8443", **{"mcp-name": ""}), "removes or changes headers of agents: mcp-name"),
        (echo("connect.example.com:8443", **{"one-runtime-end-user": "x"}), "agents: one-runtime-end-user"),
    ],
)
def test_a_proxy_that_changes_headers_of_agents_is_reported(received: RequestEcho, words: str | None) -> None:
    finding = judge_headers(URL, received)
    assert (finding is None) == (words is None)
    assert finding is None or (finding.verdict == "problem" and (words or "") in finding.saw), finding


@pytest.mark.parametrize(
    "challenge, metadata, words",
    [
        (Response(401, CHALLENGE, b""), Response(200, (), METADATA), None),
        (Response(401, (), b""), Response(200, (), METADATA), "WWW-Authenticate"),
        (Response(403, CHALLENGE, b"<h1>No</h1>"), Response(200, (), METADATA), f"POST {PATH} without a key got the"),
        (Response(401, CHALLENGE, b""), Response(404, (), b"<h1>None</h1>"), f"{METADATA_PATH} got the status 404"),
        (Response(401, CHALLENGE, b""), Response(200, (), b'{"resource": "https://a.example"}'), METADATA_PATH),
    ],
)
def test_a_proxy_that_answers_agents_itself_is_reported(
    challenge: Response, metadata: Response, words: str | None
) -> None:
    finding = judge_answers(URL, challenge, metadata)
    assert finding.verdict == ("ok" if words is None else "problem")
    assert (words or "the headers of agents arrive") in finding.saw, finding


async def test_a_healthy_server_answers_agents(healthy: Patient) -> None:
    finding = (await healthy.examined())["agents"]
    assert (finding.verdict, finding.saw) == ("ok", f"the headers of agents arrive at {PATH}")
