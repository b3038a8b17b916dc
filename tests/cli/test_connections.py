"""`one-runtime connections`: find a connection, see why it broke, and force a new consent."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from sqlalchemy import update

from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.db.engine import Database
from one_runtime.db.ids import new_id
from one_runtime.db.schema import connections as connections_table
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.cli.test_proxy_requests import call, write
from tests.command_line import Run
from tests.connections.test_search import connect
from tests.sealed_rows import FIRST, ring

T = TypeVar("T")


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database with a key ring."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", FIRST)
    on(database_url, lambda database: sealed_rows.register(database, ring(FIRST)))
    return bare


def on(database_url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def do() -> T:
        async with sealed_rows.opened(database_url) as database:
            return await work(database)

    return asyncio.run(do())


def connected(run: Run, database_url: str, end_user: str, slug: str = "hubspot") -> tuple[Actor, str]:
    """Create an organization with a connection. The end user has an e-mail address."""
    actor = Actor(run("organizations", "create", f"Company of {end_user}").line, "system")
    email = f"{end_user}@example.com"
    return actor, on(database_url, lambda database: connect(database, actor, end_user, slug, email=email))


def test_broken_connection_is_found_by_e_mail_with_its_reason(run: Run, database_url: str) -> None:
    actor, identifier = connected(run, database_url, "ada")
    connected(run, database_url, "grace")

    async def refuse(database: Database) -> None:
        async with database.write() as tx:
            connection = await connections.get(tx, actor.organization_id, identifier)
            message = "API key was revoked by its owner"
            await connections.mark_needs_reauth(tx, actor, connection, "credentials_refused", message, system_clock())

    on(database_url, refuse)
    (row,) = run("connections", "list", "--email", "ADA@example.com", "--json").rows
    assert (row["id"], row["organization_name"], row["status"]) == (identifier, "Company of ada", "needs_reauth")
    assert (row["code"], row["reason"]) == ("credentials_refused", "API key was revoked by its owner")
    assert row["since"] is not None
    assert "connect again" in row["advice"]
    table = run("connections", "list", "--status", "needs_reauth").out.splitlines()
    assert table[0].split()[0] == "id"
    assert table[1].endswith("API key was revoked by its owner")
    assert len(run("connections", "list", "--integration", "hubspot", "--json").rows) == 2
    assert run("connections", "list", "--failing", "--json").out == "[]\n"
    assert "--cursor" in run("connections", "list", "--limit", "1").err
    assert "one-runtime organizations list" in run("connections", "list", "--organization", "x").sentence


def test_connection_is_found_by_an_address_that_is_the_identifier_of_its_end_user(run: Run, database_url: str) -> None:
    actor = Actor(run("organizations", "create", "Fernhill").line, "system")
    identifier = on(database_url, lambda database: connect(database, actor, "ada@example.com", "hubspot"))
    on(database_url, lambda database: connect(database, actor, "grace@example.com", "hubspot"))
    assert [row["id"] for row in run("connections", "list", "--email", "Ada@example.com", "--json").rows] == [
        identifier
    ]


def test_connections_are_filtered_by_organization_end_user_and_account(run: Run, database_url: str) -> None:
    actor, first = connected(run, database_url, "ada")
    connected(run, database_url, "grace")
    labelled = on(database_url, lambda database: connect(database, actor, "user_7", "slack", label="Ada's workspace"))
    for options, identifiers in {
        ("--organization", actor.organization_id): [labelled, first],
        ("--end-user", "ada"): [first],
        ("--account", "workspace"): [labelled],
    }.items():
        assert [row["id"] for row in run("connections", "list", *options, "--json").rows] == identifiers, options


def test_shown_connection_has_its_history_and_no_secret(run: Run, database_url: str) -> None:
    actor, identifier = connected(run, database_url, "ada")
    write(database_url, [call(actor.organization_id, identifier, "hubspot", 401)])

    async def store_received_value(database: Database) -> None:
        async with database.write() as tx:
            await tx.execute(update(connections_table).values(params={"received": "a secret of a token response"}))

    on(database_url, store_received_value)
    shown = run("connections", "show", identifier, "--json")
    data = json.loads(shown.out)
    assert (data["email"], data["integration_name"], data["refresh_failures"]) == ("ada@example.com", "HubSpot", 0)
    assert [event["type"] for event in data["events"]] == ["connection.created"]
    assert [entry["http_status"] for entry in data["proxy_requests"]] == [401]
    for command in ("events", "proxy-requests"):
        assert len(run(command, "list", "--connection", identifier, "--json").rows) == 1
    text = run("connections", "show", identifier).out
    assert "Last events:" in text
    assert "Last calls through the proxy:" in text
    assert "secret" not in shown.out + text
    run("integrations", "disable", "hubspot")
    (row,) = run("connections", "list", "--json").rows
    assert row["code"] == "integration_disabled"
    assert "integrations enable hubspot" in run("connections", "show", identifier).out
    assert "one-runtime connections list" in run("connections", "show", new_id()).sentence


def test_operator_requires_a_new_consent(run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    actor, first = connected(run, database_url, "ada")
    _, second = connected(run, database_url, "grace")
    assert json.loads(run("connections", "require-reauth", first, first, "--json").out) == {
        "changed": 1,
        "unchanged": 0,
    }
    (row,) = run("connections", "list", "--status", "needs_reauth", "--json").rows
    assert (row["id"], row["code"]) == (first, "required_by_operator")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    refused = run("connections", "require-reauth", "--integration", "hubspot")
    assert refused.code == 1
    assert "Discard the credentials of 1 connection of 1 organization?" in refused.err
    assert "1 connection changed" in run("connections", "require-reauth", "--integration", "hubspot", "--yes").line
    assert "0 connections changed" in run("connections", "require-reauth", second, first).line
    assert "0 connections changed" in run("connections", "require-reauth", "--organization", actor.organization_id).line
    events = run("events", "list", "--type", "connection.needs_reauth", "--json").rows
    assert [event["connection_id"] for event in events] == [second, first]
    assert {event["data"]["reason"] for event in events} == {"required_by_operator"}


def test_require_reauth_refuses_wrong_arguments(run: Run, database_url: str) -> None:
    _, identifier = connected(run, database_url, "ada")
    assert "Give the ids" in run("connections", "require-reauth").sentence
    assert "Give the ids" in run("connections", "require-reauth", identifier, "--integration", "hubspot").sentence
    assert "There is no connection" in run("connections", "require-reauth", identifier, new_id()).sentence
    assert run("connections", "list", "--status", "needs_reauth", "--json").out == "[]\n"
    assert "one-runtime organizations list" in run("connections", "require-reauth", "--organization", "x").sentence
