"""Describe the functions of a program for the type checker and for the author: signatures and stub files (PEP 484)."""

import json
import keyword
import re
from collections.abc import Mapping
from typing import Final

from one_runtime.agents.programs.host import FunctionParameter, ModuleFunction, ParameterType, ProgramModule

ONE_RUNTIME: Final = """\
from typing import Any, NamedTuple

class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    data: Any

class ApiError(Exception): ...
class ConnectRequired(Exception): ...
class CallRefused(Exception): ...

async def call(
    integration: str,
    method: str,
    path: str,
    query: dict[str, Any] | None = None,
    body: Any = None,
    connection: str | None = None,
) -> Response: ...
async def connections() -> list[dict[str, Any]]: ...
def response_of(error: ApiError) -> Response: ...
"""
"""The module `one_runtime`, which every program can import."""

_TYPES: Final[Mapping[ParameterType, str]] = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list[Any]",
    "object": "dict[str, Any]",
    "any": "Any",
}


def module_name(slug: str) -> str:
    """Return the name of an integration's module: `google-calendar` is imported as `google_calendar`."""
    return identifier(slug)


def identifier(name: str) -> str:
    """Return a name that Python accepts: `filter[status]` becomes `filter_status`, and `from` becomes `from_`."""
    if name.isascii() and name.isidentifier() and "_" not in {name[0], name[-1]} and not keyword.iskeyword(name):
        return name  # saves most of the time for thousands of names
    word = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "_"
    if keyword.iskeyword(word):
        return f"{word}_"
    return f"_{word}" if word[0].isdigit() else word


def parameter_names(function: ModuleFunction) -> dict[str, FunctionParameter]:
    """Return the parameters by their names in Python, the required ones first. Equal names get a number."""
    named: dict[str, FunctionParameter] = {}
    for parameter in sorted(function.parameters, key=lambda parameter: not parameter.required):
        name = word = identifier(parameter.name)
        number = 2
        while name in named:
            name, number = f"{word}_{number}", number + 1
        named[name] = parameter
    return named


def functions_by_name(module: ProgramModule) -> dict[str, ModuleFunction]:
    """Return the functions of a module by their names in Python."""
    return {identifier(function.name): function for function in module.functions}


def signature(function: ModuleFunction) -> str:
    """Return the signature, such as `contacts_list(limit: int = 10, after: str | None = None)`."""
    parameters = [_parameter(name, parameter) for name, parameter in parameter_names(function).items()]
    return f"{identifier(function.name)}({', '.join(parameters)})"


def stub(module: ProgramModule) -> str:
    """Return the stub file of a module."""
    lines = [f"async def {signature(function)} -> Any: ..." for function in functions_by_name(module).values()]
    return "\n".join(["from typing import Any", *lines, ""])


def _parameter(name: str, parameter: FunctionParameter) -> str:
    type_ = _TYPES[parameter.type]
    if parameter.required:
        return f"{name}: {type_}"
    if parameter.default is None:
        return f"{name}: {type_}{' | None' if type_ != 'Any' else ''} = None"
    return f"{name}: {type_} = {_default(parameter.default)}"


def _default(value: object) -> str:
    """Return a default as Python. A default that is not a short scalar is shown as `...`."""
    text = repr(value) if isinstance(value, str | bool | int | float) else json.dumps(None)
    return text if isinstance(value, str | bool | int | float) and len(text) <= 60 else "..."
