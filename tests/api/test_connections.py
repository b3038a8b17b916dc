"""`/v1/connections`: import, renew, list, change, check and delete."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from one_runtime.catalog.entry_files import load_yaml
from one_runtime.connections import credentials
from one_runtime.connections.credentials import ConnectionKey
from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, Application, Client

PATH: Final = "/v1/connections"
WRONG_KEY: Final = "acme_wrong0123456789"
OPEN_ENTRY: Final = """
slug: open-data
name: Open Data
description: Public records that want no key.
category: Data
website: https://open.example.com
docs: https://open.example.com/docs
auth:
  - type: none
    base_url: https://open.example.com
    check_missing: It takes requests from public_client.
    verified: {how: documentation, date: 2026-11-25}
"""
SVG: Final = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>'


def importing(key: str = ACME_KEYS[GLOBEX], **more: Any) -> dict[str, Any]:
    body = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "api_key"}
    return {**body, "credentials": {"api_key": key}, **more}


async def listed(client: Client, **options: Any) -> list[dict[str, Any]]:
    answer = await client.get(PATH, **options)
    assert answer.status_code == 200, answer.text
    connections: list[dict[str, Any]] = answer.json()["connections"]
    return connections


async def event_types(client: Client, **options: str) -> list[str]:
    """Return the types of events, newest first."""
    return [event["type"] for event in (await client.get("/v1/events", **options)).json()["events"]]


async def kept(application: Application, client: Client, connection_id: str) -> dict[str, str]:
    """Return the opened credential of a connection."""
    organization = (await client.get("/v1/organization")).json()["id"]
    async with application.installation.database.read() as tx:
        held = await credentials.load(tx, application.installation.vault, ConnectionKey(organization, connection_id))
        return dict(held.secrets)


async def check(client: Client, connection_id: str) -> httpx2.Response:
    return await client.http.post(f"{PATH}/{connection_id}/check")


def assert_invalid(answer: httpx2.Response, *fields: str) -> None:
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == list(fields)


AT_SITE: Final = """
slug: x-sites
name: Sites
description: One site for each customer.
category: Other
website: https://sites.example.com
docs: https://sites.example.com/docs
auth:
  - type: api_key
    params:
      - {name: site, label: Site, placeholder: acme, pattern: '[a-z]{1,20}', transform: [lower]}
    fields:
      - {name: api_key, label: API key, where: In the settings., pattern: '[a-z]{8}'}
    base_url: https://{site}.sites.example.com/v1
    send: {headers: {Authorization: 'Bearer {api_key}'}}
    check_missing: The test sends no request.
    verified: {how: unverified}
