"""The command line imports only what a command needs, explains each command, and completes commands in a shell."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from benchmarks.commands import COMMANDS, OMITTED, Command
from one_runtime import cli
from tests.sealed_rows import FIRST

PROGRAM: Final = Path(sys.executable).with_name("one-runtime")
WITHOUT_JSON: Final = {
    ("serve",): "prints no result",
}
"""The commands without the option `--json`, with the reason."""

SLOW_MODULES: Final = {
    "aiohttp",
    "alembic",
    "cryptography",
    "fastapi",
    "jinja2",
    "one_runtime.catalog.model",
    "one_runtime.catalog.loader",
    "prometheus_client",
    "psycopg",
    "pydantic",
    "rich",
    "sqlalchemy",
    "sqlalchemy.dialects.postgresql",
    "structlog",
    "uvicorn",
    "yaml",
    "yarl",
}
"""Modules whose import takes more than 10 ms."""

OF_THE_DATABASE: Final = {"prometheus_client", "pydantic", "sqlalchemy"}
"""The slow modules that every command needs that uses the database."""

OF_THE_CATALOG: Final = {"one_runtime.catalog.loader", "one_runtime.catalog.model"}
OF_CONNECTIONS: Final = {"cryptography", "yarl", *OF_THE_CATALOG}
"""Further slow modules of commands that use the functions of connections or sessions."""

IMPORTED: Final[dict[str, set[str]]] = {
    "--help": {"rich"},
    "--version": set(),
    "organizations list": OF_THE_DATABASE,
    "events list": OF_THE_DATABASE,
    "proxy-requests list": OF_THE_DATABASE,
    "keys list": OF_THE_DATABASE | {"cryptography"},
    "installation events": OF_THE_DATABASE,
    "installation hold": OF_THE_DATABASE,
    "installation show": OF_THE_DATABASE | OF_CONNECTIONS,
    "connections list": OF_THE_DATABASE | OF_CONNECTIONS,
    "connections show nothing": OF_THE_DATABASE | OF_CONNECTIONS,
    "sessions list": OF_THE_DATABASE | OF_CONNECTIONS,
    "end-users list --organization nothing": OF_THE_DATABASE | OF_CONNECTIONS,
    "webhooks list": OF_THE_DATABASE | OF_CONNECTIONS,
    "oauth-clients list": OF_THE_DATABASE | OF_CONNECTIONS,
    "oauth-clients delete hubspot": OF_THE_DATABASE | OF_CONNECTIONS,
    "custom-integrations list --organization nothing": OF_THE_DATABASE | OF_CONNECTIONS,
    "custom-integrations delete x-crm --organization nothing": OF_THE_DATABASE | OF_CONNECTIONS,
    "connections check nothing": OF_THE_DATABASE | OF_CONNECTIONS,
    "integrations disable hubspot": OF_THE_DATABASE | OF_THE_CATALOG,
    "integrations enable hubspot": OF_THE_DATABASE | OF_THE_CATALOG,
    "integrations list-disabled": OF_THE_DATABASE,
    "catalog search hubspot": {"one_runtime.catalog.loader", "one_runtime.catalog.model", "pydantic"},
    "api-keys revoke nothing": OF_THE_DATABASE,
}
"""The slow modules that each command may import."""


def slow_steps(words: str, database_url: str) -> set[str]:
    """Run a command in a process of its own. Return the slow modules that the command imports.

    The set contains `gc` if Python looks for reference cycles before its exit, and `exit` if the exit looks for them.
    """
    script = f"""
import atexit, contextlib, gc, sys
sys.argv = ["one-runtime", *{words.split()!r}]
from one_runtime.cli import main
searches = gc.get_stats()[0]["collections"]
def report():
    searched = {{"gc"}} if gc.get_stats()[0]["collections"] > searches else set()
    searched |= set() if gc.get_freeze_count() else {{"exit"}}
    print(*sorted({SLOW_MODULES!r} & set(sys.modules) | searched), file=sys.stderr)
atexit.register(report)  # runs after the functions that the command registers
with contextlib.suppress(SystemExit):
    main()
"""
    variables = {"ONE_RUNTIME_DATABASE_URL": database_url, "ONE_RUNTIME_ENCRYPTION_KEYS": FIRST}
    run = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    return set(run.stderr.splitlines()[-1].split())


def completed(*words: str) -> list[str]:
    """Return the completions that the program offers to bash for the last word."""
    variables = {"_ONE_RUNTIME_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words)}
    environment = os.environ | variables | {"COMP_CWORD": str(len(words) - 1)}
    return subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("words", IMPORTED)
def test_command_imports_no_further_slow_module_and_searches_no_cycles(words: str, migrated_sqlite_url: str) -> None:
    assert slow_steps(words, migrated_sqlite_url) - IMPORTED[words] == set()


def commands(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words and the object of each command."""
    if not hasattr(command, "commands"):
        yield words, command
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, *words, name)


def test_every_command_with_a_result_prints_the_result_as_json_on_request() -> None:
    def options(command: Any) -> set[str]:
        return {name for param in command.params for name in param.opts}

    everything = dict(commands(typer.main.get_command(cli.app)))
    assert len(everything) > 50
    assert {words for words, command in everything.items() if "--json" not in options(command)} == set(WITHOUT_JSON)


def test_benchmark_names_only_commands_that_exist() -> None:
    measured = {Command(words).name for words in COMMANDS} - {"keys --help"}
    assert measured.isdisjoint(OMITTED)
    assert measured | OMITTED.keys() <= {" ".join(words) for words, _ in commands(typer.main.get_command(cli.app))}


@pytest.mark.parametrize("words", [("-h",), ("keys", "-h"), ("keys", "new", "-h"), ("doctor", "-h")])
def test_short_option_prints_the_help(words: tuple[str, ...]) -> None:
    run = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=True)
    assert "Usage: one-runtime" in run.stdout
    assert "--help" in run.stdout


def test_shell_completes_groups_subcommands_and_options() -> None:
    assert completed("one-runtime", "proxy") == ["proxy-requests"]
    assert {"new", "list", "reseal"} <= set(completed("one-runtime", "keys", ""))
    assert "--as-json" not in completed("one-runtime", "doctor", "--")
    assert "--json" in completed("one-runtime", "doctor", "--")
