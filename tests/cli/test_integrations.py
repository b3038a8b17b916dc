"""`one-runtime integrations`: disable an integration, list the disabled integrations, enable the integration again."""

import json

import pytest

from tests.command_line import Run


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
    assert run("integrations", "list-disabled").line == f"hubspot  {row['disabled_at']}  ada  breach"
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
    shown = run("installation", "events", "--limit", "1").line
    assert shown == f"{newest['created_at']}  integration.enabled  ada  integration_slug=notion"
