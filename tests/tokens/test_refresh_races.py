"""P8: granted tokens are stored or revoked, whatever else happens to the connection during the renewal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import update

from one_runtime.clock import system_clock
from one_runtime.connections import connections, credentials
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.db import schema
from one_runtime.db.engine import Busy, Database, Transaction
from one_runtime.errors import NotFound, Unavailable
from one_runtime.lifecycle import disconnect
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.refresh import fresh_credentials
from one_runtime.tokens.state import UsableCredential
from tests import sealed_rows
from tests.application import RunningAcme, started
from tests.tokens.rotating import (
    RotatingApplication,
    RotatingProvider,
    Seeded,
    arrive,
    connect,
    generation_of,
    read_stored,
    settings_with,
    token_of,
)
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")


async def start_renewal(app: RotatingApplication, seeded: Seeded) -> "asyncio.Task[UsableCredential]":
    """Start a renewal whose tokens have rotated and whose response the provider holds back."""
    app.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    return flight


async def test_new_tokens_are_stored_when_name_and_metadata_changed_during_the_renewal(
    app: RotatingApplication,
) -> None:
    seeded = await app.connect(hold="after")
    flight = await start_renewal(app, seeded)
    change = {"name": "Renamed", "metadata": {"team": "growth"}}
    changed = await app.client.send("PATCH", f"/v1/connections/{seeded.key.connection_id}", change)
    assert changed.status_code == 200, changed.text
    app.provider.behave(seeded.family, hold=None)
    assert app.provider.accepts(token_of(await flight))
    shown, stored = await read_stored(app.installation, seeded.key)
    assert generation_of(stored.secrets["refresh_token"]) == 1
    assert (shown.name, shown.metadata) == ("Renamed", {"team": "growth"})


async def test_new_tokens_are_stored_when_the_access_token_changed_during_the_renewal(app: RotatingApplication) -> None:
    """The row has the same refresh token with another access token, as after an authorization at some providers."""
    seeded = await app.connect(hold="after")
    flight = await start_renewal(app, seeded)
    _, before = await read_stored(app.installation, seeded.key)
    async with app.installation.database.write() as tx:
        secrets = {**before.secrets, "access_token": "at.of.another.consent"}
        await credentials.store(tx, app.installation.vault, seeded.key, secrets, before.token_metadata)
    app.provider.behave(seeded.family, hold=None)
    assert app.provider.accepts(token_of(await flight))
    _, stored = await read_stored(app.installation, seeded.key)
    assert generation_of(stored.secrets["refresh_token"]) == 1


async def test_a_connection_deleted_during_the_renewal_stays_deleted_and_its_new_tokens_are_revoked(
    app: RotatingApplication,
) -> None:
    seeded = await app.connect(hold="after")
    flight = await start_renewal(app, seeded)
    actor = Actor(app.organization_id, "system")
    await disconnect.delete_connection(app.installation, actor, seeded.key.connection_id)
    app.provider.behave(seeded.family, hold=None)
    with pytest.raises(NotFound):
        await flight
    assert app.provider.look(seeded.family)["alive"] is True  # the stored token was invalid by then
    app.application.clock.advance(minutes=3)
    assert await app.revoke_due() == 1
    assert app.provider.look(seeded.family)["alive"] is False


@pytest.mark.slow
async def test_shutdown_waits_until_granted_tokens_are_stored(
    database_url: str, acme: RunningAcme, provider: RotatingProvider
) -> None:
    settings = settings_with(database_url, acme, provider)
    async with started(settings, acme, provider.catalog) as application:
        app = await arrive(application, provider)
        seeded = await app.connect(hold="after")
        app.application.clock.advance(hours=2)
        # The worker of this application renews it, and is stopped in the middle of the renewal.
        await eventually(lambda: provider.look(seeded.family)["waiting"] == 1)
        soon = asyncio.get_running_loop().run_in_executor(None, release_later, provider, seeded.family)
    await soon
    async with started(settings, acme, provider.catalog) as application:
        _, stored = await read_stored(application.installation, seeded.key)
        assert generation_of(stored.secrets["refresh_token"]) == 1
        assert stored.lease is None


def release_later(provider: RotatingProvider, family: str) -> None:
    """Release the held request once the shutdown has begun."""
    for _ in range(20):
        provider.look(family)
    provider.behave(family, hold=None)


class FailingDatabase(Database):
    """A database whose next transactions fail: `busy` of them before they start, `uncertain` of them at the commit."""

    def __init__(self, real: Database) -> None:
        self.real, self.busy, self.uncertain, self.refused = real, 0, 0, 0

    async def open(self) -> None:
        await self.real.open()

    async def close(self) -> None:
        await self.real.close()

    async def location(self, *, create: bool = False) -> str:
        return await self.real.location(create=create)

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        return self.real.read()

    def snapshot(self) -> AbstractAsyncContextManager[Transaction]:
        return self.real.snapshot()

    @asynccontextmanager
    async def write(self, *, use_reserve: bool = False) -> AsyncIterator[Transaction]:
        if self.busy:
            self.busy -= 1
            self.refused += 1
            raise Busy("No connection came free.")
        async with self.real.write(use_reserve=use_reserve) as tx:
            yield tx
        if self.uncertain:
            self.uncertain -= 1
            raise Busy("The connection broke while it was committed.")


@pytest.mark.parametrize("fault", ["busy", "uncertain"])
async def test_new_tokens_are_stored_after_a_database_failure(app: RotatingApplication, fault: str) -> None:
    seeded = await app.connect(hold="after")
    app.application.clock.advance(hours=2)
    database = FailingDatabase(app.installation.database)
    flight = asyncio.create_task(fresh_credentials(replace(app.installation, database=database), seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    setattr(database, fault, 3 if fault == "busy" else 1)
    app.provider.behave(seeded.family, hold=None)
    usable = await flight
    assert app.provider.accepts(token_of(usable))
    _, stored = await read_stored(app.installation, seeded.key)
    assert stored.secrets["access_token"] == token_of(usable)
    assert app.provider.answers(seeded.family) == ["granted"]
    app.application.clock.advance(minutes=3)
    assert await app.revoke_due() == 0
    assert app.provider.look(seeded.family)["alive"] is True


@pytest.mark.slow
async def test_new_tokens_are_stored_after_a_failure_that_outlasts_the_lease(app: RotatingApplication) -> None:
    seeded = await app.connect(hold="after")
    app.application.clock.advance(hours=2)
    database = FailingDatabase(app.installation.database)
    timing = replace(app.installation.timing, lease=timedelta(seconds=0.2), patience=0.0)
    installation = replace(app.installation, database=database, timing=timing)
    flight = asyncio.create_task(fresh_credentials(installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    database.busy = 1_000_000
    app.provider.behave(seeded.family, hold=None)
    with pytest.raises(Unavailable):  # after the lease
        await flight
    refused = database.refused
    await eventually(lambda: database.refused >= refused + 2)
    database.busy = 0
    await installation.flights.land()
    _, stored = await read_stored(app.installation, seeded.key)
    assert app.provider.accepts(stored.secrets["access_token"])
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_a_renewal_that_was_paused_past_its_deadline_sends_no_request(app: RotatingApplication) -> None:
    """Another process may hold the lease by now and may have presented the same token."""
    seeded = await app.connect(life=3600.0)
    app.application.clock.advance(seconds=3500)
    paused = replace(app.installation, timing=replace(app.installation.timing, request=-1.0))
    assert generation_of(token_of(await fresh_credentials(paused, seeded.key))) == 0
    assert app.provider.log(seeded.family) == []


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_process_whose_clock_is_wrong_does_not_renew_under_the_lease_of_another(
    app: RotatingApplication, database_url: str, minutes: int
) -> None:
    seeded = await app.connect(hold="after")
    flight = await start_renewal(app, seeded)
    jump, timing = timedelta(minutes=minutes), replace(app.another_process.timing, patience=0.0)
    async with sealed_rows.opened(database_url, machine_clock=lambda: system_clock() + jump) as other_machine:
        clock = app.application.clock
        another = replace(app.another_process, database=other_machine, clock=lambda: clock() + jump, timing=timing)
        with pytest.raises(ProviderUnavailable):
            await fresh_credentials(another, seeded.key)
    app.provider.behave(seeded.family, hold=None)
    assert app.provider.accepts(token_of(await flight))
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_an_account_stored_during_the_renewal_is_kept(app: RotatingApplication) -> None:
    seeded = await app.connect(hold="after", account="alice")
    flight = await start_renewal(app, seeded)
    async with app.installation.database.write() as tx:
        await tx.execute(update(schema.connections).values(account_label="Alice of Globex"))
    app.provider.behave(seeded.family, hold=None)
    assert (await flight).connection.account_label == "Alice of Globex"


@pytest.mark.only_database("postgresql")
async def test_reconnecting_and_renewing_at_once_lock_in_the_same_order(
    app: RotatingApplication, database_url: str
) -> None:
    seeded, tokens = await app.connect(account="alice"), app.provider.make()[0]
    installation = app.installation
    with psycopg.connect(database_url, autocommit=True) as observer:
        async with installation.database.write() as tx:  # as a renewal: first the credentials, then the connection
            connection, stored = await connections.get_with_credential(tx, installation.vault, seeded.key, lock=True)
            authorization = asyncio.create_task(
                connect(installation, app.organization_id, seeded.end_user_id, tokens, "alice")
            )
            await eventually(lambda: observer.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall())
            metadata = stored.token_metadata
            await connections.replace_tokens(tx, installation.vault, connection, stored.secrets, metadata)
        await authorization
    _, stored = await read_stored(installation, seeded.key)
    assert stored.secrets["refresh_token"] == tokens["refresh_token"]
