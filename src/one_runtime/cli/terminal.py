"""Read the options of a subcommand of `one-runtime`, and print its output.

Every subcommand imports this module, so this module imports no module that is slow to import.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from one_runtime.errors import InvalidInput

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def named_values(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Parse a name=value option into names and values.

    Raises: InvalidInput. The message omits the option's text, because a user can put a secret there by mistake.
    """
    pairs = [text.partition("=") for text in texts]
    if not all(equals for _, equals, _ in pairs):
        raise InvalidInput(f"A {option} must have the form name=value.")
    return {name: value for name, _, value in pairs}


def read_secret(file: Path) -> str:
    """Read a secret from a file, or from standard input if the path is `-`. Raises: InvalidInput."""
    if str(file) == "-":
        return typer.get_text_stream("stdin").read().strip()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read.") from error


def print_json(data: object) -> None:
    """Print data as indented JSON."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows in aligned columns below a line with the names of the columns. Without rows, print nothing.

    A text of a provider or of an end user can contain control characters, which would control the terminal.
    """
    if not rows:
        return
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        value = " ".join(f"{name}={inner}" for name, inner in value.items() if inner is not None)
    text = "-" if value is None else str(value)
    return "".join(character if character.isprintable() else " " for character in text)


def print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Print one row per line, or all rows as JSON."""
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo("  ".join("-" if value is None else str(value) for value in row.values()))
