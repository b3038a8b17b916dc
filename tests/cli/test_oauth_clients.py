"""`one-runtime oauth-clients`: registration, output, refusals; a secret is never an argument."""

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.connections.connections import NewConnection
from one_runtime.connections.credentials import ProviderAccount, TokenMetadata
from one_runtime.explanations.stored_errors import error_note
from one_runtime.integrations import oauth_clients
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.command_line import Run
from tests.sealed_rows import FIRST, ring

pytestmark = pytest.mark.slow

SECRET = "a-secret-of-the-client-9f3c"
CUSTOM: Final = """
slug: x-tickets
name: Tickets
description: Tickets of a team, for the tests.
category: Developer Tools
website: https://tickets.example.com/
docs: https://tickets.example.com/api
auth:
  - type: oauth2
    authorization:
      url: https://tickets.example.com/authorize
    token:
      url: https://tickets.example.com/token
    pkce: supported
    client:
      where: In Tickets, open Settings, then Applications.
    base_url: https://tickets.example.com/api
    verified:
      how: documentation
      date: 2026-12-01
    check:
      path: /me
      expect:
        json:
          - path: id
            exists: true
      refused:
        status: [401]
"""


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database with a ring."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", FIRST)
    monkeypatch.setenv("ONE_RUNTIME_PUBLIC_URL", "https://connect.example.com")
    return bare


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return str(path)


def test_client_of_the_instance_is_registered_listed_and_deleted(run: Run, secret_file: str) -> None:
    words = ("oauth-clients", "set", "dropbox", "--client-id", "our-id", "--secret-file", secret_file)
    line = run(*words, "--scope", "account_info.read").line
    assert line.endswith("https://connect.example.com/connect/callback/dropbox")
    assert SECRET not in line
    (row,) = run("oauth-clients", "list", "--json").rows
    assert (row["integration_slug"], row["client_id"], row["client_secret_last_four"]) == ("dropbox", "our-id", "9f3c")
    assert row["scopes"] == ["account_info.read"]
    assert run("oauth-clients", "delete", "dropbox").line == "Deleted the OAuth client for dropbox."
    assert run("oauth-clients", "list", "--json").rows == []
    for slug in ("dropbox", "nothing"):
        assert "`one-runtime oauth-clients list` shows" in run("oauth-clients", "delete", slug).sentence


def test_client_of_an_organization_is_listed_for_it_only(run: Run, secret_file: str) -> None:
    organization = run("organizations", "create", "Northwind").line
    words = ("oauth-clients", "set", "gitlab", "--client-id", "our-id", "--secret-file", secret_file)
    assert "hosts is required" in run(*words, "--organization", organization).sentence
    run(*words, "--organization", organization, "--host", "gitlab.example.com")
    (row,) = run("oauth-clients", "list", "--organization", organization, "--json").rows
    assert row["hosts"] == ["gitlab.example.com"]
    assert run("oauth-clients", "list", "--json").rows == []
    deleted = run("oauth-clients", "delete", "gitlab", "--organization", organization, "--json").out
    assert json.loads(deleted) == {"integration_slug": "gitlab", "organization_id": organization}


@pytest.mark.parametrize(
    "words,message",
    [
        (("nothing", "--client-id", "x"), "There is no integration"),
        (("hubspot", "--client-id", "x", "--organization", "nobody"), "There is no organization"),
        (("hubspot", "--client-id", "x", "--field", "a-secret"), "A --field must have the form name=value."),
        (("acme", "--client-id", "x"), "There is no integration"),
    ],
)
def test_refused_registration_prints_one_sentence(
    run: Run, secret_file: str, words: tuple[str, ...], message: str
) -> None:
    sentence = run("oauth-clients", "set", *words, "--secret-file", secret_file).sentence
    assert message in sentence
    assert "a-secret" not in sentence, "a misplaced argument may be a secret"


def test_missing_secret_file_prints_one_sentence(run: Run, tmp_path: Path) -> None:
    words = ("oauth-clients", "set", "hubspot", "--client-id", "x", "--secret-file", str(tmp_path / "none"))
    assert run(*words).sentence.endswith("none cannot be read: No such file or directory.")


def suggested(text: str) -> list[str]:
    """Return the arguments of the command that a text suggests."""
    command = re.search(r"`one-runtime (oauth-clients set [^`]+)`", text)
    assert command is not None, text
    return shlex.split(command[1])


async def connect_with_a_refused_client(database_url: str, organization: str) -> None:
    """Store a connection to the custom integration whose OAuth client the provider has refused."""
    vault, catalogs, now = ring(FIRST), OrganizationCatalogs(load_catalog()), system_clock()
    async with sealed_rows.opened(database_url) as database, database.write() as tx:
        integration = await catalogs.get(tx, organization, "x-tickets")
        client = await oauth_clients.find_own(tx, vault, organization, "x-tickets")
        assert integration is not None
        assert client is not None
        tokens = TokenMetadata(client.id, now, integration.audience("oauth2"))
        secrets, account = {"access_token": "at", "refresh_token": "rt"}, ProviderAccount("a_1", "Acme")
        new = NewConnection(
            "ada", "x-tickets", "oauth2", None, {}, secrets, account, {}, multiple=True, token_metadata=tokens
        )
        await end_users.ensure(tx, organization, EndUser("ada", None, None, now, now))
        stored, _ = await connections.create_or_replace(tx, vault, catalogs, Actor(organization, "system"), new, now)
        await connections.set_error(tx, stored, error_note("client_refused", "Tickets refuses the client.", now))


def test_suggested_commands_register_the_client_of_a_custom_integration(
    run: Run, secret_file: str, database_url: str, tmp_path: Path
) -> None:
    organization, file = run("organizations", "create", "Northwind").line, tmp_path / "x-tickets.yaml"
    file.write_text(CUSTOM)
    assert run("custom-integrations", "set", str(file), "--organization", organization).line == "Created x-tickets."
    sheet = run("custom-integrations", "show", "x-tickets", "--organization", organization).out
    assert run(*suggested(sheet), "--secret-file", secret_file).line.startswith("Stored the client.")
    asyncio.run(connect_with_a_refused_client(database_url, organization))
    (row,) = run("connections", "list", "--json").rows
    (client,) = run("oauth-clients", "list", "--organization", organization, "--json").rows
    assert run(*suggested(row["advice"]), "--secret-file", secret_file).line.startswith("Stored the client.")
    (corrected,) = run("oauth-clients", "list", "--organization", organization, "--json").rows
    assert (corrected["client_id"], corrected["updated_at"] > client["updated_at"]) == (client["client_id"], True)
    assert "--organization ORGANIZATION`" in run("catalog", "show", str(file)).out


@pytest.mark.parametrize("verb", ["set", "delete"])
def test_client_of_a_custom_integration_without_an_organization_is_refused(run: Run, verb: str) -> None:
    options = ("--client-id", "x") if verb == "set" else ()
    sentence = run("oauth-clients", verb, "x-tickets", *options).sentence
    assert "The custom integration x-tickets belongs to an organization. Add --organization ID." in sentence
