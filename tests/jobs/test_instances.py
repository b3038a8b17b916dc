"""The processes that serve: noted at their start, seen while they live, gone after they stop (P3)."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from one_runtime.clock import system_clock
from one_runtime.encryption.vault import Vault
from one_runtime.jobs import instances, worker
from one_runtime.jobs.instances import ServerInstance
from one_runtime.serving.periodic_tasks import heartbeat_task
from one_runtime.settings import Settings
from tests import sealed_rows
from tests.application import Application, RunningAcme, started
from tests.sealed_rows import FIRST, ID, SECOND, ring
from tests.waiting import eventually

pytestmark = [pytest.mark.promise("P3"), pytest.mark.worker]


async def live(application: Application) -> list[ServerInstance]:
    async with application.installation.database.read() as tx:
        return await instances.list_live(tx, application.clock)


async def test_a_server_is_noted_with_its_ring_at_its_start_and_is_gone_after_its_stop(
    settings: Settings, acme: RunningAcme, database_url: str
) -> None:
    async with started(settings, acme) as application:
        (mine,) = await live(application)
        assert tuple(mine.key_ids) == application.installation.vault.key_ids
    async with sealed_rows.opened(database_url) as database, database.read() as tx:
        assert await instances.list_live(tx, application.clock) == []


async def test_every_process_is_a_server_of_its_own(application: Application) -> None:
    for vault in (ring(FIRST), ring(FIRST, SECOND)):
        await beat(application, vault)
    assert sorted(len(server.key_ids) for server in await live(application)) == [1, 1, 2]


async def beat(application: Application, vault: Vault, server: ServerInstance | None = None) -> ServerInstance:
    noted = server or instances.this_process(vault.key_ids, application.clock())
    async with application.installation.database.write() as tx:
        await instances.heartbeat(tx, noted, application.clock)
    return noted


async def test_a_server_that_ends_without_a_word_counts_for_a_minute_and_is_forgotten_after_an_hour(
    application: Application,
) -> None:
    silent = await beat(application, ring(FIRST))
    application.clock.advance(seconds=instances.LIVE.total_seconds() - 1)
    assert silent.id in {server.id for server in await live(application)}
    application.clock.advance(seconds=2)
    other = await beat(application, ring(SECOND))
    assert [server.id for server in await live(application)] == [other.id]
    application.clock.advance(hours=1)
    await beat(application, ring(SECOND), other)
    database = application.installation.database
    async with database.read() as tx:
        known = await instances.list_live(tx, lambda: application.clock() - timedelta(hours=9))
    assert [server.id for server in known] == [other.id]


async def test_a_server_that_was_only_stopped_is_back_with_its_next_beat(application: Application) -> None:
    (mine,) = await live(application)

    async def is_gone() -> bool:
        """Let five hours pass. The server's first own beat can follow the first five hours."""
        application.clock.advance(hours=5)
        await beat(application, ring(SECOND))
        return mine.id not in {server.id for server in await live(application)}

    gone: bool = await eventually(is_gone)
    assert gone
    installation = application.installation
    loop = asyncio.create_task(worker.run(installation, (heartbeat_task(mine),)))
    found: bool = await eventually(lambda: _is_live(application, mine.id))
    assert found
    assert {key for server in await live(application) for key in server.key_ids} == {*mine.key_ids, ID[SECOND]}
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop


async def test_heartbeat_stores_the_keys_that_the_server_has_by_now(application: Application) -> None:
    installation = application.installation
    server = instances.this_process(installation.vault.key_ids, application.clock())
    send = heartbeat_task(server).work
    await send(installation)
    installation.vault.take_keys_of(ring(FIRST, SECOND))
    await send(installation)
    (stored,) = [row for row in await live(application) if row.id == server.id]
    assert list(stored.key_ids) == [ID[FIRST], ID[SECOND]]


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_server_with_a_wrong_clock_is_seen_by_the_others_and_sees_the_others(
    database_url: str, seconds: int
) -> None:
    def wrong_clock() -> datetime:
        return system_clock() + timedelta(seconds=seconds)

    right, wrong = (instances.this_process(ring(key).key_ids, system_clock()) for key in (FIRST, SECOND))
    async with (
        sealed_rows.opened(database_url) as database,
        sealed_rows.opened(database_url, machine_clock=wrong_clock) as other_machine,
    ):
        async with database.write() as tx:
            await instances.heartbeat(tx, right, system_clock)
        async with other_machine.write() as tx:
            await instances.heartbeat(tx, wrong, wrong_clock)
            seen = await instances.list_live(tx, wrong_clock)
        assert {server.id for server in seen} == {right.id, wrong.id}
        async with database.read() as tx:
            assert {server.id for server in await instances.list_live(tx, system_clock)} == {right.id, wrong.id}


async def _is_live(application: Application, identifier: str) -> bool:
    return identifier in {server.id for server in await live(application)}
