"""The sender during errors of the database, and at its end."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Final

import pytest
import pytest_asyncio
from starlette.responses import Response

from one_runtime.errors import Unavailable
from one_runtime.settings import Settings
from one_runtime.tenancy.event_deliveries import FIRST, TROUBLED
from one_runtime.webhooks import pace, sender
from one_runtime.webhooks.sender import CONCURRENT, Sender
from tests.application import Application, Client, RunningAcme, started
from tests.waiting import async_attempts, eventually
from tests.webhooks.conftest import deliveries, subscribe, wait_for_deliveries
from tests.webhooks.receiver import Message, Receiver, never

AT_ONCE: Final = CONCURRENT[FIRST]
EVENTS: Final = AT_ONCE + 4


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme) -> AsyncIterator[Application]:
    """An application without a worker. The tests themselves run senders."""
    async with started(settings, acme, worker=False) as application:
        yield application


async def no_documents(*_: object) -> Mapping[str, Mapping[str, object]]:
    return {}


async def send_all(sending: Sender, application: Application, count: int) -> None:
    """Call the sender until it has claimed a number of deliveries."""
    claimed = 0
    async for _ in async_attempts():
        claimed += await sending.send_due(application.installation)
        if claimed >= count:
            return


async def test_a_database_that_fails_after_a_claim_uses_up_no_capacity(
    application: Application, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PLACES", {FIRST: 1, TROUBLED: 1})
    await subscribe(client, receiver.url(), "connection.created", include=["connection"])
    await client.connect()
    fails = True

    async def documents(*_: object) -> Mapping[str, Mapping[str, object]]:
        if fails:
            raise Unavailable("The database has stopped.")
        return {}

    sending = Sender(application.installation, documents, time.perf_counter)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await send_all(sending, application, 1)
    fails = False
    await send_all(sending, application, 1)
    await receiver.wait_for("connection.created")
    await sending.stop()


async def test_a_sender_waits_for_answers_before_it_stops(
    application: Application, client: Client, receiver: Receiver
) -> None:
    """The endpoint has answered a message, so the first sender claims more events than it sends at the same time."""
    answering = asyncio.Event()

    async def answer(_: Message) -> Response:
        await answering.wait()
        return Response(status_code=204)

    endpoint = await subscribe(client, receiver.url(), "connection.created")
    first, second = [Sender(application.installation, no_documents, time.perf_counter) for _ in range(2)]
    await client.connect()
    await send_all(first, application, 1)
    await wait_for_deliveries(client, endpoint, status="delivered")
    receiver.answers["/hook"] = answer
    for number in range(EVENTS):
        await client.connect(f"user_{number}")
    await send_all(first, application, EVENTS)
    await eventually(lambda: len(receiver.messages) == 1 + AT_ONCE)
    stopping = asyncio.create_task(first.stop())
    await asyncio.sleep(0)
    answering.set()
    await stopping
    listed = await deliveries(client, endpoint)
    assert Counter(each["status"] for each in listed) == {"delivered": 1 + AT_ONCE, "pending": EVENTS - AT_ONCE}
    await send_all(second, application, EVENTS - AT_ONCE)
    await eventually(lambda: len(receiver.messages) == 1 + EVENTS)
    await second.stop()
    assert len({message.id for message in receiver.messages}) == 1 + EVENTS
    assert {each["status"] for each in await deliveries(client, endpoint)} == {"delivered"}


async def test_a_sender_that_stops_returns_unanswered_webhooks_to_the_queue(
    application: Application, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_STOP", 0.2)
    receiver.answers["/hook"] = never
    endpoint = await subscribe(client, receiver.url(), "connection.created")
    await client.connect()
    first, second = [Sender(application.installation, no_documents, time.perf_counter) for _ in range(2)]
    await send_all(first, application, 1)
    await receiver.wait_for("connection.created")
    async with asyncio.timeout(5):
        await first.stop()
    del receiver.answers["/hook"]
    await send_all(second, application, 1)  # at once, and not after the lease
    await receiver.wait_for("connection.created", count=2)
    await second.stop()
    assert len({message.id for message in receiver.messages}) == 1
    (delivery,) = await deliveries(client, endpoint)
    assert (delivery["status"], delivery["failed_attempts"]) == ("delivered", 0)


async def test_a_cancelled_claim_returns_to_the_queue(
    application: Application, client: Client, receiver: Receiver
) -> None:
    await subscribe(client, receiver.url(), "connection.created", include=["connection"])
    await client.connect()
    reading = asyncio.Event()

    async def documents(*_: object) -> Mapping[str, Mapping[str, object]]:
        reading.set()
        await asyncio.Event().wait()
        return {}

    first, second = (
        Sender(application.installation, documents, time.perf_counter),
        Sender(application.installation, no_documents, time.perf_counter),
    )
    claiming = asyncio.create_task(first.send_due(application.installation))
    await reading.wait()
    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    await first.stop()
    await send_all(second, application, 1)
    await receiver.wait_for("connection.created")
    await second.stop()
