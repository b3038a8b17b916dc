"""`POST /v1/disconnect`."""

from typing import Any, Final

import pytest

from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, Application, Client

pytestmark = [pytest.mark.slow, pytest.mark.worker]
USER: Final = "user_123"


async def disconnect(client: Client, slug: str = "acme", end_user_id: str = USER) -> dict[str, Any]:
    answer = await client.post("/v1/disconnect", {"integration_slug": slug, "end_user_id": end_user_id})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def events(client: Client, **options: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/events", **options)
    assert answer.status_code == 200, answer.text
    event_list: list[dict[str, Any]] = answer.json()["events"]
    return event_list


async def two_connections_of_which_one_is_broken(application: Application, client: Client) -> tuple[str, str]:
    broken = await client.connect()
    application.acme.acme.revoke(ACME_KEYS[GLOBEX])
    await client.http.post(f"/v1/connections/{broken['id']}/check")
    working = await client.connect(key=ACME_KEYS[INITECH], multiple=True)
    return broken["id"], working["id"]


@pytest.mark.promise("P9")
async def test_disconnect_deletes_and_counts_active_and_broken_connections(
    application: Application, client: Client
) -> None:
    connection_ids = await two_connections_of_which_one_is_broken(application, client)
    await client.connect("somebody else", key=ACME_KEYS[INITECH])
    result = await disconnect(client, " ACME ")
    assert {name: result[name] for name in ("status", "integration_slug", "end_user_id", "deleted_count")} == {
        "status": "disconnected",
        "integration_slug": "acme",
        "end_user_id": USER,
        "deleted_count": 2,
    }
    assert {(revocation["connection_id"], revocation["outcome"]) for revocation in result["revocations"]} == {
        (connection, "not_supported") for connection in connection_ids
    }
    remaining = (await client.get("/v1/connections")).json()["connections"]
    assert [connection["end_user_id"] for connection in remaining] == ["somebody else"]
    assert [event["connection_id"] for event in await events(client, type="connection.deleted")] in (
        list(connection_ids),
        list(connection_ids[::-1]),
    )


async def test_disconnect_without_a_connection_answers_not_found(client: Client) -> None:
    for slug, end_user in (("acme", USER), ("nothing", USER), ("acme", "never seen")):
        result = await disconnect(client, slug, end_user)
        assert result == {
            "status": "not_found",
            "integration_slug": slug,
            "end_user_id": end_user,
            "deleted_count": 0,
            "revocations": [],
        }
    assert (await client.get("/v1/end-users")).json()["end_users"] == []
