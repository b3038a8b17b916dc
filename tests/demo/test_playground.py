"""The customer's backend of the demo holds the API key, serves its own page only, and shows what it asked as curl."""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import pytest

from one_runtime.demo.playground.backend import Playground, create_playground
from one_runtime.demo.playground.calls import Answer, Request, Unreachable, over_http

ORIGIN = "http://127.0.0.1:8001"
ONE_RUNTIME = "http://127.0.0.1:8000"
API_KEY = "oru_canary"
SESSION_TOKEN = "orcs_abcdefgh_secret"


@dataclass
class Wire:
    """A way to One Runtime that answers as it is told and keeps what was sent."""

    answer: Answer = field(default_factory=lambda: Answer(200, b'{"integrations": []}'))
    unreachable: bool = False
    sent: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request) -> Answer:
        self.sent.append(request)
        if self.unreachable:
            raise Unreachable("One Runtime at 127.0.0.1:8000 does not answer.")
        return self.answer


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def client(wire: Wire) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_playground(Playground(ORIGIN, ONE_RUNTIME, API_KEY, {"Globex": "acme_key"}), wire)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as client:
        yield client


async def test_the_list_is_asked_for_with_the_key_and_small_logos(client: httpx2.AsyncClient, wire: Wire) -> None:
    answer = await client.get("/api/integrations", params={"end_user_id": "user 1&2"})
    assert answer.json()["integrations"] == []
    assert wire.sent[0].target == "/v1/integrations?end_user_id=user+1%262&logo=url&expand=connections"
    assert wire.sent[0].headers == {"Authorization": f"Bearer {API_KEY}"}


async def test_a_session_is_made_for_the_chosen_end_user(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.answer = Answer(200, json.dumps({"session_token": SESSION_TOKEN, "connect_url": "c"}).encode())
    body = {"integration_slug": "acme", "end_user_id": "user_123", "mode": "link"}
    answer = await client.post("/api/sessions", json=body)
    assert answer.json()["session_token"] == SESSION_TOKEN
    assert json.loads(wire.sent[0].body or b"") == {
        "integration_slug": "acme",
        "end_user_id": "user_123",
        "end_user_name": "Ada Lindqvist",
    }


async def test_disconnecting_passes_the_wish_on(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.answer = Answer(200, b'{"status": "disconnected", "deleted_count": 1}')
    answer = await client.post("/api/disconnect", json={"integration_slug": "acme", "end_user_id": "someone"})
    assert answer.json()["status"] == "disconnected"
    assert wire.sent[0].target == "/v1/disconnect"


async def test_every_request_is_shown_and_none_shows_the_key(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.answer = Answer(200, json.dumps({"session_token": SESSION_TOKEN}).encode())
    answer = await client.post("/api/sessions", json={"integration_slug": "acme", "end_user_id": "o'hara"})
    (shown,) = answer.json()["requests"]
    assert (shown["method"], shown["target"], shown["status"]) == ("POST", "/v1/hosted-connection-sessions", 200)
    assert shown["ms"] >= 0
    assert "$ONE_RUNTIME_API_KEY" in shown["curl"]
    assert API_KEY not in answer.text
    assert SESSION_TOKEN not in shown["answer"]


async def test_no_page_or_file_holds_the_key(client: httpx2.AsyncClient) -> None:
    for path in ("/", "/page.js", "/requests.js", "/page.css", "/mark.svg"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert API_KEY not in answer.text


async def test_the_page_works_under_a_strict_policy(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'self' {ONE_RUNTIME}"
    assert policy["frame-src"] == ONE_RUNTIME
    assert policy["style-src"] == "'self'"
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>", answer.text)


@pytest.mark.parametrize("status", [401, 422, 503])
async def test_an_error_of_one_runtime_reaches_the_page_in_its_words(
    client: httpx2.AsyncClient, wire: Wire, status: int
) -> None:
    wire.answer = Answer(status, b'{"detail": "Do this.", "code": "some_code"}')
    answer = await client.get("/api/integrations?end_user_id=u")
    assert answer.status_code == (502 if status == 503 else 422)
    assert answer.json()["error"] == "Do this."
    assert answer.json()["requests"][0]["status"] == status


async def test_an_answer_that_is_no_json_is_an_error_too(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.answer = Answer(500, b"<html>")
    answer = await client.get("/api/integrations?end_user_id=u")
    assert answer.status_code == 502
    assert answer.json()["error"] == "One Runtime answered 500."


async def test_no_answer_is_shown_as_such(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.unreachable = True
    answer = await client.get("/api/integrations?end_user_id=u")
    assert answer.status_code == 502
    assert "does not answer" in answer.json()["error"]
    assert answer.json()["requests"][0]["status"] is None


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://127.0.0.1:8000"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_another_page_cannot_make_the_backend_act(
    client: httpx2.AsyncClient, wire: Wire, headers: dict[str, str]
) -> None:
    body = {"integration_slug": "acme", "end_user_id": "user_123"}
    answer = await client.post("/api/disconnect", json=body, headers=headers)
    assert answer.status_code == 403
    assert wire.sent == []


@pytest.mark.parametrize(
    "content, content_type, status",
    [
        (b"{}", "text/plain", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"integration_slug": "acme"}', "application/json", 400),
        (b'{"integration_slug": "acme", "end_user_id": 7}', "application/json", 400),
        (b'{"x": "' + b"x" * 20_000 + b'"}', "application/json", 413),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused(
    client: httpx2.AsyncClient, wire: Wire, content: bytes, content_type: str, status: int
) -> None:
    answer = await client.post("/api/sessions", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert wire.sent == []


def arguments(line: str, key: str) -> list[str]:
    """What a shell hands to curl."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{line}"
    done = subprocess.run(["sh", "-c", script], env={"ONE_RUNTIME_API_KEY": key}, capture_output=True, check=True)
    return done.stdout.decode().removesuffix("\0").split("\0")


def test_a_shell_reads_the_curl_line_as_the_request_that_was_made() -> None:
    body = {"integration_slug": "acme", "end_user_id": 'o\'hara "ß" $HOME `id` \\'}
    line = asyncio.run(_shown("/api/disconnect", body))["curl"]
    *options, url = arguments(line, API_KEY)
    assert options[:-1] == [
        "-X",
        "POST",
        "-H",
        f"Authorization: Bearer {API_KEY}",
        "-H",
        "Content-Type: application/json",
        "-d",
    ]
    assert json.loads(options[-1]) == body
    assert url == f"{ONE_RUNTIME}/v1/disconnect"


async def _shown(path: str, body: dict[str, str]) -> dict[str, str]:
    app = create_playground(Playground(ORIGIN, ONE_RUNTIME, API_KEY, {}), Wire())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as client:
        shown: dict[str, str] = (await client.post(path, json=body)).json()["requests"][0]
    return shown


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        seen = {"path": self.path, "authorization": self.headers["Authorization"], "body": json.loads(body)}
        content = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_the_backend_speaks_real_http(echo: str) -> None:
    app = create_playground(Playground(ORIGIN, echo, API_KEY, {}))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as client:
        body = {"integration_slug": "acme", "end_user_id": "Zoë"}
        answer = (await client.post("/api/disconnect", json=body)).json()
    assert answer["body"] == body
    assert answer["authorization"] == f"Bearer {API_KEY}"
    assert answer["path"] == "/v1/disconnect"


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        await over_http("http://127.0.0.1:9")(Request("GET", "/", {}, None))
