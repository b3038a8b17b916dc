"""`one-runtime integrations`: disable an integration, list disabled integrations, enable it again, see failures."""

import asyncio
import json
import re

import pytest

from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.command_line import Run
from tests.sealed_rows import FIRST, ring


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_OPERATOR", "ada")
    return bare


def test_integration_is_disabled_listed_and_enabled(run: Run) -> None:
    line = run("integrations", "disable", " HubSpot", "--reason", "breach").line
    assert line.startswith("hubspot is disabled. Running servers notice the change within 5 seconds.")
    (row,) = run("integrations", "list-disabled", "--json").rows
    assert (row["integration_slug"], row["disabled_by"], row["reason"]) == ("hubspot", "ada", "breach")
    heads, cells = run("integrations", "list-disabled").out.splitlines()
    assert re.split("  +", heads) == ["integration slug", "disabled at", "disabled by", "reason"]
    assert cells.split() == ["hubspot", row["disabled_at"], "ada", "breach"]
    assert run("integrations", "enable", "hubspot").line.startswith("hubspot is enabled.")
    assert run("integrations", "list-disabled", "--json").rows == []
    assert "is not disabled" in run("integrations", "enable", "hubspot").sentence
    assert "There is no integration" in run("integrations", "disable", "nothing").sentence


def test_output_as_json_and_events_of_the_installation(run: Run) -> None:
    disabled = json.loads(run("integrations", "disable", "notion", "--json").out)
    assert (disabled["integration_slug"], disabled["reason"]) == ("notion", None)
    enabled = json.loads(run("integrations", "enable", "notion", "--json").out)
    assert enabled == {"integration_slug": "notion", "disabled": False}
    newest, oldest = run("installation", "events", "--json").rows
    assert (newest["type"], newest["operator"], newest["data"]) == (
        "integration.enabled",
        "ada",
        {"integration_slug": "notion"},
    )
    assert oldest["type"] == "integration.disabled"
    _, shown = run("installation", "events", "--limit", "1").out.splitlines()
    assert shown.split() == [newest["created_at"], "integration.enabled", "ada", "integration_slug=notion"]


def test_failures_are_printed_for_each_integration(run: Run, database_url: str) -> None:
    organization = run("organizations", "create", "Northwind").line
    assert run("integrations", "failures").err == "No integration has a failure.\n"

    async def break_connection() -> None:
        actor = Actor(organization, "system")
        async with sealed_rows.opened(database_url) as database:
            await sealed_rows.register(database, ring(FIRST))
            identifier = await sealed_rows.connect(database, ring(FIRST), actor, "ada", "secret")
            async with database.write() as tx:
                connection = await connections.get(tx, organization, identifier)
                await connections.mark_needs_reauth(tx, actor, connection, "invalid_grant", "Dead.", system_clock())

    asyncio.run(break_connection())
    assert run("integrations", "failures", "--json").rows == [
        {
            "integration_slug": "acme",
            "active": 0,
            "needs_reauth": 1,
            "failing": 0,
            "organizations": 1,
            "affected_organizations": 1,
            "reasons": [{"code": "invalid_grant", "connections": 1}],
        }
    ]
    title, row = run("integrations", "failures", "--organization", organization).out.splitlines()
    assert title.startswith("integration slug  active  needs reauth  failing")
    assert row.split() == ["acme", "0", "1", "0", "1", "1", "invalid_grant", "1"]
    assert run("integrations", "failures", "--integration", "hubspot", "--all").out == ""
    assert "one-runtime organizations list" in run("integrations", "failures", "--organization", "x").sentence
