"""Render the values of a program as text of limited size. The process that runs programs imports this module."""

import json
from collections import deque
from collections.abc import Iterator
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final

CUT: Final = "… [cut: the text was longer than {limit} bytes]"
_MOST_OF_A_REPR: Final = 1000
"""Maximum number of characters of a value that is neither JSON nor a container."""
_MOST_BITS: Final = 14_000
"""Size of a number that is shown in digits. Python converts at most 4300 digits (CVE-2020-10735), or 14,281 bits."""
_SHORT: Final = (bytes, date, time, timedelta, tzinfo, Decimal, PurePath, BaseException, type, complex, range)
"""Types whose `repr` contains no other values. The `repr` of a nested value can have any length."""


def render(value: Any, limit: int) -> tuple[str, bool]:
    """Return the value as text, and True if the text was cut. Text stays as it is, None is empty, and the rest is JSON.

    `limit`: maximum size in UTF-8, in bytes. The work does not grow with values beyond the limit: a list that contains
    itself many times can have a text of any length.
    """
    if value is None:
        return "", False
    if isinstance(value, str):
        return cut(value, limit)
    pieces: list[str] = []
    size = 0
    for piece in _pieces(value):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            break
    return cut("".join(pieces), limit)


def cut(text: str, limit: int) -> tuple[str, bool]:
    """Return the text, or its beginning with a note, and True if the text was longer. `limit`: bytes in UTF-8."""
    data = text[: limit + 1].encode(errors="replace")
    if len(data) <= limit and len(text) <= limit:
        return data.decode(), False
    note = CUT.format(limit=limit)
    return data[: limit - len(note.encode())].decode(errors="ignore") + note, True


def _pieces(value: Any) -> Iterator[str]:
    items = _items(value)
    if items is not None:
        yield from _joined("{", ((_key(key), item) for key, item in items.items()), "}")
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from _joined("[", (("", item) for item in value), "]")
    elif _is_plain(value):
        yield json.dumps(value)
    else:
        yield json.dumps(_short(value))


def _items(value: Any) -> dict[Any, Any] | None:
    """Return the items of a dictionary, the fields of a named tuple, or the attributes of an object of the program."""
    if isinstance(value, dict):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        fields: dict[Any, Any] = value._asdict()
        return fields
    attributes = getattr(value, "attributes", None)
    return attributes if isinstance(attributes, dict) else None


def _joined(start: str, items: Iterator[tuple[str, Any]], end: str) -> Iterator[str]:
    yield start
    for number, (prefix, item) in enumerate(items):
        yield f"{', ' if number else ''}{prefix}"
        yield from _pieces(item)
    yield end


def _key(key: Any) -> str:
    return f"{json.dumps(str(key) if _is_plain(key) else _short(key))}: "


def _is_plain(value: Any) -> bool:
    """Return True for a value of JSON without parts, except a number that Python refuses to convert to digits."""
    return isinstance(value, str | float | None) or (isinstance(value, int) and value.bit_length() <= _MOST_BITS)


def _short(value: Any) -> str:
    if isinstance(value, int):
        return f"<int of {value.bit_length()} bits>"
    return repr(value)[:_MOST_OF_A_REPR] if isinstance(value, _SHORT) else f"<{type(value).__name__}>"


class Printed:
    """The printed text of a program, up to a limit in characters."""

    def __init__(self, limit: int) -> None:
        self._room = limit + 1  # one more than the limit shows that the text was longer
        self._parts: list[str] = []

    def write(self, _stream: str, text: str) -> None:
        """Add text. The text beyond the limit is lost."""
        if self._room:
            self._parts.append(text[: self._room])
            self._room -= len(self._parts[-1])

    def take(self) -> str:
        """Return the text since the previous call."""
        text = "".join(self._parts)
        self._parts = []
        return text
