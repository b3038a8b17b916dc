"""The backend of the demo's customer keeps the API key, serves its own page only, and shows its requests as curl."""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import pytest

from one_runtime.clock import system_clock
from one_runtime.demo.sample_product.backend import create_sample_product
from one_runtime.demo.sample_product.calls import ApiRequest, ApiResponse, Unreachable, over_http
from one_runtime.demo.sample_product.page import FILES
from one_runtime.demo.sample_product.product import SampleProduct
from one_runtime.webhooks.signatures import new_secret, signed_headers

ORIGIN = "http://127.0.0.1:8001"
ONE_RUNTIME = "http://127.0.0.1:8000"
API_KEY = "oru_canary"
SECRET = new_secret()
SESSION_TOKEN = "orcs_abcdefgh_secret"


@dataclass
class Wire:
    """A transport to One Runtime with a prepared answer, which records the requests."""

    answer: ApiResponse = field(default_factory=lambda: ApiResponse(200, b'{"integrations": []}'))
    unreachable: bool = False
    requests: list[ApiRequest] = field(default_factory=list)

    async def __call__(self, request: ApiRequest) -> ApiResponse:
        self.requests.append(request)
        if self.unreachable:
            raise Unreachable("One Runtime at 127.0.0.1:8000 does not answer.")
        return self.answer


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def client(wire: Wire) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_sample_product(SampleProduct(ORIGIN, ONE_RUNTIME, API_KEY, {"Globex": "acme_key"}, SECRET), wire)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as client:
        yield client


async def sign_in(client: httpx2.AsyncClient, end_user_id: str) -> None:
    assert (await client.post("/api/sign-in", json={"end_user_id": end_user_id})).status_code == 200


def sent_body(wire: Wire, number: int = 0) -> object:
    return json.loads(wire.requests[number].body or b"")


async def test_list_is_requested_with_the_key_and_logo_addresses(client: httpx2.AsyncClient, wire: Wire) -> None:
    await sign_in(client, " user 1&2 ")
    answer = await client.get("/api/integrations")
    assert answer.json()["integrations"] == []
    assert wire.requests[0].target == "/v1/integrations?end_user_id=user+1%262&logo=url&expand=connections"
    assert wire.requests[0].headers == {"Authorization": f"Bearer {API_KEY}"}


async def test_session_is_for_the_signed_in_user_whatever_the_page_sends(
    client: httpx2.AsyncClient, wire: Wire
) -> None:
    wire.answer = ApiResponse(200, json.dumps({"session_token": SESSION_TOKEN, "connect_url": "c"}).encode())
    body = {"integration_slug": "acme", "end_user_id": "user_456", "mode": "link", "return_url": "https://evil.example"}
    answer = await client.post("/api/sessions", json=body)
    assert answer.json()["session_token"] == SESSION_TOKEN
    assert sent_body(wire) == {
        "integration_slug": "acme",
        "end_user_id": "user_123",
        "end_user_name": "Ada Lindqvist",
    }


@pytest.mark.parametrize(
    "way, difference",
    [
        ("popup", {}),
        ("redirect", {"return_url": f"{ORIGIN}/connected"}),
        ("link", {"mode": "link", "expires_in": 3600}),
    ],
)
async def test_each_mode_changes_the_session_in_one_place(
    client: httpx2.AsyncClient, wire: Wire, way: str, difference: dict[str, object]
) -> None:
    await sign_in(client, "somebody")
    assert (await client.post("/api/sessions", json={"integration_slug": "acme", "way": way})).status_code == 200
    assert sent_body(wire) == {"integration_slug": "acme", "end_user_id": "somebody", **difference}


async def test_session_without_an_integration_shows_the_list(client: httpx2.AsyncClient, wire: Wire) -> None:
    await sign_in(client, "somebody")
    await client.post("/api/sessions", json={"integration_slug": None, "way": "popup"})
    assert sent_body(wire) == {"end_user_id": "somebody"}


