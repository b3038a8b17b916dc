"""`one-runtime oauth-clients`: registration, output, refusals; a secret is never an argument."""

import json
from pathlib import Path

import pytest

from tests.command_line import Run
from tests.sealed_rows import FIRST

pytestmark = pytest.mark.slow

SECRET = "a-secret-of-the-client-9f3c"


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
