"""Stored connections: which one a new account replaces, and what changes of status record."""

import asyncio
from dataclasses import replace
from typing import Any, Final

import pytest

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.connections.connections import (
    ADD,
    AccountMismatch,
    AnswerOutdated,
    Connection,
    ConnectionFilter,
    NewConnection,
    SeveralConnections,
)
from one_runtime.connections.credentials import ProviderAccount
from one_runtime.db.engine import Database
from one_runtime.db.ids import new_id
from one_runtime.errors import NotFound
from one_runtime.explanations.stored_errors import error_note
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor, EventFilter
from tests.connections.conftest import VAULT

CATALOGS: Final = OrganizationCatalogs(load_catalog())


def account(account_id: str | None, secret: str = "key", **more: Any) -> NewConnection:
    """Return an account of the end user `user_123` to connect."""
    secrets, identity = {"api_key": secret}, ProviderAccount(account_id)
    new = NewConnection("user_123", "acme", "api_key", None, {}, secrets, identity, {})
    return replace(new, **more)


async def connect(database: Database, actor: Actor, new: NewConnection) -> tuple[Connection, bool]:
    async with database.write() as tx:
        return await connections.create_or_replace(tx, VAULT, CATALOGS, actor, new, system_clock())


async def secret_of(database: Database, connection: Connection) -> str:
    async with database.read() as tx:
        _, stored = await connections.get_with_credential(tx, VAULT, connection.key)
    return stored.secrets["api_key"]


async def list_connections(database: Database, actor: Actor) -> list[Connection]:
    async with database.read() as tx:
        return await connections.list_page(tx, actor.organization_id, ConnectionFilter(), limit=10)


async def need_reauth(database: Database, actor: Actor, connection: Connection) -> Connection:
    async with database.write() as tx:
        return await connections.mark_needs_reauth(tx, actor, connection, "refused", "Refused.", system_clock())


async def event_types(database: Database, actor: Actor) -> list[str]:
    async with database.read() as tx:
        page, _ = await events.list_newest(tx, actor.organization_id, EventFilter(), limit=50, before=None)
    return [event.type for event in page]


@pytest.mark.parametrize("account_id", ["account-1", None], ids=["the same account", "an unknown account"])
async def test_connecting_again_replaces_the_connection_in_place(
    database: Database, actor: Actor, account_id: str | None
) -> None:
    first, created = await connect(database, actor, account("account-1", metadata={"team": "growth", "plan": "a"}))
    assert created
    again = account(account_id, "key-2", metadata={"plan": "b"})
    second, created = await connect(database, actor, again)
    assert (second.id, second.account_id, created) == (first.id, account_id, False)
    assert second.metadata == {"team": "growth", "plan": "b"}
    assert await secret_of(database, second) == "key-2"


@pytest.mark.promise("P15")
@pytest.mark.parametrize(
    "identity, label, name",
    [
        (ProviderAccount("account-1", None), "Globex", "Globex"),
        (ProviderAccount("account-1", "Globex Ltd"), "Globex Ltd", "Globex Ltd"),
        (ProviderAccount(None, None), None, "acme"),
        (ProviderAccount(None, "Initech"), "Initech", "Initech"),
        (ProviderAccount("account-2", None), None, "acme"),
    ],
    ids=["the same account", "the same account, renamed", "an unknown account", "only a label", "another account"],
)
async def test_a_replaced_account_leaves_neither_its_id_nor_its_label(
    database: Database, actor: Actor, identity: ProviderAccount, label: str | None, name: str
) -> None:
    """Nobody may read the data of one account under the name of another one."""
    first, _ = await connect(database, actor, account(None, account=ProviderAccount("account-1", "Globex")))
    assert first.name == "Globex"
    await connect(database, actor, account(None, account=identity, target=first.id, agreed=True))
    (second,) = await list_connections(database, actor)
    assert (second.id, second.account_id, second.account_label, second.name) == (first.id, identity.id, label, name)


