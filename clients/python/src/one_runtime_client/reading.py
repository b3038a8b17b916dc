"""Reads JSON into the dataclasses of `answers`, by their own annotations."""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Read = Callable[[Any], Any]

_PLAIN: Final = {str: str, bool: bool, int: int}


class Unreadable(Exception):
    """The answer is not what its type promises."""


def answer(kind: type[T]) -> Callable[[Any], T]:
    """What reads one answer."""
    return lambda value: _read(kind, value)


def inside(name: str, kind: type[T]) -> Callable[[Any], tuple[T, ...]]:
    """What reads a list that stands under a name."""
    return lambda value: _read(tuple[kind, ...], _member(value, name))  # type: ignore[valid-type]


def nothing(value: Any) -> None:
    """What reads an answer without a body."""


def cursor_of(value: Any) -> str | None:
    """Where the next page begins; None on the last one."""
    cursor: str | None = _read(str | None, _member(value, "next_cursor"))
    return cursor


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise Unreadable(f"there is no {name}")
    return value[name]


def _read(kind: Any, value: Any) -> Any:
    try:
        return _reader(kind)(value)
    except (TypeError, ValueError) as error:
        raise Unreadable("a value has another type than promised") from error


@cache
def _reader(kind: Any) -> Read:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return lambda value: _checked(_PLAIN[kind], value)
    if origin in {Union, UnionType}:
        (inner,) = (one for one in arguments if one is not NoneType)
        read = _reader(inner)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda value: tuple(item(one) for one in _checked(list, value))
    if kind in {datetime, date}:
        return lambda value: kind.fromisoformat(_checked(str, value))
    if is_dataclass(kind):
        return _dataclass(kind)
    if origin is not None and origin.__name__ == "Mapping":
        return lambda value: _checked(dict, value)
    return lambda value: value  # a literal: values may be added later


def _dataclass(kind: Any) -> Read:
    hints = get_type_hints(kind)
    readers = {one.name: _reader(hints[one.name]) for one in fields(kind)}
    may_miss = {one.name for one in fields(kind) if one.default is not MISSING}

    def read(value: Any) -> Any:
        present = {name: read for name, read in readers.items() if name not in may_miss or name in value}
        return kind(**{name: read(_member(value, name)) for name, read in present.items()})

    return read


def _checked(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value
