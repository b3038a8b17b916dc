"""The answer of a call that changed data needs no read after the commit, so a full pool cannot cause a second call."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from one_runtime.db.engine import Busy, Database, Transaction
from tests.application import Application, Client
from tests.connecting.acme import AcmeAuthorizing
from tests.redirects import RETURN_URL, connect_and_return, redeem, register

PATH: Final = "/v1/connections"


class BusyAfterCommit(Database):
    """A database without a free connection for reads as soon as a transaction has changed data."""

    def __init__(self, real: Database) -> None:
        self.real, self.has_committed = real, False

    async def open(self) -> None:
        await self.real.open()

    async def close(self) -> None:
        await self.real.close()

    async def location(self, *, create: bool = False) -> str:
        return await self.real.location(create=create)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        if self.has_committed:
            raise Busy("No connection came free.")
        async with self.real.read() as tx:
            yield tx

    def snapshot(self) -> AbstractAsyncContextManager[Transaction]:
        return self.real.snapshot()

    @asynccontextmanager
    async def write(self, *, use_reserve: bool = False) -> AsyncIterator[Transaction]:
        async with self.real.write(use_reserve=use_reserve) as tx:
            yield tx
        self.has_committed |= tx.has_changed


def fill_the_pool(application: Application) -> BusyAfterCommit:
    """Let the reads of the application fail after the next commit."""
    installation = application.app.services.installation
    database = BusyAfterCommit(installation.database)
    application.replace_services(installation=replace(installation, database=database))
    return database


@pytest.mark.parametrize("step", ["rename", "check", "refresh"])
async def test_change_of_a_connection_needs_no_read_after_the_commit(runtime: AcmeAuthorizing, step: str) -> None:
    connection = await runtime.connect()
    runtime.application.clock.advance(hours=2)  # so the check refreshes the tokens, and stores the new tokens
    database = fill_the_pool(runtime.application)
    if step == "rename":
        answer = await runtime.client.send("PATCH", f"{PATH}/{connection['id']}", {"name": "New"})
    else:
        answer = await runtime.client.post(f"{PATH}/{connection['id']}/{step}")
    assert database.has_committed
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body.get("connection", body)["base_url"] == connection["base_url"] == runtime.acme.url


async def test_import_of_a_connection_needs_no_read_after_the_commit(application: Application, client: Client) -> None:
    database = fill_the_pool(application)
    connection = await client.connect()
    assert database.has_committed
    assert connection["base_url"] == application.acme.url


async def test_redemption_needs_no_read_after_the_commit(application: Application, client: Client) -> None:
    await register(client, RETURN_URL)
    redirect = await connect_and_return(application, client)
    database = fill_the_pool(application)
    answer = await redeem(client, redirect)
    assert database.has_committed
    assert answer.status_code == 200, answer.text
    assert answer.json()["connection"]["base_url"] == application.acme.url