"""


async def test_responses_contain_the_params_and_the_base_url_of_a_connection(
    client: Client, application: Application
) -> None:
    path, yaml = "/v1/custom-integrations/x-sites", {"content-type": "application/yaml"}
    assert (await client.http.put(path, content=AT_SITE, headers=yaml)).status_code == 201
    body = {"integration_slug": "x-sites", "end_user_id": "user_123", "auth_type": "api_key"}
    created = await client.post(PATH, {**body, "params": {"site": "Acme"}, "credentials": {"api_key": "topsecre"}})
    connection = created.json()
    at_acme = {"params": {"site": "acme"}, "base_url": "https://acme.sites.example.com/v1"}
    session = await client.session(integration_slug="acme")
    assert (await client.type_key(session["session_token"], ACME_KEYS[GLOBEX])).status_code == 200
    of_session = (await client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()["connection"]
    assert (of_session["params"], of_session["base_url"]) == ({}, application.acme.url)
    own_path = f"{PATH}/{connection['id']}"
    expanded = (await client.get("/v1/integrations", end_user_id="user_123", expand="connections")).json()[
        "integrations"
    ]
    (summary,) = next(entry["connections"] for entry in expanded if entry["slug"] == "x-sites")
    shown = [
        connection,
        summary,
        (await client.get(own_path)).json(),
        (await client.send("PATCH", own_path, {"name": "Site"})).json(),
        (await client.post(f"{own_path}/check")).json()["connection"],
        next(row for row in await listed(client) if row["id"] == connection["id"]),
    ]
    assert [{name: values[name] for name in at_acme} for values in shown] == [at_acme] * len(shown)
    assert "topsecre" not in str(shown)


async def test_imported_api_key_is_checked_sealed_and_never_returned(application: Application, client: Client) -> None:
    answer = await client.post(PATH, importing(name=" Sales ", metadata={"team": ["a", 1, None]}))
    assert answer.status_code == 201
    connection = answer.json()
    assert (connection["name"], connection["status"], connection["auth_type"], connection["error"]) == (
        "Sales",
        "active",
        "api_key",
        None,
    )
    assert connection["account"] == {"id": GLOBEX, "label": "Globex Corporation"}
    assert connection["metadata"] == {"team": ["a", 1, None]}
    assert ACME_KEYS[GLOBEX] not in answer.text
    assert await kept(application, client, connection["id"]) == {"api_key": ACME_KEYS[GLOBEX]}
    assert (await client.get(f"{PATH}/{connection['id']}")).json() == connection
    assert await listed(client) == [connection]
    assert await event_types(client, connection_id=connection["id"]) == ["connection.created"]


async def test_unnamed_connection_has_the_name_of_its_account(client: Client) -> None:
    assert (await client.connect())["name"] == "Globex Corporation"


async def test_basic_credentials_are_stored_unchecked_on_request(application: Application, client: Client) -> None:
    typed = {"username": f"AC{'0' * 32}", "password": f" {'a' * 32} "}
    body = importing(integration_slug="Twilio", auth_type="basic", credentials=typed, check=False)
    answer = await client.post(PATH, body)
    assert answer.status_code == 201, answer.text
    connection = answer.json()
    assert (connection["integration_slug"], connection["auth_type"]) == ("twilio", "basic")
    assert connection["account"] == {"id": None, "label": None}
    assert await kept(application, client, connection["id"]) == {**typed, "password": "a" * 32}


async def test_integration_without_authentication_is_connected_without_credentials(
    application: Application, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "open-data.yaml"
    path.write_text(OPEN_ENTRY)
    installation = application.installation
    catalog = installation.catalog.with_extra(load_yaml(path), SVG)
    application.replace_services(installation=replace(installation, catalog=catalog))
    connection = await client.connect(integration_slug="open-data", auth_type="none", credentials={})
    assert (connection["auth_type"], connection["status"]) == ("none", "active")
    assert await kept(application, client, connection["id"]) == {}
    result = (await check(client, connection["id"])).json()
    assert (result["working"], result["reason"]) == (None, None)


async def test_import_reports_each_invalid_field(client: Client) -> None:
    assert_invalid(await client.post(PATH, importing("")), "credentials.api_key")
    assert_invalid(await client.post(PATH, importing("not a key")), "credentials.api_key")
    assert_invalid(
        await client.post(PATH, importing(params={"region": "eu"}, credentials={"token": "x"})),
        "credentials.api_key",
        "params.region",
        "credentials.token",
    )
    assert_invalid(await client.post(PATH, importing(auth_type="basic")), "auth_type")
    assert_invalid(await client.post(PATH, importing(end_user_id=" ")), "end_user_id")
    assert (await client.post(PATH, importing(integration_slug="nothing"))).status_code == 404
    assert await listed(client) == []


async def test_refused_key_answers_422_with_the_provider_reason_and_stores_nothing(client: Client) -> None:
    answer = await client.post(PATH, importing(WRONG_KEY))
    assert (answer.status_code, answer.json()["code"]) == (422, "credentials_refused")
    assert answer.json()["provider_reason"]
    assert WRONG_KEY not in answer.text
    assert await listed(client) == []
    assert (await client.get("/v1/end-users")).json()["end_users"] == []
    assert "connection.created" not in await event_types(client)


@pytest.mark.promise("P12")
async def test_provider_outage_answers_502_and_stores_nothing(application: Application, client: Client) -> None:
    for status in (500, 503, 429):
        application.acme.acme.fail_with(status)
        answer = await client.post(PATH, importing())
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable"), status
    assert await listed(client) == []
    assert (await client.post(PATH, importing(check=False))).status_code == 201


async def test_reconnected_account_keeps_its_connection(application: Application, client: Client) -> None:
    first = await client.connect(name="Sales", metadata={"a": 1, "b": 1})
    answer = await client.post(PATH, importing(metadata={"b": 2}))
    assert answer.status_code == 200
    again = answer.json()
    assert (again["id"], again["name"], again["metadata"]) == (first["id"], "Sales", {"a": 1, "b": 2})
    assert again["created_at"] == first["created_at"]
    assert len(await listed(client)) == 1
    assert await event_types(client, connection_id=first["id"]) == ["connection.reconnected", "connection.created"]


@pytest.mark.promise("P15")
async def test_another_account_replaces_the_connected_one_only_by_name(
    application: Application, client: Client
) -> None:
    first = await client.connect()
    refused = await client.post(PATH, importing(ACME_KEYS[INITECH]))
    assert (refused.status_code, refused.json()["code"]) == (409, "account_mismatch")
    for part in ("Initech", "Globex Corporation", first["id"], "connection_id", "multiple: true"):
        assert part in refused.json()["detail"]
    assert await kept(application, client, first["id"]) == {"api_key": ACME_KEYS[GLOBEX]}
    other = await client.connect(key=ACME_KEYS[INITECH], connection_id=first["id"])
    assert (other["id"], other["account"]) == (first["id"], {"id": INITECH, "label": "Initech"})
    assert await kept(application, client, first["id"]) == {"api_key": ACME_KEYS[INITECH]}


@pytest.mark.promise("P15")
async def test_import_replaces_none_of_several_connections_without_its_id(
    application: Application, client: Client
) -> None:
    unchecked: dict[str, Any] = {"check": False, "multiple": True}
    first = await client.connect(key=ACME_KEYS[GLOBEX], name="Operations", **unchecked)
    second = await client.connect(key=ACME_KEYS[INITECH], name="Billing", **unchecked)
    new_key = ACME_KEYS[INITECH] + "new"
    refused = await client.post(PATH, importing(new_key, check=False))
    assert (refused.status_code, refused.json()["code"]) == (409, "several_connections")
    choices = [(choice["id"], choice["name"], choice["status"]) for choice in refused.json()["connections"]]
    assert choices == [(second["id"], "Billing", "active"), (first["id"], "Operations", "active")]
    for part in (first["id"], "Operations", "connection_id", "multiple: true"):
        assert part in refused.json()["detail"]
    assert new_key not in refused.text
    named = await client.connect(key=new_key, check=False, connection_id=second["id"])
    assert (named["id"], named["name"]) == (second["id"], "Billing")
    assert await kept(application, client, first["id"]) == {"api_key": ACME_KEYS[GLOBEX]}
    assert await kept(application, client, second["id"]) == {"api_key": new_key}
    added = await client.connect(key=new_key + "2", **unchecked)
    assert added["id"] not in {first["id"], second["id"]}


async def test_import_names_only_a_connection_of_the_end_user_at_the_integration(client: Client) -> None:
    theirs = await client.connect(end_user_id="user_456")
    for connection_id in (theirs["id"], "unknown"):
        refused = await client.post(PATH, importing(connection_id=connection_id))
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    both = await client.post(PATH, importing(connection_id=theirs["id"], multiple=True))
    assert_invalid(both, "multiple")
    assert await listed(client, end_user_id="user_123") == []


async def test_multiple_adds_a_connection_per_account(client: Client) -> None:
    first = await client.connect()
    second = await client.connect(key=ACME_KEYS[INITECH], multiple=True)
    assert second["id"] != first["id"]
    assert (await client.connect(multiple=True))["id"] == first["id"]
    assert (await client.connect(key=ACME_KEYS[INITECH]))["id"] == second["id"]
    assert [connection["id"] for connection in await listed(client)] == [second["id"], first["id"]]


async def test_reconnecting_repairs_a_connection_that_needs_reauth(application: Application, client: Client) -> None:
    broken = await client.connect()
    application.acme.acme.revoke(ACME_KEYS[GLOBEX])
    await check(client, broken["id"])
    application.acme.acme.restore(ACME_KEYS[GLOBEX])
    repaired = await client.connect()
    assert (repaired["id"], repaired["status"], repaired["error"]) == (broken["id"], "active", None)


async def test_connections_are_filtered_and_paged_newest_first(application: Application, client: Client) -> None:
    connection_ids = [(await client.connect(f"user_{number}"))["id"] for number in range(5)]
    application.acme.acme.revoke(ACME_KEYS[GLOBEX])
    await check(client, connection_ids[2])
    assert [connection["id"] for connection in await listed(client)] == connection_ids[::-1]
    assert [connection["id"] for connection in await listed(client, end_user_id=" user_3 ")] == [connection_ids[3]]
    assert [connection["id"] for connection in await listed(client, status="needs_reauth")] == [connection_ids[2]]
    assert [
        connection["id"]
        for connection in await listed(client, status="active", integration_slug="ACME", end_user_id="user_2")
    ] == []
    assert await listed(client, integration_slug="slack") == []
    pages, cursor = [], None
    while True:
        options = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(PATH, **options)).json()
        pages.append([connection["id"] for connection in page["connections"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == [connection_ids[:2:-1], connection_ids[2:0:-1], connection_ids[:1]]
    assert (await client.get(PATH, limit=5)).json()["next_cursor"] is None


async def test_invalid_query_parameters_answer_422(client: Client) -> None:
    for options in (
        {"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"cursor": "junk"}, {"cursor": "é"}, {"cursor": ""},
        {"cursor": "eA"}, {"status": "connected"}, {"end_user_id": ""}, {"end_user_id": "x" * 256}, {"other": "1"},
    ):  # fmt: skip
        answer = await client.get(PATH, **options)
        assert answer.status_code == 422, options
        assert [error["field"] for error in answer.json()["errors"]] == list(options)


async def test_patch_changes_only_the_fields_it_contains(client: Client) -> None:
    connection = await client.connect(name="Old", metadata={"a": 1})
    address = f"{PATH}/{connection['id']}"
    renamed = (await client.send("PATCH", address, {"name": " New "})).json()
    assert (renamed["name"], renamed["metadata"]) == ("New", {"a": 1})
    merged = (await client.send("PATCH", address, {"metadata": {"b": {"c": 2, "d": [3]}}})).json()
    assert (merged["name"], merged["metadata"]) == ("New", {"a": 1, "b": {"c": 2, "d": [3]}})
    merged = (await client.send("PATCH", address, {"metadata": {"a": None, "b": {"d": [4]}}})).json()
    assert merged["metadata"] == {"b": {"c": 2, "d": [4]}}
    assert (await client.send("PATCH", address, {"status": "active"})).status_code == 422
    assert (await client.send("PATCH", address, {"name": ""})).status_code == 422
    assert (await event_types(client))[0] == "connection.updated"


async def test_automatic_name_follows_the_account_and_a_chosen_name_stays(client: Client) -> None:
    label = "Globex Corporation"
    cases: tuple[tuple[str, tuple[str | None, ...], str], ...] = (
        ("automatic", (), "Initech"),
        ("chosen", ("Sales",), "Sales"),
        ("reset", ("Sales", None), "Initech"),
    )
    for user, names, expected in cases:
        first = await client.connect(user)
        assert (first["name"], first["account"]["label"]) == (label, label)
        for name in names:
            assert (await client.send("PATCH", f"{PATH}/{first['id']}", {"name": name})).status_code == 200
        moved = await client.connect(user, ACME_KEYS[INITECH], connection_id=first["id"])
        assert (moved["id"], moved["account"]["label"], moved["name"]) == (first["id"], "Initech", expected), user
        session = await client.session(user)
        assert (await client.replace_by_key(session["session_token"], ACME_KEYS[GLOBEX])).status_code == 200
        back = (await client.get(f"{PATH}/{first['id']}")).json()
        assert back["name"] == ("Sales" if expected == "Sales" else label), user


async def test_null_clears_the_metadata_and_restores_the_automatic_name(client: Client) -> None:
    connection = await client.connect(name="Old", metadata={"a": 1})
    content, merge_patch = '{"name": null, "metadata": null}', {"content-type": "application/merge-patch+json"}
    answer = await client.http.patch(f"{PATH}/{connection['id']}", content=content, headers=merge_patch)
    assert (answer.json()["name"], answer.json()["metadata"]) == (connection["account"]["label"], {})


async def test_patch_that_changes_nothing_keeps_updated_at_and_writes_no_event(client: Client) -> None:
    connection = await client.connect(name="Name", metadata={"a": {"b": [1]}})
    address = f"{PATH}/{connection['id']}"
    bodies: tuple[dict[str, Any], ...] = (
        {},
        {"name": " Name "},
        {"metadata": {}},
        {"metadata": {"a": {"b": [1], "c": None}}},
    )
    for body in bodies:
        assert (await client.send("PATCH", address, body)).json() == connection
    assert (await event_types(client))[0] == "connection.created"


async def test_merged_metadata_has_the_same_limit_as_new_metadata(client: Client) -> None:
    connection = await client.connect(metadata={"a": "x" * 9000})
    answer = await client.send("PATCH", f"{PATH}/{connection['id']}", {"metadata": {"b": "x" * 9000}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "metadata")


async def test_deleted_connection_is_removed_with_its_credential(application: Application, client: Client) -> None:
    connection = await client.connect()
    answer = await client.send("DELETE", f"{PATH}/{connection['id']}")
    nothing = {"connection_id": connection["id"], "token": None, "outcome": "not_supported", "reason": None}
    assert answer.json() == {**connection, "revocations": [nothing]}
    for method in ("GET", "DELETE"):
        assert (await client.send(method, f"{PATH}/{connection['id']}")).status_code == 404
    assert (await check(client, connection["id"])).status_code == 404
    assert (await event_types(client))[0] == "connection.deleted"
    with pytest.raises(Exception, match="no stored credentials"):
        await kept(application, client, connection["id"])


async def test_check_reports_working_refused_and_recovered_credentials(
    application: Application, client: Client
) -> None:
    connection = await client.connect()
    result = (await check(client, connection["id"])).json()
    assert (result["working"], result["reason"], result["connection"]) == (True, None, connection)
    application.acme.acme.revoke(ACME_KEYS[GLOBEX])
    for _ in range(2):
        result = (await check(client, connection["id"])).json()
        assert result["working"] is False
        assert "revoked by an administrator" in result["reason"]
        assert result["connection"]["status"] == "needs_reauth"
        assert result["connection"]["error"]["code"] == "credentials_refused"
    application.acme.acme.restore(ACME_KEYS[GLOBEX])
    result = (await check(client, connection["id"])).json()
    assert (result["working"], result["connection"]["status"], result["connection"]["error"]) == (True, "active", None)
    types = ["connection.recovered", "connection.needs_reauth", "connection.created"]
    assert await event_types(client, connection_id=connection["id"]) == types, "one event for each change"


async def test_missing_permission_keeps_the_connection_active_and_names_the_permission(
    application: Application, client: Client
) -> None:
    connection = await client.connect()
    acme, key = application.acme.acme, ACME_KEYS[GLOBEX]
    acme.restrict(key)
    for _ in range(2):
        result = (await check(client, connection["id"])).json()
        assert (result["outcome"], result["working"]) == ("permission_missing", False)
        assert result["missing_permission"] == "account:read"
        assert result["connection"]["status"] == "active"
        error = result["connection"]["error"]
        assert (error["code"], error["message"]) == ("permission_missing", result["reason"])
        assert "lack the permission account:read" in error["message"]
    acme.revoke(key)
    assert (await check(client, connection["id"])).json()["outcome"] == "refused"
    acme.restore(key)
    result = (await check(client, connection["id"])).json()
    assert (result["outcome"], result["missing_permission"], result["connection"]["error"]) == ("accepted", None, None)
    acme.restrict(key)
    await check(client, connection["id"])
    acme.restore(key)
    assert (await check(client, connection["id"])).json()["connection"]["error"] is None
    types = ["recovered", "updated", "recovered", "needs_reauth", "updated", "created"]
    assert await event_types(client, connection_id=connection["id"]) == [f"connection.{name}" for name in types]
    event = (await client.get("/v1/events", type="connection.updated")).json()["events"][0]
    assert event["data"]["reason"] == "permission_missing"


async def test_import_of_a_key_without_a_permission_stores_nothing(application: Application, client: Client) -> None:
    application.acme.acme.restrict(ACME_KEYS[GLOBEX])
    answer = await client.post(PATH, importing())
    assert (answer.status_code, answer.json()["code"]) == (422, "permission_missing")
    assert "lack the permission account:read" in answer.json()["detail"]
    assert answer.json()["provider_reason"] == "This API key does not allow account:read."
    assert await listed(client) == []


async def test_outage_during_a_check_changes_nothing(application: Application, client: Client) -> None:
    connection = await client.connect()
    for status in (500, 503, 429, 404):
        application.acme.acme.fail_with(status)
        answer = await check(client, connection["id"])
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable"), status
    assert await listed(client) == [connection]
    assert await event_types(client, connection_id=connection["id"]) == ["connection.created"]
