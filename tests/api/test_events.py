"""`/v1/events`: the audit log."""

from typing import Any, Final

import pytest

from one_runtime.demo.acme import INITECH
from tests.application import ACME_KEYS, Application, Client
from tests.purging import purge

pytestmark = pytest.mark.slow
USER: Final = "user_123"


async def events(client: Client, **options: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/events", **options)
    assert answer.status_code == 200, answer.text
    event_list: list[dict[str, Any]] = answer.json()["events"]
    return event_list


async def test_events_name_actor_type_and_connection(client: Client) -> None:
    connection = await client.connect()
    newest = (await events(client))[0]
    assert (newest["type"], newest["connection_id"], newest["end_user_id"]) == (
        "connection.created",
        connection["id"],
        USER,
    )
    assert newest["data"] == {"integration_slug": "acme", "auth_type": "api_key"}
    assert newest["actor"]["type"] == "api_key"
    session = await client.session("somebody else")
    assert (await client.type_key(session["session_token"], ACME_KEYS[INITECH])).status_code == 200
    newest = (await events(client))[0]
    assert newest["actor"] == {"type": "end_user", "id": "somebody else"}
    trail = str(await events(client))
    assert not any(secret in trail for secret in (*ACME_KEYS.values(), session["session_token"]))


async def test_events_are_filtered_and_paged_newest_first(client: Client) -> None:
    connections = [await client.connect(f"user_{number}") for number in range(3)]
    every = [event["id"] for event in await events(client)]
    assert every == sorted(every, reverse=True)
    created = await events(client, type="connection.created")
    assert [event["connection_id"] for event in created] == [event["id"] for event in reversed(connections)]
    assert [event["end_user_id"] for event in await events(client, end_user_id="user_1")] == ["user_1"]
    assert len(await events(client, connection_id=connections[0]["id"])) == 1
    assert await events(client, connection_id=connections[0]["id"], end_user_id="user_1") == []
    page = (await client.get("/v1/events", limit=2)).json()
    assert [event["id"] for event in page["events"]] == every[:2]
    assert [event["id"] for event in await events(client, cursor=page["next_cursor"])] == every[2:]
    for wrong in (
        {"type": "nothing"},
        {"connection_id": "x"},
        {"cursor": "junk"},
        {"limit": 0},
        {"until": "2026-11-25"},
    ):
        assert (await client.get("/v1/events", **wrong)).status_code == 422, wrong


async def test_events_are_filtered_by_actor_integration_and_time(application: Application, client: Client) -> None:
    connection = await client.connect()
    organization = (await client.get("/v1/organization")).json()["id"]
    leaked = application.client(await application.key(organization))
    session = await leaked.session("user_456")
    assert (await leaked.send("DELETE", f"/v1/connections/{connection['id']}")).status_code == 200
    every = await events(client)
    actor = every[0]["actor"]["id"]
    expected = ["connection.deleted", "hosted_connection_session.created"]
    assert [event["type"] for event in await events(client, actor_type="api_key", actor_id=actor)] == expected
    assert [event["type"] for event in await events(client, actor_type="system")] == ["api_key.created"] * 2
    of_acme = await events(client, integration_slug="acme")
    assert [event["type"] for event in of_acme] == [*expected, "connection.created"]
    assert session["id"] == of_acme[1]["data"]["session_id"]
    assert await events(client, integration_slug="hubspot") == []
    assert await events(client, since="2020-01-01T00:00:00Z") == every
    assert await events(client, until="1960-01-01T00:00:00-03:00") == []
    assert await events(client, since="2120-01-01T00:00:00.5Z") == []
    assert (await client.get("/v1/events", actor_type="robot")).status_code == 422


async def test_old_events_are_purged(application: Application, client: Client) -> None:
    await client.connect()
    assert await purge(application.installation) == 0
    application.clock.advance(days=89)
    assert await purge(application.installation) == 0
    application.clock.advance(days=2)
    assert await purge(application.installation) >= 1
    assert await events(client) == []
