"""`/v1/api-keys` and `/v1/me`: create, list and revoke keys; the key of the request."""

import asyncio
from typing import Any, Final

import pytest

from one_runtime.tenancy import api_keys
from one_runtime.tenancy.api_keys import DEFAULT_SCOPES, SCOPES
from one_runtime.tenancy.events import Actor
from tests.application import Application, Client
from tests.promises.stores import query
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PATH: Final = "/v1/api-keys"
WAITING: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def created(client: Client, *scopes: str, name: str = "billing") -> dict[str, Any]:
    body = {"name": name, **({"scopes": list(scopes)} if scopes else {})}
    answer = await client.post(PATH, body)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def me(client: Client) -> dict[str, Any]:
    answer = await client.get("/v1/me")
    assert answer.status_code == 200, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def listed(client: Client, **options: Any) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = (await client.get(PATH, **options)).json()["api_keys"]
    return keys


async def newest_event(client: Client) -> dict[str, Any]:
    event: dict[str, Any] = (await client.get("/v1/events", limit=1)).json()["events"][0]
    return event


async def test_every_key_reads_itself_whatever_its_scopes(application: Application) -> None:
    organization = await application.organization()
    for scope in SCOPES:
        secret = await application.key(organization, scope)
        key = await me(application.client(secret))
        assert key["organization"] == {"id": organization, "display_name": "Northwind"}
        assert (key["scopes"], key["name"], key["revoked_at"]) == ([scope], "test", None)
        assert secret.startswith(key["prefix"])
        assert secret not in str(key)


async def test_created_key_works_and_is_shown_once(application: Application, client: Client) -> None:
    key = await created(client)
    assert (key["scopes"], key["last_used_at"]) == (list(DEFAULT_SCOPES), None)
    secret = key.pop("api_key")
    await me(application.client(secret))
    await application.app.services.request_log.flush()  # a later use does not change `last_used_at`
    used = await me(application.client(secret))
    assert used["last_used_at"] is not None
    everything = await listed(client)
    assert everything[0] == {**key, "last_used_at": used["last_used_at"]}
    assert used == {**everything[0], "organization": (await me(client))["organization"]}
    assert (await client.get(f"{PATH}/{key['id']}")).json() == everything[0]
    assert secret not in str(everything)
    event = await newest_event(client)
    assert (event["type"], event["actor"]["type"]) == ("api_key.created", "api_key")
    assert event["actor"]["id"] == (await me(client))["id"]
    assert event["data"] == {"api_key_id": key["id"], "name": "billing", "scopes": list(DEFAULT_SCOPES)}
    pages = [(await client.get(PATH, limit=1)).json()]
    pages.append((await client.get(PATH, limit=1, cursor=pages[0]["next_cursor"])).json())
    assert [page["api_keys"] for page in pages] == [everything[:1], everything[1:]]
    assert pages[1]["next_cursor"] is None


async def test_key_grants_only_scopes_that_it_has(application: Application, client: Client) -> None:
    limited = application.client((await created(client, "admin", "read"))["api_key"])
    assert (await created(limited, "read"))["scopes"] == ["read"]
    for scopes in ({"scopes": ["read", "credentials:read"]}, {"scopes": ["use"]}, {}):
        answer = await limited.post(PATH, {"name": "more", **scopes})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "scopes"), scopes
        assert answer.json()["detail"].endswith("has: read, admin."), scopes
    assert len(await listed(client)) == 3
    for wrong in ({"name": " "}, {"scopes": ["read"]}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["all"]}):
        assert (await client.post(PATH, wrong)).status_code == 422, wrong


async def test_revoked_key_is_refused_and_a_second_revocation_changes_nothing(
    application: Application, client: Client
) -> None:
    key = await created(client, "read")
    holder = application.client(key["api_key"])
    assert (await holder.get("/v1/events")).status_code == 200
    await application.app.services.request_log.flush()
    revoked = await client.send("DELETE", f"{PATH}/{key['id']}")
    assert revoked.json()["revoked_at"] is not None
    assert (await holder.get("/v1/events")).status_code == 401
    event = await newest_event(client)
    assert (event["type"], event["data"]) == ("api_key.revoked", {"api_key_id": key["id"], "name": "billing"})
    assert event["actor"]["id"] == (await me(client))["id"]
    assert event["request_id"] == revoked.headers["request-id"]
    again = await client.send("DELETE", f"{PATH}/{key['id']}")
    assert (again.status_code, again.json()) == (200, revoked.json())
    assert await newest_event(client) == event
    assert (await listed(client))[0] == revoked.json()


async def test_last_key_with_the_scope_admin_stays(application: Application, client: Client) -> None:
    own = await me(client)
    refused = await client.send("DELETE", f"{PATH}/{own['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "scope 'admin'" in refused.json()["detail"]
    await created(client, "read")
    assert (await client.send("DELETE", f"{PATH}/{own['id']}")).status_code == 409, "the other key cannot create keys"
    other = application.client((await created(client, "admin"))["api_key"])
    assert (await client.send("DELETE", f"{PATH}/{own['id']}")).status_code == 200
    assert (await client.get("/v1/me")).status_code == 401
    assert (await other.send("DELETE", f"{PATH}/{(await me(other))['id']}")).status_code == 409


@pytest.mark.only_database("postgresql")
async def test_two_keys_cannot_revoke_each_other_at_the_same_time(application: Application, client: Client) -> None:
    other = application.client((await created(client, *SCOPES))["api_key"])
    own, other_id = await me(client), (await me(other))["id"]
    installation = application.installation
    async with installation.database.write() as tx:
        actor = Actor(own["organization"]["id"], "api_key", own["id"])
        await api_keys.revoke_own(tx, actor, other_id, application.clock())
        crossing = asyncio.create_task(other.send("DELETE", f"{PATH}/{own['id']}"))
        await eventually(lambda: crossing.done() or query(installation, WAITING) != [(0,)])
        assert not crossing.done()
    assert (await crossing).status_code == 409
    assert (await client.get("/v1/me")).status_code == 200
    assert (await other.get("/v1/me")).status_code == 401


@pytest.mark.promise("P1")
async def test_keys_of_another_organization_stay_hidden(application: Application, client: Client) -> None:
    other = application.client(await application.key(await application.organization("Southwind")))
    own_id = (await me(client))["id"]
    assert [key["id"] for key in await listed(other)] == [(await me(other))["id"]]
    assert (await other.get(f"{PATH}/{own_id}")).status_code == 404
    assert (await other.send("DELETE", f"{PATH}/{own_id}")).status_code == 404
    assert (await other.send("DELETE", f"{PATH}/junk")).status_code == 404
    assert (await me(client))["id"] == own_id