async def test_disconnect_is_sent_to_one_runtime(client: httpx2.AsyncClient, wire: Wire) -> None:
    await sign_in(client, "someone")
    wire.answer = ApiResponse(200, b'{"status": "disconnected", "deleted_count": 1}')
    answer = await client.post("/api/disconnect", json={"integration_slug": "acme"})
    assert answer.json()["status"] == "disconnected"
    assert wire.requests[0].target == "/v1/disconnect"
    assert sent_body(wire) == {"integration_slug": "acme", "end_user_id": "someone"}


async def test_signed_in_user_is_kept_in_a_cookie_without_script_access(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/sign-in", json={"end_user_id": "Zoë; Path=/x"})
    assert answer.json()["end_user_id"] == "Zoë; Path=/x"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("fernhill_8001=")
    assert {"HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    assert '"end_user_id": "Zoë; Path=/x"' in (await client.get("/")).text


async def test_address_signs_in_unless_it_comes_from_another_site(client: httpx2.AsyncClient) -> None:
    refused = await client.get("/?end_user_id=mallory", headers={"Sec-Fetch-Site": "cross-site"})
    assert (refused.status_code, refused.headers["location"]) == (303, "/")
    assert '"end_user_id": "user_123"' in (await client.get("/")).text
    accepted = await client.get("/?end_user_id=user_456", headers={"Sec-Fetch-Site": "none"})
    assert (accepted.status_code, accepted.headers["location"]) == (303, "/")
    assert '"end_user_id": "user_456"' in (await client.get("/")).text


async def test_session_of_another_end_user_is_not_shown(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.answer = ApiResponse(200, b'{"end_user_id": "user_456", "status": "connected"}')
    answer = await client.get("/api/sessions/a%3Fb%23c")
    assert wire.requests[0].target == "/v1/hosted-connection-sessions/a%3Fb%23c"
    assert answer.status_code == 404
    assert "connected" not in answer.json()["error"]


async def test_every_request_is_shown_without_the_key(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.answer = ApiResponse(200, json.dumps({"session_token": SESSION_TOKEN}).encode())
    answer = await client.post("/api/sessions", json={"integration_slug": "acme", "end_user_id": "o'hara"})
    (request,) = answer.json()["requests"]
    assert (request["method"], request["target"], request["status"]) == ("POST", "/v1/hosted-connection-sessions", 200)
    assert request["ms"] >= 0
    assert "$ONE_RUNTIME_API_KEY" in request["curl"]
    assert API_KEY not in answer.text
    assert SESSION_TOKEN not in request["answer"]


async def test_no_page_or_file_contains_the_key(client: httpx2.AsyncClient) -> None:
    for path in ("/", *(f"/{name}" for name in FILES)):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert API_KEY not in answer.text


async def test_page_has_a_strict_policy(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'self' {ONE_RUNTIME}"
    assert policy["frame-src"] == ONE_RUNTIME
    assert policy["style-src"] == "'self'"
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>", answer.text)


@pytest.mark.parametrize("status", [401, 422, 503])
async def test_page_receives_the_detail_of_an_error(client: httpx2.AsyncClient, wire: Wire, status: int) -> None:
    wire.answer = ApiResponse(status, b'{"detail": "Do this.", "code": "some_code"}')
    answer = await client.get("/api/integrations")
    assert answer.status_code == (502 if status == 503 else 422)
    assert answer.json()["error"] == "Do this."
    assert answer.json()["requests"][0]["status"] == status


async def test_answer_that_is_not_json_is_an_error(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.answer = ApiResponse(500, b"<html>")
    answer = await client.get("/api/integrations")
    assert answer.status_code == 502
    assert answer.json()["error"] == "One Runtime answered 500."


async def test_missing_answer_is_shown(client: httpx2.AsyncClient, wire: Wire) -> None:
    wire.unreachable = True
    answer = await client.get("/api/integrations")
    assert answer.status_code == 502
    assert "does not answer" in answer.json()["error"]
    assert answer.json()["requests"][0]["status"] is None


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://127.0.0.1:8000"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_another_site_cannot_make_the_backend_act(
    client: httpx2.AsyncClient, wire: Wire, headers: dict[str, str]
) -> None:
    body = {"integration_slug": "acme", "end_user_id": "user_123"}
    answer = await client.post("/api/disconnect", json=body, headers=headers)
    assert answer.status_code == 403
    assert wire.requests == []


@pytest.mark.parametrize(
    "content, content_type, status",
    [
        (b"{}", "text/plain", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"integration_slug": 7}', "application/json", 400),
        (b'{"integration_slug": " "}', "application/json", 400),
        (b'{"integration_slug": "acme", "way": "frame"}', "application/json", 400),
        (b'{"integration_slug": "' + b"x" * 256 + b'"}', "application/json", 400),
        (b'{"x": "' + b"x" * 20_000 + b'"}', "application/json", 413),
    ],
)
async def test_invalid_body_is_refused(
    client: httpx2.AsyncClient, wire: Wire, content: bytes, content_type: str, status: int
) -> None:
    answer = await client.post("/api/sessions", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert wire.requests == []


def arguments(line: str, key: str) -> list[str]:
    """Return the arguments that a shell passes to curl."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{line}"
    shell = subprocess.run(["sh", "-c", script], env={"ONE_RUNTIME_API_KEY": key}, capture_output=True, check=True)
    return shell.stdout.decode().removesuffix("\0").split("\0")


def test_curl_command_repeats_the_request() -> None:
    who = 'o\'hara "ß" $HOME `id` \\'
    body = {"integration_slug": "acme", "end_user_id": who}
    line = asyncio.run(_shown_disconnect(who))["curl"]
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


async def _shown_disconnect(end_user_id: str) -> dict[str, str]:
    app = create_sample_product(SampleProduct(ORIGIN, ONE_RUNTIME, API_KEY, {}, SECRET), Wire())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as client:
        await sign_in(client, end_user_id)
        answer = await client.post("/api/disconnect", json={"integration_slug": "acme"})
    request: dict[str, str] = answer.json()["requests"][0]
    return request


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        request = {"path": self.path, "authorization": self.headers["Authorization"], "body": json.loads(body)}
        content = json.dumps(request).encode()
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


async def test_backend_sends_http_requests(echo: str) -> None:
    app = create_sample_product(SampleProduct(ORIGIN, echo, API_KEY, {}, SECRET))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as client:
        await sign_in(client, "Zoë")
        answer = (await client.post("/api/disconnect", json={"integration_slug": "acme"})).json()
    assert answer["body"] == {"integration_slug": "acme", "end_user_id": "Zoë"}
    assert answer["authorization"] == f"Bearer {API_KEY}"
    assert answer["path"] == "/v1/disconnect"


async def test_missing_server_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        await over_http("http://127.0.0.1:9")(ApiRequest("GET", "/", {}, None))


async def test_only_signed_messages_become_events(client: httpx2.AsyncClient) -> None:
    now = system_clock()

    async def send(
        number: int, secret: str = SECRET, *, seconds: float = 0, changed: bytes = b"", **more: object
    ) -> int:
        name, data = f"id-{number}", {"end_user_id": "user_123", "integration_slug": "acme", **more}
        body = json.dumps({"id": name, "type": "connection.created", "timestamp": "", "data": data}).encode()
        headers = signed_headers([new_secret(), secret], name, now + timedelta(seconds=seconds), body)
        return (await client.post("/webhooks", content=body + changed, headers=headers)).status_code

    explanation = {"message": "The provider refused.", "action": "Try again."}
    assert [await send(1), await send(2, explanation=explanation), await send(1)] == [204, 204, 204]
    refused = [await send(3, new_secret()), await send(4, seconds=-302), await send(5, seconds=302)]
    refused += [await send(6, changed=b" "), (await client.post("/webhooks", content=b"{}")).status_code]
    assert refused == [400] * 5

    async def listed(after: str) -> list[tuple[str, str]]:
        events = (await client.get("/api/events", params={"after": after})).json()["events"]
        return [(event["message"]["id"], event["explanation"]) for event in events]

    first, second = ("id-1", "An account was connected."), ("id-2", "The provider refused. Try again.")
    assert await listed("0") == await listed("x") == [first, second]
    assert await listed("1") == [second]
