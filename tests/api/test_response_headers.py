"""The response headers in the OpenAPI document are the headers of real answers.

`tests/application.py` compares the headers of all answers in all tests with the declarations of the routes.
"""

from collections import defaultdict
from typing import Any, Final

import httpx2

from one_runtime.demo.acme import GLOBEX
from one_runtime.tenancy.authentication import Authenticator
from tests.api.operations import Operation, example, operations
from tests.api.test_openapi import document
from tests.application import ACME_KEYS, JSON, PLAIN_HEADERS, SECRET, Application, Client, RunningAcme, is_relayed

SESSIONS: Final = "/v1/hosted-connection-sessions"
PROXY: Final = "/v1/proxy/{integration_slug}/{path}"


class Walk:
    """Sends requests, and compares the headers of each answer with the document."""

    def __init__(self) -> None:
        self.documented = {operation.name: operation for operation in operations(document())}
        self.sent: dict[str, set[str]] = defaultdict(set)
        """Headers of the answers so far, by the status as in the document."""

    async def send(
        self, client: Client, operation: Operation, path: str, body: Any = None, **headers: str
    ) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()} | JSON
        answer = await client.http.request(operation.method, path, json=body, headers=named)
        responses = operation.described["responses"]
        exact, range_ = str(answer.status_code), f"{answer.status_code // 100}XX"
        status = exact if exact in responses else range_
        headers_of_status = {name.lower() for name in responses[status]["headers"]}
        of_answer = set(answer.headers) - PLAIN_HEADERS
        if is_relayed(answer):  # without the headers of the provider
            of_answer = {name for name in of_answer if name.startswith("one-runtime-") or name == "request-id"}
        assert of_answer <= headers_of_status, f"{operation.name} {status}: {of_answer - headers_of_status}"
        self.sent[f"{operation.name} {status}"] |= of_answer
        return answer


async def test_headers_of_real_answers_are_in_the_document(application: Application) -> None:
    organization = await application.organization()
    application.replace_services(authenticator=Authenticator(6000))
    client = application.client(await application.key(organization))
    walk = Walk()
    connection, session = await client.connect(), await client.session()
    await client.http.put("/v1/integrations/dropbox/oauth-client", json={"client_id": "x", "client_secret": "a-secret"})
    values = {
        "connection_id": connection["id"],
        "session_id": session["id"],
        "slug": "hubspot",
        "end_user_id": "user_123",
    }
    values |= {"api_key_id": (await client.get("/v1/me")).json()["id"], "integration_slug": "acme"}
    values |= {"event_id": (await client.get("/v1/events")).json()["events"][0]["id"]}
    denied = application.client(await application.key(organization, "use"))
    for operation in walk.documented.values():
        body = example(operation.body) if operation.body else None
        if operation.path == PROXY or operation.method == "DELETE":
            continue
        path = operation.address(values)
        answer = await walk.send(client, operation, path, body)
        if "etag" in answer.headers and operation.method == "GET":
            assert (await walk.send(client, operation, path, if_none_match="*")).status_code == 304
        if operation.spec.conditional and operation.method in {"PATCH", "PUT"}:
            assert (await walk.send(client, operation, path, body, if_match='"x"')).status_code in {404, 412, 422}
        if operation.spec.scope is not None:
            assert (await walk.send(application.client(), operation, path, body)).status_code == 401
            await walk.send(denied, operation, path, body)
    creation = walk.documented[f"POST {SESSIONS}"]
    new_session = {"integration_slug": "acme", "end_user_id": "user_123", "mode": "link"}
    for _ in range(2):
        await walk.send(client, creation, SESSIONS, new_session, idempotency_key="key-1")
    await walk.send(client, walk.documented["PATCH /v1/organization"], "/v1/organization", {"display_name": "New"})
    for user in ("user_123", "nobody"):
        path = PROXY.format(integration_slug="acme", path="v1/me")
        await walk.send(client, walk.documented[f"GET {PROXY}"], path, one_runtime_end_user=user)
    application.replace_services(authenticator=Authenticator(1))
    for _ in range(2):
        await walk.send(client, walk.documented["GET /v1/organization"], "/v1/organization")
    assert {"idempotent-replayed"} <= walk.sent[f"POST {SESSIONS} 200"]
    assert {"etag", "ratelimit"} <= walk.sent["PATCH /v1/organization 200"]
    assert {"retry-after"} <= walk.sent["GET /v1/organization 429"]
    never = {name.lower() for name in document()["components"]["headers"]} - set[str]().union(*walk.sent.values())
    assert never == {"one-runtime-upstream-request-id"}, "Acme sends no Request-Id"


async def test_no_cache_may_store_a_response_with_a_secret(client: Client) -> None:
    """ASVS 8.2.1, security L7. The hook of `tests/application.py` checks each response of all tests too."""
    connection = await client.connect()
    key = {"name": "backend", "scopes": ["use"]}
    hook = {"url": "https://example.com/hook", "event_types": ["connection.created"]}
    endpoint = await client.post("/v1/webhook-endpoints", hook)
    answers = {
        "session": await client.post(SESSIONS, {"integration_slug": "acme", "end_user_id": "user_123"}),
        "link": await client.post(SESSIONS, {"integration_slug": "acme", "end_user_id": "user_123", "mode": "link"}),
        "key": await client.post("/v1/api-keys", key, **{"idempotency-key": "1"}),
        "repeated key": await client.post("/v1/api-keys", key, **{"idempotency-key": "1"}),
        "end-user token": await client.post("/v1/end-user-tokens", {"end_user_id": "user_123"}),
        "endpoint": endpoint,
        "rotation": await client.post(f"/v1/webhook-endpoints/{endpoint.json()['id']}/rotate-secret"),
        "credentials": await client.get(f"/v1/connections/{connection['id']}/credentials"),
    }
    for name, answer in answers.items():
        assert answer.status_code in {200, 201}, (name, answer.text)
        assert SECRET.search(answer.text), (name, answer.text)
        assert answer.headers.get_list("cache-control") == ["no-store"], name


async def test_response_of_a_provider_gets_no_caching_of_ours(client: Client, acme: RunningAcme) -> None:
    await client.connect()
    answer = await client.http.get("/v1/proxy/acme/v1/me", headers={"one-runtime-end-user": "user_123"})
    async with httpx2.AsyncClient() as direct:
        own = await direct.get(f"{acme.url}/v1/me", headers={"authorization": f"Bearer {ACME_KEYS[GLOBEX]}"})
    assert answer.status_code == 200
    assert own.headers.get_list("cache-control") == []
    assert answer.headers.get_list("cache-control") == ["private"]