async def test_another_account_replaces_the_present_one_only_after_agreement(database: Database, actor: Actor) -> None:
    first, _ = await connect(database, actor, account("account-1"))
    with pytest.raises(AccountMismatch):
        await connect(database, actor, account("account-2", "key-2"))
    assert (await list_connections(database, actor), await secret_of(database, first)) == ([first], "key")
    second, created = await connect(database, actor, account("account-2", "key-2", agreed=True))
    assert (second.id, second.account_id, created) == (first.id, "account-2", False)


async def test_multiple_adds_another_account_and_replaces_the_same_one(database: Database, actor: Actor) -> None:
    first, _ = await connect(database, actor, account("account-1"))
    second, created = await connect(database, actor, account("account-2", multiple=True))
    assert (created, second.id != first.id) == (True, True)
    again, created = await connect(database, actor, account("account-1", multiple=True))
    assert (again.id, created) == (first.id, False)


@pytest.mark.promise("P15")
@pytest.mark.parametrize("account_id", [None, "account-3"], ids=["an unknown account", "a third account"])
@pytest.mark.parametrize("breaks", [0, 1, 2])
async def test_none_of_several_connections_is_replaced_without_being_named(
    database: Database, actor: Actor, account_id: str | None, breaks: int
) -> None:
    first, _ = await connect(database, actor, account("account-1", "key-1"))
    second, _ = await connect(database, actor, account("account-2", "key-2", multiple=True))
    for connection in (second, first)[:breaks]:
        await need_reauth(database, actor, connection)
    before = await list_connections(database, actor)
    with pytest.raises(SeveralConnections) as refused:
        await connect(database, actor, account(account_id, "new key", agreed=True))
    assert [connection.id for connection in refused.value.present] == [second.id, first.id]
    assert first.id in refused.value.detail
    assert second.id in refused.value.detail
    assert await list_connections(database, actor) == before
    assert [await secret_of(database, connection) for connection in (first, second)] == ["key-1", "key-2"]

    named, created = await connect(database, actor, account(account_id, "new key", answer=second.id))
    assert (named.id, named.status, created) == (second.id, "active", False)
    assert [await secret_of(database, connection) for connection in (first, second)] == ["key-1", "new key"]


@pytest.mark.promise("P15")
async def test_account_can_be_added_beside_several_connections(database: Database, actor: Actor) -> None:
    present = [await connect(database, actor, account(f"account-{n}", f"key-{n}", multiple=True)) for n in range(2)]
    added, created = await connect(database, actor, account(None, "new key", answer=ADD))
    assert created
    secrets = [await secret_of(database, connection) for connection, _ in (*present, (added, True))]
    assert secrets == ["key-0", "key-1", "new key"]


@pytest.mark.promise("P15")
async def test_the_only_connection_is_repaired_by_an_unknown_account(database: Database, actor: Actor) -> None:
    only, _ = await connect(database, actor, account(None))
    await need_reauth(database, actor, only)
    repaired, created = await connect(database, actor, account(None, "key-2"))
    assert (repaired.id, repaired.status, created) == (only.id, "active", False)


@pytest.mark.promise("P15")
@pytest.mark.parametrize("answer", ["the other connection", "another account"])
async def test_answer_from_before_a_disconnect_replaces_nothing(database: Database, actor: Actor, answer: str) -> None:
    first, _ = await connect(database, actor, account("account-1", "key-1"))
    second, _ = await connect(database, actor, account("account-2", "key-2", multiple=True))
    async with database.write() as tx:
        assert await connections.remove(tx, actor, second, system_clock())
    with pytest.raises(AnswerOutdated):
        await connect(
            database, actor, account(None, "new key", answer=ADD if answer == "another account" else second.id)
        )
    assert await secret_of(database, first) == "key-1"
    named, created = await connect(database, actor, account(None, "new key", answer=first.id))
    assert (named.id, created) == (first.id, False)


