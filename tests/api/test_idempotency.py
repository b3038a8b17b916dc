"""`Idempotency-Key`: a repeated request that creates something returns the first response, and creates nothing."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import httpx2
import pytest
from sqlalchemy import select

from one_runtime.api import connections as connections_api
from one_runtime.api.application import SPECS
from one_runtime.connecting.token_import import verify_import
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import idempotency_keys as keys
from one_runtime.demo.acme import GLOBEX
from one_runtime.errors import Unavailable
from one_runtime.tenancy import idempotency_keys
from tests.application import ACME_KEYS, PUBLIC_URL, Application, Client
from tests.billing import ENTRY
from tests.purging import purge
from tests.waiting import eventually

SESSIONS: Final = "/v1/hosted-connection-sessions"
CONNECTIONS: Final = "/v1/connections"
CUSTOM: Final = "/v1/custom-integrations"
NEW_SESSION: Final = {"integration_slug": "acme", "end_user_id": "user_123"}
NEW_CONNECTION: Final[dict[str, Any]] = {
    "integration_slug": "acme",
    "end_user_id": "user_123",
    "auth_type": "api_key",
    "credentials": {"api_key": ACME_KEYS[GLOBEX]},
    "multiple": True,
}
CREATING: Final[Mapping[str, Mapping[str, Any] | str]] = {
    SESSIONS: NEW_SESSION,
    CONNECTIONS: NEW_CONNECTION,
    CUSTOM: ENTRY,
    "/v1/api-keys": {"name": "billing service"},
    "/v1/end-user-tokens": {"end_user_id": "user_123"},
    "/v1/webhook-endpoints": {"kind": "pull", "event_types": ["*"]},
}
"""A body for each route that creates something."""

store_response: Final = idempotency_keys.finish


async def create(client: Client, path: str, body: Mapping[str, Any] | str) -> httpx2.Response:
    """Send a request of `CREATING` with the same key each time."""
    if isinstance(body, str):
        headers = {"content-type": "application/yaml", "idempotency-key": "key-1"}
        return await client.http.post(path, content=body, headers=headers)
    return await client.post(path, body, **{"idempotency-key": f"key of {path}"})


async def number_of_resources(client: Client, path: str) -> int:
    (resources,) = [value for value in (await client.get(path)).json().values() if isinstance(value, list)]
    return len(resources)


async def post(client: Client, path: str, body: dict[str, Any], key: str = "key-1") -> httpx2.Response:
    return await client.post(path, body, **{"idempotency-key": key})


async def count(client: Client, kind: str) -> int:
    return len((await client.get("/v1/events", type=kind)).json()["events"])


async def rows(application: Application) -> list[Any]:
    async with application.installation.database.read() as tx:
        return list(await tx.all(select(keys)))


async def test_repeated_request_returns_the_stored_response_and_creates_nothing(client: Client) -> None:
    for path, body in CREATING.items():
        before = await number_of_resources(client, path)
        first, again = await create(client, path, body), await create(client, path, body)
        assert first.status_code in {200, 201}, first.text
        assert (again.status_code, again.text) == (first.status_code, first.text)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
        assert again.headers["request-id"] != first.headers["request-id"]
        assert await number_of_resources(client, path) == before + 1


async def test_created_resource_has_its_address_and_its_version(client: Client) -> None:
    for path, body in CREATING.items():
        first, again = await create(client, path, body), await create(client, path, body)
        assert first.headers.get("location") == again.headers.get("location"), path
        assert ("location" in first.headers) == (first.status_code == 201), path
        assert (first.headers.get("etag") is not None, again.headers.get("etag")) == (first.status_code == 201, None)
        if first.status_code == 201:
            read = await client.http.get(first.headers["location"])
            assert first.headers["location"].startswith(f"{PUBLIC_URL}{path}/")
            assert read.json()["id"] == first.json()["id"]
            assert read.headers["etag"] == first.headers["etag"], path
    assert "location" not in (await post(client, CONNECTIONS, {**NEW_CONNECTION, "multiple": False}, "key-2")).headers


async def test_replaced_credential_is_replaced_once(client: Client) -> None:
    await post(client, CONNECTIONS, NEW_CONNECTION)
    first, again = [await post(client, CONNECTIONS, NEW_CONNECTION, "key-2") for _ in range(2)]
    assert (first.status_code, again.status_code, again.text) == (200, 200, first.text)
    assert again.headers["idempotent-replayed"] == "true"


async def test_another_key_and_no_key_create_again(client: Client) -> None:
    answers = [await post(client, SESSIONS, NEW_SESSION, key) for key in ("key-1", "key-2")]
    answers.append(await client.post(SESSIONS, NEW_SESSION))
    assert len({answer.json()["id"] for answer in answers}) == 3
    assert all("idempotent-replayed" not in answer.headers for answer in answers)


async def test_custom_integration_is_created_once(client: Client) -> None:
    headers = {"content-type": "application/yaml", "idempotency-key": "key-1"}
    first, again = [await client.http.post(CUSTOM, content=ENTRY, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code, again.text) == (201, 201, first.text)
    headers["idempotency-key"] = "key-2"
    assert (await client.http.post(CUSTOM, content=ENTRY, headers=headers)).status_code == 409


async def test_key_of_another_request_is_refused(client: Client) -> None:
    first = await post(client, SESSIONS, NEW_SESSION)
    for path, body in (
        (SESSIONS, {**NEW_SESSION, "end_user_id": "user_124"}),
        (SESSIONS, {**NEW_SESSION, "typo": 1}),
        (CONNECTIONS, NEW_SESSION),
    ):
        answer = await post(client, path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert (await post(client, SESSIONS, NEW_SESSION)).json() == first.json()


async def test_key_belongs_to_one_api_key(application: Application) -> None:
    organization = await application.organization()
    callers = [application.client(await application.key(organization)) for _ in range(2)]
    callers.append(application.client(await application.key(await application.organization("Other"))))
    ids = {(await post(caller, SESSIONS, NEW_SESSION)).json()["id"] for caller in callers}
    assert len(ids) == 3


async def test_one_of_many_concurrent_requests_creates_and_the_others_wait_or_repeat(client: Client) -> None:
    answers = await asyncio.gather(*(post(client, CONNECTIONS, NEW_CONNECTION) for _ in range(6)))
    created = {answer.text for answer in answers if answer.status_code == 201}
    assert len(created) == 1
    for answer in answers:
        if answer.status_code != 201:
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")
            assert int(answer.headers["retry-after"]) >= 1
    assert (await post(client, CONNECTIONS, NEW_CONNECTION)).text in created
    assert await count(client, "connection.created") == 1


async def test_failed_request_leaves_the_key_free(application: Application, client: Client) -> None:
    invalid = await post(client, SESSIONS, {**NEW_SESSION, "expires_in": 1})
    assert invalid.status_code == 422
    wrong = {**NEW_CONNECTION, "credentials": {"api_key": "acme_wrong0123456789"}}
    assert (await post(client, CONNECTIONS, wrong)).json()["code"] == "credentials_refused"
    application.acme.acme.faults.api_status = 503
    unavailable = await post(client, CONNECTIONS, NEW_CONNECTION)
    assert (unavailable.status_code, unavailable.json()["code"]) == (502, "provider_unavailable")
    application.acme.acme.faults.api_status = None
    assert await rows(application) == []
    assert (await post(client, CONNECTIONS, NEW_CONNECTION)).status_code == 201


async def crash_before_commit(tx: Transaction, *arguments: Any) -> None:
    await store_response(tx, *arguments)
    raise asyncio.CancelledError


async def crash_after_commit(tx: Transaction, *arguments: Any) -> None:
    def crash() -> None:
        raise asyncio.CancelledError

    await store_response(tx, *arguments)
    tx.committed.append(crash)


@pytest.mark.parametrize("crash", [crash_before_commit, crash_after_commit])
async def test_crash_during_a_request_and_a_repetition_create_one_resource(
    application: Application, client: Client, monkeypatch: pytest.MonkeyPatch, crash: Callable[..., Any]
) -> None:
    """A cancelled task stands for a killed process: the server neither answers nor frees the key."""
    for path, body in CREATING.items():
        before = await number_of_resources(client, path)
        with monkeypatch.context() as patch:
            patch.setattr(idempotency_keys, "finish", crash)
            with pytest.raises(asyncio.CancelledError):
                await create(client, path, body)
        created = crash is crash_after_commit
        assert await number_of_resources(client, path) == before + created, path
        if not created:
            waiting = await create(client, path, body)
            assert (waiting.status_code, waiting.json()["code"]) == (409, "idempotency_key_in_use"), path
            application.clock.advance(seconds=int(waiting.headers["retry-after"]))
        answers = [await create(client, path, body) for _ in range(2)]
        assert [answer.status_code < 300 for answer in answers] == [True, True], answers[0].text
        assert answers[0].text == answers[1].text
        assert [answer.headers.get("idempotent-replayed") for answer in answers] == [
            "true" if created else None,
            "true",
        ]
        assert await number_of_resources(client, path) == before + 1, path


async def test_response_that_cannot_be_stored_undoes_the_creation(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise Unavailable("The database does not answer.")

    for path, body in CREATING.items():
        before = await number_of_resources(client, path)
        with monkeypatch.context() as patch:
            patch.setattr(idempotency_keys, "finish", fail)
            assert (await create(client, path, body)).status_code == 503
        assert await number_of_resources(client, path) == before, path
        assert (await create(client, path, body)).status_code < 300, path
        assert await number_of_resources(client, path) == before + 1, path


async def test_request_that_outlasts_its_lease_creates_nothing_after_its_repetition(
    application: Application, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system has paused the process of the slow request, so no heartbeat extends the lease."""
    repetitions: list[httpx2.Response] = []
    monkeypatch.setattr(idempotency_keys, "HEARTBEAT", timedelta(hours=1))

    async def verify_slowly(*arguments: Any) -> Any:
        verified = await verify_import(*arguments)
        monkeypatch.setattr(connections_api, "verify_import", verify_import)  # the repetition is fast
        application.clock.advance(seconds=idempotency_keys.LEASE.total_seconds() + 1)
        repetitions.append(await post(client, CONNECTIONS, NEW_CONNECTION))
        return verified

    monkeypatch.setattr(connections_api, "verify_import", verify_slowly)
    slow = await post(client, CONNECTIONS, NEW_CONNECTION)
    assert (slow.status_code, slow.json()["code"]) == (409, "idempotency_key_in_use")
    assert repetitions[0].status_code == 201
    assert (await post(client, CONNECTIONS, NEW_CONNECTION)).text == repetitions[0].text
    assert await count(client, "connection.created") == 1


