"""`one-runtime events list`: everything that an actor did, over all organizations."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from one_runtime.clock import system_clock
from one_runtime.db.engine import Transaction
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from tests import sealed_rows
from tests.command_line import Run

T = TypeVar("T")


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    return bare


def on(database_url: str, work: Callable[[Transaction], Awaitable[T]]) -> T:
    async def do() -> T:
        async with sealed_rows.opened(database_url) as database, database.write() as tx:
            return await work(tx)

    return asyncio.run(do())


def test_events_of_a_leaked_key_are_listed(run: Run, database_url: str) -> None:
    northwind, southwind = (run("organizations", "create", name).line for name in ("Northwind", "Southwind"))
    leaked = run("api-keys", "create", northwind).line[:12]
    (key,) = run("api-keys", "list", "--json").rows

    async def record(tx: Transaction) -> None:
        for actor in (Actor(northwind, "api_key", key["id"], "192.0.2.7"), Actor(southwind, "end_user", "ada")):
            data = {"integration_slug": "hubspot", "reason": "a\x1b[2Jb"}
            await events.record(tx, actor, EventType.CONNECTION_DELETED, system_clock(), Subject("ada", None, data))

    on(database_url, record)
    run("api-keys", "revoke", leaked)
    for option in (("--api-key", leaked), ("--api-key", key["id"]), ("--actor", key["id"])):
        (row,) = run("events", "list", *option, "--json").rows
        assert (row["type"], row["organization_id"], row["address"]) == ("connection.deleted", northwind, "192.0.2.7")
        assert row["actor"] == {"type": "api_key", "id": key["id"]}
    types = [row["type"] for row in run("events", "list", "--json").rows]
    assert types == ["api_key.revoked", "connection.deleted", "connection.deleted", "api_key.created"]
    assert len(run("events", "list", "--organization", northwind, "--json").rows) == 3
    assert len(run("events", "list", "--type", "api_key.revoked", "--json").rows) == 1
    assert len(run("events", "list", "--actor-type", "end_user", "--end-user", "ada", "--json").rows) == 1
    assert len(run("events", "list", "--integration", "hubspot", "--type", "connection.deleted", "--json").rows) == 2
    assert len(run("events", "list", "--since", "2h", "--until", "2120-01-01", "--json").rows) == 4
    assert "must be an age such as 90m" in run("events", "list", "--since", "999999d").usage_error
    assert run("events", "list", "--until", "2h").err == "No row matches.\n"
    table = run("events", "list", "--integration", "hubspot")
    assert table.out.splitlines()[0].split("  ")[0] == "time"
    assert "reason=a [2Jb" in table.out


def test_further_pages_continue_at_the_cursor(run: Run) -> None:
    identifiers = [run("organizations", "create", f"N{number}").line for number in range(3)]
    for identifier in identifiers:
        run("api-keys", "create", identifier)
    first = run("events", "list", "--limit", "2", "--json")
    cursor = first.err.split()[-1]
    assert "--cursor" in first.err
    assert first.out.count('"api_key.created"') == 2
    (last,) = run("events", "list", "--limit", "2", "--cursor", cursor, "--json").rows
    assert last["organization_id"] == identifiers[0]


def test_invalid_filters_of_events_are_refused(run: Run) -> None:
    assert "24h or 7d" in run("events", "list", "--since", "yesterday").usage_error
    assert "24h or 7d" in run("events", "list", "--until", "2026-13-01").usage_error
    assert "'--connection': must be an id" in run("events", "list", "--connection", "x").usage_error
    assert "'--cursor': must be an id" in run("events", "list", "--cursor", "x").usage_error
    assert "one-runtime organizations list" in run("events", "list", "--organization", "x").sentence
    assert "one-runtime api-keys list" in run("events", "list", "--api-key", "oru_nothing0").sentence
    assert "either --api-key" in run("events", "list", "--api-key", "oru_x", "--actor", "x").sentence
    assert run("events", "list", "--type", "nothing").code == 2
