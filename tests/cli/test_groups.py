"""The command line imports only what a command needs, explains each command, and completes commands in a shell."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

PROGRAM: Final = Path(sys.executable).with_name("one-runtime")
SLOW_MODULES: Final = {"aiohttp", "fastapi", "psycopg", "sqlalchemy", "structlog", "uvicorn"}


def slow_modules(*words: str) -> set[str]:
    """Return the slow modules that a command imports."""
    script = f"""
import sys
sys.argv = ["one-runtime", *{words!r}]
from one_runtime.cli import main
try:
    main()
except SystemExit:
    print(*sorted({SLOW_MODULES!r} & set(sys.modules)), file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stderr.split())


def completed(*words: str) -> list[str]:
    """Return the completions that the program offers to bash for the last word."""
    variables = {"_ONE_RUNTIME_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words)}
    environment = os.environ | variables | {"COMP_CWORD": str(len(words) - 1)}
    return subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_help_and_version_import_no_slow_module() -> None:
    assert slow_modules("--help") == set()
    assert slow_modules("--version") == set()


def test_list_of_organizations_imports_neither_the_http_client_nor_the_server_nor_postgresqls_driver() -> None:
    assert slow_modules("organizations", "list", "--help") == {"sqlalchemy", "structlog"}


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


def test_unknown_subcommand_is_compared_with_the_subcommands_of_its_group() -> None:
    run = subprocess.run([PROGRAM, "keys", "reseel"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "'reseal'" in run.stderr
