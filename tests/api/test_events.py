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


async def test_events_carry_the_id_of_their_http_request(client: Client) -> None:
    body = {"integration_slug": "acme", "end_user_id": USER, "auth_type": "api_key"}
    credentials = {"api_key": ACME_KEYS[INITECH]}
    imported = await client.post("/v1/connections", {**body, "credentials": credentials})
    session = await client.session("somebody else")
    typed = await client.type_key(session["session_token"], ACME_KEYS[INITECH])
    deleted = await client.send("DELETE", f"/v1/end-users/{USER}")
    for answer, expected in (
        (imported, ["connection.created"]),
        (typed, ["connection.created"]),
        (deleted, ["end_user.deleted", "connection.deleted"]),
    ):
        request_id = answer.headers["request-id"]
        caused = await events(client, request_id=request_id)
        assert [(event["type"], event["request_id"]) for event in caused] == [(kind, request_id) for kind in expected]
        assert await events(client, request_id=request_id, type="connection.recovered") == []
    (of_a_command,) = await events(client, type="api_key.created")
    assert of_a_command["request_id"] is None
    assert (await client.get("/v1/events", request_id="request-1")).status_code == 422


async def test_one_event_is_read_by_its_id(application: Application, client: Client) -> None:
    await client.connect()
    newest = (await events(client))[0]
    assert (await client.get(f"/v1/events/{newest['id']}")).json() == newest
    other = application.client(await application.key(await application.organization("Southwind")))
    for reader, event_id in ((client, "junk"), (client, USER), (other, newest["id"])):
        answer = await reader.get(f"/v1/events/{event_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), event_id


async def test_events_are_followed_in_ascending_order(application: Application, client: Client) -> None:
    first, second = [await client.connect(f"user_{number}") for number in range(2)]
    newest_first = await events(client)
    oldest_first = newest_first[::-1]
    assert await events(client, order="desc") == newest_first
    assert await events(client, order="asc") == oldest_first
    page = (await client.get("/v1/events", order="asc", limit=2)).json()
    assert page["events"] == oldest_first[:2]
    assert await events(client, order="asc", cursor=page["next_cursor"]) == oldest_first[2:]
    assert await events(client, after=oldest_first[0]["id"]) == oldest_first[1:]
    assert await events(client, after=oldest_first[0]["id"], cursor=page["next_cursor"]) == oldest_first[2:]
    assert await events(client, after=newest_first[0]["id"], order="asc") == []
    assert (await client.send("DELETE", f"/v1/connections/{first['id']}")).status_code == 200
    changes = await events(client, after=oldest_first[0]["id"], type=["connection.deleted", "connection.created"])
    assert [(event["type"], event["connection_id"]) for event in changes] == [
        ("connection.created", first["id"]),
        ("connection.created", second["id"]),
        ("connection.deleted", first["id"]),
    ]
    for wrong in ({"after": "junk"}, {"order": "newest"}, {"after": newest_first[0]["id"], "order": "desc"}):
        answer = await client.get("/v1/events", **wrong)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(wrong)))


async def test_old_events_are_purged(application: Application, client: Client) -> None:
    await client.connect()
    assert await purge(application.installation) == 0
    application.clock.advance(days=89)
    assert await purge(application.installation) == 0
    application.clock.advance(days=2)
    assert await purge(application.installation) >= 1
    assert await events(client) == []


async def test_follower_learns_that_the_log_has_deleted_its_last_event(
    application: Application, client: Client
) -> None:
    await client.connect()
    last = (await events(client, order="asc"))[-1]
    application.clock.advance(days=91)
    await purge(application.installation)
    await client.connect("user_124")
    answer = await client.get("/v1/events", after=last["id"])
    assert (answer.status_code, answer.json()["code"]) == (410, "event_expired"), answer.text
    assert "90 days" in answer.json()["detail"]
    assert len(await events(client, order="asc")) > 0


async def test_mistyped_event_to_follow_is_refused(application: Application, client: Client) -> None:
    await client.connect()
    other = application.client(await application.key(await application.organization("Southwind")))
    await other.connect()
    theirs = (await events(other))[0]
    for event_id in ("ffffffff-ffff-ffff-ffff-ffffffffffff", theirs["id"]):
        answer = await client.get("/v1/events", after=event_id)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "after"), event_id
    page = await events(client, after="ffffffff-ffff-ffff-ffff-ffffffffffff", cursor=(await events(client))[-1]["id"])
    assert page == []  # an earlier page was accepted
