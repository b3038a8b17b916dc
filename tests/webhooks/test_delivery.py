"""Events reach the URLs of webhook endpoints."""

import pytest
from standardwebhooks import WebhookVerificationError

from one_runtime.webhooks.signatures import new_secret
from tests.application import Client
from tests.webhooks.conftest import subscribe, wait_for_deliveries
from tests.webhooks.receiver import Receiver, with_status


@pytest.mark.promise("P10")
async def test_an_event_arrives_signed_and_as_the_log_shows_it(client: Client, receiver: Receiver) -> None:
    endpoint = await subscribe(client, receiver.url(), "connection.*", include=["connection"])
    connection = await client.connect()
    message = await receiver.wait_for("connection.created")
    assert message.verify(endpoint["secret"])["id"] == message.id
    with pytest.raises(WebhookVerificationError):
        message.verify(new_secret())
    event = (await client.get(f"/v1/events/{message.id}")).json()
    data = message.body["data"]
    assert message.body["timestamp"] == event["created_at"]
    assert data.pop("connection") == connection
    shown = {name: event[name] for name in ("end_user_id", "connection_id", "actor", "address", "request_id")}
    assert data == shown | event["data"]


async def test_a_failed_delivery_is_logged_with_its_answer(client: Client, receiver: Receiver) -> None:
    receiver.answers["/hook"] = with_status(500)
    endpoint = await subscribe(client, receiver.url())
    await client.connect()
    message = await receiver.wait_for("connection.created")
    path = f"/v1/webhook-endpoints/{endpoint['id']}/deliveries/{message.id}"
    await wait_for_deliveries(client, endpoint, failed_attempts=1)
    delivery = (await client.get(path)).json()
    assert (delivery["status"], delivery["failed_attempts"], delivery["http_status"]) == ("pending", 1, 500)
    assert delivery["attempts"][0]["response_excerpt"] == "answer 500"
