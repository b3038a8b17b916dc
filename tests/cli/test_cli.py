"""`one-runtime` on the command line: output as text and JSON, errors as one sentence with an exit code."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from one_runtime import __version__
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.ids import new_id
from one_runtime.db.migrations import HEAD
from one_runtime.encryption import secret_tokens
from one_runtime.encryption.vault import key_id
from tests.command_line import Run


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    return bare


def test_organization_is_created_listed_and_changed(run: Run) -> None:
    identifier = run("organizations", "create", "Northwind", "--allowed-origin", "https://App.example.com/").line
    (row,) = run("organizations", "list", "--json").rows
    assert (row["id"], row["display_name"], row["allowed_origins"]) == (
        identifier,
        "Northwind",
        ["https://app.example.com"],
    )
    assert [line.split() for line in run("organizations", "list").out.splitlines()] == [
        ["id", "display", "name", "allowed", "origins", "return", "urls"],
        [identifier, "Northwind", "https://app.example.com", "-"],
    ]
    changed = (
        "--display-name",
        "Zoë",
        "--allowed-origin",
        "https://a.example",
        "--allowed-origin",
        "https://b.example",
        "--return-url",
        "https://a.example/done",
    )
    _, printed = run("organizations", "set", identifier, *changed).out.splitlines()
    assert printed.split() == [identifier, "Zoë", "https://a.example", "https://b.example", "https://a.example/done"]
    run("organizations", "set", identifier, "--privacy-url", "https://example.com/privacy")
    (row,) = run("organizations", "list", "--json").rows
    assert (row["display_name"], row["allowed_origins"]) == ("Zoë", ["https://a.example", "https://b.example"])


def test_replaced_origins_and_return_urls_are_named(run: Run) -> None:
    origins = ("--allowed-origin", "https://a.example", "--allowed-origin", "https://b.example")
    done = ("--return-url", "https://a.example/done")
    identifier = run("organizations", "create", "Northwind", *origins, *done).line
    (row,) = run("organizations", "list", "--json").rows
    assert (row["allowed_origins"], row["return_urls"]) == (list(origins[1::2]), [done[1]])
    kept = run("organizations", "set", identifier, *origins, *done, "--allowed-origin", "https://c.example")
    assert (kept.code, kept.err) == (0, "")
    replaced = run("organizations", "set", identifier, "--allowed-origin", "https://b.example", "--json")
    assert replaced.err == (
        "Removed: https://a.example, https://c.example. To keep a value, repeat --allowed-origin with it.\n"
    )
    assert json.loads(replaced.out)["allowed_origins"] == ["https://b.example"]
    removed = run("organizations", "set", identifier, "--return-url", "https://b.example/done").err
    assert removed == "Removed: https://a.example/done. To keep a value, repeat --return-url with it.\n"


@pytest.mark.promise("P2")
def test_api_key_is_printed_once_and_revoked_by_prefix_or_id(run: Run) -> None:
    organization = run("organizations", "create", "Northwind").line
    key = run("api-keys", "create", organization, "--name", "backend").line
    assert secret_tokens.recognize(secret_tokens.API_KEY, key)
    narrow = run("api-keys", "create", organization, "--scope", "admin", "--scope", "read").line
    listed = run("api-keys", "list", "--json").rows
    assert [(row["name"], row["scopes"], row["last_used_at"], row["revoked_at"]) for row in listed] == [
        ("backend", ["read", "connect", "use"], None, None),
        ("default", ["read", "admin"], None, None),
    ]
    assert [row["prefix"] for row in listed] == [key[:12], narrow[:12]]
    assert key not in json.dumps(listed)
    assert key[13:] not in run("api-keys", "list").out
    assert "one-runtime organizations list" in run("api-keys", "list", new_id()).sentence
    assert run("api-keys", "revoke", key[:12]).line == f"Revoked {key[:12]}."
    assert run("api-keys", "revoke", listed[1]["id"]).line == f"Revoked {narrow[:12]}."
    revoked = [row["revoked_at"] for row in run("api-keys", "list", organization, "--json").rows]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment) for moment in revoked)
    assert "no active API key" in run("api-keys", "revoke", key[:12]).sentence, "the key is revoked already"


@pytest.mark.only_database("sqlite")
def test_organizations_set_changes_the_branding_and_the_logos(run: Run, tmp_path: Path) -> None:
    organization = run("organizations", "create", "Northwind").line
    logo = tmp_path / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8H0z"/></svg>')
    png = tmp_path / "dark.png"
    png.write_bytes(b"\x89PNG\r\n\x1a\n")

    def change(*options: str) -> dict[str, object]:
        row = json.loads(run("organizations", "set", organization, *options, "--json").out)
        return {"logo_url": row["logo_url"], **row["branding"]}

    first = change("--accent-color", "#2450c4", "--radius", "large", "--logo", str(logo), "--logo-dark", str(png))
    assert (first["accent_color"], first["radius"], first["scheme"]) == ("#2450c4", "large", "auto")
    assert str(first["logo_url"]).startswith("data:image/svg+xml;base64,")
    assert str(first["logo_dark_url"]).startswith("data:image/png;base64,")
    assert change("--scheme", "dark", "--hide-powered-by") == {**first, "scheme": "dark", "hide_powered_by": True}
    assert change("--show-powered-by", "--accent-color-dark", "#9db8ff") == {
        **first, "scheme": "dark", "accent_color_dark": "#9db8ff",
    }  # fmt: skip
    empty = change("--accent-color", "", "--accent-color-dark", "", "--logo", "", "--logo-dark", "")
    assert empty == {**first, "scheme": "dark", "accent_color": None, "logo_url": None, "logo_dark_url": None}
    refused = run("organizations", "set", organization, "--accent-color", "#ffd400").sentence
    assert "The nearest color with enough contrast is #aa8d00." in refused
    assert "cannot be read" in run("organizations", "set", organization, "--logo", str(tmp_path / "none.png")).sentence
    logo.write_text("<svg onload='alert(1)'/>")
    assert "logo_url must be a plain SVG" in run("organizations", "set", organization, "--logo", str(logo)).sentence


def test_refused_command_prints_one_sentence(run: Run) -> None:
    organization = run("organizations", "create", "Northwind").line
    assert "must be an origin" in run("organizations", "create", "N", "--allowed-origin", "app.example.com").sentence
    assert (
        "must begin with https"
        in run("organizations", "set", organization, "--allowed-origin", "http://a.example").sentence
    )
    assert "privacy_url" in run("organizations", "set", organization, "--privacy-url", "example.com").sentence
    assert "must be one or more of read" in run("api-keys", "create", organization, "--scope", "write").sentence
    for words in (("organizations", "set"), ("api-keys", "create")):
        for identifier in (new_id(), "nothing"):
            assert "one-runtime organizations list" in run(*words, identifier).sentence
    assert "no active API key" in run("api-keys", "revoke", "oru_nothing0").sentence
    assert [row["display_name"] for row in run("organizations", "list", "--json").rows] == ["Northwind"]


def test_organization_requires_a_printable_name(run: Run) -> None:
    for name in ("", "  ", "x" * 256):
        assert "display_name" in run("organizations", "create", name).sentence
    assert run("organizations", "list", "--json").rows == []


def test_database_is_migrated_once(bare: Run, empty_database_url: str) -> None:
    variables = {"DATABASE_URL": empty_database_url}
    assert "one-runtime migrate" in bare("organizations", "list", **variables).sentence
    path = sqlite_path(empty_database_url)
    assert bare("migrate").line == f"Migrated to {HEAD}." + (f" Created {path}." if path else "")
    assert bare("migrate").line == f"Nothing to do: the database is at {HEAD}."
    assert json.loads(bare("migrate", "--json").out) == {"migrated": False, "revision": HEAD}
    assert bare("organizations", "list", "--json").rows == []


def test_invalid_settings_print_one_sentence(bare: Run) -> None:
    assert "ONE_RUNTIME_DATABASE_URL" in bare("migrate", DATABASE_URL="mysql://x").sentence
    unreachable = bare("migrate", DATABASE_URL="postgresql://u:canary@127.0.0.1:1/x").sentence
    assert "cannot be reached" in unreachable
    assert "canary" not in unreachable
    assert "ONE_RUNTIME_DATABASE_URI is not a setting" in bare("migrate", DATABASE_URI="x").sentence


def test_new_encryption_keys_are_32_random_bytes(bare: Run) -> None:
    keys = {bare("keys", "new").line for _ in range(3)}
    assert len(keys) == 3
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {32}
    key = json.loads(bare("keys", "new", "--json").out)
    assert key["id"] == key_id(base64.b64decode(key["key"]))


def test_version_is_the_version_of_the_package(bare: Run) -> None:
    assert bare("version").line == __version__
    assert bare("--version").line == __version__
    assert json.loads(bare("version", "--json").out) == {"version": __version__}


def test_unknown_command_is_a_usage_error(bare: Run) -> None:
    assert bare("nothing").usage_error == "No such command '…'."


@pytest.mark.slow
def test_script_and_module_run_the_same_command(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("one-runtime")
    for command in ([str(script)], [sys.executable, "-m", "one_runtime"]):
        result = subprocess.run([*command, "version"], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert result.stdout.strip() == __version__
