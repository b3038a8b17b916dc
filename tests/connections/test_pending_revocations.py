"""`queue_revocation`: which events revoke tokens, and which only while no connection may share the grant."""

from dataclasses import replace
from datetime import timedelta
from typing import Final, Literal, get_args

import pytest
from sqlalchemy import select

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import system_clock
from one_runtime.connections import connections, credentials, pending_revocations
from one_runtime.connections.connections import NewConnection
from one_runtime.connections.credentials import INVALIDATED_AUDIENCE, ProviderAccount, TokenMetadata
from one_runtime.connections.pending_revocations import (
    LEASE,
    RETENTION,
    RULES,
    RevocableTokens,
    RevocationCause,
    queue_revocation,
    queue_revocations,
)
from one_runtime.db.engine import Database
from one_runtime.db.schema import revocations
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.connections.conftest import VAULT
from tests.oauth_rows import NOT_REVOCABLE, SLUG

Neighbour = Literal["none", "same account", "other account", "same end user", "other integration"]
CATALOGS: Final = OrganizationCatalogs(load_catalog())
SECRETS: Final = {"access_token": "at-1", "refresh_token": "rt-1", "client_id": "own", "irrelevant": "x"}

QUEUED: Final[dict[RevocationCause, dict[Neighbour, bool]]] = {
    "disconnected": {"none": True, "same account": True},
    "account_replaced": {"none": True, "same account": False},
    "authorization_failed": {"none": True, "same account": False},
    "replacement_not_confirmed": {"none": True, "same account": False},
    "account_not_selected": {"none": True, "same account": False},
    "not_redeemed": {"none": True, "same account": False},
    "refresh_superseded": {"none": True, "same account": False},
    "reauth_required": {"none": True, "same account": False},
}


async def connect(database: Database, actor: Actor, end_user_id: str, account_id: str | None, slug: str = SLUG) -> None:
    new = NewConnection(end_user_id, slug, "oauth2", None, {}, SECRETS, ProviderAccount(account_id), {})
    async with database.write() as tx:
        await connections.create_or_replace(tx, VAULT, CATALOGS, actor, new, system_clock())


def tokens_of(
    actor: Actor, account_id: str | None, slug: str = SLUG, secrets: dict[str, str] = SECRETS
) -> RevocableTokens:
    metadata = TokenMetadata(None)
    return RevocableTokens(actor.organization_id, "user_123", slug, "oauth2", metadata, {}, secrets, account_id)


async def is_queued(database: Database, tokens: RevocableTokens, cause: RevocationCause) -> bool:
    now = system_clock()
    async with database.write() as tx:
        in_batch = await queue_revocations(tx, VAULT, CATALOGS, [tokens], cause, now)
        for row in in_batch:
            await pending_revocations.settle(tx, row)
        pending = await queue_revocation(tx, VAULT, CATALOGS, tokens, cause, now)
        claimed = await pending_revocations.claim(tx, VAULT, lambda: now + LEASE, 10)
    assert [row.id for row in claimed] == ([pending.id] if pending is not None else [])
    assert len(in_batch) == len(claimed)
    return pending is not None


def test_every_cause_has_a_rule_and_a_test() -> None:
    assert set(RULES) == set(QUEUED) == set(get_args(RevocationCause))


@pytest.mark.parametrize("neighbour", ["none", "same account"])
@pytest.mark.parametrize("cause", list(QUEUED))
async def test_a_cause_revokes_or_spares_a_grant_that_another_connection_uses(
    database: Database, actor: Actor, cause: RevocationCause, neighbour: Neighbour
) -> None:
    if neighbour == "same account":
        await connect(database, actor, "another user", "account-1")
    assert await is_queued(database, tokens_of(actor, "account-1"), cause) is QUEUED[cause][neighbour]


@pytest.mark.parametrize(
    "end_user_id, connected_account, slug, account_id, queued",
    [
        ("another user", "account-2", SLUG, "account-1", True),
        ("user_123", "account-2", SLUG, "account-1", True),
        ("another user", "account-1", NOT_REVOCABLE, "account-1", True),
        ("user_123", "account-2", SLUG, None, False),
        ("user_123", None, SLUG, None, False),
        ("another user", "account-2", SLUG, None, True),
        ("user_123", "account-2", NOT_REVOCABLE, None, True),
    ],
    ids=[
        "another account of another end user",
        "another account of the same end user",
        "the same account at another integration",
        "unknown account, the end user has a connection",
        "unknown accounts, the end user has a connection",
        "unknown account, another end user has a connection",
        "unknown account, a connection to another integration",
    ],
)
async def test_a_grant_counts_as_shared_by_account_or_by_end_user_where_the_account_is_unknown(
    database: Database,
    actor: Actor,
    end_user_id: str,
    connected_account: str | None,
    slug: str,
    account_id: str | None,
    queued: bool,
) -> None:
    await connect(database, actor, end_user_id, connected_account, slug)
    assert await is_queued(database, tokens_of(actor, account_id), "authorization_failed") is queued


async def test_a_connection_with_an_invalidated_credential_does_not_spare_a_grant(
    database: Database, actor: Actor
) -> None:
    await connect(database, actor, "another user", "account-1")
    async with database.write() as tx:
        (other,) = await connections.list_at_integration(tx, actor.organization_id, "another user", SLUG)
        await credentials.invalidate(tx, other.key)
    assert await is_queued(database, tokens_of(actor, "account-1"), "account_replaced")


