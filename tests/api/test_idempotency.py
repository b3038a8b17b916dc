"""`Idempotency-Key`: a repeated request that creates something returns the first response, and creates nothing."""

import asyncio
from typing import Any, Final

import httpx2
import pytest
from sqlalchemy import select

from one_runtime.api.application import SPECS
from one_runtime.db.schema import idempotency_keys as keys
from one_runtime.demo.acme import GLOBEX
from one_runtime.errors import Unavailable
from one_runtime.tenancy import idempotency_keys
from tests.application import ACME_KEYS, Application, Client
from tests.billing import ENTRY
from tests.purging import purge

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


async def post(client: Client, path: str, body: dict[str, Any], key: str = "key-1") -> httpx2.Response:
    return await client.post(path, body, **{"idempotency-key": key})


async def count(client: Client, kind: str) -> int:
    return len((await client.get("/v1/events", type=kind)).json()["events"])


async def rows(application: Application) -> list[Any]:
    async with application.installation.database.read() as tx:
        return list(await tx.all(select(keys)))


async def test_repeated_request_returns_the_stored_response_and_creates_nothing(client: Client) -> None:
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        (SESSIONS, NEW_SESSION, "hosted_connection_session.created"),
        (CONNECTIONS, NEW_CONNECTION, "connection.created"),
    )
    for path, body, event in cases:
        first, again = (
            await post(client, path, body, f"key of {path}"),
            await post(client, path, body, f"key of {path}"),
        )
        assert first.status_code in {200, 201}
        assert (again.status_code, again.text) == (first.status_code, first.text)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
        assert again.headers["request-id"] != first.headers["request-id"]
        assert await count(client, event) == 1


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


async def test_crash_during_the_request_leaves_the_key_free_after_the_lease(
    application: Application, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(idempotency_keys, "finish", crash)
        with pytest.raises(asyncio.CancelledError):
            await post(client, SESSIONS, NEW_SESSION)
    answer = await post(client, SESSIONS, NEW_SESSION)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")
    application.clock.advance(seconds=idempotency_keys.LEASE.total_seconds() + 1)
    assert (await post(client, SESSIONS, NEW_SESSION)).status_code == 200
    assert await count(client, "hosted_connection_session.created") == 2


async def test_request_that_outlasts_its_lease_does_not_overwrite_the_later_response(
    application: Application, client: Client
) -> None:
    organization = (await client.get("/v1/organization")).json()["id"]
    installation = application.installation
    arguments = (installation, organization, organization, "key-1", "fingerprint")
    slow = await idempotency_keys.reserve(*arguments)
    application.clock.advance(seconds=idempotency_keys.LEASE.total_seconds() + 1)
    fast = await idempotency_keys.reserve(*arguments)
    assert isinstance(slow, idempotency_keys.Reservation)
    assert isinstance(fast, idempotency_keys.Reservation)
    later = idempotency_keys.StoredResponse(201, '{"later": true}')
    await idempotency_keys.finish(installation, fast, later)
    await idempotency_keys.finish(installation, slow, idempotency_keys.StoredResponse(201, "{}"))
    await idempotency_keys.release(installation, slow)
    assert await idempotency_keys.reserve(*arguments) == later


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


async def test_success_is_returned_although_its_response_cannot_be_stored(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(idempotency_keys, "finish", fail)
    assert (await post(client, SESSIONS, NEW_SESSION)).status_code == 200


def test_every_route_that_creates_accepts_the_header() -> None:
    """A POST that acts on a present resource has the id of this resource in its path."""
    creating = {spec.name for spec in SPECS if spec.method == "POST" and "{" not in spec.path}
    accepting = {spec.name for spec in SPECS if spec.idempotent}
    assert creating - accepting <= {"POST /v1/disconnect"}  # a repeated disconnect is harmless
    assert accepting <= creating
