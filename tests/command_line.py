"""A pytest plugin: runs commands of `one-runtime` in this process and returns the result of each command."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import typer

from one_runtime import cli


@dataclass(frozen=True, slots=True)
class CommandResult:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """Return the only line of standard output."""
        assert (self.code, self.err) == (0, ""), self.err
        (line,) = self.out.splitlines()
        return line

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the JSON on standard output."""
        assert (self.code, self.err) == (0, ""), self.err
        rows: list[dict[str, Any]] = json.loads(self.out)
        return rows

    @property
    def sentence(self) -> str:
        """Return the error message: one or two sentences on standard error, without a traceback."""
        assert self.code != 0
        assert self.out == ""
        assert "Traceback" not in self.err
        (sentence,) = self.err.splitlines()
        return sentence

    @property
    def usage_error(self) -> str:
        """Return the message of a usage error: the last line on standard error, after the usage of the command."""
        assert (self.code, self.out) == (2, "")
        assert "Traceback" not in self.err
        return self.err.splitlines()[-1].removeprefix("Error: ")


Run = Callable[..., CommandResult]


_command_of = cache(typer.main.get_command)
"""Typer makes the commands of an application at each call, which takes longer than most commands."""


def commands(command: Any = None, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words and the object of each command of `one-runtime` that is no group."""
    command = command or _command_of(cli.app)
    if not hasattr(command, "commands"):
        yield words, command
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, *words, name)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process, with only the given environment variables."""

    def run(*words: str, **variables: str) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["one-runtime", *words])
        monkeypatch.setattr(typer.main, "get_command", _command_of)
        for name, value in variables.items():
            monkeypatch.setenv(f"ONE_RUNTIME_{name}", value)
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        output = capsys.readouterr()
        return CommandResult(code, output.out, output.err)

    return run
