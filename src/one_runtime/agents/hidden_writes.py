"""Find the parameters and headers with which a request that reads could change something.

A server can replace the method, or run a mutation of GraphQL that comes with a GET, as old servers did.

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
_PARTS_OF_VERBS: Final = ("post", "put", "patch", "delete", "merge")
_VERBS: Final = frozenset(
    {
        "acl", "baselinecontrol", "bind", "checkin", "checkout", "connect", "copy", "label", "link", "lock",
        "mkactivity", "mkcalendar", "mkcol", "mkredirectref", "mkworkspace", "move", "purge", "rebind", "trace",
        "unbind", "uncheckout", "unlink", "unlock", "update", "updateredirectref", "versioncontrol",
    }
)  # fmt: skip
"""The letters of all other methods that are not safe in IANA's registry of HTTP methods, and of `PURGE`."""
_DOCUMENT: Final = "query"
"""The parameter with the document of GraphQL (GraphQL over HTTP, section 6)."""
_MUTATION: Final = re.compile(r"\bmutation\b")
_JSON: Final = re.compile(r'\s*(?:\[|\{\s*")')
"""The beginning of a JSON value, which no document of GraphQL has."""
_NOT_A_LETTER: Final = re.compile("[^a-z]+")
_DOTNET: Final = re.compile("%u([0-9a-f]{4})", re.IGNORECASE)
_DECODED: Final = 3
"""Number of times that a name and its value are decoded. A server behind a proxy can decode them twice."""
_MOST: Final = 16_000
"""Number of characters of unusual names, and of their values, that are compared.

A request with more of them counts as one that replaces its method, because no call that only reads needs so many
(promise P17 of docs/security.md).
"""


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object. A repeated name stays."""


def hides_write(query: str, headers: Iterable[tuple[str, str]], body: bytes | None) -> bool:
    """Return True if a parameter, a header or a member of a JSON object can turn a read into a change."""
    left = _MOST
    for name, value in chain(_parameters(query), headers, _parameters_of_body(body or b"")):
        if _is_usual(name):
            if name.lower() == _DOCUMENT and _has_mutation(value):
                return True
            continue
        left -= len(name) + len(value)
        if left < 0 or _replaces(name, value):
            return True
    return False


def _is_usual(name: str) -> bool:
    """Return True for most names, which need no decoding."""
    lower = name.lower()
    return "ethod" not in lower and "verb" not in lower and name.isascii() and "%" not in name


def _has_mutation(text: str) -> bool:
    """Return True if the text could be a document of GraphQL with a mutation."""
    for _ in range(_DECODED):
        if _MUTATION.search(text) and "{" in text and not _JSON.match(text):
            return True
        if "%" not in text:
            return False
        text = unquote_plus(text)
    return False


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
        if _is_override(name, value) or (name.lower() == _DOCUMENT and _has_mutation(value)):
            return True
        name, value = _decoded(name), _decoded(value)
    return False


def _decoded(text: str) -> str:
    return unquote_plus(_DOTNET.sub(lambda match: chr(int(match[1], 16)), text))


def _is_override(name: str, value: str) -> bool:
    read = name.partition("\x00")[0]
    forms = {_letters(read), _letters(read.lstrip("[ ").partition("[")[0])}
    if forms & _OVERRIDES:
        return True
    if _METHOD not in forms:
        return False
    if read.lower() != _METHOD:
        return True
    letters = _letters(value)
    return letters in _VERBS or any(verb in letters for verb in _PARTS_OF_VERBS)


def _letters(text: str) -> str:
    """Return the letters of a text. Each character is normalized alone, because sorting many marks takes hours."""
    if not text.isascii():
        text = "".join(unicodedata.normalize("NFKC", character) for character in text)
    return _NOT_A_LETTER.sub("", text.lower())
