"""Read the input of a subcommand of `one-runtime`, and print its output.

Every subcommand imports this module, so this module imports no module that is slow to import.
"""

import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from one_runtime.errors import InvalidInput

_OUTPUT_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


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
    try:
        if str(file) == "-":
            return typer.get_text_stream("stdin").read().strip()
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        source = "The text from standard input" if str(file) == "-" else f"The text in {file}"
        raise InvalidInput(f"{source} is not valid UTF-8.") from error


def require_utf8(words: Sequence[str]) -> None:
    """Check the words of the command line. Raises: InvalidInput for a word whose bytes are not UTF-8."""
    for number, word in enumerate(words):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"Argument {number} of the command is not valid UTF-8.") from error


def explain_file_error(error: OSError) -> str:
    """Return the message for a file or an output that the command cannot use. Raises: OSError for any other error."""
    if error.filename is not None:
        return f"{printable(str(error.filename))} cannot be used: {error.strerror}."
    if error.errno not in _OUTPUT_ERRORS:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the exit of Python flushes the output again
    return f"The command cannot write its output: {error.strerror}."


def printable(text: str) -> str:
    """Replace control characters by spaces. A text of an end user or of a provider could control the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def join_counts(counts: Mapping[Any, int]) -> str:
    """Return the counts as text, such as `2 api_key, 1 oauth2`. Omit each count that is 0."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def write_text(text: str, output: Path | None) -> None:
    """Write a text to a file, or to standard output for None."""
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def print_json(data: object) -> None:
    """Print data as indented JSON. Escape the characters that could control the terminal."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    typer.echo("".join(character if _is_harmless(character) else json.dumps(character)[1:-1] for character in text))


def _is_harmless(character: str) -> bool:
    return character == "\n" or character.isprintable()


def print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Print rows as JSON, or as a table whose columns have the names of the fields."""
    if as_json:
        print_json(rows)
    else:
        print_table([{name.replace("_", " "): value for name, value in row.items()} for row in rows])


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows in aligned columns below a line with the names of the columns. Without rows, print nothing."""
    if not rows:
        return
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        value = [f"{name}={_cell(inner)}" for name, inner in value.items() if inner is not None]
    if isinstance(value, list | tuple):
        value = " ".join(map(_cell, value)) or None
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return "-" if value is None else printable(str(value))