@pytest.mark.promise("P4")
async def test_answer_of_the_end_user_changes_no_other_rule(database: Database, actor: Actor) -> None:
    first, _ = await connect(database, actor, account("account-1"))
    for added in ("account-2", None):  # a session without `multiple` adds no second connection
        with pytest.raises(AnswerOutdated):
            await connect(database, actor, account(added, answer=ADD))
    second, _ = await connect(database, actor, account("account-2", multiple=True))
    named, _ = await connect(database, actor, account(None, "key-3", target=first.id, answer=second.id))
    assert named.id == first.id, "the session names the connection to reconnect"
    theirs, _ = await connect(database, actor, account("account-3", end_user_id="user_456"))
    with pytest.raises(AnswerOutdated):
        await connect(database, actor, account(None, answer=theirs.id))


async def test_a_target_is_reconnected_only_if_it_is_of_this_end_user(database: Database, actor: Actor) -> None:
    first, _ = await connect(database, actor, account("account-1"))
    second, _ = await connect(database, actor, account("account-2", multiple=True))
    await need_reauth(database, actor, first)
    repaired, created = await connect(database, actor, account("account-1", target=first.id))
    assert (repaired.id, repaired.status, repaired.error, created) == (first.id, "active", None, False)
    with pytest.raises(AccountMismatch):
        await connect(database, actor, account("account-1", target=second.id))
    theirs, _ = await connect(database, actor, account("account-3", end_user_id="user_456"))
    for target in (theirs.id, new_id()):
        with pytest.raises(NotFound):
            await connect(database, actor, account("account-1", target=target))


@pytest.mark.only_database("postgresql")
async def test_two_tabs_that_connect_one_account_at_once_make_one_connection(database: Database, actor: Actor) -> None:
    results = await asyncio.gather(*(connect(database, actor, account("account-1", f"key-{tab}")) for tab in range(2)))
    assert sorted(created for _, created in results) == [False, True]
    assert len(await list_connections(database, actor)) == 1


async def test_a_change_of_status_is_recorded_once(database: Database, actor: Actor) -> None:
    connection, _ = await connect(database, actor, account("account-1"))
    broken = await need_reauth(database, actor, connection)
    assert await need_reauth(database, actor, broken) == broken
    async with database.write() as tx:
        recovered = await connections.mark_active(tx, actor, broken, system_clock())
        assert await connections.mark_active(tx, actor, recovered, system_clock()) == recovered
    assert (recovered.status, recovered.error) == ("active", None)
    assert sorted(await event_types(database, actor)) == [
        "connection.created",
        "connection.needs_reauth",
        "connection.recovered",
    ]


async def test_a_connection_that_was_deleted_meanwhile_is_not_changed(database: Database, actor: Actor) -> None:
    connection, _ = await connect(database, actor, account("account-1"))
    now = system_clock()
    async with database.write() as tx:
        assert await connections.remove(tx, actor, connection, now)
        assert not await connections.remove(tx, actor, connection, now)
    with pytest.raises(NotFound):
        async with database.write() as tx:
            await connections.update_connection(
                tx, CATALOGS, actor, connection, now, name="New name", metadata={}, is_default=False
            )
    assert sorted(await event_types(database, actor)) == ["connection.created", "connection.deleted"]


async def test_missing_permission_stays_noted_until_a_check_succeeds(database: Database, actor: Actor) -> None:
    connection, _ = await connect(database, actor, account("one"))
    now = system_clock()
    refused = error_note("client_refused", "Register the client again.", now)
    async with database.write() as tx:
        noted = await connections.note_missing_permission(tx, actor, connection, "Add users:read.", now)
        assert noted.lacks_permission
        assert await connections.set_error(tx, noted, None) == noted, "a refresh proves no permission"
        assert not (await connections.mark_active(tx, actor, noted, now)).lacks_permission
        unusable = await connections.set_error(tx, connection, refused)
        assert await connections.note_missing_permission(tx, actor, unusable, "Add users:read.", now) == unusable
        assert await connections.mark_active(tx, actor, unusable, now) == unusable
