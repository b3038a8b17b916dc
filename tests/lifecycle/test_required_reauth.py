"""A new authorization of many connections: in steps, without other connections, and only where it is needed."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import select

from one_runtime.clock import system_clock
from one_runtime.connections import pending_revocations
from one_runtime.connections.connections import NewConnection, create_or_replace
from one_runtime.connections.credentials import ProviderAccount, TokenMetadata
from one_runtime.db.engine import Database
from one_runtime.db.ids import new_id
from one_runtime.db.schema import connections, events
from one_runtime.encryption.vault import KeyNotInRing
from one_runtime.errors import NotFound
from one_runtime.lifecycle import required_reauth
from one_runtime.lifecycle.required_reauth import AffectedConnections, ReauthScope
from one_runtime.tenancy.events import Actor
from tests import oauth_rows, sealed_rows
from tests.oauth_rows import CATALOGS
from tests.sealed_rows import FIRST, SECOND, ring

VAULT = ring(FIRST)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with sealed_rows.opened(database_url) as opened:
        await sealed_rows.register(opened, VAULT)
        yield opened


async def connect(database: Database, actor: Actor, count: int) -> list[str]:
    return [
        await sealed_rows.connect(database, VAULT, actor, f"user_{number}", f"secret_{number}")
        for number in range(count)
    ]


async def broken(database: Database) -> set[str]:
    """Return the ids of the connections whose end users have to connect again."""
    async with database.read() as tx:
        rows = await tx.all(select(connections.c.id).where(connections.c.status == "needs_reauth"))
    return {row.id for row in rows}


async def test_all_connections_of_a_scope_are_changed_in_steps(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(required_reauth, "_BATCH", 2)
    actor, other = await sealed_rows.organization(database), await sealed_rows.organization(database)
    mine, theirs = await connect(database, actor, 5), await connect(database, other, 1)
    scope = ReauthScope(actor.organization_id, "acme")
    assert await required_reauth.require(database, VAULT, CATALOGS, [mine[3], mine[3]], system_clock, "ada") == 1
    async with database.read() as tx:
        assert await required_reauth.count_affected(tx, scope) == AffectedConnections(4, 1)
        assert await required_reauth.count_affected(tx, ReauthScope(None, "acme")) == AffectedConnections(5, 2)
        assert await required_reauth.count_affected(tx, ReauthScope(None, "hubspot")) == AffectedConnections(0, 0)
    assert await required_reauth.require_all(database, VAULT, CATALOGS, scope, system_clock, "ada") == 4
    assert await broken(database) == {*mine}
    assert await required_reauth.require_all(database, VAULT, CATALOGS, scope, system_clock, "ada") == 0
    assert (
        await required_reauth.require_all(database, VAULT, CATALOGS, ReauthScope(None, "acme"), system_clock, "ada")
        == 1
    )
    assert await broken(database) == {*mine, *theirs}
    async with database.read() as tx:
        recorded = await tx.all(select(events).where(events.c.type == "connection.needs_reauth"))
    assert [(row.data["reason"], row.actor_id) for row in recorded] == [("required_by_operator", "ada")] * 6


async def test_connections_are_changed_if_the_clock_of_the_command_is_behind(database: Database) -> None:
    mine = await connect(database, await sealed_rows.organization(database), 2)
    scope = ReauthScope(None, "acme")

    def clock() -> datetime:
        return system_clock() - timedelta(minutes=1)

    assert await required_reauth.require_all(database, VAULT, CATALOGS, scope, clock, "ada") == 2
    assert await broken(database) == {*mine}


async def test_unknown_connection_or_key_changes_nothing(database: Database) -> None:
    mine = await connect(database, await sealed_rows.organization(database), 1)
    with pytest.raises(NotFound):
        await required_reauth.require(database, VAULT, CATALOGS, [*mine, new_id()], system_clock, "ada")
    with pytest.raises(KeyNotInRing):
        await required_reauth.require(database, ring(SECOND), CATALOGS, mine, system_clock, "ada")
    assert await broken(database) == set()


async def test_damaged_credential_does_not_prevent_the_change(database: Database) -> None:
    (identifier,) = await connect(database, await sealed_rows.organization(database), 1)
    async with database.write() as tx:
        await sealed_rows.spoil(tx, identifier)
    assert await required_reauth.require(database, VAULT, CATALOGS, [identifier], system_clock, "ada") == 1
    assert await broken(database) == {identifier}


@pytest.mark.only_database("sqlite")
async def test_one_statement_finds_the_shared_grants_of_all_accounts_in_a_step(database: Database) -> None:
    actor = await sealed_rows.organization(database)
    client = await oauth_rows.client(oauth_rows.Place(database, VAULT, actor.organization_id), "client", "secret")
    for number in range(4):
        account, secrets = ProviderAccount(f"account {number // 2}"), {"access_token": f"token {number}"}
        issued = TokenMetadata(client.id)
        new = NewConnection(
            f"user_{number}", oauth_rows.SLUG, "oauth2", None, {}, secrets, account, {}, token_metadata=issued
        )
        async with database.write() as tx:
            await create_or_replace(tx, VAULT, CATALOGS, actor, new, system_clock())
    statements = list[str]()
    database._writing.set_trace_callback(statements.append)  # type: ignore[attr-defined] # of `SqliteDatabase`
    scope = ReauthScope(actor.organization_id, None)
    assert await required_reauth.require_all(database, VAULT, CATALOGS, scope, system_clock, "ada") == 4
    assert len([text for text in statements if "connections.account_id" in text.partition("WHERE")[2]]) == 1
    async with database.write() as tx:
        claimed = await pending_revocations.claim(tx, VAULT, system_clock, limit=10)
    assert len(claimed) == 4, "the worker can revoke the tokens at once"
