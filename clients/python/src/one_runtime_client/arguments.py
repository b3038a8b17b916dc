"""Arrange the arguments of the client's methods into the path, the query and the body of a request.

Each operation of the API has a function that returns `Arguments`. The client's method has the arguments and the
docstring of this function.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

V = TypeVar("V", str, int)

LIMIT: Final = 100
"""Default number of items on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The values for an operation's path, query and body. The body is `json`, or `body` with `media_type`."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)
    media_type: str | None = None


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping without the values that are None."""
    return {name: value for name, value in values.items() if value is not None}


def as_list(values: Iterable[str] | None) -> list[str] | None:
    """Return the strings as a list, or None for None. Raises: TypeError for a single string."""
    if isinstance(values, str):
        raise TypeError("Pass a list of strings, not one string.")
    return None if values is None else list(values)


def as_dict(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the mapping as a dictionary, or None for None."""
    return None if values is None else dict(values)


def one_or_more(values: V | Iterable[V]) -> list[V]:
    """Return a list of values. A single value becomes a list with one item."""
    return [values] if isinstance(values, str | int) else list(values)


def as_text(value: str | datetime) -> str:
    """Return a string unchanged, and a time in the format of the API."""
    return value.isoformat() if isinstance(value, datetime) else value


def as_time(value: datetime | None) -> str | None:
    """Return a time in the format of the API, or None for None."""
    return None if value is None else as_text(value)
