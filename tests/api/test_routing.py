"""Requests to every route of the OpenAPI document: keys, scopes, malformed requests, error shape."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2
import pytest

from one_runtime.api.middleware import MAX_BODY_BYTES
from one_runtime.api.problems import MEDIA_TYPE
from one_runtime.api.routing import ANY
from one_runtime.db.ids import new_id
from one_runtime.encryption import secret_tokens
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.authentication import Authenticator
from one_runtime.validation.json_values import MAX_VALUES
from tests.api.operations import SPECS, Operation, example, operations, put, routes, texts
from tests.application import JSON, Application, Client

pytestmark = [pytest.mark.slow, pytest.mark.only_database("sqlite")]

NUL: Final = "a\x00b"
SURROGATE: Final = "a\ud800b"
PROBLEM: Final = {"type", "title", "status", "detail", "code", "request_id", "error"}
CODES: Final = {
    400: "malformed_request",
    401: "unauthenticated",
    403: "insufficient_scope",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}


@dataclass(frozen=True, slots=True)
class Walk:
    """The application, and every operation of its API."""

    application: Application
    client: Client
    organization: str
    operations: tuple[Operation, ...]

    @property
    def guarded(self) -> list[Operation]:
        return [operation for operation in self.operations if operation.spec.scope is not None]

    @property
    def with_body(self) -> list[Operation]:
        return [operation for operation in self.operations if operation.body is not None]

    async def ask(self, caller: Client, operation: Operation, body: object = None, **query: str) -> httpx2.Response:
        """One request of an operation; its body is an example unless given."""
        content = None
        if operation.body is not None:
            content = json.dumps(example(operation.body) if body is None else body)
        return await caller.http.request(
            operation.method, operation.address({}, **query), content=content, headers=JSON if content else {}
        )


_OPERATIONS: Final[list[Operation]] = []
"""Of the first application that was asked: making the document takes longer than a walk."""


@pytest.fixture
async def walk(application: Application) -> Walk:
    organization = await application.organization()
    client = application.client(await application.key(organization))
    if not _OPERATIONS:
        _OPERATIONS.extend(operations((await client.get("/openapi.json")).json()))
    return Walk(application, client, organization, tuple(_OPERATIONS))


def assert_problem(answer: httpx2.Response, status: int, where: str) -> dict[str, Any]:
    """The one error shape (RFC 9457)."""
    assert answer.status_code == status, f"{where}: {answer.status_code} {answer.text[:300]}"
    assert answer.headers["content-type"] == "application/problem+json", where
    assert answer.headers["cache-control"] == "no-store", where
    body: dict[str, Any] = answer.json()
    assert set(body) >= PROBLEM, where
    assert body["status"] == status, where
    assert body["request_id"] == answer.headers["request-id"], where
    assert body["error"] == body["detail"], where
    assert body["type"].endswith(f"/docs/errors#{body['code']}"), where
    assert body["code"] == CODES.get(status, body["code"]), where
    assert all(body[name] for name in PROBLEM), where
    return body


async def test_routes_declarations_and_document_are_the_same_set(walk: Walk) -> None:
    routed = {f"{method} {path}" for method, path in routes(walk.application.app.app) if path.startswith("/v1")}
    assert routed == SPECS.keys() == {operation.name for operation in walk.operations}


async def test_only_the_catalog_is_public(walk: Walk) -> None:
    public = {name for name, spec in SPECS.items() if spec.scope is None}
    assert public == {name for name in SPECS if name.startswith("GET /v1/catalog/")}
    assert {operation.name for operation in walk.guarded} == SPECS.keys() - public
    assert {operation.spec.scope for operation in walk.guarded} == {*api_keys.SCOPES, ANY}


async def test_document_names_the_scope_of_each_route(walk: Walk) -> None:
    for operation in walk.operations:
        scope = operation.spec.scope
        assert operation.described.get("x-required-scope") == (None if scope == ANY else scope), operation.name
        assert operation.described["security"] == ([{"apiKey": []}] if scope else []), operation.name
        sentence = "any scope" if scope == ANY else f"scope `{scope}`"
        assert scope is None or sentence in operation.described["description"], operation.name


async def test_document_names_the_error_codes_of_each_route(walk: Walk) -> None:
    for operation in walk.operations:
        documented = {
            (status, code)
            for status, response in operation.described["responses"].items()
            if MEDIA_TYPE in response.get("content", {})
            for code in response["content"][MEDIA_TYPE]["schema"]["allOf"][1]["properties"]["code"]["enum"]
        }
        relayed = "default" in operation.described["responses"]
        declared = {
            (f"{error.status // 100}XX" if relayed else str(error.status), error.code)
            for error in operation.spec.all_errors
        }
        assert documented == declared, operation.name
        assert relayed == operation.path.startswith("/v1/proxy/"), "only the proxy answers with any status"


async def test_every_route_is_documented_in_words(walk: Walk) -> None:
    for operation in walk.operations:
        for part in ("summary", "description", "operationId", "tags"):
            assert operation.described.get(part), f"{operation.name} has no {part}"
        refused = operation.described["responses"].get("422") or operation.described["responses"]["4XX"]
        problem = refused["content"][MEDIA_TYPE]["schema"]["allOf"][0]
        assert set(problem["properties"]) >= PROBLEM, operation.name
    names = [operation.described["operationId"] for operation in walk.operations]
    assert [name for name in names if "v1" in name] == [], "names of our own, not FastAPI's of path and method"
    assert len(names) == len(set(names))


@pytest.mark.promise("P2")
async def test_every_route_answers_401_without_a_valid_key(walk: Walk) -> None:
    revoked = await walk.application.key(walk.organization)
    database = walk.application.installation.database
    async with database.write() as tx:
        prefix = "_".join(revoked.split("_")[:2])
        await api_keys.revoke(tx, prefix, walk.application.clock())
    callers = {
        "no key": walk.application.client(),
        "junk": walk.application.client("oru_junk"),
        "a key with a wrong checksum": walk.application.client(
            secret_tokens.make(secret_tokens.API_KEY).secret[:-1] + "~"
        ),
        "a key that was never made": walk.application.client(secret_tokens.make(secret_tokens.API_KEY).secret),
        "a revoked key": walk.application.client(revoked),
        "a session's token": walk.application.client((await walk.client.session())["session_token"]),
    }
    for kind, caller in callers.items():
        for operation in walk.guarded:
            answer = await walk.ask(caller, operation)
            assert_problem(answer, 401, f"{operation.name} with {kind}")
            assert answer.headers["www-authenticate"].startswith("Bearer"), operation.name


async def test_key_is_checked_before_the_body_is_read(walk: Walk) -> None:
    """Otherwise a caller without a key could use CPU time with large JSON bodies."""
    reads: list[str] = []

    async def body(caller: str) -> AsyncIterator[bytes]:
        reads.append(caller)
        yield b"{"

    key_of_nobody = secret_tokens.make(secret_tokens.API_KEY).secret
    for operation in walk.with_body:
        scope = operation.spec.scope
        others = [other for other in api_keys.SCOPES if other != scope]
        without_scope = await walk.application.key(walk.organization, *others)
        for key, status in ((None, 401), ("oru_junk", 401), (key_of_nobody, 401), (without_scope, 403)):
            caller = walk.application.client(key)
            name = f"{operation.name} with {key}"
            answer = await caller.http.request(
                operation.method, operation.address({}), content=body(name), headers=JSON
            )
            assert_problem(answer, status, name)
    assert reads == []
    assert {operation.name for operation in walk.with_body} >= {"POST /v1/disconnect", "PUT /v1/organization"}


async def test_other_schemes_than_bearer_answer_401(walk: Walk) -> None:
    key = walk.client.http.headers["authorization"].removeprefix("Bearer ")
    for header in (f"Basic {key}", key, "Bearer", "Bearer ", f"Bearer{key}", "Bearer \x7f"):
        walk.client.http.headers["authorization"] = header
        for operation in walk.guarded:
            assert_problem(await walk.ask(walk.client, operation), 401, f"{operation.name} with {header[:8]!r}")


async def test_each_route_requires_exactly_its_scope(walk: Walk) -> None:
    for operation in walk.guarded:
        scope = operation.spec.scope
        assert scope is not None
        if scope == ANY:
            for only in api_keys.SCOPES:
                key = await walk.application.key(walk.organization, only)
                assert (await walk.ask(walk.application.client(key), operation)).status_code == 200, only
            continue
        others = [other for other in api_keys.SCOPES if other != scope]
        without = walk.application.client(await walk.application.key(walk.organization, *others))
        refused = await walk.ask(without, operation)
        assert scope in assert_problem(refused, 403, operation.name)["detail"]
        challenge = f'Bearer realm="One Runtime", error="insufficient_scope", scope="{scope}"'  # RFC 6750 section 3
        assert refused.headers["www-authenticate"] == challenge, operation.name
        alone = walk.application.client(await walk.application.key(walk.organization, scope))
        answer = await walk.ask(alone, operation)
        assert answer.status_code not in {401, 403}, operation.name


async def test_public_routes_need_no_key(walk: Walk) -> None:
    public_client = walk.application.client()
    for operation in walk.operations:
        if operation.spec.scope is None:
            path = operation.address({"slug": "hubspot"})
            assert (await public_client.get(path)).status_code == 200, operation.name


async def test_body_that_is_not_json_answers_400(walk: Walk) -> None:
    for operation in walk.with_body:
        for content in (
            "{",
            "{'a': 1}",
            '{"a": 1,}',
            "[" * MAX_VALUES,
            b"\xff\xfe",
            '"' + "\xe9".encode("latin-1").hex(),
        ):
            answer = await walk.client.http.request(
                operation.method, operation.address({}), content=content, headers=JSON
            )
            assert_problem(answer, 400, f"{operation.name} with {content[:10]!r}")


async def test_body_that_is_no_json_object_answers_422(walk: Walk) -> None:
    for operation in walk.with_body:
        fitting = json.dumps(example(operation.body or {}))
        for content, kind in (
            ("[]", "application/json"),
            ('"text"', "application/json"),
            ("null", "application/json"),
            ("", "application/json"),
            (fitting, "text/plain"),
            (fitting, "application/x-www-form-urlencoded"),
        ):
            headers = {"content-type": kind}
            answer = await walk.client.http.request(
                operation.method, operation.address({}), content=content, headers=headers
            )
            assert_problem(answer, 422, f"{operation.name} with {content[:10]!r} as {kind}")


async def test_unknown_fields_are_refused_by_name(walk: Walk) -> None:
    for operation in walk.with_body:
        body = {**example(operation.body or {}), "typo": 1}
        problem = assert_problem(await walk.ask(walk.client, operation, body), 422, operation.name)
        assert "typo" in {error["field"] for error in problem["errors"]}, operation.name


async def test_unknown_query_parameters_are_refused_by_name_with_the_known_names(walk: Walk) -> None:
    for operation in walk.operations:
        if operation.path.startswith("/v1/proxy/"):
            continue
        problem = assert_problem(await walk.ask(walk.client, operation, zzz="1"), 422, operation.name)
        assert [error["field"] for error in problem["errors"]] == ["zzz"], operation.name
        known = ", ".join(operation.parameters_in("query"))
        allowed = f"The parameters are: {known}." if known else "The request has no parameters."
        assert problem["detail"] == f"zzz is not a parameter of this request. {allowed}", operation.name


async def test_pages_probes_and_logos_accept_unknown_query_parameters(walk: Walk) -> None:
    public_client = walk.application.client()
    logo = (await public_client.get("/v1/catalog/integrations/hubspot", logo="url")).json()["logo_url"]
    for path in ("/healthz", "/readyz", "/docs", "/docs/errors", "/openapi.json", "/connect.js", logo):
        assert (await public_client.http.get(f"{path}?typo=1&typo=2")).status_code == 200, path
    callback = "/connect/callback/acme?code=x&state=y"
    plain, more = [await public_client.http.get(f"{callback}{query}") for query in ("", "&scope=z&scope=z&typo=1")]
    assert (more.status_code, more.text) == (plain.status_code, plain.text)
    assert more.headers["content-type"].startswith("text/html"), "a page for the end user"


async def test_every_text_field_refuses_nul_and_lone_surrogates(walk: Walk) -> None:
    for operation in walk.with_body:
        places = list(texts(operation.body or {}))
        assert places or operation.name.endswith("/rotate-secret"), operation.name
        for place in places:
            for text in (NUL, SURROGATE):
                body = put(example(operation.body or {}), place, text)
                problem = assert_problem(await walk.ask(walk.client, operation, body), 422, f"{operation.name} {place}")
                fields = [error["field"] for error in problem["errors"]]
                names = {re.split(r"[.[]", field)[0] for field in fields}
                assert place[0] in names, f"{operation.name} {place}: {fields}"


async def test_field_names_with_nul_or_lone_surrogates_are_refused(walk: Walk) -> None:
    for operation in walk.with_body:
        mappings = [place[:-1] for place in texts(operation.body or {}) if place[-1] == "key"]
        for place in [(), *dict.fromkeys(mappings)]:
            for name in (NUL, SURROGATE):
                body = put(example(operation.body or {}), (*place, name), "x")
                assert_problem(await walk.ask(walk.client, operation, body), 422, f"{operation.name} {place} {name!r}")


async def test_every_query_parameter_refuses_nul_and_invalid_unicode(walk: Walk) -> None:
    for operation in walk.operations:
        for name in operation.parameters_in("query"):
            for text in (NUL, SURROGATE):
                answer = await walk.ask(walk.client, operation, **{name: text})
                assert_problem(answer, 422, f"{operation.name} {name}={text!r}")


@pytest.mark.only_database("sqlite", "postgresql")  # PostgreSQL refuses texts that are no ids
async def test_invalid_ids_answer_404(walk: Walk) -> None:
    for operation in walk.operations:
        for name in operation.parameters_in("path"):
            for text in (
                NUL,
                "nobody",
                "0" * 36,
                "A" * 5000,
                "''--",
                "%",
                "..",
                "018f0000-0000-7000-8000-000000000000",
            ):
                content = json.dumps(example(operation.body)) if operation.body else None
                address = operation.address({name: text})
                answer = await walk.client.http.request(operation.method, address, content=content, headers=JSON)
                assert_problem(answer, 404, f"{operation.name} {text[:40]!r}")


async def test_unknown_address_answers_404_and_another_method_405(walk: Walk) -> None:
    for address in ("/v1", "/v1/", "/v1/nothing", "/nothing", "/v1/integrations/", "/v1//connections"):
        assert_problem(await walk.client.get(address), 404, address)
    offered: dict[str, set[str]] = {}
    for operation in walk.operations:
        offered.setdefault(operation.path, set()).add(operation.method)
    for path, methods in offered.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - methods:
            answer = await walk.client.http.request(method, path.replace("{", "").replace("}", ""))
            assert_problem(answer, 405, f"{method} {path}")
            assert answer.headers["allow"], path


async def test_body_over_the_limit_answers_413(walk: Walk) -> None:
    for operation in walk.with_body:
        content = json.dumps({"name": "x" * MAX_BODY_BYTES})
        answer = await walk.client.http.request(operation.method, operation.address({}), content=content, headers=JSON)
        assert_problem(answer, 413, operation.name)


async def test_non_json_numbers_are_refused(walk: Walk) -> None:
    for operation in walk.with_body:
        if "metadata" in (operation.body or {})["properties"]:
            for number in ("NaN", "Infinity", "-Infinity", "1e999"):
                body = json.dumps({**example(operation.body or {}), "metadata": {"number": 0}})
                content = body.replace('"number": 0', f'"number": {number}')
                answer = await walk.client.http.request(
                    operation.method, operation.address({}), content=content, headers=JSON
                )
                assert_problem(answer, 422, f"{operation.name} {number}")


async def test_metadata_that_is_too_deep_or_too_large_is_refused(walk: Walk) -> None:
    nested: object = "x"
    for _ in range(200):
        nested = [nested]
    for operation in walk.with_body:
        if "metadata" in (operation.body or {})["properties"]:
            for metadata in ({"deep": nested}, {"large": "x" * 16 * 1024}):
                body = {**example(operation.body or {}), "metadata": metadata}
                problem = assert_problem(await walk.ask(walk.client, operation, body), 422, operation.name)
                assert [error["field"] for error in problem["errors"]] == ["metadata"], operation.name


async def test_every_response_has_its_own_request_id(walk: Walk) -> None:
    request_ids = [(await walk.ask(walk.client, operation)).headers["request-id"] for operation in walk.operations]
    request_ids += [(await walk.client.get(path)).headers["request-id"] for path in ("/healthz", "/nothing", "/docs")]
    assert len(set(request_ids)) == len(request_ids)


async def test_unexpected_error_is_a_problem_without_internals(walk: Walk) -> None:
    broken = replace(walk.application.installation, catalog=None)  # type: ignore[arg-type] # a fault, made on purpose
    walk.application.replace_services(installation=broken, integration_list=None)
    for path in ("/v1/catalog/integrations", "/v1/catalog/categories"):  # without FastAPI, and with FastAPI
        answer = await walk.client.get(path)
        problem = assert_problem(answer, 500, "a broken catalog")
        assert problem["code"] == "internal_error"
        assert problem["request_id"] in problem["detail"]
        assert "NoneType" not in answer.text


async def test_requests_over_the_rate_answer_429_with_retry_after(walk: Walk) -> None:
    walk.application.replace_services(authenticator=Authenticator(6))
    listing = next(operation for operation in walk.guarded if operation.name == "GET /v1/connections")
    assert (await walk.ask(walk.client, listing)).status_code == 200
    answer = await walk.ask(walk.client, listing)
    assert_problem(answer, 429, listing.name)
    assert 1 <= int(answer.headers["retry-after"]) <= 11
    other = walk.application.client(await walk.application.key(walk.organization))
    assert (await walk.ask(other, listing)).status_code == 200


async def test_every_body_has_an_example_that_is_accepted(walk: Walk) -> None:
    for operation in walk.with_body:
        shown = (operation.body or {}).get("examples")
        assert shown, f"{operation.name} has no example"
        for body in shown:
            unchecked = {**body, "check": False} if "check" in (operation.body or {})["properties"] else body
            answer = await walk.ask(walk.client, operation, unchecked)
            # Example credentials are shown cut short: they have the right names, and not the provider's form.
            wrong = [error["field"] for error in answer.json().get("errors", ())]
            assert all(field.startswith("credentials.") for field in wrong), f"{operation.name}: {answer.text}"
            assert answer.status_code in {200, 201, 404 if operation.parameters_in("path") else 422}, operation.name


async def test_slash_at_the_end_of_a_path_is_named(client: Client) -> None:
    for method, path in (
        ("POST", "/v1/hosted-connection-sessions/"),
        ("GET", "/v1/integrations/"),
        ("GET", "/v1/end-users/"),
        ("GET", f"/v1/connections/{new_id()}/"),
    ):
        answer = await client.http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert answer.json()["detail"].endswith("Remove the slash at the end of the path."), path
    for path in ("/nothing/", "/v1/"):
        answer = await client.http.get(path)
        assert (answer.status_code, "slash" in answer.text) == (404, False), path


async def test_root_leads_to_the_reference(client: Client) -> None:
    answer = await client.http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert (await client.http.get("/", headers={"accept": "text/html"}, follow_redirects=True)).status_code == 200
