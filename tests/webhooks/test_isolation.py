"""Endpoints that hang, drip or are slow delay no other endpoint."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from starlette.responses import Response

from one_runtime.clock import system_clock
from one_runtime.settings import Settings
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.webhooks import endpoints, secrets
from one_runtime.webhooks.endpoints import MAX_ENDPOINTS
from one_runtime.webhooks.sender import UNPROVEN
from tests.application import Application, Client, RunningAcme, settings_for
from tests.figures import Figures
from tests.waiting import eventually
from tests.webhooks.conftest import subscribe
from tests.webhooks.receiver import Message, Receiver, after, dripping, never
from tests.webhooks.test_crashes import Story, running_story

pytestmark = pytest.mark.slow

EVENTS: Final = 40
MANY_EVENTS: Final = 2000
PAUSE: Final = 0.01  # seconds between two events of the long run


@pytest_asyncio.fixture
async def dripping_port() -> AsyncIterator[int]:
    async with dripping() as port:
        yield port


@pytest.fixture
def settings(database_url: str, acme: RunningAcme, receiver: Receiver, dripping_port: int) -> Settings:
    allowed = frozenset({("127.0.0.1", port) for port in (acme.port, receiver.port, dripping_port)})
    return settings_for(database_url, acme, egress_allow=allowed)


def bad_urls(receiver: Receiver, dripping_port: int) -> list[str]:
    """Return the URLs of endpoints that never answer, that drip, and that answer after 14 seconds."""
    receiver.answers |= {"/hangs": never, "/slow": after(14)}
    return [receiver.url("/hangs"), receiver.url("/slow"), f"http://127.0.0.1:{dripping_port}/"]


async def test_all_messages_arrive_beside_endpoints_that_hang_drip_or_are_slow(
    application: Application, client: Client, receiver: Receiver, dripping_port: int
) -> None:
    for url in (*bad_urls(receiver, dripping_port), receiver.url("/works")):
        await subscribe(client, url, "connection.created")
    for number in range(EVENTS):
        await client.connect(f"user_{number}")
    await eventually(lambda: len(receiver.at("/works")) == EVENTS, seconds=10)
    assert len(receiver.at("/hangs")) == 4  # an endpoint must answer before it receives more requests at the same time


async def test_many_hanging_endpoints_do_not_delay_another(
    application: Application, client: Client, receiver: Receiver
) -> None:
    receiver.answers |= {f"/hangs/{number}": never for number in range(50)}
    for path in (*receiver.answers, "/works"):
        await subscribe(client, receiver.url(path), "connection.created")
    for number in range(EVENTS):
        await client.connect(f"user_{number}")
    await eventually(lambda: len(receiver.at("/works")) == EVENTS, seconds=10)


@pytest.mark.soak_on("sqlite")
async def test_hanging_endpoints_of_other_organizations_do_not_delay_an_endpoint(
    application: Application, client: Client, receiver: Receiver
) -> None:
    """Without a limit for each organization, 300 hanging endpoints occupy all places until the time-out of 15 s."""
    receiver.answers["/hangs"] = never
    installation = application.installation
    for _ in range(3):
        actor, now = Actor(await application.organization(), "system"), application.clock()
        async with installation.database.write() as tx:
            for _ in range(MAX_ENDPOINTS):
                url = receiver.url("/hangs")
                endpoint = endpoints.new(actor.organization_id, url=url, description="", include=[], now=now)
                await endpoints.create(tx, actor, endpoint, ["end_user.updated"])
                await secrets.create(tx, installation.vault, endpoint, now)
            for number in range(UNPROVEN):
                await events.record(tx, actor, EventType.END_USER_UPDATED, now, Subject(f"user_{number}"))
    await eventually(lambda: len(receiver.at("/hangs")) >= 800)
    await subscribe(client, receiver.url("/works"), "connection.created")
    await client.connect()
    await receiver.wait_for("connection.created", "/works")
    assert len(receiver.at("/hangs")) < 1000, "no request of a hanging endpoint has ended"


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[int((len(values) - 1) * part)]


async def measure(story: Story, delays: list[float]) -> str:
    """Write events at a steady rate, and return the times from the event to the receipt."""
    delays.clear()
    for number in range(MANY_EVENTS):
        answer = await story.http.patch(story.url("/v1/end-users/user_1"), json={"metadata": {"n": str(number)}})
        assert answer.status_code == 200, answer.text
        await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=PAUSE)
    await eventually(lambda: len(delays) >= MANY_EVENTS)
    return f"p50 {1000 * percentile(delays, 0.5):.0f} ms, p99 {1000 * percentile(delays, 0.99):.0f} ms"


@pytest.mark.soak
@pytest.mark.alone
@pytest.mark.timeout(600)
async def test_bad_endpoints_hardly_change_the_time_from_commit_to_receipt(
    database_url: str, tmp_path: Path, dripping_port: int, figures: Figures
) -> None:
    delays: list[float] = []

    def accept(message: Message) -> Response:
        written = datetime.fromisoformat(message.body["timestamp"])
        delays.append((system_clock() - written).total_seconds())
        return Response(status_code=204)

    async with running_story(database_url, tmp_path, 1, dripping_port) as story:
        story.receiver.answers["/works"] = accept
        await story.create_endpoint(url=story.receiver.url("/works"))
        await measure(story, delays)
        alone = await measure(story, delays)
        for url in bad_urls(story.receiver, dripping_port):
            await story.create_endpoint(url=url)
        figures(f"{MANY_EVENTS:,} events alone: {alone}; beside bad endpoints: {await measure(story, delays)}")
