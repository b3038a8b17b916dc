"""A program fetches the events of a pull endpoint, and acknowledges them."""

import asyncio
from typing import Any

import pytest

from one_runtime.webhooks import upkeep
from tests.application import Application, Client
from tests.webhooks.conftest import subscribe


async def fetch(client: Client, endpoint: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/webhook-endpoints/{endpoint['id']}/pending", **options)
    assert answer.status_code == 200, answer.text
    messages: list[dict[str, Any]] = answer.json()["messages"]
    return messages


async def acknowledge(client: Client, endpoint: dict[str, Any], *event_ids: str) -> int:
    path = f"/v1/webhook-endpoints/{endpoint['id']}/acknowledge"
    acknowledged: int = (await client.post(path, {"event_ids": list(event_ids)})).json()["acknowledged"]
    return acknowledged


async def test_events_come_in_order_until_they_are_acknowledged(application: Application, client: Client) -> None:
    endpoint = await subscribe(client, None, "connection.*", include=["connection"])
    connections = [await client.connect(f"user_{number}") for number in range(3)]
    first = await fetch(client, endpoint, limit=2)
    assert [message["data"]["connection"] for message in first] == connections[:2]
    assert [message["data"]["connection_id"] for message in await fetch(client, endpoint)] == [connections[2]["id"]]
    assert await acknowledge(client, endpoint, first[0]["id"], first[0]["id"]) == 1
    assert await acknowledge(client, endpoint, first[0]["id"]) == 0
    assert await fetch(client, endpoint) == []
    application.clock.advance(seconds=61)  # the lease ends
    assert (await fetch(client, endpoint))[0]["id"] == first[1]["id"]


async def test_a_waiting_request_returns_as_soon_as_an_event_is_committed(client: Client) -> None:
    endpoint = await subscribe(client, None, "connection.created")
    waiting = asyncio.create_task(fetch(client, endpoint, wait_seconds=30))
    await asyncio.sleep(0)
    connection = await client.connect()
    assert [message["data"]["connection_id"] for message in await waiting] == [connection["id"]]


@pytest.mark.parametrize(
    "method, body, status, code",
    [("DELETE", None, 404, "not_found"), ("PATCH", {"status": "paused"}, 409, "conflict")],
)
async def test_a_waiting_request_ends_when_the_endpoint_ends(
    client: Client, method: str, body: dict[str, str] | None, status: int, code: str
) -> None:
    path = f"/v1/webhook-endpoints/{(await subscribe(client, None, 'connection.created'))['id']}"
    waiting = asyncio.create_task(client.get(f"{path}/pending", wait_seconds=30))
    await asyncio.sleep(0)
    await client.send(method, path, body)
    async with asyncio.timeout(10):
        answer = await waiting
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.promise("P2")
async def test_a_waiting_request_ends_when_its_api_key_is_revoked(application: Application, client: Client) -> None:
    endpoint = await subscribe(client, None, "connection.created")
    organization_id = (await client.get("/v1/organization")).json()["id"]
    thief = application.client(await application.key(organization_id))
    waiting = asyncio.create_task(thief.get(f"/v1/webhook-endpoints/{endpoint['id']}/pending", wait_seconds=30))
    await asyncio.sleep(0)
    newest = (await client.get("/v1/api-keys")).json()["api_keys"][0]
    assert (await client.send("DELETE", f"/v1/api-keys/{newest['id']}")).status_code == 200
    connection = await client.connect()
    async with asyncio.timeout(10):
        answer = await waiting
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert [message["data"]["connection_id"] for message in await fetch(client, endpoint)] == [connection["id"]]


async def test_a_waiting_request_ends_when_one_runtime_disables_the_endpoint(
    application: Application, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MAX_WAITING", 0)
    endpoint = await subscribe(client, None, "connection.created")
    await client.connect()
    assert len(await fetch(client, endpoint)) == 1  # the lease hides the event from the waiting request
    waiting = asyncio.create_task(client.get(f"/v1/webhook-endpoints/{endpoint['id']}/pending", wait_seconds=30))
    await asyncio.sleep(0)
    await upkeep.run(application.installation)
    async with asyncio.timeout(10):
        assert (await waiting).status_code == 409


async def test_events_that_wait_for_days_disable_the_endpoint(application: Application, client: Client) -> None:
    endpoint = await subscribe(client, None, "connection.created")
    await client.connect()
    application.clock.advance(hours=73)
    await upkeep.run(application.installation)
    await upkeep.run(application.installation)
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    disabled = (await client.get(path)).json()
    assert (disabled["status"], disabled["disabled_reason"], disabled["pending_deliveries"]) == (
        "disabled",
        "overflow",
        0,
    )
    assert (await client.get(f"{path}/pending")).status_code == 409
    await client.send("PATCH", path, {"status": "active"})
    await client.post(f"{path}/replay", {"since": "2020-01-01T00:00:00Z", "status": "failed"})
    assert [message["type"] for message in await fetch(client, endpoint)] == ["connection.created"]


@pytest.mark.parametrize("waiting, status", [(2, "active"), (3, "disabled")])
async def test_too_many_waiting_events_disable_the_endpoint(
    application: Application, client: Client, monkeypatch: pytest.MonkeyPatch, waiting: int, status: str
) -> None:
    monkeypatch.setattr(upkeep, "MAX_WAITING", 2)
    endpoint = await subscribe(client, None, "connection.created")
    for number in range(waiting):
        await client.connect(f"user_{number}")
    await upkeep.run(application.installation)
    assert (await client.get(f"/v1/webhook-endpoints/{endpoint['id']}")).json()["status"] == status


async def test_a_push_endpoint_cannot_be_fetched(client: Client) -> None:
    endpoint = await subscribe(client, "https://example.com/hook", "connection.created")
    answer = await client.get(f"/v1/webhook-endpoints/{endpoint['id']}/pending")
    assert answer.status_code == 409
    assert '"pull"' in answer.json()["detail"]


async def test_a_program_that_has_gone_leases_no_event(application: Application, client: Client) -> None:
    endpoint = await subscribe(client, None, "connection.created")
    asked, gone = asyncio.Event(), asyncio.Event()
    body = iter([{"type": "http.request"}])

    async def receive() -> dict[str, str]:
        if message := next(body, None):
            return message
        asked.set()  # the request found no event, and waits
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        """Ignore the response, as a closed connection does."""

    path = f"/v1/webhook-endpoints/{endpoint['id']}/pending"
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"wait_seconds=30",
        "headers": [(b"authorization", client.http.headers["authorization"].encode())],
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    waiting = asyncio.create_task(application.app(scope, receive, send))
    await asked.wait()
    gone.set()
    await client.connect()
    await waiting
    assert len(await fetch(client, endpoint)) == 1
