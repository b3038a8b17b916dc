"""Read the body of a provider's response: without its content encoding and without secrets, as data or as text.

The processes of `computing/functions` import this module, so keep the imports few.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from one_runtime.agents import shaping
from one_runtime.agents.shaping import compact, shape
from one_runtime.computing.frames import Frame
from one_runtime.egress.body import decompress
from one_runtime.egress.repeated_secrets import mask
from one_runtime.validation.json_values import has_more_values

MAX_RESPONSE: Final = 2 * 1024 * 1024
"""Maximum size in bytes of a provider's response to an agent's call, also without its content encoding."""
MAX_DEPTH: Final = 100
"""Maximum number of nested lists and objects of a response that One Runtime reads as JSON, and not as text."""
MAX_VALUES: Final = 20_000
"""Maximum number of values of an answer for a language model. The event loop encodes each of them (promise P17)."""

_REFUSED: Final[Frame] = ({"is_refused": True}, b"")
"""The facts of a body that is too large without its content encoding, or that has an unknown encoding."""


def whole(data: bytes, *, encoding: str, content_type: str, secrets: Sequence[str]) -> Frame:
    """Return the body without secrets."""
    body = _masked(data, encoding, secrets)
    if body is None:
        return _REFUSED
    return {}, _json(_binary(body, content_type)) if is_binary(body) else body


def shortened(  # noqa: PLR0913 - by name
    data: bytes,
    *,
    encoding: str,
    content_type: str,
    secrets: Sequence[str],
    fields: Sequence[str],
    max_bytes: int,
    offset: int,
) -> Frame:
    """Return the chosen part of the body as JSON, with at most `MAX_VALUES` values."""
    body = _masked(data, encoding, secrets)
    if body is None:
        return _REFUSED
    value = _value(body, content_type)
    while True:
        shaped = shape(value, fields=fields, max_bytes=max_bytes, offset=offset)
        answer = _json(shaped.data)
        if not has_more_values(answer, MAX_VALUES):
            return {"truncated": shaped.truncated, "offset": shaped.offset}, answer
        max_bytes //= 2


def indented(data: bytes, *, encoding: str, content_type: str, secrets: Sequence[str], most: int) -> Frame:
    """Return the body as text. JSON is indented."""
    body = _masked(data, encoding, secrets)
    if body is None:
        return _REFUSED
    value = _value(body, content_type)
    text = value if isinstance(value, str) else "" if value is None else shaping.indented(value, most)
    truncated = "The text is longer." if len(text) > most else None
    return {"truncated": truncated}, text[:most].encode(errors="replace")


def _masked(data: bytes, encoding: str, secrets: Sequence[str]) -> bytes | None:
    """Return the body without secrets. Return None if it cannot be decompressed, or is too large."""
    body = decompress(data, encoding, MAX_RESPONSE)
    return None if body is None else mask(body, secrets)


def is_binary(body: bytes) -> bool:
    """Return True if the body is not a text in UTF-8."""
    try:
        return "\x00" in body.decode()
    except UnicodeDecodeError:
        return True


def _binary(body: bytes, content_type: str) -> dict[str, Any]:
    return {"binary": True, "content_type": content_type, "bytes": len(body)}


def _value(body: bytes, content_type: str) -> Any:
    """Return the JSON value of the body, its text, or a description of binary data. Return None without a body."""
    if not body:
        return None
    if is_binary(body):
        return _binary(body, content_type)
    if "json" in content_type or body[:1] in b"{[":
        with suppress(ValueError, RecursionError):
            value = json.loads(body)
            if not _is_deep(value):
                return value
    return body.decode()


def _is_deep(value: Any) -> bool:
    """Return True if the value has more nested lists and objects than Python's functions of JSON can write."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [
            each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)
        ]
        if not containers:
            return False
        level = [item for items in containers for item in items]
    return True


def _json(value: object) -> bytes:
    """Return the value as JSON. Half of a character, a lone surrogate, becomes a question mark."""
    return compact(value).encode(errors="replace")
