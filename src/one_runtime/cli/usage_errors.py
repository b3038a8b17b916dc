"""Explain errors of the command line, such as an unknown option, in One Runtime's own words."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import typer
from typer._click.exceptions import (  # Typer exports only BadParameter
    BadOptionUsage,
    BadParameter,
    MissingParameter,
    NoArgsIsHelpError,
    NoSuchOption,
    UsageError,
)
from typer.core import TyperArgument

from one_runtime.cli.terminal import printable

_MAX_NAME: Final = 64
_QUOTED: Final = re.compile(r"'([^']*)'")


@contextmanager
def usage_errors_explained() -> Iterator[None]:
    """Print a usage error of the block as one line, and raise Exit with the exit code 2. Typer would print a box."""
    try:
        yield
    except NoArgsIsHelpError:  # a group without a subcommand prints its help
        raise
    except UsageError as error:
        typer.echo(printable(_explain(error)), err=True)
        raise typer.Exit(2) from error


def _explain(error: UsageError) -> str:
    """Return what is wrong, and what to do. The text contains no value, because the value can be a secret."""
    if type(error) is BadParameter and error.param is None:  # a sentence of a subcommand
        return error.message
    if error.ctx is not None and error.message.startswith("No such command"):
        similar = _QUOTED.findall(error.message.partition("Did you mean")[2])
        return f"There is no such command.{_similar(similar)} `{error.ctx.command_path} --help` lists the commands."
    return f"{_fault(error)} Add --help to see the arguments and options of the command."


def _fault(error: UsageError) -> str:
    match error:
        case MissingParameter():
            return f"The {_name(error)} is missing."
        case BadParameter():
            return f"The {_name(error)} {_description(error)}."
        case NoSuchOption():
            return f"There is no option {error.option_name[:_MAX_NAME]}.{_similar(error.possibilities or ())}"
        case BadOptionUsage():
            return f"The option {error.option_name} {'needs a' if 'requires' in error.message else 'takes no'} value."
    if error.message.startswith("Got unexpected extra argument"):
        return "The command has more arguments than it accepts. Put a value with spaces in quotes."
    return error.message


def _name(error: BadParameter) -> str:
    param = error.param
    assert param is not None  # noqa: S101 - the parser sets the parameter
    return f"argument {param.metavar}" if isinstance(param, TyperArgument) else f"option {param.opts[0]}"


def _description(error: BadParameter) -> str:
    """Return the requirement for a value, such as `must be at least 1`."""
    from pydantic import ValidationError

    from one_runtime.validation.descriptions import describe, one_of

    choices = None if error.param is None else error.param.type_descriptor.choices
    if choices is not None:
        return one_of([str(choice) for choice in choices])
    return describe(error.__cause__.errors()[0]) if isinstance(error.__cause__, ValidationError) else error.message


def _similar(names: Sequence[str]) -> str:
    return f" Did you mean {' or '.join(names)}?" if names else ""
