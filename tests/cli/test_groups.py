"""The command line imports only what a command needs, explains each command, and completes commands in a shell."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from benchmarks.commands import COMMANDS, OMITTED, Command
from one_runtime import cli
from tests.command_line import commands
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

FOR_EACH_LIST: Final = {
    "cryptography",
    "one_runtime.catalog.loader",
    "one_runtime.catalog.model",
    "prometheus_client",
    "pydantic",
    "sqlalchemy",
    "yaml",
    "yarl",
}
"""The slow modules that a command may import that lists something."""

IMPORTED: Final[dict[str, set[str]]] = {
    "--help": set(),
    "--version": set(),
    "organizations list": {"prometheus_client", "pydantic", "sqlalchemy"},
    **{
        " ".join((*words, *("--organization nothing" for param in command.params if param.required))): FOR_EACH_LIST
        for words, command in commands()
        if words[-1] in {"list", "list-disabled"}
    },
    "catalog search hubspot": {"one_runtime.catalog.loader", "one_runtime.catalog.model", "pydantic", "yaml", "yarl"},
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


def test_each_module_defines_the_subcommands_of_the_table() -> None:
    for group in cli._GROUPS.values():
        for module, names in group.modules.items():
            holder = typer.Typer()
            holder.add_typer(import_module(f"one_runtime.cli.{module}").app)
            assert list(typer.main.get_group(holder).commands) == names.split(), module


def test_every_command_with_a_result_prints_the_result_as_json_on_request() -> None:
    def options(command: Any) -> set[str]:
        return {name for param in command.params for name in param.opts}

    everything = dict(commands())
    assert len(everything) > 50
    assert {words for words, command in everything.items() if "--json" not in options(command)} == set(WITHOUT_JSON)


def test_benchmark_names_only_commands_that_exist() -> None:
    measured = {Command(words).name for words in COMMANDS} - {"keys --help"}
    assert measured.isdisjoint(OMITTED)
    assert measured | OMITTED.keys() <= {" ".join(words) for words, _ in commands()}


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
