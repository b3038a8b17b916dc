"""Convert schemas of an OpenAPI document into arguments of operations.

Schemas can refer to each other in cycles, and a small document can describe a huge tree. So the reader follows
references only a few levels deep, and reads a limited number of schemas.
"""

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final
from urllib.parse import unquote

from one_runtime.catalog.openapi_words import plain_text
from one_runtime.catalog.operation import (
    MAX_ARGUMENTS,
    MAX_NAME,
    MAX_TEXT,
    MAX_VALUES,
    Argument,
    ArgumentType,
    Location,
    Style,
)

MAX_FIELDS: Final = 30
"""Maximum number of listed members of an object inside the body. The object can have further members."""

_MAX_REFERENCES: Final = 10
_MAX_REFERENCE: Final = 500
_MAX_PARTS: Final = 20
_MAX_COMBINED: Final = 20
_MAX_LEVELS: Final = 3
_MAX_VALUE: Final = 100
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TYPES: Final[tuple[ArgumentType, ...]] = ("string", "integer", "number", "boolean", "array", "object")
_ANY: Final[Mapping[str, Any]] = {}
# The keys of a schema that stay beside its alternatives
_OWN: Final = ("description", "default", "readOnly")


class TooComplex(ValueError):
    """The document describes more schemas and parameters than the reader may read."""


@dataclass(frozen=True, slots=True)
class ArgumentSource:
    """The parts of a document that describe an argument. `name`: the name in the request."""

    name: str
    location: Location
    schema: object
    required: bool = False
    description: object = None
    style: Style = "repeat"


class SchemaReader:
    """Reads the schemas and the parameters of one document. `budget`: maximum number of them."""

    def __init__(self, document: Mapping[str, Any], budget: int) -> None:
        self._document, self._budget = document, budget
        self._fields: dict[str, tuple[Argument, ...]] = {}

    @property
    def is_exhausted(self) -> bool:
        """Return True if `resolve` has raised `TooComplex`, and would raise the error again."""
        return self._budget < 0

    def resolve(self, value: object) -> Mapping[str, Any]:
        """Follow references within the document. Return an empty mapping for another reference or another value.

        Raises: TooComplex.
        """
        self._budget -= 1
        if self._budget < 0:
            raise TooComplex
        for _ in range(_MAX_REFERENCES):
            if not isinstance(value, Mapping):
                return _ANY
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            value = self._find(reference)
        return _ANY

    def _find(self, reference: str) -> object:
        parts = reference[:_MAX_REFERENCE].split("/")
        value: object = self._document if parts[0] == "#" and len(parts) <= _MAX_PARTS else None
        for part in parts[1:]:  # RFC 6901
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(value, list):
                value = value[int(key)] if key.isdecimal() and len(key) < 9 and int(key) < len(value) else None
            else:
                value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def schema(self, value: object, level: int = 1) -> Mapping[str, Any]:
        """Return a schema without references and combinations. An empty mapping allows every value.

        A schema with several alternatives (`oneOf`) keeps only their common type.

        Raises: TooComplex.
        """
        resolved = self.resolve(value)
        if level > _MAX_LEVELS:
            return {name: resolved[name] for name in ("type", "description") if name in resolved}
        if isinstance(parts := resolved.get("allOf"), list):
            resolved = _merged([resolved, *(self.schema(part, level + 1) for part in parts[:_MAX_COMBINED])])
        for key in ("oneOf", "anyOf"):
            if isinstance(parts := resolved.get(key), list) and parts:
                read = [self.schema(part, level + 1) for part in parts[:_MAX_COMBINED]]
                alternatives = [part for part in read if part.get("type") != "null"]
                resolved = {**_common(alternatives), **{name: resolved[name] for name in _OWN if name in resolved}}
        return resolved

    def argument(self, source: ArgumentSource, used: set[str], level: int = 1) -> Argument:
        """Return an argument, and add its Python name to `used`.

        `level`: 1 for an argument of an operation, and 2 for a member of an object.

        Raises: TooComplex; ValidationError.
        """
        read = self.schema(source.schema)
        kind = type_of(read)
        items = type_of(self.schema(read.get("items"))) if kind == "array" and "items" in read else None
        values = read.get("enum") if "enum" in read else [read["const"]] if "const" in read else None
        python_name = identifier(source.name, used)
        used.add(python_name)
        default = read.get("default")
        nested = source.location == "body" and kind == "object" and level == 1
        return Argument(
            name=python_name,
            location=source.location,
            type=kind,
            wire_name="" if python_name == source.name else source.name,
            required=source.required,
            default=default if _is_short(default) else None,
            enum=_choices(values) if kind not in {"array", "object"} else (),
            description=plain_text(source.description or read.get("description"), MAX_TEXT),
            items=items if items != "any" else None,
            style=source.style,
            fields=self._members(read, source.schema) if nested else (),
        )

    def _members(self, read: Mapping[str, Any], source: object) -> tuple[Argument, ...]:
        """Return the listed members of an object inside the body, once for each reference."""
        reference = source.get("$ref") if isinstance(source, Mapping) else None
        if isinstance(reference, str) and reference in self._fields:
            return self._fields[reference]
        fields = tuple(self.fields(read, set(), MAX_FIELDS, level=2))
        if isinstance(reference, str):
            self._fields[reference] = fields
        return fields

    def fields(
        self,
        read: Mapping[str, Any],
        used: set[str],
        most: int = MAX_ARGUMENTS,
        styles: Mapping[str, Style] | None = None,
        *,
        level: int = 1,
    ) -> Iterable[Argument]:
        """Yield the writable properties of an object, the required ones first. Raises: TooComplex; ValidationError."""
        properties = {str(name): value for name, value in mapping(read.get("properties")).items()}
        needed = read.get("required")
        required = {str(name) for name in needed} if isinstance(needed, list) else set()
        ordered = sorted(properties, key=lambda name: name not in required)
        writable = (name for name in ordered if mapping(properties[name]).get("readOnly") is not True)
        for name, _ in zip(writable, range(most), strict=False):
            style = (styles or {}).get(name, "repeat")
            source = ArgumentSource(name, "body", properties[name], required=name in required, style=style)
            yield self.argument(source, used, level)


