"""Import the module of a group of subcommands when a command of the group runs, so that every command starts fast."""

from collections.abc import MutableMapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


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
    return typer.main.get_group(import_module(module).app).commands
