"""Find the parameters and headers with which a server could replace the method of a request that reads.

PHP drops leading spaces, ends a name at a NUL, and turns a space, a dot and a bracket into an underscore. Rack and PHP
nest names with brackets. .NET ignores case and decodes `%u005f`. So One Runtime compares only the letters of the names.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
_LONGEST: Final = 200
"""Number of characters of a name that are compared. The time of `normalize` grows with the square of the length."""


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object. A repeated name stays."""


def replaces_method(query: str, headers: Iterable[tuple[str, str]], body: bytes | None) -> bool:
    """Return True if a server could read another method from a parameter, a header or a member of a JSON object."""
    parameters = [*_parameters(query), *headers, *_parameters_of_body(body or b"")]
    return any(_replaces(name, value) for name, value in parameters)


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
    if "ethod" not in name.lower() and "verb" not in name.lower() and name.isascii() and "%" not in name:
        return False  # most names need no decoding
    for _ in range(_DECODED):
        if _is_override(name, value):
            return True
        name = unquote_plus(_DOTNET.sub(lambda match: chr(int(match[1], 16)), name))
    return False


def _is_override(name: str, value: str) -> bool:
    read = name.lstrip(" ").partition("\x00")[0][:_LONGEST]
    forms = {_letters(read), _letters(read.lstrip("[ ").partition("[")[0])}
    if forms & _OVERRIDES:
        return True
    if _METHOD not in forms:
        return False
    return read.lower() != _METHOD or any(verb in _letters(value) for verb in _VERBS)


def _letters(text: str) -> str:
    return _NOT_A_LETTER.sub("", unicodedata.normalize("NFKC", text).lower())
