"""The arguments of an operation: a function arranges them into a path, a query and a body.

The docstring of that function is the docstring of the client's method.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

LIMIT: Final = 100
"""Items of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The values that fill an operation's path and query, and its body: `json`, or `body` with its media type."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)
    media_type: str | None = None


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without those that are None."""
    return {name: value for name, value in values.items() if value is not None}


def as_list(values: Iterable[str] | None) -> list[str] | None:
    """Return a list of strings, or None. Raises: TypeError for one string."""
    if isinstance(values, str):
        raise TypeError("Pass a list of strings, not one string.")
    return None if values is None else list(values)


def as_dict(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a dictionary, or None."""
    return None if values is None else dict(values)


def one_or_more(values: str | Iterable[str]) -> list[str]:
    """Return a list of strings, also for one string."""
    return [values] if isinstance(values, str) else list(values)
