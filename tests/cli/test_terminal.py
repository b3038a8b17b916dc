"""The output of commands on a terminal: tables, JSON, help, and outputs that cannot be written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from one_runtime.cli.terminal import print_json, print_rows, printable
from one_runtime.encryption.vault import new_key
from tests.command_line import Run

PROGRAM: Final = Path(sys.executable).with_name("one-runtime")
HOSTILE: Final = "Ada\x1b[2J\x9b2J\u202e\udcff\x7f"
"""A name that clears the screen of a terminal, and that reverses the text after it."""


def test_names_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"end_user_id": HOSTILE, "scopes": [HOSTILE, "b"], "data": {"by": HOSTILE, "none": None}}
    print_rows([row], as_json=False)
    table = capsys.readouterr().out
    print_json([row])
    text = capsys.readouterr().out
    assert all(character == "\n" or character.isprintable() for character in table + text)
    assert json.loads(text) == [row], "a program gets the same characters"
    assert not re.search("[^ -~]", printable(HOSTILE))


def test_table_has_titles_and_joins_lists(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"display_name": "Northwind", "allowed_origins": ("https://a.example", "https://b.example"), "live": True},
        {"display_name": "Globex", "allowed_origins": (), "live": None},
    ]
    print_rows(rows, as_json=False)
    assert [re.split("  +", line) for line in capsys.readouterr().out.splitlines()] == [
        ["display name", "allowed origins", "live"],
        ["Northwind", "https://a.example https://b.example", "yes"],
        ["Globex", "-", "-"],
    ]


@pytest.mark.slow
def test_output_that_cannot_be_written_is_one_sentence() -> None:
    for words in (("version",), ("catalog", "export")):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (result.returncode, result.stderr) == (
            1,
            "The command cannot write its output: No space left on device.\n",
        )


@pytest.mark.slow
def test_export_to_a_full_output_is_one_sentence(bare: Run, migrated_sqlite_url: str) -> None:
    identifier = bare("organizations", "create", "Northwind", DATABASE_URL=migrated_sqlite_url).line
    command = [str(PROGRAM), "organizations", "export", identifier]
    environment = os.environ | {"ONE_RUNTIME_ENCRYPTION_KEYS": new_key()}
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert (result.returncode, result.stderr.splitlines()) == (
        1,
        ["The command cannot write its output: No space left on device."],
    )


def test_message_with_a_name_cannot_control_the_terminal(bare: Run) -> None:
    assert bare("catalog", "show", "Ada\x1b[2J.yaml").err == "Ada [2J.yaml: cannot be read: No such file or directory\n"
    assert "\x1b" not in bare("catalog", "list", "--category", "\x1b[2J").err


@pytest.mark.slow
def test_reader_that_stops_early_is_no_error() -> None:
    command = f"{PROGRAM} catalog export | head -c 10 | wc -c"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (result.stdout.strip(), result.stderr) == ("10", "")


def test_closed_output_is_no_error() -> None:
    command = f"{PROGRAM} version >&-"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_file_that_cannot_be_written_is_named(bare: Run) -> None:
    assert bare("catalog", "export", "--output", "/nowhere/catalog.json").sentence == (
        "/nowhere/catalog.json cannot be used: No such file or directory."
    )


def test_argument_that_is_not_utf8_is_refused() -> None:
    command: list[bytes] = [str(PROGRAM).encode(), b"catalog", b"show", b"Caf\xe9"]
    result = subprocess.run(command, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (1, b"Argument 3 of the command is not valid UTF-8.\n")


def test_secret_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    command = [str(PROGRAM), "copy", "--to-file", "-"]
    result = subprocess.run(command, input=b"caf\xe9", capture_output=True, check=False, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, b"The text from standard input is not valid UTF-8.\n")
