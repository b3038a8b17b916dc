"""Import the module of a group of subcommands when a command of the group runs, so that every command starts fast."""

from collections.abc import MutableMapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperArgument, TyperGroup

from one_runtime.cli.usage_errors import usage_errors_explained

HELP_OPTIONS: Final = ["-h", "--help"]
_NAMES: Final[dict[Any, str]] = {Path: "FILE", int: "NUMBER"}


class NamedValues(TyperGroup):
    """The group of all subcommands. Its usage errors are sentences of One Runtime."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for command in self.commands.values():
            _name_values(command)

    def make_context(self, *words: Any, **options: Any) -> Any:
        with usage_errors_explained():
            return super().make_context(*words, **options)

    def invoke(self, ctx: Any) -> Any:
        with usage_errors_explained():
            return super().invoke(ctx)

    def get_params(self, ctx: Any) -> Any:
        """Return the options of the program. Typer adds some of these options after the start."""
        params = super().get_params(ctx)
        for param in params:
            _name_value(param)
        return params


def lazy_group(module: str) -> type[TyperGroup]:
    """Return the class of a group whose subcommands belong to the `app` of a module, such as `one_runtime.cli.keys`."""

    class LazyGroup(TyperGroup):
        @property
        def commands(self) -> MutableMapping[str, Any]:
            return _commands_of(module)

        @commands.setter
        def commands(self, _: MutableMapping[str, Any]) -> None:
            """Ignore the commands that Typer found, because Typer does not import the module."""

    return LazyGroup


@cache
def _commands_of(module: str) -> MutableMapping[str, Any]:
    commands = typer.main.get_group(import_module(module).app).commands
    for command in commands.values():
        _name_values(command)
    return commands


def _name_values(command: Any) -> None:
    """Show the values of options in the help as `TEXT`, `NUMBER` or `FILE`, and not as types of Python."""
    for param in command.get_params(typer.Context(command, help_option_names=HELP_OPTIONS)):
        _name_value(param)


def _name_value(param: Any) -> None:
    if isinstance(param, TyperArgument):
        param.metavar = param.metavar or param.name.upper()
        param.display_type_rich = lambda ctx: None  # type: ignore[method-assign] # noqa: ARG005 - Typer has no setting
    elif param.is_flag:
        param.metavar = ""
    elif param.metavar is None and not (param.type_descriptor.is_choice and param.show_choices):
        param.metavar = _NAMES.get(param.type_descriptor.annotation, "TEXT")
