"""Letting go: `/v1/disconnect`, end users who are forgotten, and the trail of events that tells of it."""

from typing import Any, Final

import pytest

from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, Application, Client
from tests.purging import purge

pytestmark = pytest.mark.slow

USER: Final = "user_123"


async def disconnect(client: Client, slug: str = "acme", end_user_id: str = USER) -> dict[str, Any]:
    answer = await client.post("/v1/disconnect", {"integration_slug": slug, "end_user_id": end_user_id})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def events(client: Client, **options: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/events", **options)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


async def two_connections_of_which_one_is_broken(application: Application, client: Client) -> tuple[str, str]:
    broken = await client.connect()
    application.acme.acme.revoke(ACME_KEYS[GLOBEX])
    await client.http.post(f"/v1/connections/{broken['id']}/check")
    working = await client.connect(key=ACME_KEYS[INITECH], multiple=True)
    return broken["id"], working["id"]


@pytest.mark.promise("P9")
async def test_disconnecting_deletes_and_counts_every_connection_also_broken_ones(
    application: Application, client: Client
) -> None:
    made = await two_connections_of_which_one_is_broken(application, client)
    await client.connect("somebody else", key=ACME_KEYS[INITECH])
    told = await disconnect(client, " ACME ")
    assert {name: told[name] for name in ("status", "integration_slug", "end_user_id", "deleted_count")} == {
        "status": "disconnected",
        "integration_slug": "acme",
        "end_user_id": USER,
        "deleted_count": 2,
    }
    assert {(one["connection_id"], one["outcome"]) for one in told["revocations"]} == {
        (connection, "not_supported") for connection in made
    }
    left = (await client.get("/v1/connections")).json()["connections"]
    assert [one["end_user_id"] for one in left] == ["somebody else"]
    assert [one["connection_id"] for one in await events(client, type="connection.deleted")] in (
        list(made),
        list(made[::-1]),
    )


async def test_nothing_to_disconnect_is_not_found_whatever_the_reason(client: Client) -> None:
    for slug, end_user in (("acme", USER), ("nothing", USER), ("acme", "never seen")):
        told = await disconnect(client, slug, end_user)
        assert told == {
            "status": "not_found",
            "integration_slug": slug,
            "end_user_id": end_user,
            "deleted_count": 0,
            "revocations": [],
        }
    assert (await client.get("/v1/end-users")).json()["end_users"] == []


async def test_end_users_are_listed_by_their_identifier_in_pages(client: Client) -> None:
    names = ["a/b", "b", "c d", "用户"]
    for name in reversed(names):
        await client.session(name, end_user_name=f"Name of {name}", end_user_email="person@example.com")
    listed = (await client.get("/v1/end-users")).json()
    assert [one["end_user_id"] for one in listed["end_users"]] == names
    assert listed["end_users"][0]["name"] == "Name of a/b"
    assert listed["next_cursor"] is None
    first = (await client.get("/v1/end-users", limit=3)).json()
    rest = (await client.get("/v1/end-users", limit=3, cursor=first["next_cursor"])).json()
    assert [one["end_user_id"] for one in first["end_users"] + rest["end_users"]] == names
    assert rest["next_cursor"] is None
    beyond = (await client.get("/v1/end-users", cursor="b")).json()["end_users"]  # a cursor is where to go on
    assert [one["end_user_id"] for one in beyond] == names[2:]


async def test_a_name_stays_known_where_a_later_session_gives_none(client: Client) -> None:
    await client.session(end_user_name="Ada", end_user_email="ada@example.com")
    await client.session()
    await client.session(end_user_name="Ada L.")
    (known,) = (await client.get("/v1/end-users")).json()["end_users"]
    assert (known["name"], known["email"]) == ("Ada L.", "ada@example.com")


async def test_a_forgotten_end_user_is_gone_with_everything_and_anonymous_in_the_trail(
    application: Application, client: Client
) -> None:
    made = await two_connections_of_which_one_is_broken(application, client)
    session = await client.session()
    await client.type_key(session["session_token"], "acme_wrong0123456789")
    before = await events(client)
    answer = await client.send("DELETE", f"/v1/end-users/{USER}")
    assert answer.status_code == 200
    assert (answer.json()["end_user_id"], answer.json()["deleted_connections"]) == (USER, 2)
    assert {one["connection_id"] for one in answer.json()["revocations"]} == set(made)
    assert (await client.get("/v1/end-users")).json()["end_users"] == []
    assert (await client.get("/v1/connections")).json()["connections"] == []
    assert (await client.get(f"/v1/hosted-connection-sessions/{session['id']}")).status_code == 404
    assert (await client.popup("", session["session_token"])).status_code == 401
    (told,) = await events(client, end_user_id=USER)
    assert (told["type"], told["data"]) == ("end_user.deleted", {"deleted_connections": 2})
    after = await events(client)
    kept = [one for one in after if one["id"] in {old["id"] for old in before}]
    assert len(kept) == len(before), "what happened stays"
    assert USER not in str(kept)
    by_backend = [one for one in kept if one["connection_id"]]
    assert all(one["actor"]["id"] and one["address"] for one in by_backend), "who else acted stays too"
    assert (await client.send("DELETE", f"/v1/end-users/{USER}")).status_code == 404


async def test_an_end_user_of_any_identifier_can_be_forgotten(client: Client) -> None:
    for name in ("a/b", "..", "a?b#c", "user@example.com", "用户 1", "100%", "%2F"):
        await client.session(name)
        address = f"/v1/end-users/{''.join(f'%{byte:02X}' for byte in name.encode())}"
        answer = await client.send("DELETE", address)
        assert (answer.status_code, answer.json().get("end_user_id")) == (200, name), answer.text
    assert (await client.get("/v1/end-users")).json()["end_users"] == []


async def test_events_tell_who_did_what_to_which_connection(client: Client) -> None:
    made = await client.connect()
    newest = (await events(client))[0]
    assert (newest["type"], newest["connection_id"], newest["end_user_id"]) == ("connection.created", made["id"], USER)
    assert newest["data"] == {"integration_slug": "acme", "auth_type": "api_key"}
    assert newest["actor"]["type"] == "api_key"
    session = await client.session("somebody else")
    assert (await client.type_key(session["session_token"], ACME_KEYS[INITECH])).status_code == 200
    newest = (await events(client))[0]
    assert newest["actor"] == {"type": "end_user", "id": "somebody else"}
    trail = str(await events(client))
    assert not any(secret in trail for secret in (*ACME_KEYS.values(), session["session_token"]))


async def test_events_are_filtered_and_come_in_pages_newest_first(client: Client) -> None:
    made = [await client.connect(f"user_{number}") for number in range(3)]
    every = [one["id"] for one in await events(client)]
    assert every == sorted(every, reverse=True)
    created = await events(client, type="connection.created")
    assert [one["connection_id"] for one in created] == [one["id"] for one in reversed(made)]
    assert [one["end_user_id"] for one in await events(client, end_user_id="user_1")] == ["user_1"]
    assert len(await events(client, connection_id=made[0]["id"])) == 1
    assert await events(client, connection_id=made[0]["id"], end_user_id="user_1") == []
    page = (await client.get("/v1/events", limit=2)).json()
    assert [one["id"] for one in page["events"]] == every[:2]
    assert [one["id"] for one in await events(client, cursor=page["next_cursor"])] == every[2:]
    for wrong in ({"type": "nothing"}, {"connection_id": "x"}, {"cursor": "junk"}, {"limit": 0}, {"since": "x"}):
        assert (await client.get("/v1/events", **wrong)).status_code == 422, wrong


async def test_old_events_are_deleted_after_their_time(application: Application, client: Client) -> None:
    await client.connect()
    assert await purge(application.installation) == 0
    application.clock.advance(days=89)
    assert await purge(application.installation) == 0
    application.clock.advance(days=2)
    assert await purge(application.installation) >= 1
    assert await events(client) == []