async def test_a_connection_of_another_organization_does_not_spare_a_grant(database: Database, actor: Actor) -> None:
    await connect(database, await sealed_rows.organization(database), "user_123", "account-1")
    assert await is_queued(database, tokens_of(actor, "account-1"), "authorization_failed")


async def test_nothing_is_queued_where_the_provider_has_no_way_to_revoke(database: Database, actor: Actor) -> None:
    assert not await is_queued(database, tokens_of(actor, None, NOT_REVOCABLE), "disconnected")
    assert not await is_queued(database, tokens_of(actor, None, "no-such-integration"), "disconnected")


async def test_nothing_is_queued_without_an_access_token(database: Database, actor: Actor) -> None:
    assert not await is_queued(database, tokens_of(actor, None, secrets={"api_key": "key"}), "disconnected")


async def test_only_what_revoking_needs_is_stored(database: Database, actor: Actor) -> None:
    async with database.write() as tx:
        pending = await queue_revocation(tx, VAULT, CATALOGS, tokens_of(actor, None), "disconnected", system_clock())
    assert pending is not None
    assert pending.tokens == {"access_token": "at-1", "refresh_token": "rt-1", "client_id": "own"}


async def test_replacing_an_account_queues_the_tokens_of_the_old_one(database: Database, actor: Actor) -> None:
    await connect(database, actor, "user_123", "account-1")
    new = NewConnection(
        "user_123", SLUG, "oauth2", None, {}, {"access_token": "at-2"}, ProviderAccount("account-2"), {}, agreed=True
    )
    now = system_clock()
    async with database.write() as tx:
        await connections.create_or_replace(tx, VAULT, CATALOGS, actor, new, now)
        (claimed,) = await pending_revocations.claim(tx, VAULT, lambda: now + LEASE, 10)
    assert claimed.tokens["access_token"] == "at-1"


async def test_replacing_an_account_that_another_end_user_has_connected_too_revokes_nothing(
    database: Database, actor: Actor
) -> None:
    await connect(database, actor, "user_123", "account-1")
    await connect(database, actor, "another user", "account-1")
    new = NewConnection(
        "user_123", SLUG, "oauth2", None, {}, {"access_token": "at-2"}, ProviderAccount("account-2"), {}, agreed=True
    )
    now = system_clock()
    async with database.write() as tx:
        await connections.create_or_replace(tx, VAULT, CATALOGS, actor, new, now)
        assert await pending_revocations.claim(tx, VAULT, lambda: now + LEASE, 10) == []


async def test_tokens_are_deleted_after_a_day(database: Database, actor: Actor) -> None:
    now = system_clock()
    async with database.write() as tx:
        await queue_revocation(tx, VAULT, CATALOGS, tokens_of(actor, None), "disconnected", now)
        assert await pending_revocations.claim(tx, VAULT, lambda: now + RETENTION, 10) == []
        assert await pending_revocations.claim(tx, VAULT, lambda: now + LEASE + timedelta(hours=1), 10) == []


async def kept_rows(database: Database) -> set[tuple[str, str | None]]:
    """Return the connection and the account of each kept row."""
    statement = select(revocations.c.kept_with, revocations.c.account_id).where(revocations.c.kept_with.is_not(None))
    async with database.read() as tx:
        return {(row.kept_with, row.account_id) for row in await tx.all(statement)}


async def connection_of(database: Database, actor: Actor, end_user_id: str) -> str:
    async with database.read() as tx:
        (connection,) = await connections.list_at_integration(tx, actor.organization_id, end_user_id, SLUG)
    return connection.id


async def keep(database: Database, tokens: RevocableTokens) -> None:
    async with database.write() as tx:
        assert await queue_revocation(tx, VAULT, CATALOGS, tokens, "refresh_superseded", system_clock()) is None


OTHER_SECRETS: Final = {"access_token": "at-0", "refresh_token": "rt-0"}


@pytest.mark.parametrize("audience, rows", [(None, 1), (INVALIDATED_AUDIENCE, 0)], ids=["valid", "invalidated"])
async def test_tokens_that_no_host_may_receive_any_more_are_not_kept(
    database: Database, actor: Actor, audience: str | None, rows: int
) -> None:
    await connect(database, actor, "user_123", "account-1")
    tokens = tokens_of(actor, "account-1", secrets=OTHER_SECRETS)
    await keep(database, replace(tokens, metadata=TokenMetadata(None, audience=audience)))
    assert len(await kept_rows(database)) == rows


async def test_only_the_kept_tokens_of_the_same_account_move_to_another_connection(
    database: Database, actor: Actor
) -> None:
    await connect(database, actor, "user_123", "account-1")
    await connect(database, actor, "another user", "account-2")
    first, second = [await connection_of(database, actor, name) for name in ("user_123", "another user")]
    for account_id in ("account-1", "account-2"):
        tokens = tokens_of(actor, account_id, secrets=OTHER_SECRETS)
        await keep(database, replace(tokens, connection_id=first))
    assert await kept_rows(database) == {(first, "account-1"), (second, "account-2")}
