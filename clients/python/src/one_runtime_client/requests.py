"""Arrange the arguments of the client's methods into a call: path, query, body and headers."""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Final, TypeVar

from one_runtime_client.calls import IDEMPOTENCY_KEY, Call, query_string, segment

__all__ = ["OMITTED", "Omitted"]

V = TypeVar("V", bound=str | int)


class Omitted(Enum):
    """The type of `OMITTED`."""

    OMITTED = "OMITTED"

    def __repr__(self) -> str:
        return "OMITTED"


OMITTED: Final = Omitted.OMITTED
"""The default of an argument of an `update` method. The method does not change the value. None clears the value."""


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of a method, by their place in the HTTP request. `document`: a body in YAML or JSON."""

    route: str
    path: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    query: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    json: Mapping[str, Any] | None = field(default=None, repr=False, kw_only=True)
    document: Mapping[str, Any] | str | None = field(default=None, repr=False, kw_only=True)
    idempotency_key: str | None = field(default=None, kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] | None = field(default=None, repr=False, kw_only=True)

    def call(self) -> Call:
        """Return the call. Raises: ValueError for an empty identifier in the path."""
        verb, _, path = self.route.partition(" ")
        headers = {name.lower(): value for name, value in (self.headers or {}).items()}
        body = None
        if self.document is not None:
            body = self.document if isinstance(self.document, str) else json.dumps(self.document, ensure_ascii=False)
            headers.setdefault("content-type", f"application/{'json' if body.lstrip().startswith('{') else 'yaml'}")
        if self.idempotency_key is not None:
            headers.setdefault(IDEMPOTENCY_KEY, self.idempotency_key)
        return Call(
            method=verb,
            route=self.route,
            path=path.format_map({name: segment(value) for name, value in self.path.items()}),
            query=query_string(_plain(self.query)),
            json=None if self.json is None else _present(self.json, null=verb == "PATCH"),
            body=body,
            headers=tuple(headers.items()),
            timeout=self.timeout,
            wait_seconds=self.query.get("wait_seconds") or 0,
        )


def new_idempotency_key() -> str:
    """Return a random key. One Runtime then creates only one resource, even if the client repeats the request."""
    return str(uuid.uuid4())


def as_list(values: Iterable[str] | Omitted | None) -> list[str] | Omitted | None:
    """Return the strings as a list. Raises: TypeError for a single string."""
    if isinstance(values, str):
        raise TypeError("Pass a list of strings, not one string.")
    return values if values is None or isinstance(values, Omitted) else list(values)


def one_or_more(values: V | Iterable[V] | None) -> list[V]:
    """Return a list of values. A single value becomes a list with one item."""
    if values is None:
        return []
    return [values] if isinstance(values, str | int) else list(values)


def choice(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    """Return the value. Raises: ValueError if the value is not allowed."""
    if value is not None and value not in allowed:
        raise ValueError(f"{name} must be one of: {', '.join(allowed)}.")
    return value


def choices(name: str, values: str | Iterable[str] | None, allowed: tuple[str, ...]) -> list[str]:
    """Return the values as a list. Raises: ValueError if a value is not allowed."""
    listed = one_or_more(values)
    for value in listed:
        choice(name, value, allowed)
    return listed


def _present(values: Mapping[str, Any], *, null: bool) -> dict[str, Any]:
    """Return the values of a body. `null`: send the value None, because None clears the value."""
    present = {name: value for name, value in values.items() if value is not OMITTED}
    return {name: _plain(value) for name, value in present.items() if null or value is not None}


def _plain(value: Any) -> Any:
    """Return a value that JSON can express."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    return value