async def test_running_request_keeps_its_key_with_heartbeats(
    application: Application, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    repetitions: list[httpx2.Response] = []
    monkeypatch.setattr(idempotency_keys, "HEARTBEAT", timedelta(milliseconds=5))

    async def heartbeat_arrives() -> bool:
        (row,) = await rows(application)
        return bool(row.leased_until > application.clock() + timedelta(seconds=5))

    async def verify_slowly(*arguments: Any) -> Any:
        verified = await verify_import(*arguments)
        for _ in range(4):  # together longer than the lease
            application.clock.advance(seconds=4)
            is_extended: bool = await eventually(heartbeat_arrives)
            assert is_extended
        repetitions.append(await post(client, CONNECTIONS, NEW_CONNECTION))
        return verified

    monkeypatch.setattr(connections_api, "verify_import", verify_slowly)
    slow = await post(client, CONNECTIONS, NEW_CONNECTION)
    (repetition,) = repetitions
    assert (slow.status_code, repetition.status_code) == (201, 409)
    assert repetition.json()["code"] == "idempotency_key_in_use"
    assert (await post(client, CONNECTIONS, NEW_CONNECTION)).text == slow.text
    assert await count(client, "connection.created") == 1


async def test_heartbeats_end_with_the_request_and_survive_a_short_outage(
    application: Application, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: list[bool | None] = []
    extend = idempotency_keys.extend

    async def extend_after_an_outage(*arguments: Any) -> bool:
        results.append(None)
        if len(results) == 1:
            raise Unavailable("The database does not answer.")
        results[-1] = await extend(*arguments)
        return bool(results[-1])

    async def verify_slowly(*arguments: Any) -> Any:
        await eventually(lambda: True in results)
        return await verify_import(*arguments)

    monkeypatch.setattr(idempotency_keys, "HEARTBEAT", timedelta(milliseconds=5))
    monkeypatch.setattr(idempotency_keys, "extend", extend_after_an_outage)
    monkeypatch.setattr(connections_api, "verify_import", verify_slowly)
    assert (await post(client, CONNECTIONS, NEW_CONNECTION)).status_code == 201
    beats = len(results)
    async with application.installation.database.write() as tx:
        assert await tx.all(select(keys.c.id).where(keys.c.leased_until.is_not(None))) == []
    assert (await post(client, CONNECTIONS, NEW_CONNECTION)).headers["idempotent-replayed"] == "true"
    assert len(results) == beats


async def test_response_is_stored_encrypted_for_a_day(application: Application, client: Client) -> None:
    first = (await post(client, SESSIONS, NEW_SESSION)).json()
    (row,) = await rows(application)
    stored = repr(row)
    for secret in (first["session_token"], "user_123", "key-1"):
        assert secret not in stored
        assert secret.encode() not in row.sealed
    application.clock.advance(hours=23, minutes=59)
    await purge(application.installation)
    assert (await post(client, SESSIONS, NEW_SESSION)).json() == first
    application.clock.advance(minutes=2)
    again = await post(client, SESSIONS, NEW_SESSION)  # before the next purge
    assert again.json()["id"] != first["id"]
    application.clock.advance(hours=25)
    await purge(application.installation)
    assert await rows(application) == []


async def test_invalid_keys_are_refused(client: Client) -> None:
    for key in ("", "x" * 256, "clé", "tab\there"):
        headers = [(b"idempotency-key", key.encode()), (b"content-type", b"application/json")]
        answer = await client.http.post(SESSIONS, content=b"{}", headers=headers)
        assert answer.status_code == 422, key
        assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    twice = [("idempotency-key", "a"), ("idempotency-key", "b"), ("content-type", "application/json")]
    assert (await client.http.post(SESSIONS, content=b"{}", headers=twice)).json()["code"] == "invalid_input"
    assert (await post(client, SESSIONS, NEW_SESSION, "x" * 255)).status_code == 200


def test_every_route_that_creates_accepts_the_header() -> None:
    """A POST that acts on a present resource has the id of this resource in its path. A rotation creates a secret."""
    creating = {spec.name for spec in SPECS if spec.method == "POST" and "{" not in spec.path}
    accepting = {spec.name for spec in SPECS if spec.idempotent}
    assert creating - accepting <= {"POST /v1/disconnect"}  # a repeated disconnect is harmless
    rotation = "POST /v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret"
    approval = "POST /v1/agent-authorizations/{agent_authorization_id}"  # tests/mcp/test_authorization.py repeats it
    assert accepting == {*(f"POST {path}" for path in CREATING), rotation, approval}, "crashes cover each route"
