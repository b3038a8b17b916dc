"""Background work: what has been kept long enough is deleted, and nothing else."""

import asyncio
from contextlib import suppress

from one_runtime import worker
from tests.application import Application, Client
from tests.promises.stores import query
from tests.waiting import eventually


def count(application: Application, table: str) -> int:
    (row,) = query(application.installation, f"SELECT count(*) FROM {table}")
    return int(row[0])


async def test_events_are_deleted_once_they_are_older_than_the_setting_says(
    application: Application, client: Client
) -> None:
    await client.connect()
    kept = count(application, "events")
    application.clock.advance(days=application.installation.settings.event_retention_days - 1)
    assert await worker.purge(application.installation) == 0
    await client.session()
    application.clock.advance(days=2)
    assert await worker.purge(application.installation) == kept
    listed = (await client.get("/v1/events")).json()["events"]
    assert [one["type"] for one in listed] == ["hosted_connection_session.created"]


async def test_sessions_are_deleted_30_days_after_they_ended(application: Application, client: Client) -> None:
    old = await client.session(expires_in=60)
    application.clock.advance(days=29)
    fresh = await client.session(expires_in=60)
    assert await worker.purge(application.installation) == 0
    application.clock.advance(days=1, seconds=61)
    assert await worker.purge(application.installation) == 1
    assert (await client.get(f"/v1/hosted-connection-sessions/{old['id']}")).status_code == 404
    assert (await client.get(f"/v1/hosted-connection-sessions/{fresh['id']}")).json()["status"] == "expired"


async def test_connections_are_never_deleted_by_age(application: Application, client: Client) -> None:
    connection = await client.connect()
    application.clock.advance(days=4000)
    await worker.purge(application.installation)
    assert (await client.get(f"/v1/connections/{connection['id']}")).json() == connection
    assert (await client.post(f"/v1/connections/{connection['id']}/check")).json()["working"] is True


async def test_several_processes_may_purge_at_once(application: Application, client: Client) -> None:
    await client.session()
    rows = count(application, "events") + count(application, "hosted_connection_sessions")
    application.clock.advance(days=1000)
    assert sum(await asyncio.gather(*(worker.purge(application.installation) for _ in range(5)))) == rows


async def test_the_loop_purges_when_it_starts(application: Application, client: Client) -> None:
    await client.session()
    application.clock.advance(days=1000)
    loop = asyncio.create_task(worker.run(application.installation))
    await eventually(lambda: count(application, "events") == 0)
    assert not loop.done()
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop
