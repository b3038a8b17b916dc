"""An event that is committed after the creation of an endpoint is queued for the endpoint, whatever runs at that time.

An event of an organization without endpoints does not search for endpoints, so the two transactions must not miss each
other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import psycopg
import pytest
from sqlalchemy import select

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import webhook_deliveries
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.webhooks import endpoints
from tests.application import Application
from tests.waiting import eventually

pytestmark = pytest.mark.only_database("postgresql")  # SQLite has only one writing transaction at a time

Step: TypeAlias = Callable[[Transaction, Application, str], Awaitable[None]]

WAITING: Final = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def record_event(tx: Transaction, application: Application, organization: str) -> None:
    await events.record(
        tx, Actor(organization, "system"), EventType.END_USER_UPDATED, application.clock(), Subject("user_1")
    )


async def create_endpoint(tx: Transaction, application: Application, organization: str) -> None:
    endpoint = endpoints.new(organization, url=None, description="", include=[], now=application.clock())
    await endpoints.create(tx, Actor(organization, "system"), endpoint, ["end_user.updated"])


@pytest.mark.parametrize(
    "first, second, queued",
    [
        pytest.param(create_endpoint, record_event, 1, id="event-after-endpoint"),
        pytest.param(record_event, create_endpoint, 0, id="endpoint-after-event"),
    ],
)
async def test_event_and_creation_of_an_endpoint_wait_for_each_other(
    application: Application, database_url: str, first: Step, second: Step, queued: int
) -> None:
    organization, database = await application.organization(), application.installation.database

    async def run_second() -> None:
        async with database.write() as tx:
            await second(tx, application, organization)

    with psycopg.connect(database_url, autocommit=True) as observer:
        async with asyncio.TaskGroup() as group, database.write() as tx:
            await first(tx, application, organization)
            running = group.create_task(run_second())
            await eventually(lambda: observer.execute(WAITING).fetchall() or running.done())
            assert not running.done()
    async with database.read() as tx:
        assert len(await tx.all(select(webhook_deliveries.c.event_id))) == queued