def type_of(schema: Mapping[str, Any]) -> ArgumentType:
    """Return the type of a schema. The type `any` allows every value."""
    kinds = schema.get("type")
    listed = kinds if isinstance(kinds, list) else [kinds]  # a list since OpenAPI 3.1
    known = [kind for kind in _TYPES if kind in listed]
    if len(known) == 1:
        return known[0]
    if not known and "properties" in schema:
        return "object"
    return "array" if not known and "items" in schema else "any"


def identifier(name: str, used: Iterable[str]) -> str:
    """Return a Python identifier for a name, which differs from the used identifiers: `page[size]` is `page_size`."""
    plain = "_".join(re.findall(r"[A-Za-z0-9]+", name[:MAX_NAME])) if not _IDENTIFIER.fullmatch(name) else name
    if not plain or plain[0].isdecimal():
        plain = f"value_{plain}".rstrip("_")
    return unique(f"{plain}_" if keyword.iskeyword(plain) else plain, used)


def unique(name: str, used: Iterable[str]) -> str:
    """Return the name, or the name with a number, so that the result differs from the used names."""
    result, number = name[:MAX_NAME], 2
    while result in used:
        ending = f"_{number}"
        result, number = name[: MAX_NAME - len(ending)] + ending, number + 1
    return result


def mapping(value: object) -> Mapping[Any, Any]:
    """Return the value if it is a mapping, and otherwise an empty mapping."""
    return value if isinstance(value, Mapping) else _ANY


def _merged(parts: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Combine the schemas of `allOf`. A property or a key of a later schema replaces an earlier one."""
    merged: dict[str, Any] = {}
    properties: dict[Any, Any] = {}
    required: list[Any] = []
    for part in parts:
        merged |= {key: value for key, value in part.items() if key != "allOf"}
        properties |= mapping(part.get("properties"))
        required += part["required"] if isinstance(part.get("required"), list) else []
    return {**merged, **({"properties": properties} if properties else {}), "required": required}


def _common(alternatives: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the only alternative, or a schema with the common type of all alternatives."""
    if len(alternatives) == 1:
        return alternatives[0]
    kinds = {type_of(alternative) for alternative in alternatives}
    return {"type": kinds.pop()} if len(kinds) == 1 else _ANY


def _choices(values: object) -> tuple[str | int | float | bool, ...]:
    """Return the values of an `enum`. Return no values if the enum is too long, or allows other values than texts."""
    if not isinstance(values, list) or len(values) > MAX_VALUES:
        return ()
    short = [value for value in values if value is not None]
    return tuple(short) if all(map(_is_short, short)) else ()


def _is_short(value: object) -> bool:
    """Return True for a short value of JSON that is not a list or an object."""
    if isinstance(value, str):
        return len(value) <= _MAX_VALUE and value.isprintable()
    return isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value))
