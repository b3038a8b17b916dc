"""P8: granted tokens are stored or revoked, whatever else happens to the connection during the renewal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import update

from one_runtime.connecting import disconnect
from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import RefreshedMetadata
from one_runtime.db import schema
from one_runtime.db.engine import Busy, Database, Transaction
from one_runtime.errors import NotFound
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.refresh import fresh_credentials
from one_runtime.tokens.state import UsableCredential
from tests.application import RunningAcme, started
from tests.tokens.rotating import (
    Rotating,
    Seeded,
    There,
    arrive,
    connect,
    generation_of,
    held,
    settings_with,
    token_of,
)
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")


async def under_way(there: There, seeded: Seeded) -> "asyncio.Task[UsableCredential]":
    """Start a renewal whose tokens have rotated and whose response the provider holds back."""
    there.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(there.installation, seeded.key))
    await eventually(lambda: there.provider.look(seeded.family)["waiting"] == 1)
    return flight


async def test_new_tokens_are_stored_when_name_and_metadata_changed_during_the_renewal(there: There) -> None:
    seeded = await there.connect(hold="after")
    flight = await under_way(there, seeded)
    change = {"name": "Renamed", "metadata": {"team": "growth"}}
    changed = await there.client.send("PATCH", f"/v1/connections/{seeded.key.connection_id}", change)
    assert changed.status_code == 200, changed.text
    there.provider.behave(seeded.family, hold=None)
    assert there.provider.is_taken(token_of(await flight))
    shown, stored = await held(there.installation, seeded.key)
    assert generation_of(stored.secrets["refresh_token"]) == 1
    assert (shown.name, shown.metadata) == ("Renamed", {"team": "growth"})


async def test_new_tokens_are_stored_when_the_access_token_changed_during_the_renewal(there: There) -> None:
    """The row has the same refresh token with another access token, as after some providers' consent."""
    seeded = await there.connect(hold="after")
    flight = await under_way(there, seeded)
    _, before = await held(there.installation, seeded.key)
    async with there.installation.database.write() as tx:
        secrets = {**before.secrets, "access_token": "at.of.another.consent"}
        await credentials.store(tx, there.installation.vault, seeded.key, secrets, before.token_metadata)
    there.provider.behave(seeded.family, hold=None)
    assert there.provider.is_taken(token_of(await flight))
    _, stored = await held(there.installation, seeded.key)
    assert generation_of(stored.secrets["refresh_token"]) == 1


async def test_a_connection_deleted_during_the_renewal_stays_deleted_and_its_new_tokens_are_revoked(
    there: There,
) -> None:
    seeded = await there.connect(hold="after")
    flight = await under_way(there, seeded)
    actor = Actor(there.organization_id, "system")
    await disconnect.delete_connection(there.installation, actor, seeded.key.connection_id)
    there.provider.behave(seeded.family, hold=None)
    with pytest.raises(NotFound):
        await flight
    assert there.provider.look(seeded.family)["alive"] is True  # what we held was dead by then
    there.application.clock.advance(minutes=3)
    assert await there.revoke_due() == 1
    assert there.provider.look(seeded.family)["alive"] is False


@pytest.mark.slow
async def test_shutdown_waits_until_granted_tokens_are_stored(
    database_url: str, acme: RunningAcme, provider: Rotating
) -> None:
    settings = settings_with(database_url, acme, provider)
    async with started(settings, acme, provider.catalog) as application:
        there = await arrive(application, provider)
        seeded = await there.connect(hold="after")
        there.application.clock.advance(hours=2)
        # The worker of this application finds it by itself, and is stopped in the middle of it.
        await eventually(lambda: provider.look(seeded.family)["waiting"] == 1)
        soon = asyncio.get_running_loop().run_in_executor(None, release_later, provider, seeded.family)
    await soon
    async with started(settings, acme, provider.catalog) as application:
        _, stored = await held(application.installation, seeded.key)
        assert generation_of(stored.secrets["refresh_token"]) == 1
        assert stored.lease is None


def release_later(provider: Rotating, family: str) -> None:
    """Once the stop is under way."""
    for _ in range(20):
        provider.look(family)
    provider.behave(family, hold=None)


class Faulty(Database):
    """A database whose next transactions fail: `busy` of them before they begin, `uncertain` of them at the commit."""

    def __init__(self, real: Database) -> None:
        self.real, self.busy, self.uncertain = real, 0, 0

    async def open(self) -> None:
        await self.real.open()

    async def close(self) -> None:
        await self.real.close()

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        return self.real.read()

    def _transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._failing()

    @asynccontextmanager
    async def _failing(self) -> AsyncIterator[Transaction]:
        if self.busy:
            self.busy -= 1
            raise Busy("No connection came free.")
        async with self.real.write() as tx:
            yield tx
        if self.uncertain:
            self.uncertain -= 1
            raise Busy("The connection broke while it was committed.")


@pytest.mark.parametrize("fault", ["busy", "uncertain"])
async def test_new_tokens_are_stored_after_a_database_failure(there: There, fault: str) -> None:
    seeded = await there.connect(hold="after")
    there.application.clock.advance(hours=2)
    database = Faulty(there.installation.database)
    flight = asyncio.create_task(fresh_credentials(replace(there.installation, database=database), seeded.key))
    await eventually(lambda: there.provider.look(seeded.family)["waiting"] == 1)
    setattr(database, fault, 3 if fault == "busy" else 1)
    there.provider.behave(seeded.family, hold=None)
    usable = await flight
    assert there.provider.is_taken(token_of(usable))
    _, stored = await held(there.installation, seeded.key)
    assert stored.secrets["access_token"] == token_of(usable)
    assert there.provider.answers(seeded.family) == ["granted"]


async def test_a_renewal_that_was_paused_past_its_deadline_sends_no_request(there: There) -> None:
    """Another process may hold the lease by now, and have presented the same token."""
    seeded = await there.connect(life=3600.0)
    there.application.clock.advance(seconds=3500)
    paused = replace(there.installation, timing=replace(there.installation.timing, request=-1.0))
    assert generation_of(token_of(await fresh_credentials(paused, seeded.key))) == 0
    assert there.provider.log(seeded.family) == []


async def test_an_account_stored_during_the_renewal_is_kept(there: There) -> None:
    seeded = await there.connect(hold="after", account="alice")
    flight = await under_way(there, seeded)
    async with there.installation.database.write() as tx:
        await tx.execute(update(schema.connections).values(account_label="Alice of Globex"))
    there.provider.behave(seeded.family, hold=None)
    assert (await flight).connection.account_label == "Alice of Globex"


@pytest.mark.only_database("postgresql")
async def test_reconnecting_and_renewing_at_once_lock_in_the_same_order(there: There, database_url: str) -> None:
    seeded, made = await there.connect(account="alice"), there.provider.make()[0]
    installation = there.installation
    with psycopg.connect(database_url, autocommit=True) as looking:
        async with installation.database.write() as tx:  # as a renewal: first the credentials, then the connection
            found, stored = await connections.get_with_credential(tx, installation.vault, seeded.key, lock=True)
            consent = asyncio.create_task(
                connect(installation, there.organization_id, seeded.end_user_id, made, "alice")
            )
            await eventually(lambda: looking.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall())
            renewed = RefreshedMetadata(found.expires_at, None, stored.token_metadata)
            await connections.replace_tokens(tx, installation.vault, found, stored.secrets, renewed)
        await consent
    _, stored = await held(installation, seeded.key)
    assert stored.secrets["refresh_token"] == made["refresh_token"]
