"""Find the parameters and headers with which a server could replace the method of a request that reads.

PHP drops leading spaces, ends a name at a NUL, and turns a space, a dot and a bracket into an underscore. Rack and PHP
nest names with brackets. .NET ignores case and decodes `%u005f`. So One Runtime compares only the letters of the names.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

_OVERRIDES: Final = frozenset(
    {
        "httpmethod", "httpmethodoverride", "methodoverride", "optmethod", "overridemethod", "psmethod", "httpverb",
        "requestmethod", "xhttpmethod", "xhttpmethodoverride", "xmethodoverride", "xrequestmethod", "datamethod",
    }
)  # fmt: skip
"""The letters of names with which a server replaces the method, such as `X-HTTP-Method-Override` and `$httpMethod`."""
_METHOD: Final = "method"
"""Letters of `_method`, and of `method`, which is also an ordinary name, such as the method of a payment."""
_VERBS: Final = ("post", "put", "patch", "delete", "merge")
_NOT_A_LETTER: Final = re.compile("[^a-z]+")
_DOTNET: Final = re.compile("%u([0-9a-f]{4})", re.IGNORECASE)
_DECODED: Final = 3
"""Number of times that a name is decoded. A server behind a proxy can decode a name twice."""
_MOST: Final = 16_000
"""Number of characters of unusual names that are compared, and of the value of `method`.

A request with more of them counts as one that replaces its method, because no call that only reads needs so many
(promise P17 of docs/security.md).
"""


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object. A repeated name stays."""


def replaces_method(query: str, headers: Iterable[tuple[str, str]], body: bytes | None) -> bool:
    """Return True if a server could read another method from a parameter, a header or a member of a JSON object."""
    left = _MOST
    for name, value in chain(_parameters(query), headers, _parameters_of_body(body or b"")):
        if _is_usual(name):
            continue
        left -= len(name)
        if left < 0 or _replaces(name, value):
            return True
    return False


def _is_usual(name: str) -> bool:
    """Return True for most names, which need no decoding."""
    lower = name.lower()
    return "ethod" not in lower and "verb" not in lower and name.isascii() and "%" not in name


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a query or a form. Some servers separate parameters with a semicolon."""
    yield from parse_qsl(text.replace(";", "&"), keep_blank_values=True)


def _parameters_of_body(body: bytes) -> Iterator[tuple[str, str]]:
    text = body.decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        members = json.loads(text, object_pairs_hook=_Members)
        if isinstance(members, _Members):
            yield from ((name, str(value)) for name, value in members)
        return
    yield from _parameters(text)


def _replaces(name: str, value: str) -> bool:
    for _ in range(_DECODED):
        if _is_override(name, value):
            return True
        name = unquote_plus(_DOTNET.sub(lambda match: chr(int(match[1], 16)), name))
    return False


def _is_override(name: str, value: str) -> bool:
    read = name.partition("\x00")[0]
    forms = {_letters(read), _letters(read.lstrip("[ ").partition("[")[0])}
    if forms & _OVERRIDES:
        return True
    if _METHOD not in forms:
        return False
    if read.lower() != _METHOD or len(value) > _MOST:
        return True
    letters = _letters(value)
    return any(verb in letters for verb in _VERBS)


def _letters(text: str) -> str:
    """Return the letters of a text. Each character is normalized alone, because sorting many marks takes hours."""
    if not text.isascii():
        text = "".join(unicodedata.normalize("NFKC", character) for character in text)
    return _NOT_A_LETTER.sub("", text.lower())
