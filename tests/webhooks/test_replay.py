"""Deliver events again: one event, the failed ones, the missing ones, or all."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import insert, update

from one_runtime.db.ids import new_id
from one_runtime.db.schema import events, webhook_deliveries
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record_many
from tests.application import Application, Client
from tests.figures import Figures
from tests.waiting import eventually
from tests.webhooks.conftest import deliveries, subscribe, wait_for_deliveries
from tests.webhooks.receiver import Receiver, with_status

BEGINNING = "2020-01-01T00:00:00Z"


async def replay(client: Client, endpoint: dict[str, Any], **body: Any) -> int:
    path = f"/v1/webhook-endpoints/{endpoint['id']}/replay"
    answer = await client.post(path, {"since": BEGINNING, **body})
    assert answer.status_code == 202, answer.text
    queued: int = answer.json()["queued_deliveries"]
    return queued


async def test_one_event_is_delivered_again_with_the_same_id(client: Client, receiver: Receiver) -> None:
    endpoint = await subscribe(client, receiver.url(), "connection.created")
    await client.connect()
    message = await receiver.wait_for("connection.created")
    await wait_for_deliveries(client, endpoint, status="delivered")
    again = await client.post(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries/{message.id}/retry")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    assert (await receiver.wait_for("connection.created", count=2)).id == message.id


@pytest.mark.slow
async def test_two_replays_at_the_same_time_queue_ten_thousand_events_once(
    application: Application, client: Client
) -> None:
    endpoint = await subscribe(client, None, "connection.created")
    database, now = application.installation.database, application.clock()
    values = {"organization_id": (await client.get("/v1/organization")).json()["id"], "type": "connection.created"}
    system = {"actor_type": "system", "actor_id": None, "address": None, "end_user_id": None, "connection_id": None}
    more = {"occurred_at": now, "data": {}, "request_id": None, "position": None}
    async with database.write() as tx:
        await tx.execute_many(insert(events), [{"id": new_id(), **values, **system, **more} for _ in range(10_000)])
    for status in ("missing", "failed", "all"):
        both = await asyncio.gather(*(replay(client, endpoint, status=status) for _ in range(2)))
        assert sum(both) == 10_000, status
        details = (await client.get(f"/v1/webhook-endpoints/{endpoint['id']}")).json()
        assert details["pending_deliveries"] == 10_000
        settled = {"status": "failed" if status == "missing" else "delivered", "due_at": None, "settled_at": now}
        async with database.write() as tx:
            await tx.execute(update(webhook_deliveries).values(**settled))


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_ten_thousand_replayed_events_arrive_once_each(
    application: Application, client: Client, receiver: Receiver, figures: Figures
) -> None:
    """The events precede the endpoint."""
    actor = Actor((await client.get("/v1/organization")).json()["id"], "system")
    causes = [(actor, Subject("user_1", data={"changed": ["metadata"]}))] * 10_000
    async with application.installation.database.write() as tx:
        await record_many(tx, EventType.END_USER_UPDATED, application.clock(), causes)
    endpoint = await subscribe(client, receiver.url(), "end_user.updated")
    begun = time.perf_counter()
    assert await replay(client, endpoint, status="missing") == 10_000
    queued = time.perf_counter() - begun
    await eventually(lambda: len(receiver.messages) >= 10_000, seconds=500)
    figures(f"10,000 events: queued in {queued:.1f} s, received in {time.perf_counter() - begun:.1f} s")
    assert await replay(client, endpoint, status="missing") == 0
    assert len({message.id for message in receiver.messages}) == len(receiver.messages) == 10_000


@pytest.mark.parametrize("status, queued", [("missing", 2), ("all", 3)])
async def test_missing_events_are_queued(client: Client, receiver: Receiver, status: str, queued: int) -> None:
    """Two events precede the endpoint, and the endpoint has received the third one."""
    for number in range(2):
        await client.connect(f"user_{number}")
    endpoint = await subscribe(client, receiver.url(), "connection.created")
    await client.connect("user_2")
    await receiver.wait_for("connection.created")
    await wait_for_deliveries(client, endpoint, status="delivered")
    assert await replay(client, endpoint, status="failed") == 0
    assert await replay(client, endpoint, status=status) == queued
    await receiver.wait_for("connection.created", count=1 + queued)
    assert await replay(client, endpoint, status="missing") == 0
    assert await replay(client, endpoint, status="all", types=["end_user.deleted"]) == 0
    assert await replay(client, endpoint, status="all", until="2020-01-02T00:00:00Z") == 0


async def test_pending_deliveries_of_a_forgotten_end_user_are_cancelled(
    application: Application, client: Client, receiver: Receiver
) -> None:
    receiver.answers["/fails"] = with_status(500)
    failing = await subscribe(client, receiver.url("/fails"), "connection.created")
    await subscribe(client, receiver.url("/works"), "end_user.deleted")
    await client.connect("user_123")
    await receiver.wait_for("connection.created", "/fails")
    await wait_for_deliveries(client, failing, failed_attempts=1)
    assert (await client.send("DELETE", "/v1/end-users/user_123")).status_code == 200
    message = await receiver.wait_for("end_user.deleted", "/works")
    assert message.body["data"]["end_user_id"] == "user_123"
    assert "user_123" not in (await client.get("/v1/events")).text
    assert [each["status"] for each in await deliveries(client, failing)] == ["cancelled"]
    application.clock.advance(days=1)
    assert await replay(client, failing, status="all") == 0
