"""One Runtime deletes deliveries and attempts with their events, and with their endpoint."""

from sqlalchemy import func, select

from one_runtime.db.schema import (
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
    webhook_secrets,
    webhook_subscriptions,
)
from one_runtime.webhooks import upkeep
from tests.application import Application, Client
from tests.purging import purge
from tests.webhooks.conftest import subscribe, wait_for_deliveries
from tests.webhooks.receiver import Receiver, with_status

TABLES = (webhook_endpoints, webhook_subscriptions, webhook_secrets, webhook_deliveries, webhook_attempts)


async def counts(application: Application, endpoint_id: str) -> list[int]:
    """Return the numbers of rows of an endpoint, by `TABLES`."""
    numbers = []
    async with application.installation.database.read() as tx:
        for table in TABLES:
            column = table.c.id if table is webhook_endpoints else table.c.endpoint_id
            row = await tx.one(select(func.count().label("rows")).select_from(table).where(column == endpoint_id))
            assert row is not None
            numbers.append(row.rows)
    return numbers


async def test_old_events_are_deleted_with_their_deliveries_and_attempts(
    application: Application, client: Client, receiver: Receiver
) -> None:
    receiver.answers["/fails"] = with_status(500, Retry_After="3600")
    working = await subscribe(client, receiver.url("/works"), "connection.created")
    failing = await subscribe(client, receiver.url("/fails"), "connection.created")
    await client.connect("user_1")
    await wait_for_deliveries(client, working, status="delivered")
    await wait_for_deliveries(client, failing, failed_attempts=1)
    application.clock.advance(days=91)
    await purge(application.installation)
    for endpoint in (working, failing):
        assert await counts(application, endpoint["id"]) == [1, 1, 1, 0, 0]


async def test_a_deleted_endpoint_loses_all_rows_within_an_hour_and_a_minute(
    application: Application, client: Client, receiver: Receiver
) -> None:
    receiver.answers["/fails"] = with_status(500, Retry_After="3600")
    kept = await subscribe(client, receiver.url("/works"), "connection.created")
    deleted = await subscribe(client, receiver.url("/fails"), "connection.created")
    await client.connect()
    await wait_for_deliveries(client, kept, status="delivered")
    await wait_for_deliveries(client, deleted, failed_attempts=1)
    assert (await client.send("DELETE", f"/v1/webhook-endpoints/{deleted['id']}")).status_code == 200
    assert await counts(application, deleted["id"]) == [1, 0, 0, 1, 1]
    application.clock.advance(minutes=61)
    await upkeep.run(application.installation)
    assert await counts(application, deleted["id"]) == [0, 0, 0, 0, 0]
    assert await counts(application, kept["id"]) == [1, 1, 1, 1, 1]
