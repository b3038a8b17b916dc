"""While requests arrive, a sender delivers a backlog slowly, and sends recent events first."""

import time
from datetime import timedelta
from typing import Final

import pytest

from one_runtime.clock import system_clock
from one_runtime.db.ids import new_id
from one_runtime.webhooks import pace
from one_runtime.webhooks.deliveries import DueEndpoint
from one_runtime.webhooks.pace import CLAIM, RECENT, Rotation
from one_runtime.webhooks.sender import UNPROVEN, Sender
from tests.application import Application, Client
from tests.waiting import eventually
from tests.webhooks.conftest import subscribe, wait_for_deliveries
from tests.webhooks.receiver import Receiver
from tests.webhooks.test_sender import application, no_documents, send_all

__all__ = ["application"]

OLD: Final = RECENT + timedelta(seconds=1)
WAITING: Final = UNPROVEN + 2


def endpoint() -> DueEndpoint:
    return DueEndpoint(new_id(), new_id(), system_clock())


@pytest.fixture(autouse=True)
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second claim of a backlog, and its second delivery, follow after the end of a test."""
    monkeypatch.setattr(pace, "CLAIM_INTERVAL", 60.0)
    monkeypatch.setattr(pace, "RATE", 1 / 60)


def test_each_endpoint_is_chosen_before_one_is_chosen_again() -> None:
    rotation, due = Rotation(), [endpoint() for _ in range(2 * CLAIM + 1)]
    first, second, third = (rotation.next(due) for _ in range(3))
    assert [first, second, third] == [due[:CLAIM], due[CLAIM : 2 * CLAIM], [due[-1], *due[: CLAIM - 1]]]


def test_a_new_endpoint_precedes_endpoints_that_were_chosen() -> None:
    rotation, due, new = Rotation(), [endpoint() for _ in range(CLAIM)], endpoint()
    rotation.next(due)
    assert rotation.next([*due, new])[0] == new


async def test_a_recent_event_precedes_the_backlog_of_its_endpoint(
    application: Application, client: Client, receiver: Receiver
) -> None:
    subscribed = await subscribe(client, receiver.url(), "connection.created")
    for number in range(WAITING):
        await client.connect(f"user_{number}")
    application.clock.ahead = OLD
    await client.connect("recent")
    sending = Sender(application.installation, no_documents, time.perf_counter)
    assert await sending.send_due(application.installation) > 1
    await eventually(lambda: len(receiver.messages) == 2)
    assert receiver.messages[0].body["data"]["end_user_id"] == "recent"
    assert await sending.send_due(application.installation) == 0
    await sending.stop()
    # The first sender rerotation its claims, so another sender can send all others at once.
    quiet = Sender(application.installation, no_documents, lambda: float("-inf"))
    await send_all(quiet, application, WAITING - 1)
    await wait_for_deliveries(client, subscribed, status="delivered", failed_attempts=0)
    await quiet.stop()
    assert len({message.id for message in receiver.messages}) == len(receiver.messages) == 1 + WAITING


async def test_the_endpoints_of_a_backlog_share_a_claim(
    application: Application, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "CLAIM_INTERVAL", 0.0)
    endpoints = [await subscribe(client, receiver.url(path), "connection.created") for path in ("/one", "/two")]
    sending = Sender(application.installation, no_documents, time.perf_counter)
    await client.connect()
    await send_all(sending, application, len(endpoints))
    for subscribed in endpoints:
        await wait_for_deliveries(client, subscribed, status="delivered")
    for number in range(CLAIM):
        await client.connect(f"user_{number}")
    application.clock.ahead = OLD
    assert await sending.send_due(application.installation) == CLAIM // 2 * 2
    await sending.stop()
