"""Abandon a lost encryption key: no value of the key remains, and each affected connection has an event."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.connections.credentials import TokenMetadata
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.schema import connections as connections_table
from one_runtime.db.schema import credentials, events, hosted_connection_sessions, oauth_clients
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault
from one_runtime.errors import Conflict, NotFound
from one_runtime.integrations.oauth_clients import NewOAuthClient, OAuthClientMissing, find_own, put, require
from one_runtime.jobs import instances
from one_runtime.lifecycle import lost_key
from one_runtime.lifecycle.lost_key import AbandonedKey
from one_runtime.tenancy.events import Actor
from tests import oauth_rows, sealed_rows
from tests.sealed_rows import FIRST, ID, SECOND, ring

pytestmark = pytest.mark.promise("P3")

BOTH = ring(FIRST, SECOND)
LEFT = ring(SECOND)
OPERATOR = "ada"


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with sealed_rows.opened(database_url) as opened:
        await sealed_rows.register(opened, BOTH)
        yield opened


async def abandon(database: Database, vault: Vault = LEFT, batch: int = 2) -> AbandonedKey:
    return await lost_key.abandon(database, vault, ID[FIRST], system_clock, OPERATOR, batch=batch)


async def seed(database: Database) -> str:
    """Insert rows of the first key into every sealed table. Return the id of an organization with an OAuth client."""
    await sealed_rows.seed(database, BOTH, 12)
    actor = await sealed_rows.organization(database)
    await sealed_rows.connect(database, BOTH, actor, "ada", "secret")
    session = await sealed_rows.leave_unredeemed(database, BOTH, actor, "ada", "secret")
    await sealed_rows.leave_oauth(database, BOTH, actor, session, "secret")
    await sealed_rows.leave_totp(database, BOTH, "secret")
    async with database.read() as tx:
        assert (await key_ring.count_rows(tx))[ID[FIRST]] == 20
    return actor.organization_id


@pytest.mark.parametrize("batch", [1, 5, 100])
async def test_no_value_of_a_lost_active_key_remains(database: Database, batch: int) -> None:
    await seed(database)
    result = await abandon(database, batch=batch)
    assert (result.key_id, result.active_key_id) == (ID[FIRST], ID[SECOND])
    assert result.rows.keys() == {table.name for table in key_ring.SEALED_TABLES}
    single = dict.fromkeys(("oauth_clients", "consents", "revocations", "totp_secrets"), 1)
    assert result.rows == Counter(credentials=13, unredeemed_connections=3, **single)
    assert await sealed_rows.used_keys(database) == {ID[SECOND]}
    assert set(await sealed_rows.contents(database, LEFT)) == {
        *await sealed_rows.rows_under(database, credentials, ID[SECOND]),
        *await sealed_rows.rows_under(database, oauth_clients, ID[SECOND]),
    }
    await sealed_rows.register(database, LEFT)  # a server with the new ring starts
    await sealed_rows.disable(database, FIRST)
    with pytest.raises(Conflict, match="active key"):
        await sealed_rows.disable(database, SECOND)


async def test_each_affected_connection_and_session_has_an_event(database: Database) -> None:
    await seed(database)
    await abandon(database)
    async with database.read() as tx:
        rows = await tx.all(select(events))
        recorded = [(row.type, row.data.get("reason"), row.actor_id) for row in rows]
        stored = await tx.all(select(connections_table))
        sessions = await tx.all(select(hosted_connection_sessions))
    assert Counter(recorded) == Counter(
        {
            ("connection.created", None, None): 13,
            ("connection.needs_reauth", "key_lost", OPERATOR): 13,
            ("hosted_connection_session.failed", "key_lost", OPERATOR): 3,
            ("oauth_client.updated", None, OPERATOR): 1,
        }
    )
    assert {(row.status, row.error["code"]) for row in stored} == {("needs_reauth", "key_lost")}
    assert {(row.status, row.last_error["code"]) for row in sessions} == {("failed", "key_lost")}


async def test_number_of_round_trips_does_not_depend_on_the_number_of_connections(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round trip to a busy PostgreSQL server takes milliseconds."""
    trips = Counter[str]()

    def counting(name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(Transaction, name)

        async def counted(tx: Transaction, *args: Any, **values: Any) -> Any:
            trips[name] += 1
            return await method(tx, *args, **values)

        return counted

    actor = await sealed_rows.organization(database)
    for number in range(30):
        await sealed_rows.connect(database, BOTH, actor, f"user_{number}", "secret")
    for name in ("all", "one", "execute", "execute_many"):
        monkeypatch.setattr(Transaction, name, counting(name))
    assert (await abandon(database, batch=100)).rows["credentials"] == 30
    assert trips.total() < 2 * 30, "fewer than two statements for each connection"


async def test_values_of_other_keys_are_unchanged(database: Database) -> None:
    await sealed_rows.seed(database, BOTH, 3)
    await sealed_rows.activate(database, BOTH, SECOND)
    kept = await sealed_rows.seed(database, BOTH, 3)
    await abandon(database)
    contents = await sealed_rows.contents(database, LEFT)
    assert {row: contents[row] for row in kept} == kept


async def test_client_of_a_lost_key_serves_its_connections_again_after_its_registration(database: Database) -> None:
    organization_id = await seed(database)
    integration = oauth_rows._CATALOG.get(oauth_rows.SLUG)
    assert integration is not None
    auth = integration.oauth2
    assert auth is not None
    async with database.read() as tx:
        client = await find_own(tx, BOTH, organization_id, oauth_rows.SLUG)
    assert client is not None
    await sealed_rows.activate(database, BOTH, SECOND)
    now = system_clock()
    metadata = TokenMetadata(client.id, now + timedelta(hours=1))
    tokens = {"access_token": "a", "refresh_token": "r"}
    new = replace(sealed_rows.connection("grace", ""), integration_slug=oauth_rows.SLUG, auth_type="oauth2")
    new = replace(new, secrets=tokens, token_metadata=metadata)
    actor = Actor(organization_id, "system")
    async with database.write() as tx:
        connection, _ = await connections.create_or_replace(tx, BOTH, oauth_rows.CATALOGS, actor, new, now)

    result = await abandon(database)
    assert [(reset.organization_id, reset.client_id) for reset in result.clients] == [
        (organization_id, client.client.client_id)
    ]
    async with database.write() as tx:
        found, paused = await connections.get_with_credential(tx, LEFT, connection.key)
        assert (found.status, paused.secrets) == ("active", tokens)
        assert paused.retry_at is not None
        assert paused.retry_at > now + timedelta(days=365)
        with pytest.raises(OAuthClientMissing, match="Register the client again"):
            await require(tx, LEFT, organization_id, integration, auth, {})
        registration = NewOAuthClient(client.client.client_id, "new secret")
        again = await put(tx, LEFT, organization_id, integration, registration, now)
        assert again.id == client.id
        assert again.version != paused.refused_client_version  # so the pause has ended


async def test_key_that_is_not_lost_is_refused(database: Database) -> None:
    values = await sealed_rows.seed(database, BOTH, 2)
    with pytest.raises(Conflict, match="ONE_RUNTIME_ENCRYPTION_KEYS contains the key"):
        await abandon(database, BOTH)
    with pytest.raises(NotFound, match="is not known"):
        await lost_key.abandon(database, LEFT, "0" * 32, system_clock, OPERATOR, batch=2)
    async with database.write() as tx:
        await instances.heartbeat(tx, instances.this_process(BOTH.key_ids, system_clock()), system_clock)
    with pytest.raises(Conflict, match="a running server has the key"):
        await abandon(database)
    assert await sealed_rows.contents(database, BOTH) == values
    assert await sealed_rows.active(database) == ID[FIRST]
