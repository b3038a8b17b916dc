"""The sender after errors, and at its end."""

import time
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from one_runtime.errors import Unavailable
from one_runtime.settings import Settings
from one_runtime.tenancy.event_deliveries import FIRST, TROUBLED
from one_runtime.webhooks import places
from one_runtime.webhooks.sender import Sender
from tests.application import Application, Client, RunningAcme, started
from tests.webhooks.conftest import subscribe
from tests.webhooks.receiver import Receiver


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme) -> AsyncIterator[Application]:
    """An application without a worker. The tests themselves run a sender."""
    async with started(settings, acme, worker=False) as application:
        yield application


async def test_a_database_that_fails_after_a_claim_uses_up_no_capacity(
    application: Application, client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "PLACES", {FIRST: 1, TROUBLED: 1})
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
            await sending.send_due(application.installation)
        application.clock.advance(seconds=61)  # the lease ends
    fails = False
    assert await sending.send_due(application.installation) == 1
    await receiver.wait_for("connection.created")
    await sending.stop()
