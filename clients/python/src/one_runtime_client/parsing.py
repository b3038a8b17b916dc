"""Parse JSON into the dataclasses of `resources`. The annotations of a dataclass say how to parse each field."""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Parser = Callable[[Any], Any]

_PLAIN: Final = {str: str, bool: bool, int: int}


class ParseError(Exception):
    """The answer does not have the documented form."""


def answer(kind: type[T]) -> Callable[[Any], T]:
    """Return the parser of one object."""
    return lambda value: _parse(kind, value)


def list_of(kind: type[T], *, under: str) -> Callable[[Any], tuple[T, ...]]:
    """Return the parser of a list that is a member of the answer."""
    return lambda value: _parse(tuple[kind, ...], _member(value, under))  # type: ignore[valid-type]


def next_cursor(value: Any) -> str | None:
    """Return the cursor of the next page, or None on the last page."""
    cursor: str | None = _parse(str | None, _member(value, "next_cursor"))
    return cursor


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise ParseError(f"{name} is missing")
    return value[name]


def _parse(kind: Any, value: Any) -> Any:
    try:
        return _parser(kind)(value)
    except (TypeError, ValueError) as error:
        raise ParseError("a value has another type than documented") from error


@cache
def _parser(kind: Any) -> Parser:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return lambda value: _checked(_PLAIN[kind], value)
    if origin in {Union, UnionType}:
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        parse = _parser(inner)
        return lambda value: None if value is None else parse(value)
    if origin is tuple:
        parse_item = _parser(arguments[0])
        return lambda value: tuple(parse_item(item) for item in _checked(list, value))
    if kind in {datetime, date}:
        return lambda value: kind.fromisoformat(_checked(str, value))
    if is_dataclass(kind):
        return _dataclass_parser(kind)
    if origin is not None and origin.__name__ == "Mapping":
        return lambda value: _checked(dict, value)
    return lambda value: value  # A Literal is not checked, because a later version can add values.


def _dataclass_parser(kind: Any) -> Parser:
    hints = get_type_hints(kind)
    parsers = {field.name: _parser(hints[field.name]) for field in fields(kind)}
    optional = {field.name for field in fields(kind) if field.default is not MISSING}

    def parse(value: Any) -> Any:
        present = {name: parser for name, parser in parsers.items() if name not in optional or name in value}
        return kind(**{name: parser(_member(value, name)) for name, parser in present.items()})

    return parse


def _checked(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value
