"""The backend of the demo's customer creates end-user tokens, calls tools for an agent, and opens an agent's links."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from one_runtime.demo.sample_product.backend import create_sample_product
from one_runtime.demo.sample_product.calls import ApiRequest, ApiResponse, Unreachable
from one_runtime.demo.sample_product.product import SampleProduct

ORIGIN = "http://127.0.0.1:8001"
ADA = "user_123"
REQUEST = {"id": "r1", "end_user_id": ADA, "integration_slug": "acme", "status": "open"}
CALL = {"tool": "call_read", "arguments": {"name": "acme.contacts_list"}}


@dataclass
class Server:
    """A server with prepared answers by method and path. It creates numbered tokens, and refuses the revoked ones."""

    answers: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    requests: list[ApiRequest] = field(default_factory=list)
    tokens: int = 0
    revoked: set[str] = field(default_factory=set)

    async def __call__(self, request: ApiRequest) -> ApiResponse:
        self.requests.append(request)
        line = f"{request.method} {request.target}"
        if line in self.answers:
            status, data = self.answers[line]
        elif line == "POST /v1/end-user-tokens":
            self.tokens += 1
            status, data = 201, {"end_user_token": f"orut_{self.tokens}"}
        elif line == "POST /v1/mcp" and request.headers["Authorization"] in self.revoked:
            status, data = 401, {"code": "unauthenticated"}
        elif line == "POST /v1/mcp":
            status, data = 200, {"result": {}}
        else:
            raise Unreachable(f"{line} has no answer.")
        return ApiResponse(status, json.dumps(data).encode())

    def lines(self) -> list[str]:
        return [f"{request.method} {request.target}" for request in self.requests]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    product = SampleProduct(ORIGIN, "http://127.0.0.1:8000", "oru_canary", {}, "whsec_secret")
    transport = httpx2.ASGITransport(app=create_sample_product(product, server))
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


def facts(page: str) -> dict[str, Any]:
    start = page.index('id="facts">') + len('id="facts">')
    link: dict[str, Any] = json.loads(page[start : page.index("</script>", start)])["agent_link"]
    return link


async def test_agent_has_a_token_of_its_end_user_and_a_new_one_after_a_revocation(
    client: httpx2.AsyncClient, server: Server
) -> None:
    for _ in range(2):
        assert (await client.post("/api/agents/calls", json=CALL)).status_code == 200
    first, *calls = server.requests
    assert json.loads(first.body or b"") == {
        "end_user_id": ADA,
        "name": "Sample product",
        "access": "ask",
        "expires_in": 86_400,
    }
    assert [call.headers["Authorization"] for call in calls] == ["Bearer orut_1"] * 2
    assert calls[0].headers["MCP-Protocol-Version"] == "2026-07-28"
    assert json.loads(calls[0].body or b"")["params"]["arguments"] == CALL["arguments"]

    server.revoked.add("Bearer orut_1")
    answer = await client.post("/api/agents/calls", json=CALL)
    assert answer.json()["call"]["status"] == 200
    assert server.requests[-1].headers["Authorization"] == "Bearer orut_2"
    assert '-H "Authorization: Bearer $END_USER_TOKEN"' in answer.json()["call"]["curl"]
    assert "orut_2" not in answer.text

    await client.post("/api/sign-in", json={"end_user_id": "user_456"})
    await client.post("/api/agents/calls", json=CALL)
    assert server.requests[-1].headers["Authorization"] == "Bearer orut_3"


async def test_refused_token_is_an_error_of_the_call(client: httpx2.AsyncClient, server: Server) -> None:
    server.answers["POST /v1/end-user-tokens"] = (403, {"detail": "The key lacks the scope use."})
    answer = await client.post("/api/agents/calls", json=CALL)
    assert (answer.status_code, answer.json()["error"]) == (502, "The key lacks the scope use.")
    wrong = await client.post("/api/agents/calls", json={"tool": "call_read", "arguments": []})
    assert wrong.json()["error"] == "arguments must be an object."


@pytest.mark.parametrize(
    "status, changes, sentence, answered",
    [
        (200, {}, "asks you to connect", False),
        (200, {"end_user_id": "user_456"}, "This link is for another user. Ada Lindqvist", False),
        (200, {"status": "expired"}, "This link has expired.", False),
        (200, {"status": "declined"}, "You have declined.", True),
        (404, {"detail": "There is no connect request."}, "There is no connect request.", False),
    ],
)
async def test_link_to_connect_shows_what_the_signed_in_user_can_do(
    client: httpx2.AsyncClient, server: Server, status: int, changes: dict[str, str], sentence: str, answered: bool
) -> None:
    server.answers["GET /v1/connect-requests/r1%2F"] = (status, REQUEST | changes)
    link = facts((await client.get("/agents?connect_request_id=r1/&integration=acme")).text)
    assert sentence in link["sentence"]
    assert link["answered"] is answered
    assert link["connect_request_id"] == ("r1" if "connect" in sentence and status == 200 else None)


async def test_link_to_approve_redirects_only_the_user_of_the_request(
    client: httpx2.AsyncClient, server: Server
) -> None:
    server.answers["GET /v1/approval-requests/r1"] = (200, REQUEST)
    server.answers["POST /v1/approval-requests/r1/open"] = (200, {"approval_url": "http://127.0.0.1:8000/connect/a"})
    answer = await client.get("/agents?approval_request_id=r1&integration=acme")
    assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1:8000/connect/a")
    opened = json.loads(server.requests[-1].body or b"")
    assert opened == {"end_user_id": ADA, "return_url": f"{ORIGIN}/agents"}

    server.answers["POST /v1/approval-requests/r1/open"] = (409, {"detail": "It is closed."})
    assert facts((await client.get("/agents?approval_request_id=r1")).text)["sentence"] == "It is closed."
    await client.post("/api/sign-in", json={"end_user_id": "user_456"})
    sent = len(server.requests)
    link = facts((await client.get("/agents?approval_request_id=r1")).text)
    assert "This link is for another user. Tomás Reyes" in link["sentence"]
    assert server.lines()[sent:] == ["GET /v1/approval-requests/r1"]
    del server.answers["GET /v1/approval-requests/r1"]
    assert "has no answer" in facts((await client.get("/agents?approval_request_id=r1")).text)["sentence"]


async def test_only_the_user_of_the_request_declines_it(client: httpx2.AsyncClient, server: Server) -> None:
    server.answers["GET /v1/connect-requests/r1"] = (200, REQUEST)
    server.answers["DELETE /v1/connect-requests/r1"] = (200, REQUEST | {"status": "declined"})
    await client.post("/api/sign-in", json={"end_user_id": "user_456"})
    body = {"connect_request_id": "r1"}
    assert (await client.post("/api/agents/decline", json=body)).status_code == 404
    assert server.lines() == ["GET /v1/connect-requests/r1"]
    await client.post("/api/sign-in", json={"end_user_id": ADA})
    answer = await client.post("/api/agents/decline", json=body)
    assert answer.json()["status"] == "declined"
    assert answer.json()["requests"][1]["curl"].startswith("curl -X DELETE ")
