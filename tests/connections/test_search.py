"""The search of the operator for connections of all organizations."""

import sqlite3
from contextlib import closing
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import update

from one_runtime.clock import system_clock
from one_runtime.connections import connections, search
from one_runtime.connections.connections import NewConnection
from one_runtime.connections.credentials import ProviderAccount
from one_runtime.connections.search import ConnectionSearch
from one_runtime.db import postgres, sqlite
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.engine import Database
from one_runtime.db.ids import new_id
from one_runtime.db.schema import credentials
from one_runtime.errors import NotFound
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.events import Actor
from tests import oauth_rows, sealed_rows
from tests.connections.conftest import VAULT

ADA: Final = "Ada@Example.com"


async def connect(
    database: Database, actor: Actor, end_user: str, slug: str, label: str | None = None, email: str | None = None
) -> str:
    now, account = system_clock(), ProviderAccount("a_1" if label is None else None, label)
    new = NewConnection(end_user, slug, "api_key", None, {}, {"api_key": "secret"}, account, {}, multiple=True)
    async with database.write() as tx:
        await end_users.ensure(tx, actor.organization_id, EndUser(end_user, None, email, now, now))
        stored, _ = await connections.create_or_replace(tx, VAULT, oauth_rows.CATALOGS, actor, new, now)
    return stored.id


async def found(database: Database, **wanted: Any) -> list[str]:
    async with database.read() as tx:
        rows, cursor = await search.find_newest(tx, ConnectionSearch(**wanted), limit=10, before=None)
    assert cursor is None
    return [row.id for row in rows]


async def test_connections_are_found_over_all_organizations(database: Database, actor: Actor) -> None:
    other = await sealed_rows.organization(database)
    first = await connect(database, actor, "ada", "hubspot", email=ADA)
    second = await connect(database, other, "user_7", "slack", email=ADA.lower())
    third = await connect(database, other, "grace", "slack", label="ada@example.COM")
    fourth = await connect(database, other, "ada", "github", label="Ada's 100% own_space")
    assert await found(database) == [fourth, third, second, first]
    assert await found(database, email=" ada@example.com ") == [third, second, first]
    assert await found(database, email="da@example.com") == []
    assert await found(database, end_user_id="ada") == [fourth, first]
    assert await found(database, end_user_id="ada", organization_id=other.organization_id) == [fourth]
    assert await found(database, integration_slug="slack") == [third, second]
    assert await found(database, account="ADA") == [fourth, third]
    assert await found(database, account="0% own_s") == [fourth]
    assert await found(database, account="own-s") == await found(database, account="a%own") == []
    assert await found(database, account="a_1") == [second, first]
    assert await found(database, organization_id=actor.organization_id, email=ADA) == [first]


async def test_connections_are_found_by_state_and_paged(database: Database, actor: Actor) -> None:
    ids = [await connect(database, actor, f"user_{number}", "hubspot") for number in range(3)]
    async with database.write() as tx:
        broken = await connections.get(tx, actor.organization_id, ids[0])
        await connections.mark_needs_reauth(tx, actor, broken, "invalid_grant", "Dead.", system_clock())
        failing = update(credentials).where(credentials.c.connection_id == ids[1]).values(failures=2)
        await tx.execute(failing)
        page, cursor = await search.find_newest(tx, ConnectionSearch(), limit=2, before=None)
        rest, end = await search.find_newest(tx, ConnectionSearch(), limit=2, before=cursor)
    assert ([row.id for row in (*page, *rest)], cursor, end) == (ids[::-1], ids[1], None)
    assert await found(database, status="needs_reauth") == [ids[0]]
    assert await found(database, status="active") == [ids[2], ids[1]]
    assert await found(database, failing=True) == [ids[1]]
    assert [row.is_failing for row in (*page, *rest)] == [False, True, False]
    assert rest[0].diagnose(system_clock()).code == "invalid_grant"


async def test_organization_of_a_connection_is_found(database: Database, actor: Actor) -> None:
    identifier = await connect(database, actor, "ada", "hubspot")
    async with database.read() as tx:
        assert await search.find_organization(tx, identifier) == actor.organization_id
        assert await search.find_organization(tx, new_id()) is None


async def test_unknown_id_is_refused_with_advice(database: Database) -> None:
    for connection_id in (new_id(), "nothing"):
        with pytest.raises(NotFound, match="one-runtime connections list"):
            async with database.read() as tx:
                await search.find(tx, connection_id)


OF_EMAIL: Final = (
    "ix_end_users_lower_email",
    "ix_end_users_lower_end_user_id",
    "ix_connections_lower_account_label",
    "ix_connections_lower_account_id",
)


def test_search_for_an_address_reads_only_indexes(database_url: str) -> None:
    statement, path = search._ids_of_email(ADA), sqlite_path(database_url)
    if path is not None:
        compiled = sqlite._COMPILER.compile(statement)
        with closing(sqlite3.connect(path)) as opened:
            plan = str(opened.execute(f"EXPLAIN QUERY PLAN {compiled.text}", compiled.values({})).fetchall())
        assert "SCAN" not in plan, plan
    else:
        compiled = postgres._COMPILER.compile(statement)
        with psycopg.connect(database_url) as connection:
            connection.execute("SET enable_seqscan = off")  # PostgreSQL prefers to read small tables as a whole
            plan = str(connection.execute(f"EXPLAIN {compiled.text}".encode(), compiled.values({})).fetchall())
        assert "Seq Scan" not in plan, plan
    assert [index for index in OF_EMAIL if index not in plan] == [], plan
