"""A moved clock: ten attempts over 75 hours, `Retry-After`, and five days of nothing but failures."""

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from one_runtime.db.schema import webhook_deliveries
from one_runtime.jobs.queue import wake
from one_runtime.webhooks.schedule import DELAYS
from tests.application import Application, Client
from tests.waiting import eventually
from tests.webhooks.conftest import subscribe, wait_for_deliveries
from tests.webhooks.receiver import Receiver, with_status

pytestmark = pytest.mark.slow

SLACK = timedelta(seconds=2)
"""Maximum time between an attempt and the storing of its result."""


async def attempts_of(client: Client, endpoint: dict[str, Any], event_id: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries/{event_id}")
    delivery: dict[str, Any] = answer.json()
    return delivery


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def advance_to_next_attempt(application: Application, delivery: dict[str, Any]) -> None:
    """Move the clock to the moment before the next attempt. Then move the clock to the attempt, and wake the sender."""
    application.clock.advance(seconds=(moment(delivery["next_attempt_at"]) - application.clock()).total_seconds())
    wake(webhook_deliveries)


@pytest.mark.soak_on("postgresql")
async def test_ten_attempts_follow_the_schedule_and_days_of_failures_disable_the_endpoint(
    application: Application, client: Client, receiver: Receiver
) -> None:
    receiver.answers["/fails"] = with_status(500)
    watcher = await subscribe(client, receiver.url("/watcher"), "webhook_endpoint.disabled")
    endpoint = await subscribe(client, receiver.url("/fails"), "connection.created", "webhook_endpoint.disabled")
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    await client.connect()
    begun = application.clock()
    for number, delay in enumerate(DELAYS, 1):
        (delivery,) = await wait_for_deliveries(client, endpoint, failed_attempts=number)
        assert delivery["status"] == "pending"
        attempts = (await attempts_of(client, endpoint, delivery["event_id"]))["attempts"]
        waits = moment(delivery["next_attempt_at"]) - moment(attempts[-1]["created_at"])
        assert 0.9 * delay <= waits <= 1.1 * delay + SLACK, number
        await advance_to_next_attempt(application, delivery)
    (failed,) = await wait_for_deliveries(client, endpoint, failed_attempts=10)
    assert (failed["status"], failed["next_attempt_at"], failed["http_status"]) == ("failed", None, 500)
    attempts = (await attempts_of(client, endpoint, failed["event_id"]))["attempts"]
    assert timedelta(hours=67) < moment(attempts[-1]["created_at"]) - begun < timedelta(hours=84)
    assert len(receiver.at("/fails")) == len(attempts) == 10
    assert len({message.id for message in receiver.at("/fails")}) == 1
    present = (await client.get(path)).json()
    assert present["status"] == "active"
    assert timedelta() <= moment(present["failing_since"]) - moment(attempts[0]["created_at"]) < SLACK
    application.clock.advance(seconds=(begun + timedelta(days=5, seconds=5) - application.clock()).total_seconds())
    await client.connect("user_456")
    message = await receiver.wait_for("webhook_endpoint.disabled", "/watcher")
    assert (message.body["data"]["reason"], message.body["data"]["webhook_endpoint_id"]) == ("failing", endpoint["id"])
    assert "five days" in message.body["data"]["explanation"]["message"]
    disabled = (await client.get(path)).json()
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "failing")
    settled = await wait_for_deliveries(client, endpoint, status="failed", next_attempt_at=None)
    assert [each["event_type"] for each in settled] == ["connection.created"] * 2
    assert {message.type for message in receiver.at("/fails")} == {"connection.created"}
    assert len(await wait_for_deliveries(client, watcher, status="delivered")) == 1


@pytest.mark.parametrize("form", ["seconds", "date", "too long"])
async def test_retry_after_postpones_the_next_attempt(
    application: Application, client: Client, receiver: Receiver, form: str
) -> None:
    asked = timedelta(hours=9) if form == "too long" else timedelta(minutes=30)
    date = format_datetime(application.clock() + asked, usegmt=True)
    receiver.answers["/hook"] = with_status(503, Retry_After=date if form == "date" else str(asked.seconds))
    endpoint = await subscribe(client, receiver.url(), "connection.created")
    await client.connect()
    (delivery,) = await wait_for_deliveries(client, endpoint, failed_attempts=1)
    attempts = (await attempts_of(client, endpoint, delivery["event_id"]))["attempts"]
    waits = moment(delivery["next_attempt_at"]) - moment(attempts[-1]["created_at"])
    expected = min(asked, timedelta(hours=1))
    assert expected - SLACK <= waits <= expected + SLACK
    await advance_to_next_attempt(application, delivery)
    await eventually(lambda: len(receiver.messages) == 2)


async def test_a_success_sends_the_waiting_events_of_a_failing_endpoint_at_once(
    application: Application, client: Client, receiver: Receiver
) -> None:
    receiver.answers["/hook"] = with_status(500, Retry_After="3600")
    endpoint = await subscribe(client, receiver.url(), "connection.created")
    for number in range(3):
        await client.connect(f"user_{number}")
    await wait_for_deliveries(client, endpoint, failed_attempts=1)
    await eventually(lambda: len(receiver.messages) == 3)
    del receiver.answers["/hook"]
    await client.connect("user_3")
    settled = await wait_for_deliveries(client, endpoint, status="delivered")
    assert len(settled) == 4
    assert (await client.get(f"/v1/webhook-endpoints/{endpoint['id']}")).json()["failing_since"] is None
