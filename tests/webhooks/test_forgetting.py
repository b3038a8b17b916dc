"""Deleted end users: what their endpoints still receive, and what One Runtime keeps."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import select
from starlette.responses import Response

from one_runtime.db.schema import webhook_attempts, webhook_deliveries
from one_runtime.jobs.queue import wake
from tests.application import Application, Client
from tests.waiting import async_attempts, eventually
from tests.webhooks.conftest import deliveries, subscribe, wait_for_deliveries
from tests.webhooks.receiver import Message, Receiver, with_status
from tests.webhooks.test_pulling import acknowledge, fetch

USER = "user_to_forget"


async def forget(client: Client) -> None:
    assert (await client.send("DELETE", f"/v1/end-users/{USER}")).status_code == 200


async def stored(application: Application) -> str:
    """Return all deliveries and attempts of the database as text."""
    async with application.installation.database.read() as tx:
        rows = [*await tx.all(select(webhook_deliveries)), *await tx.all(select(webhook_attempts))]
    return json.dumps([[str(value) for value in row] for row in rows])


async def test_the_event_of_the_deletion_keeps_the_identifier_until_its_delivery(
    application: Application, client: Client, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = with_status(500)
    endpoint = await subscribe(client, receiver.url(), "end_user.deleted")
    pulled = await subscribe(client, None, "end_user.deleted")
    await client.connect(USER)
    await forget(client)
    await wait_for_deliveries(client, endpoint, failed_attempts=1)
    del receiver.answers["/hook"]
    application.clock.advance(seconds=10)
    wake(webhook_deliveries)
    await wait_for_deliveries(client, endpoint, status="delivered")
    assert [message.body["data"]["end_user_id"] for message in receiver.messages] == [USER, USER]
    (message,) = await fetch(client, pulled)
    assert message["data"]["end_user_id"] == USER
    assert USER in await stored(application)
    await acknowledge(client, pulled, message["id"])
    assert USER not in await stored(application)
    assert USER not in (await client.get("/v1/events")).text
    again = await client.post(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries/{message['id']}/retry")
    assert again.status_code == 202
    await eventually(lambda: len(receiver.messages) == 3)
    assert receiver.messages[-1].body["data"]["end_user_id"] is None


async def test_pending_events_about_a_deleted_end_user_are_cancelled(client: Client, receiver: Receiver) -> None:
    pulled = await subscribe(client, None, "connection.*", include=["connection"])
    failing = await subscribe(client, receiver.url(), "connection.*", include=["connection"])
    receiver.answers["/hook"] = with_status(500)
    await client.connect(USER)
    await wait_for_deliveries(client, failing, failed_attempts=1)
    await forget(client)
    shown = await fetch(client, pulled)
    assert USER not in json.dumps(shown)
    event_id = receiver.messages[0].id
    for endpoint in (pulled, failing):
        path = f"/v1/webhook-endpoints/{endpoint['id']}/deliveries/{event_id}"
        assert (await client.post(f"{path}/retry")).status_code == 409
        cancelled = (await client.get(path)).json()
        assert (cancelled["status"], cancelled["error_code"]) == ("cancelled", "end_user_deleted")
    assert await acknowledge(client, pulled, event_id) == 0


@pytest.mark.parametrize("status", [500, 204])
async def test_an_attempt_during_the_deletion_does_not_undo_the_cancellation(
    application: Application, client: Client, receiver: Receiver, status: int
) -> None:
    arrived, answering = asyncio.Event(), asyncio.Event()

    async def answer(message: Message) -> Response:
        arrived.set()
        await answering.wait()
        return Response(f"not for {USER}" if status == 500 else None, status)

    receiver.answers["/hook"] = answer
    endpoint = await subscribe(client, receiver.url(), "connection.created")
    await client.connect(USER)
    await arrived.wait()
    await forget(client)
    answering.set()
    path = f"/v1/webhook-endpoints/{endpoint['id']}/deliveries"
    event_id = receiver.messages[0].id

    made: list[dict[str, Any]] = []
    async for _ in async_attempts():
        if made := (await client.get(f"{path}/{event_id}")).json()["attempts"]:
            break
    (attempt,) = made
    assert (attempt["http_status"], attempt["response_excerpt"]) == (status, None)
    (delivery,) = await deliveries(client, endpoint)
    assert (delivery["status"], delivery["next_attempt_at"]) == ("cancelled", None)
    assert USER not in await stored(application)
