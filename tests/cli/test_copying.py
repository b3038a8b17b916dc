"""`one-runtime copy`: the output, the URL of the new database, and the state of both databases afterwards."""

import asyncio
import io
import json
from pathlib import Path

import pytest

from one_runtime.db.schema import metadata
from tests import every_table
from tests.command_line import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def run(bare: Run, migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a SQLite database with rows in every table."""
    asyncio.run(every_table.fill(migrated_sqlite_url))
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", migrated_sqlite_url)
    return bare


def movers(run: Run) -> list[str]:
    """Return the operators who moved the installation, from the events of the configured database."""
    rows = run("installation", "events", "--json").rows
    return [row["operator"] for row in rows if row["type"] == "installation.moved"]


def test_installation_is_moved_and_both_databases_know_it(run: Run, empty_postgres_url: str, tmp_path: Path) -> None:
    url_file = tmp_path / "new-url"
    url_file.write_text(f"{empty_postgres_url}\n")
    copied = run("copy", "--to-file", str(url_file), OPERATOR="ada")
    count = every_table.ROWS * (len(metadata.tables) - 1) + 1
    assert copied.out.splitlines()[0] == f"{count} rows of {len(metadata.tables)} tables copied."
    assert "The new database is the live database." in copied.out
    assert (copied.code, all(line.endswith(" rows copied") for line in copied.err.splitlines())) == (0, True)
    shown = run("installation", "show").out
    assert "The command `one-runtime copy` has moved this database to PostgreSQL." in shown
    assert run("copy", "--to", empty_postgres_url).sentence.startswith("The new database is not empty")
    assert movers(run) == ["ada"]
    for words in (("organizations", "create", "Southwind"), ("api-keys", "list", "--json")):
        assert run(*words).sentence.startswith("`one-runtime copy` has moved this SQLite database to PostgreSQL.")
    shown = run("installation", "show", DATABASE_URL=empty_postgres_url).out
    assert "This database is the live database." in shown
    assert movers(run) == ["ada"]


def test_result_is_printed_as_json(run: Run, empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run("installation", "hold")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{empty_postgres_url}\n"))
    copied = run("copy", "--to-file", "-", "--json")
    rows = dict.fromkeys(metadata.tables, every_table.ROWS)
    rows |= {"installation": 1, "installation_events": every_table.ROWS + 1}  # with the event of `hold`
    assert json.loads(copied.out) == {"rows": rows, "live": False}


def test_unconfirmed_copy_is_reported(run: Run, empty_postgres_url: str) -> None:
    run("installation", "hold")
    assert "The new database is an unconfirmed copy" in run("copy", "--to", empty_postgres_url).out


def test_url_is_required_and_never_printed(run: Run, tmp_path: Path) -> None:
    assert "with either --to or --to-file" in run("copy").sentence
    assert "with either --to or --to-file" in run("copy", "--to", "postgresql://a/b", "--to-file", "-").sentence
    assert "none cannot be read" in run("copy", "--to-file", str(tmp_path / "none")).sentence
    for url in ("postgresql://me:hunter2@127.0.0.1:1/new", "mysql://me:hunter2@h/new", "postgresql://me:hunter2@[/new"):
        assert "hunter2" not in run("copy", "--to", url).sentence
