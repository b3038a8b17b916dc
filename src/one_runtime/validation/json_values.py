"""Limit the number of values in JSON of a caller, because the event loop needs time for each of them (promise P17).

Parsing 1 MB of JSON takes between 1 ms, for one text, and 600 ms, for half a million nested lists. Long numbers take 15
ms, each time that they are converted. Counting the values takes at most 4 ms.
"""

import re
from typing import Final

from one_runtime.errors import TooLarge

MAX_VALUES: Final = 10_000
MAX_WITHOUT_TEXTS: Final = 256 * 1024
"""Maximum size of JSON in bytes, without its texts and spaces. So it limits the digits of numbers."""

_TEXT: Final = re.compile(rb'"[^"]*"?')
"""A text without escaped quotation marks, also without its end."""


def require_few_values(body: bytes) -> None:
    """Raises: TooLarge if the JSON has too many values, or long numbers."""
    if len(body) <= MAX_VALUES or (len(body) <= MAX_WITHOUT_TEXTS and _count(body) <= MAX_VALUES):
        return
    remaining = _without_texts(body, MAX_VALUES)
    if remaining is None or _count(remaining) > MAX_VALUES:
        raise TooLarge(
            f"The JSON must have at most {MAX_VALUES:,} values. Each comma and opening bracket outside texts counts. "
            "Send the values in several requests."
        )
    if len(remaining.translate(None, b" \t\r\n")) > MAX_WITHOUT_TEXTS:
        raise TooLarge(f"The JSON must have at most {MAX_WITHOUT_TEXTS // 1024} kB without its texts.")


def has_more_values(body: bytes, most: int) -> bool:
    """Return True if the JSON has more values than `most`."""
    if len(body) <= most or _count(body) <= most:
        return False
    remaining = _without_texts(body, most)
    return remaining is None or _count(remaining) > most


def _count(body: bytes) -> int:
    """Return the number of separators. Each value follows one of them, except the outermost value."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _without_texts(body: bytes, most: int) -> bytes | None:
    """Return the JSON without its texts. Return None if it has more than `most` values, or is not in UTF-8."""
    if b"\x00" in body:  # UTF-16, where a byte of any character can look like a quotation mark
        return body if _count(body) <= most else None
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    remaining, texts = _TEXT.subn(b"", unescaped, count=2 * most + 1)
    return remaining if texts <= 2 * most else None  # a text is a value or the name of a value
