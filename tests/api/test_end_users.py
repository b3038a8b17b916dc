"""`/v1/end-users`: list and delete."""

from typing import Any, Final
from urllib.parse import quote

import pytest

from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, Application, Client

pytestmark = pytest.mark.slow
USER: Final = "user_123"


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


async def test_end_users_are_paged_by_identifier(client: Client) -> None:
    names = ["a/b", "b", "c d", "用户"]
    for name in reversed(names):
        await client.session(name, end_user_name=f"Name of {name}", end_user_email="person@example.com")
    listed = (await client.get("/v1/end-users")).json()
    assert [end_user["end_user_id"] for end_user in listed["end_users"]] == names
    assert listed["end_users"][0]["name"] == "Name of a/b"
    assert listed["next_cursor"] is None
    first = (await client.get("/v1/end-users", limit=3)).json()
    rest = (await client.get("/v1/end-users", limit=3, cursor=first["next_cursor"])).json()
    assert [end_user["end_user_id"] for end_user in first["end_users"] + rest["end_users"]] == names
    assert rest["next_cursor"] is None
    beyond = (await client.get("/v1/end-users", cursor="b")).json()["end_users"]  # a cursor is where to go on
    assert [end_user["end_user_id"] for end_user in beyond] == names[2:]


async def test_end_user_is_read_and_changed(application: Application, client: Client) -> None:
    name = "a/b 用户"
    path = f"/v1/end-users/{quote(name, safe='')}"
    await client.session(name, end_user_name="Ada", end_user_email="ada@example.com")
    before = (await client.get(path)).json()
    assert (before["end_user_id"], before["name"], before["metadata"]) == (name, "Ada", {})
    for body, changed, expected in (
        ({}, [], {}),
        ({"name": "Ada"}, [], {}),
        ({"metadata": {"plan": "pro", "seats": 3}}, ["metadata"], {"metadata": {"plan": "pro", "seats": 3}}),
        ({"metadata": {"seats": None}}, ["metadata"], {"metadata": {"plan": "pro"}}),
        ({"name": "Ada L.", "email": None}, ["name", "email"], {"name": "Ada L.", "email": None}),
        ({"metadata": None, "name": None}, ["name", "metadata"], {"metadata": {}, "name": None}),
    ):
        application.clock.advance(minutes=1)
        known = len(await events(client, type="end_user.updated"))
        answer = await client.send("PATCH", path, body)
        assert answer.status_code == 200, answer.text
        after = {**before, **expected}
        assert {**answer.json(), "updated_at": ""} == {**after, "updated_at": ""}, body
        assert (answer.json()["updated_at"] != before["updated_at"]) is bool(changed), body
        assert (await client.get(path)).json() == answer.json()
        written = (await events(client, type="end_user.updated"))[: 1 if changed else 0]
        assert [(event["end_user_id"], event["data"]) for event in written] == [
            (name, {"changed": changed}) for _ in written
        ]
        assert len(await events(client, type="end_user.updated")) == known + bool(changed), body
        before = answer.json()
    await client.session(name, end_user_name="Ada")
    assert (await client.get(path)).json()["metadata"] == before["metadata"]


async def test_unknown_end_users_and_wrong_changes_are_refused(application: Application, client: Client) -> None:
    await client.session()
    other = application.client(await application.key(await application.organization("Southwind")))
    for reader, name in ((client, "nobody"), (client, "a%00b"), (other, USER)):
        for answer in (
            await reader.get(f"/v1/end-users/{name}"),
            await reader.send("PATCH", f"/v1/end-users/{name}", {"name": "x"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), name
    mistakes: tuple[dict[str, Any], ...] = (
        {"metadata": []},
        {"metadata": {"text": "x" * 17_000}},
        {"name": " "},
        {"email": 1},
        {"end_user_id": "other"},
    )
    for wrong in mistakes:
        assert (await client.send("PATCH", f"/v1/end-users/{USER}", wrong)).status_code == 422, wrong
    big = {"metadata": {"first": "x" * 9_000}}
    assert (await client.send("PATCH", f"/v1/end-users/{USER}", big)).status_code == 200
    merged = await client.send("PATCH", f"/v1/end-users/{USER}", {"metadata": {"second": "x" * 9_000}})
    assert (merged.status_code, merged.json()["errors"][0]["field"]) == (422, "metadata")


async def test_name_stays_when_a_later_session_gives_none(client: Client) -> None:
    await client.session(end_user_name="Ada", end_user_email="ada@example.com")
    await client.session()
    await client.session(end_user_name="Ada L.")
    (known,) = (await client.get("/v1/end-users")).json()["end_users"]
    assert (known["name"], known["email"]) == ("Ada L.", "ada@example.com")


async def test_deleted_end_user_is_removed_everywhere_and_anonymized_in_events(
    application: Application, client: Client
) -> None:
    connection_ids = await two_connections_of_which_one_is_broken(application, client)
    session = await client.session()
    await client.type_key(session["session_token"], "acme_wrong0123456789")
    before = await events(client)
    answer = await client.send("DELETE", f"/v1/end-users/{USER}")
    assert answer.status_code == 200
    assert (answer.json()["end_user_id"], answer.json()["deleted_connections"]) == (USER, 2)
    assert {revocation["connection_id"] for revocation in answer.json()["revocations"]} == set(connection_ids)
    assert (await client.get("/v1/end-users")).json()["end_users"] == []
    assert (await client.get("/v1/connections")).json()["connections"] == []
    assert (await client.get(f"/v1/hosted-connection-sessions/{session['id']}")).status_code == 404
    assert (await client.popup("", session["session_token"])).status_code == 401
    assert await events(client, end_user_id=USER) == []
    after = await events(client)
    assert (after[0]["type"], after[0]["data"]) == ("end_user.deleted", {"deleted_connections": 2})
    assert USER not in str(after)
    remaining = [event for event in after if event["id"] in {old["id"] for old in before}]
    assert len(remaining) == len(before), "what happened stays"
    assert USER not in str(remaining)
    by_backend = [event for event in remaining if event["connection_id"]]
    assert all(event["actor"]["id"] and event["address"] for event in by_backend), "who else acted stays too"
    assert (await client.send("DELETE", f"/v1/end-users/{USER}")).status_code == 404


async def test_end_user_with_any_identifier_can_be_deleted(client: Client) -> None:
    for name in ("a/b", "..", "a?b#c", "user@example.com", "用户 1", "100%", "%2F"):
        await client.session(name)
        address = f"/v1/end-users/{''.join(f'%{byte:02X}' for byte in name.encode())}"
        answer = await client.send("DELETE", address)
        assert (answer.status_code, answer.json().get("end_user_id")) == (200, name), answer.text
    assert (await client.get("/v1/end-users")).json()["end_users"] == []
