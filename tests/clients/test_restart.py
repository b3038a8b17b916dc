"""A server is killed while it creates something: the retries of the clients complete the calls on the next server."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from one_runtime.db.database_url import create_database
from one_runtime.db.schema import idempotency_keys
from one_runtime.demo.acme import GLOBEX
from one_runtime_client import AsyncOneRuntime, Connection, OneRuntime
from tests.application import ACME_KEYS, RunningAcme
from tests.promises.serving import Serving, make_key, serving, start
from tests.waiting import eventually

pytestmark = pytest.mark.slow

NEW_CONNECTION: dict[str, Any] = {
    "integration_slug": "acme",
    "auth_type": "api_key",
    "credentials": {"api_key": ACME_KEYS[GLOBEX]},
}


async def both_are_running(database_url: str) -> bool:
    """Return True if the server has reserved the keys of two requests."""
    database = create_database(database_url, pool_size=1)
    await database.open()
    try:
        async with database.read() as tx:
            return len(await tx.all(select(idempotency_keys.c.id))) == 2
    finally:
        await database.close()


async def test_calls_of_a_killed_server_create_each_connection_once_on_the_next_server(
    database_url: str, acme: RunningAcme, tmp_path: Path
) -> None:
    settings = {"ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{acme.port}"}
    what = Serving(database_url, ("tests.promises.served_with_acme", acme.url), settings=settings)
    served = await start(what, tmp_path)
    key = await make_key(database_url)
    with OneRuntime(served.url, key) as blocking:
        async with AsyncOneRuntime(served.url, key) as awaiting:
            acme.acme.faults.api_delay = 10
            calls: list[asyncio.Task[Connection]] = [
                asyncio.create_task(asyncio.to_thread(blocking.connections.create, end_user_id="a", **NEW_CONNECTION)),
                asyncio.create_task(awaiting.connections.create(end_user_id="b", **NEW_CONNECTION)),
            ]
            are_running: bool = await eventually(partial(both_are_running, database_url))
            assert are_running
            served.process.kill()
            await asyncio.to_thread(served.process.wait)
            acme.acme.faults.api_delay = 0
            keys = {"ONE_RUNTIME_ENCRYPTION_KEYS": served.environment["ONE_RUNTIME_ENCRYPTION_KEYS"]}
            async with serving(replace(what, settings={**settings, **keys}, port=served.port), tmp_path):
                created = await asyncio.gather(*calls)
                stored = [connection async for connection in awaiting.connections.list()]
    assert sorted(connection.end_user_id for connection in created) == ["a", "b"]
    assert {connection.id for connection in stored} == {connection.id for connection in created}
