"""`/v1/end-user-tokens`: create, list and revoke tokens of agents."""

from datetime import timedelta
from typing import Any

import pytest

from one_runtime.clock import parse_rfc3339
from tests.application import Application, Client
from tests.purging import purge

PATH = "/v1/end-user-tokens"


async def test_token_is_shown_once_and_listed_without_its_secret(client: Client) -> None:
    body = {"end_user_id": "user_123", "integrations": ["acme"], "hosts": ["API.acme.example"], "name": "support"}
    created = (await client.post(PATH, body)).json()
    secret = created.pop("end_user_token")
    assert secret.startswith(f"{created['prefix']}_")
    assert created.pop("mcp_url").endswith("/v1/mcp")
    assert (created["access"], created["integrations"], created["hosts"]) == ("read", ["acme"], ["api.acme.example"])
    lifetime = parse_rfc3339(created["expires_at"]) - parse_rfc3339(created["created_at"])
    assert lifetime == timedelta(hours=1)
    listed = await client.get(PATH)
    assert listed.json() == {"end_user_tokens": [created], "next_cursor": None}
    assert secret not in listed.text
    assert (await client.get(f"{PATH}/{created['id']}")).json() == created
    assert (await client.get(PATH, end_user_id="other")).json()["end_user_tokens"] == []
    assert (await client.get("/v1/end-users/user_123")).status_code == 200
    (event,) = (await client.get("/v1/events", type="end_user_token.created")).json()["events"]
    assert event["data"] == {
        "end_user_token_id": created["id"], "name": "support", "audience": "agent", "access": "read",
        "expires_at": created["expires_at"],
    }  # fmt: skip
    assert secret not in str(event)


async def test_revocation_is_recorded_once(client: Client) -> None:
    created = (await client.post(PATH, {"end_user_id": "user_123"})).json()
    first, second = [await client.send("DELETE", f"{PATH}/{created['id']}") for _ in range(2)]
    assert first.json()["revoked_at"] == second.json()["revoked_at"] != None  # noqa: E711
    assert len((await client.get("/v1/events", type="end_user_token.revoked")).json()["events"]) == 1


async def test_tokens_are_listed_in_pages(client: Client) -> None:
    ids = [(await client.post(PATH, {"end_user_id": f"user_{number}"})).json()["id"] for number in range(5)]
    listed, cursor = list[str](), dict[str, Any]()
    for _ in range(3):
        page = (await client.get(PATH, limit=2, **cursor)).json()
        listed += [token["id"] for token in page["end_user_tokens"]]
        cursor = {"cursor": page["next_cursor"]}
    assert (listed, cursor) == ([*reversed(ids)], {"cursor": None})


@pytest.mark.parametrize("days, deleted", [(30, 0), (31, 1)])
async def test_expired_tokens_are_deleted_after_30_days(
    application: Application, client: Client, days: int, deleted: int
) -> None:
    await client.post(PATH, {"end_user_id": "user_123", "expires_in": 60})
    application.clock.advance(days=days)
    assert await purge(application.installation) >= deleted
    assert len((await client.get(PATH)).json()["end_user_tokens"]) == 1 - deleted


async def test_limits_of_agents_are_settings_of_the_organization(client: Client) -> None:
    default = (await client.get("/v1/organization")).json()["agents"]
    unlimited = dict.fromkeys(("connect_url", "sign_in_url", "integrations", "hosts", "methods"))
    assert default == {**unlimited, "access": "write", "calls_per_run": 300}
    changes = {"connect_url": "https://app.example.com/connect", "methods": ["GET"], "integrations": ["acme"]}
    changed = (await client.send("PATCH", "/v1/organization", {"agents": changes})).json()["agents"]
    assert changed == default | changes
    cleared = await client.send("PATCH", "/v1/organization", {"agents": {"methods": None}})
    assert cleared.json()["agents"] == default | changes | {"methods": None}
    assert (await client.send("PUT", "/v1/organization", cleared.json())).json()["agents"] == cleared.json()["agents"]
    assert (await client.send("PATCH", "/v1/organization", {"agents": None})).json()["agents"] == default
