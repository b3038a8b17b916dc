"""The search of an organization's team: filters, pages, limited searches, and the indexes that they use."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any, Final

import pytest
from sqlalchemy import Select, update

from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.db import sqlite
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.engine import Database
from one_runtime.db.ids import new_id
from one_runtime.db.schema import credentials
from one_runtime.errors import NotFound
from one_runtime.reports import connection_search, end_user_search
from one_runtime.reports.connection_search import ConnectionSelection, State
from one_runtime.tenancy import end_users, events
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.events import Actor, EventFilter
from tests import oauth_rows, sealed_rows
from tests.connections.conftest import VAULT

STATES: Final[tuple[State, ...]] = ("active", "needs_reauth", "failing")


async def connect(database: Database, actor: Actor, number: int, state: State = "active", slug: str = "acme") -> str:
    """Insert a connection of the end user with this number."""
    now, new = system_clock(), sealed_rows.connection(f"user_{number}", "secret")
    async with database.write() as tx:
        new = new if slug == "acme" else replace(new, integration_slug=slug)
        stored, _ = await connections.create_or_replace(tx, VAULT, oauth_rows.CATALOGS, actor, new, now)
        if state == "needs_reauth":
            await connections.mark_needs_reauth(tx, actor, stored, "invalid_grant", "Dead.", now)
        failures = 3 if state != "active" else 0
        await tx.execute(update(credentials).where(credentials.c.connection_id == stored.id).values(failures=failures))
    return stored.id


async def search(database: Database, actor: Actor, selection: ConnectionSelection, scanned: int = 3) -> list[str]:
    """Return the ids of all pages of two connections. Each page compares at most `scanned` connections."""
    ids, before = list[str](), None
    async with database.read() as tx:
        while True:
            page, before = await connection_search.list_newest(
                tx, actor.organization_id, selection, limit=2, before=before, scanned=scanned
            )
            ids += [row.id for row in page]
            if before is None:
                return ids


async def test_every_combination_of_filters_finds_exactly_its_connections(database: Database, actor: Actor) -> None:
    other, made = await sealed_rows.organization(database), list[tuple[str, State, str, str]]()
    for number in range(12):
        has, at = STATES[number % 3], ("acme", "hubspot")[number % 4 > 1]
        made.append((await connect(database, actor, number, has, at), has, at, f"user_{number}"))
        await connect(database, other, number, has, at)
    few = [f"user_{number}" for number in (1, 2, 3, 5)]
    states: tuple[State | None, ...] = (None, *STATES)
    slugs: tuple[str | None, ...] = (None, "acme", "hubspot", "nothing")
    codes: tuple[str | None, ...] = (None, "invalid_grant", "client_refused")
    for wanted, slug, code, owners in product(states, slugs, codes, (None, few, list[str]())):
        expected = [
            connection_id
            for connection_id, state, of_slug, owner in reversed(made)
            if wanted in {None, state, "active" if state == "failing" else None}
            and slug in {None, of_slug}
            and code in {None, "invalid_grant" if state == "needs_reauth" else None}
            and (owners is None or owner in owners)
        ]
        selection = ConnectionSelection(wanted, slug, code, owners)
        assert await search(database, actor, selection) == expected, selection


async def test_counts_stop_at_their_maximum(database: Database, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        await connect(database, actor, number, STATES[number % 2])
    async with database.read() as tx:
        assert await connection_search.count(tx, actor.organization_id) == (5, 2)
        monkeypatch.setattr(connection_search, "MAX_COUNT", 3)
        assert await connection_search.count(tx, actor.organization_id) == (4, 2)
        totals = await connection_search.count_of_end_users(tx, actor.organization_id, ["user_0", "user_1", "x"])
        assert totals == {"user_0": ("user_0", 1, 0), "user_1": ("user_1", 1, 1)}
        assert await connection_search.count_of_end_users(tx, actor.organization_id, []) == {}


async def test_connection_and_end_user_of_another_organization_are_not_found(database: Database, actor: Actor) -> None:
    connection_id = await connect(database, actor, 1)
    other = await sealed_rows.organization(database)
    async with database.read() as tx:
        assert (await connection_search.find(tx, actor.organization_id, connection_id)).id == connection_id
        for organization_id, wanted in ((other.organization_id, connection_id), (actor.organization_id, new_id())):
            with pytest.raises(NotFound):
                await connection_search.find(tx, organization_id, wanted)
        for organization_id, user in ((other.organization_id, "user_1"), (actor.organization_id, "x\x00")):
            with pytest.raises(NotFound):
                await connection_search.find_end_user(tx, organization_id, user, limit=2)


async def test_end_user_has_the_newest_connections(database: Database, actor: Actor) -> None:
    ids = [await connect(database, actor, 1, slug=slug) for slug in ("acme", "hubspot", "slack")]
    async with database.write() as tx:
        now = system_clock() - timedelta(days=1)
        await end_users.ensure(tx, actor.organization_id, EndUser("alone", "Ada", None, now, now, {"plan": "pro"}))
    async with database.read() as tx:
        found = await connection_search.find_end_user(tx, actor.organization_id, "user_1", limit=2)
        alone = await connection_search.find_end_user(tx, actor.organization_id, "alone", limit=2)
    assert ([row.id for row in found.connections], found.has_more) == (ids[:0:-1], True)
    assert (alone.connections, alone.has_more) == ([], False)
    assert (alone.end_user.name, alone.end_user.metadata) == ("Ada", {"plan": "pro"})


A: Final = new_id()
PLANS: Final[dict[str, tuple[Select[Any], dict[str, object]]]] = {
    "ix_connections_end_user": (
        connection_search._END_USER,
        {"organization": A, "end_user": "x", "limit": 3},
    ),
    "ix_connections_integration": (connection_search._indexed(A, ConnectionSelection(None, "acme"), A)[0], {}),
    "ix_connections_needs_reauth": (connection_search._indexed(A, ConnectionSelection("needs_reauth"), A)[0], {}),
    "ix_connections_error": (connection_search._indexed(A, ConnectionSelection(error_code="x"), A)[0], {}),
    "ix_credentials_failing": (connection_search._indexed(A, ConnectionSelection("failing"), A)[0], {}),
    "ix_end_users_organization_id_email": (
        end_user_search._EXACT,
        {"organization": A, "text": "x", "lower": "x", "limit": 3},
    ),
    "ix_events_connection": (events.select_events(A, EventFilter(connection_id=A), ["connection_id"]), {}),
    "ix_events_end_user": (events.select_events(A, EventFilter(end_user_id="x"), ["end_user_id"]), {}),
}


@pytest.mark.only_database("sqlite")
def test_statements_read_their_indexes(database_url: str) -> None:
    path = sqlite_path(database_url)
    assert path is not None
    with closing(sqlite3.connect(path)) as database:
        for index, (statement, values) in PLANS.items():
            newest = statement.order_by(statement.selected_columns[0].desc()).limit(9) if not values else statement
            compiled = sqlite._COMPILER.compile(newest)
            plan = database.execute(f"EXPLAIN QUERY PLAN {compiled.text}", compiled.values(values)).fetchall()
            assert index in str(plan), f"{index}: {plan}"
            assert not re.search("SCAN (end_users|connections|credentials|events)", str(plan)), plan
