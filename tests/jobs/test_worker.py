"""Background work: what has been kept long enough is deleted, and nothing else."""

import asyncio
from contextlib import suppress

import pytest

from one_runtime.context import Installation
from one_runtime.demo.acme import GLOBEX
from one_runtime.jobs import worker
from one_runtime.serving.periodic_tasks import PERIODIC_TASKS
from tests.application import ACME_KEYS, Application, Client
from tests.promises.stores import query
from tests.purging import purge
from tests.waiting import eventually

pytestmark = pytest.mark.worker


def count(application: Application, table: str) -> int:
    (row,) = query(application.installation, f"SELECT count(*) FROM {table}")
    return int(row[0])


async def test_events_are_deleted_once_they_are_older_than_the_setting_says(
    application: Application, client: Client
) -> None:
    await client.connect()
    kept = count(application, "events")
    application.clock.advance(days=application.installation.settings.event_retention_days, minutes=-5)
    assert await purge(application.installation) == 0
    application.clock.advance(minutes=6)
    assert await purge(application.installation) == kept
    assert (await client.get("/v1/events")).json()["events"] == []


async def test_sessions_are_deleted_after_30_days_whatever_became_of_them(
    application: Application, client: Client
) -> None:
    sessions = [await client.session() for _ in range(3)]
    assert (await client.type_key(sessions[0]["session_token"], ACME_KEYS[GLOBEX])).status_code == 200
    assert (await client.popup("/cancel", sessions[1]["session_token"])).status_code == 204
    assert (await client.popup("", sessions[2]["session_token"])).status_code == 200  # opened, and then left
    paths = [f"/v1/hosted-connection-sessions/{session['id']}" for session in sessions]
    application.clock.advance(days=30, minutes=-5)
    assert await purge(application.installation) == 0
    known = [(await client.get(path)).json()["status"] for path in paths]
    assert known == ["connected", "cancelled", "expired"]
    application.clock.advance(minutes=6)
    assert await purge(application.installation) == 3
    assert [(await client.get(path)).status_code for path in paths] == [404] * 3
    assert (await client.integrations())["acme"]["status"] == "connected"


async def test_every_organizations_rows_are_deleted(application: Application, client: Client) -> None:
    other = application.client(await application.key(await application.organization("Southwind")))
    await client.session()
    await other.session()
    application.clock.advance(days=1000)
    await purge(application.installation)
    assert [count(application, table) for table in ("events", "hosted_connection_sessions")] == [0, 0]


async def test_connections_are_never_deleted_by_age(application: Application, client: Client) -> None:
    connection = await client.connect()
    application.clock.advance(days=4000)
    await purge(application.installation)
    assert (await client.get(f"/v1/connections/{connection['id']}")).json() == connection
    assert (await client.post(f"/v1/connections/{connection['id']}/check")).json()["working"] is True


async def test_several_processes_may_purge_at_once(application: Application, client: Client) -> None:
    await client.session()
    rows = count(application, "events") + count(application, "hosted_connection_sessions")
    application.clock.advance(days=1000)
    assert sum(await asyncio.gather(*(purge(application.installation) for _ in range(5)))) == rows


async def test_the_loop_purges_when_it_starts(application: Application, client: Client) -> None:
    await client.session()
    application.clock.advance(days=1000)
    loop = asyncio.create_task(worker.run(application.installation, PERIODIC_TASKS))
    await eventually(lambda: count(application, "events") == 0)
    assert not loop.done()
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop


async def test_a_worker_ends_also_where_a_turn_swallows_its_cancellation(application: Application) -> None:
    begun = asyncio.Event()

    async def work(_: Installation) -> int:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return 0

    running = asyncio.create_task(
        worker.run(application.installation, (worker.PeriodicTask("stubborn", 3600.0, work),))
    )
    await begun.wait()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=10)
    assert done
