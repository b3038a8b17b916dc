"""The audit log names the operator who ran a command."""

import asyncio
import json
import os
import pwd
from pathlib import Path

import pytest
from sqlalchemy import select

from one_runtime.db.schema import events
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.cli.test_sessions import session_of, store
from tests.command_line import Run
from tests.connections.test_search import connect
from tests.sealed_rows import FIRST, ID, SECOND


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database with a ring, without a name of the operator."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", FIRST)
    monkeypatch.delenv("SUDO_USER", raising=False)
    return bare


def recorded(database_url: str) -> list[tuple[str, str, str | None]]:
    """Return the type and the actor of each event, oldest first."""

    async def read() -> list[tuple[str, str, str | None]]:
        async with sealed_rows.opened(database_url) as database, database.read() as tx:
            rows = await tx.all(select(events).order_by(events.c.id))
            return [(row.type, row.actor_type, row.actor_id) for row in rows]

    return asyncio.run(read())


def test_each_command_that_changes_an_organization_names_the_operator(
    run: Run, database_url: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-the-client")
    organization = run("organizations", "create", "Northwind", OPERATOR=" ada ").line
    run("organizations", "set", organization, "--display-name", "Southwind")
    key = run("api-keys", "create", organization).line
    run("api-keys", "revoke", key[:12])
    of_organization = ("dropbox", "--organization", organization)
    run("oauth-clients", "set", *of_organization, "--client-id", "id", "--secret-file", str(secret))
    run("oauth-clients", "delete", *of_organization)
    assert recorded(database_url) == [
        ("organization.updated", "system", "ada"),
        ("api_key.created", "system", "ada"),
        ("api_key.revoked", "system", "ada"),
        ("oauth_client.updated", "system", "ada"),
        ("oauth_client.deleted", "system", "ada"),
    ]


def test_operator_without_a_setting_is_the_user_of_sudo_or_of_the_process(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = run("organizations", "create", "Northwind").line
    run("api-keys", "create", organization)
    monkeypatch.setenv("SUDO_USER", "grace")
    run("api-keys", "create", organization)
    monkeypatch.setenv("SUDO_USER", "not\nprintable")
    run("api-keys", "create", organization)
    process_user = pwd.getpwuid(os.getuid()).pw_name
    assert [actor for *_, actor in recorded(database_url)] == [process_user, "grace", process_user]


def test_unknown_user_of_a_container_is_named_by_number(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    run("api-keys", "create", run("organizations", "create", "Northwind").line)
    assert recorded(database_url) == [("api_key.created", "system", "uid 4000000000")]


@pytest.mark.parametrize("name", ["x" * 256, "a\tb"])
def test_name_that_is_long_or_not_printable_is_refused(run: Run, name: str) -> None:
    refused = run("organizations", "list", OPERATOR=name).sentence
    assert refused == "ONE_RUNTIME_OPERATOR must have at most 255 characters, all printable."


def test_commands_that_concern_no_single_organization_have_events_of_the_installation(
    run: Run, tmp_path: Path, database_url: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-the-client")
    ring = f"{FIRST},{SECOND}"
    organization = run("organizations", "create", "Northwind", OPERATOR="ada", ENCRYPTION_KEYS=ring).line
    run("oauth-clients", "set", "dropbox", "--client-id", "id", "--secret-file", str(secret))
    run("oauth-clients", "delete", "dropbox")
    run("keys", "activate", ID[SECOND])
    run("keys", "reseal")
    run("keys", "disable", ID[FIRST])
    run("installation", "hold")
    run("installation", "confirm", "--yes")
    run("keys", "abandon", ID[SECOND], "--yes", ENCRYPTION_KEYS=FIRST)
    rows = run("installation", "events", "--json").rows
    assert {row["operator"] for row in rows} == {"ada"}
    assert [(row["type"], row["data"]) for row in reversed(rows)] == [
        ("organization.created", {"organization_id": organization, "display_name": "Northwind"}),
        ("oauth_client.updated", {"integration_slug": "dropbox"}),
        ("oauth_client.deleted", {"integration_slug": "dropbox"}),
        ("encryption_key.activated", {"key_id": ID[SECOND]}),
        ("encryption_key.disabled", {"key_id": ID[FIRST]}),
        ("installation.held", {}),
        ("installation.confirmed", {}),
        ("encryption_key.abandoned", {"key_id": ID[SECOND]}),
    ]
    assert recorded(database_url) == []


def test_cancellation_of_a_session_and_refresh_of_a_connection_name_the_operator(run: Run, database_url: str) -> None:
    organization = run("organizations", "create", "Northwind", OPERATOR="ada").line
    session = session_of(organization, "user_1")
    store(database_url, session)

    async def connect_user() -> str:
        async with sealed_rows.opened(database_url) as database:
            await sealed_rows.register(database, sealed_rows.ring(FIRST))
            return await connect(database, Actor(organization, "system"), "user_1", "hubspot")

    connection = asyncio.run(connect_user())
    run("sessions", "cancel", session.id)
    assert json.loads(run("sessions", "cancel", session.id, "--json").out)["status"] == "cancelled"
    assert json.loads(run("connections", "refresh", connection, "--json").out)["status"] == "active"
    newest, older, _ = run("installation", "events", "--json").rows
    assert (newest["type"], newest["operator"]) == ("connection.refresh_requested", "ada")
    assert newest["data"] == {"connection_id": connection, "organization_id": organization}
    assert (older["type"], older["operator"]) == ("hosted_connection_session.cancelled", "ada")
    assert older["data"] == {"session_id": session.id, "organization_id": organization}, "one event for two commands"
