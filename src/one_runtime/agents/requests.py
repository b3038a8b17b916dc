"""Compose the HTTP request of an agent's call from a path, a query and a body."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

from one_runtime.errors import InvalidInput

BodyFormat: TypeAlias = Literal["json", "form", "text"]

MAX_PATH: Final = 16_000
"""Number of characters of a path with its query, before their encoding."""
MAX_QUERY: Final = 16_000
"""Size of a query before its encoding, in bytes. Few servers accept longer URLs."""
MAX_FORM: Final = 128 * 1024
"""Size of a form before its encoding, in bytes. Encoding takes 80 ms for each megabyte, in the event loop."""

_CONTENT_TYPES: Final[Mapping[BodyFormat, str]] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}


class ComposedRequest(NamedTuple):
    """The parts of a request. `path` and `query` are percent-encoded."""

    path: str
    query: str
    body: bytes | None
    headers: tuple[tuple[str, str], ...]


def compose(
    path: str,
    query: Mapping[str, Any],
    body: object = None,
    body_format: BodyFormat = "json",
    idempotency_key: str | None = None,
) -> ComposedRequest:
    """Return the request. `path`: the path below the base URL, which can have a query. `body`: None for no body.

    Raises: InvalidInput.
    """
    encoded_path, encoded_query = _target(path, query)
    headers, content = [], None
    if body is not None:
        content = _encode(body, body_format)
        headers.append(("content-type", _CONTENT_TYPES[body_format]))
    return ComposedRequest(encoded_path, encoded_query, content, (*headers, *idempotency_headers(idempotency_key)))


def _target(path: str, parameters: Mapping[str, Any]) -> tuple[str, str]:
    """Return the encoded path and query. Raises: InvalidInput."""
    if len(path) > MAX_PATH:
        raise InvalidInput.of("path", f"must have at most {MAX_PATH} characters. Send long values in a body")
    if "#" in path:
        raise InvalidInput.of("path", "must not contain #. Write the character as %23")
    path, _, query = path.partition("?")
    if "://" in path or not path.startswith("/"):
        raise InvalidInput.of(
            "path", "must be a path below the base URL of the integration and begin with a slash, such as /v1/users"
        )
    pairs = _short_pairs(parameters, MAX_QUERY)
    if pairs is None:
        raise InvalidInput.of("query", f"must have at most {MAX_QUERY} bytes. Send long values in a body")
    more = urlencode(pairs, quote_via=quote)
    path = quote(path, safe="/%:@!$&'()*+,;=~-._|")
    return path, "&".join(part for part in (quote(query, safe="/%:@!$&'()*+,;=~-._?|[]"), more) if part)


def _short_pairs(query: Mapping[str, Any], most: int) -> list[tuple[str, str]] | None:
    """Return the names and the values of a query or a form. Return None if they have more than `most` bytes."""
    pairs, left = list[tuple[str, str]](), most
    for name, value in _pairs(query):
        left -= len(name.encode()) + len(value.encode()) + 2
        if left < 0:
            return None
        pairs.append((name, value))
    return pairs


def _pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and the values of a query. A list repeats its name."""
    for name, value in query.items():
        yield from ((name, _text(item)) for item in (value if isinstance(value, list) else [value]) if item is not None)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _encode(body: object, body_format: BodyFormat) -> bytes:
    """Raises: InvalidInput."""
    if body_format == "json":
        return json.dumps(body, separators=(",", ":")).encode()
    if body_format == "form":
        if not isinstance(body, dict):
            raise InvalidInput.of("body", "must be an object if body_format is form")
        pairs = _short_pairs(body, MAX_FORM)
        if pairs is None:
            raise InvalidInput.of("body", f"must have at most {MAX_FORM // 1024} kB if body_format is form")
        return urlencode(pairs).encode()
    if not isinstance(body, str):
        raise InvalidInput.of("body", "must be a text if body_format is text")
    return body.encode()


def idempotency_headers(key: str | None) -> tuple[tuple[str, str], ...]:
    """Return the header `Idempotency-Key`, or nothing without a key. Raises: InvalidInput."""
    if key is None:
        return ()
    if not key.isascii() or not key.isprintable():
        raise InvalidInput.of("idempotency_key", "must contain only printable ASCII characters")
    return (("idempotency-key", key),)
