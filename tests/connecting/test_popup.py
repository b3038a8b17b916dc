"""Sessions of the popup: from a session to a connection, as the customer's backend and the popup see it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, Application, Client
from tests.promises.hostile import Hostile, accepted, after, running_hostile

FIRST, SECOND = ACME_KEYS[GLOBEX], ACME_KEYS[INITECH]
WRONG = "acme_wrong_key_000000"


@pytest_asyncio.fixture
async def hostile(database_url: str) -> AsyncIterator[Hostile]:
    """The application with a provider that misbehaves on request."""
    async with running_hostile(database_url) as running:
        yield running


async def read_session(client: Client, session: dict[str, Any]) -> dict[str, Any]:
    """Read the session as the backend does."""
    answer = await client.get(f"/v1/hosted-connection-sessions/{session['id']}")
    assert answer.status_code == 200
    read: dict[str, Any] = answer.json()
    return read


async def connect_in_popup(client: Client, key: str = FIRST, **session: Any) -> str:
    """Make a connection through the popup and return its id."""
    answer = await client.type_key((await client.session(**session))["session_token"], key)
    assert answer.status_code == 200, answer.text
    connection_id: str = answer.json()["connection_id"]
    return connection_id


async def read_connection(client: Client, connection_id: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/connections/{connection_id}")
    assert answer.status_code == 200
    read: dict[str, Any] = answer.json()
    return read


async def event_types(client: Client, **query: str) -> list[str]:
    """Return the types of events, the oldest first."""
    listed = (await client.get("/v1/events", **query)).json()["events"]
    return [event["type"] for event in reversed(listed)]


def fields_of(answer: httpx2.Response) -> list[str]:
    return [error["field"] for error in answer.json().get("errors", [])]


async def test_session_makes_a_connection_that_the_list_and_the_backend_show(client: Client) -> None:
    session = await client.session(end_user_name="Ada Lovelace", end_user_email="ada@example.com")
    token = session["session_token"]
    assert session["connect_url"].endswith(f"/connect?session_token={token}")
    view = (await client.popup("", token)).json()
    assert view["organization"]["display_name"] == "Northwind"
    assert view["end_user"] == {"name": "Ada Lovelace", "email": "ada@example.com"}
    assert view["integration"]["slug"] == "acme"
    assert view["reconnect"] is False
    assert [auth["auth_type"] for auth in view["auth_types"]] == ["api_key"]
    connection = (await client.type_key(token, FIRST)).json()
    assert connection["integration_slug"] == "acme"
    assert connection["connection_name"] == "Globex Corporation"
    assert (await client.integrations())["acme"]["status"] == "connected"
    read = await read_session(client, session)
    assert (read["status"], read["last_error"]) == ("connected", None)
    assert read["connection"] == await read_connection(client, connection["connection_id"])
    assert read["connection"]["account"] == {"id": GLOBEX, "label": "Globex Corporation"}


async def test_same_account_again_keeps_the_connection(client: Client) -> None:
    first = await connect_in_popup(client)
    session = await client.session()
    assert (await client.popup("", session["session_token"])).json()["reconnect"] is True
    again = await client.type_key(session["session_token"], FIRST)
    assert again.json()["connection_id"] == first
    assert await event_types(client, connection_id=first) == ["connection.created", "connection.reconnected"]


async def test_connection_that_needs_reauth_is_reconnected_in_place(application: Application, client: Client) -> None:
    first = await connect_in_popup(client)
    application.acme.acme.revoke(FIRST)
    assert (await client.post(f"/v1/connections/{first}/check")).json()["working"] is False
    assert (await client.integrations())["acme"]["status"] == "not_connected"
    broken = await read_connection(client, first)
    assert (broken["status"], broken["error"]["code"]) == ("needs_reauth", "credentials_refused")
    application.acme.acme.restore(FIRST)
    assert await connect_in_popup(client) == first
    repaired = await read_connection(client, first)
    assert (repaired["status"], repaired["error"]) == ("active", None)
    assert (await client.integrations())["acme"]["status"] == "connected"


async def test_another_account_replaces_the_first_only_after_the_end_user_agreed(client: Client) -> None:
    first = await connect_in_popup(client)
    session = await client.session()
    refused = await client.type_key(session["session_token"], SECOND)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_mismatch")
    assert "Initech" in refused.json()["detail"]
    assert "Globex" in refused.json()["detail"]
    assert (await read_connection(client, first))["account"]["id"] == GLOBEX
    assert (await read_session(client, session))["status"] == "pending"
    agreed = await client.replace_by_key(session["session_token"], SECOND)
    assert (agreed.status_code, agreed.json()["connection_id"]) == (200, first)
    assert (await read_connection(client, first))["account"] == {"id": INITECH, "label": "Initech"}


async def test_session_with_multiple_adds_another_account_beside_the_first(client: Client) -> None:
    first = await connect_in_popup(client)
    session = await client.session(multiple=True)
    assert (await client.popup("", session["session_token"])).json()["reconnect"] is False
    second = (await client.type_key(session["session_token"], SECOND)).json()["connection_id"]
    assert second != first
    listed = (await client.get("/v1/connections", end_user_id="user_123")).json()["connections"]
    assert [connection["id"] for connection in listed] == [second, first]
    assert await connect_in_popup(client, FIRST, multiple=True) == first


async def test_session_may_name_the_connection_to_reconnect(client: Client) -> None:
    first = await connect_in_popup(client)
    second = await connect_in_popup(client, SECOND, multiple=True)
    session = await client.session(connection_id=first)
    mismatch = await client.type_key(session["session_token"], SECOND)
    assert (mismatch.status_code, mismatch.json()["code"]) == (409, "account_mismatch")
    assert (await client.type_key(session["session_token"], FIRST)).json()["connection_id"] == first
    assert (await read_connection(client, second))["account"]["id"] == INITECH
    assert (await client.get("/v1/connections")).json()["connections"][0]["id"] == second


async def test_connection_deleted_meanwhile_cannot_be_reconnected(client: Client) -> None:
    first = await connect_in_popup(client)
    session = await client.session(connection_id=first)
    assert (await client.send("DELETE", f"/v1/connections/{first}")).status_code == 200
    answer = await client.type_key(session["session_token"], FIRST)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await client.get("/v1/connections")).json()["connections"] == []


@pytest.mark.promise("P15")
async def test_account_without_an_id_is_reconnected_in_place_and_takes_no_identity_over(hostile: Hostile) -> None:
    hostile.answers(accepted("acc_1", "First"))
    first = await connect_in_popup(hostile.client)
    hostile.answers(accepted("", "Unknown"))
    assert await connect_in_popup(hostile.client) == first
    assert (await read_connection(hostile.client, first))["account"] == {"id": None, "label": "Unknown"}


async def two_unknown_accounts(hostile: Hostile) -> tuple[str, str]:
    """Connect two accounts whose provider returns no account id. Return the ids of the connections."""
    hostile.answers(accepted("", "Unknown"))
    first = await connect_in_popup(hostile.client, FIRST, suggested_connection_name="Operations")
    return first, await connect_in_popup(hostile.client, SECOND, multiple=True, suggested_connection_name="Billing")


async def credential_of(client: Client, connection_id: str) -> str:
    read = await client.get(f"/v1/connections/{connection_id}/credentials")
    credential: str = read.json()["credentials"]["api_key"]
    return credential


@pytest.mark.promise("P15")
async def test_popup_asks_which_of_several_connections_an_unknown_account_belongs_to(hostile: Hostile) -> None:
    first, second = await two_unknown_accounts(hostile)
    session, new_key = await hostile.client.session(), ACME_KEYS[GLOBEX] + "_new"
    asked = await hostile.client.type_key(session["session_token"], new_key)
    assert (asked.status_code, asked.json()["code"]) == (409, "several_connections")
    listed = [(choice["id"], choice["name"], choice["status"]) for choice in asked.json()["connections"]]
    assert listed == [(second, "Billing", "active"), (first, "Operations", "active")]
    assert [await credential_of(hostile.client, connection) for connection in (first, second)] == [FIRST, SECOND]
    assert (await read_session(hostile.client, session))["status"] == "pending"
    answered = await hostile.client.type_key(session["session_token"], new_key, connection=second)
    assert (answered.status_code, answered.json()["connection_id"]) == (200, second)
    assert [await credential_of(hostile.client, connection) for connection in (first, second)] == [FIRST, new_key]
    assert (await read_connection(hostile.client, first))["name"] == "Operations"


@pytest.mark.promise("P15")
async def test_end_user_can_add_an_account_beside_several_connections(hostile: Hostile) -> None:
    present = await two_unknown_accounts(hostile)
    session = await hostile.client.session()
    added = await hostile.client.type_key(session["session_token"], FIRST + "_new", connection="add")
    assert added.status_code == 200
    assert added.json()["connection_id"] not in present
    assert [await credential_of(hostile.client, connection) for connection in present] == [FIRST, SECOND]


@pytest.mark.parametrize(
    "session,typed,expected",
    [
        ({}, {}, "Globex Corporation"),
        ({"suggested_connection_name": "Sales"}, {}, "Sales"),
        ({"suggested_connection_name": "Sales"}, {"name": "  My CRM "}, "My CRM"),
        ({"suggested_connection_name": "Sales"}, {"name": " "}, "Sales"),
    ],
)
async def test_connection_name_is_typed_or_suggested_or_the_accounts_name(
    client: Client, session: dict[str, str], typed: dict[str, str], expected: str
) -> None:
    started = await client.session(**session)
    view = (await client.popup("", started["session_token"])).json()
    assert view["suggested_connection_name"] == session.get("suggested_connection_name")
    connection = (await client.type_key(started["session_token"], FIRST, **typed)).json()
    assert connection["connection_name"] == expected
    assert (await read_connection(client, connection["connection_id"]))["name"] == expected


async def test_connection_gets_the_metadata_of_its_session(client: Client) -> None:
    connection = await connect_in_popup(client, metadata={"plan": "gold", "seats": 3})
    assert (await read_connection(client, connection))["metadata"] == {"plan": "gold", "seats": 3}


async def test_backend_reads_a_sessions_status_and_last_error(application: Application, client: Client) -> None:
    session = await client.session(metadata={"row": 7})
    fresh = await read_session(client, session)
    assert (fresh["status"], fresh["last_error"], fresh["connection"]) == ("pending", None, None)
    assert (fresh["end_user_id"], fresh["integration_slug"], fresh["mode"]) == ("user_123", "acme", "embed")
    assert fresh["metadata"] == {"row": 7}
    refused = await client.type_key(session["session_token"], WRONG)
    assert refused.json()["provider_reason"] == "No Acme CRM account has this API key. Copy it again from Settings."
    read = await read_session(client, session)
    assert (read["status"], read["last_error"]["code"]) == ("pending", "credentials_refused")
    assert read["last_error"]["message"] == refused.json()["provider_reason"]
    application.acme.acme.fail_with(500)
    assert (await client.type_key(session["session_token"], FIRST)).status_code == 502
    assert (await read_session(client, session))["last_error"]["code"] == "provider_unavailable"
    application.acme.acme.fail_with(None)
    assert (await client.type_key(session["session_token"], FIRST)).status_code == 200
    assert (await read_session(client, session))["last_error"] is None


async def test_popup_names_the_permission_that_a_valid_key_lacks_and_counts_the_attempt(
    application: Application, client: Client
) -> None:
    application.acme.acme.restrict(FIRST)
    session = await client.session()
    for _ in range(10):
        refused = await client.type_key(session["session_token"], FIRST)
        assert (refused.status_code, refused.json()["code"]) == (422, "permission_missing")
        assert "lack the permission account:read" in refused.json()["detail"]
    read = await read_session(client, session)
    assert (read["status"], read["last_error"]["code"]) == ("failed", "permission_missing")
    assert "account:read" in read["last_error"]["message"]
    assert (await client.type_key(session["session_token"], SECOND)).json()["code"] == "too_many_attempts"


async def test_a_session_whose_connection_was_deleted_stays_connected_without_it(client: Client) -> None:
    session = await client.session()
    assert (await client.type_key(session["session_token"], FIRST)).status_code == 200
    await client.post("/v1/disconnect", {"integration_slug": "acme", "end_user_id": "user_123"})
    read = await read_session(client, session)
    assert (read["status"], read["connection"]) == ("connected", None)


async def test_backend_may_cancel_a_session_twice(client: Client) -> None:
    session = await client.session()
    for _ in range(2):
        answer = await client.send("DELETE", f"/v1/hosted-connection-sessions/{session['id']}")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (await client.type_key(session["session_token"], FIRST)).json()["code"] == "session_cancelled"
    assert (await client.popup("/cancel", session["session_token"])).status_code == 204


async def test_connected_session_cannot_be_cancelled(client: Client) -> None:
    session = await client.session()
    connection = (await client.type_key(session["session_token"], FIRST)).json()["connection_id"]
    assert (await client.popup("/cancel", session["session_token"])).status_code == 204
    answer = await client.send("DELETE", f"/v1/hosted-connection-sessions/{session['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert (await read_session(client, session))["status"] == "connected"
    assert (await read_connection(client, connection))["status"] == "active"


async def test_an_unknown_integration_is_not_found(client: Client) -> None:
    answer = await client.post("/v1/hosted-connection-sessions", {"integration_slug": "nowhere", "end_user_id": "u"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "/v1/catalog/integrations" in answer.json()["detail"]


async def test_integration_that_is_not_enabled_is_refused_with_instructions(
    client: Client,
) -> None:
    enabled = {"mode": "listed", "slugs": ["hubspot"]}
    organization = (await client.get("/v1/organization")).json()
    settings = {
        name: organization[name]
        for name in ("display_name", "logo_url", "privacy_url", "allowed_origins", "return_urls")
    }
    assert (await client.send("PUT", "/v1/organization", {**settings, "integrations": enabled})).status_code == 200
    answer = await client.post("/v1/hosted-connection-sessions", {"integration_slug": "acme", "end_user_id": "u"})
    assert (answer.status_code, fields_of(answer)) == (422, ["integration_slug"])
    assert "PATCH /v1/organization" in answer.json()["detail"]
    assert "acme" not in await client.integrations()


async def test_search_returns_the_matching_integrations_of_the_list_the_best_first(client: Client) -> None:
    await client.send("PATCH", "/v1/organization", {"integrations": {"mode": "all_but", "slugs": ["hubspot"]}})
    list_session, one_session = await client.session(integration_slug=None), await client.session()

    async def search(session: dict[str, Any], query: str, **more: Any) -> httpx2.Response:
        return await client.popup("/search", session["session_token"], {"query": query, **more})

    assert (await search(list_session, "acme", session_id=list_session["id"])).json() == {"slugs": ["acme"]}
    assert (await search(list_session, "acem")).json() == {"slugs": ["acme"]}, "one typing error"
    assert "hubspot" not in (await search(list_session, "hubspot")).json()["slugs"]
    everything = (await client.popup("", list_session["session_token"])).json()["integrations"]
    assert len((await search(list_session, "")).json()["slugs"]) == len(everything)
    assert (await search(one_session, "acme")).json() == {"slugs": []}
    assert (await search(list_session, "acme", session_id=one_session["id"])).status_code == 401
    assert (await search(list_session, "x" * 201)).status_code == 422
    linked = await client.session(integration_slug=None, mode="link")
    assert (await search(linked, "acme")).json() == {"slugs": ["acme"]}
    await client.popup("/cancel", list_session["session_token"])
    assert (await search(list_session, "acme")).json()["code"] == "session_cancelled"


async def test_unknown_auth_type_is_refused_when_the_session_is_created(client: Client) -> None:
    body = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "basic"}
    answer = await client.post("/v1/hosted-connection-sessions", body)
    assert (answer.status_code, fields_of(answer)) == (422, ["auth_type"])
    assert "api_key" in answer.json()["detail"]


@pytest.mark.parametrize("mode, expires_in", [("embed", 59), ("embed", 3601), ("link", 59), ("link", 2_592_001)])
async def test_session_lifetime_is_a_minute_to_an_hour_and_of_a_link_a_month(
    client: Client, mode: str, expires_in: int
) -> None:
    body = {"integration_slug": "acme", "end_user_id": "user_123", "mode": mode, "expires_in": expires_in}
    answer = await client.post("/v1/hosted-connection-sessions", body)
    assert (answer.status_code, fields_of(answer)) == (422, ["expires_in"])


async def test_every_step_records_an_event_with_its_actor(client: Client) -> None:
    connection = await connect_in_popup(client)
    await client.send("PATCH", f"/v1/connections/{connection}", {"name": "Renamed"})
    assert await connect_in_popup(client) == connection
    await client.post("/v1/disconnect", {"integration_slug": "acme", "end_user_id": "user_123"})
    assert await event_types(client, end_user_id="user_123") == [
        "hosted_connection_session.created",
        "connection.created",
        "connection.updated",
        "hosted_connection_session.created",
        "connection.reconnected",
        "connection.deleted",
    ]
    listed = (await client.get("/v1/events", connection_id=connection)).json()["events"]
    actors = {event["type"]: event["actor"]["type"] for event in listed}
    assert actors == {
        "connection.created": "end_user",
        "connection.updated": "api_key",
        "connection.reconnected": "end_user",
        "connection.deleted": "api_key",
    }


async def test_refused_attempt_makes_no_connection_and_no_connection_event(client: Client) -> None:
    session = await client.session()
    for key in (WRONG, "not a key", ""):
        assert (await client.type_key(session["session_token"], key)).status_code == 422
    assert (await client.get("/v1/connections")).json()["connections"] == []
    assert await event_types(client, end_user_id="user_123") == ["hosted_connection_session.created"]


async def test_deleting_an_end_user_deletes_their_sessions(client: Client) -> None:
    session = await client.session()
    assert (await client.send("DELETE", "/v1/end-users/user_123")).status_code == 200
    for answer in (
        await client.popup("", session["session_token"]),
        await client.type_key(session["session_token"], FIRST),
    ):
        assert answer.status_code == 401
    assert (await client.get(f"/v1/hosted-connection-sessions/{session['id']}")).status_code == 404


async def test_end_user_deleted_during_the_check_is_not_recreated(hostile: Hostile) -> None:
    session = await hostile.client.session()
    hostile.answers(after(lambda: hostile.client.send("DELETE", "/v1/end-users/user_123"), accepted()))
    answer = await hostile.client.type_key(session["session_token"], FIRST)
    assert answer.status_code in {401, 404}
    assert (await hostile.client.get("/v1/connections")).json()["connections"] == []
    assert (await hostile.client.get("/v1/end-users")).json()["end_users"] == []
