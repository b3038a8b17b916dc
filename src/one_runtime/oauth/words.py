"""A provider's own words, made fit to be shown and logged: plain, short, and without what was sent to it (P11)."""

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from one_runtime.oauth.errors import ErrorResponse

MAX_WORDS: Final = 300
_MASK: Final = "\u2026"
_SHORTEST: Final = 3  # a secret of fewer characters cannot be told from any word
_PART: Final = 12  # characters of a secret that are too many, as a provider that abbreviates says them back
_LONGEST_READ: Final = 4000
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Zero-width and direction marks: they would turn a shown text around, and hide a secret from the search for it.
_INVISIBLE: Final = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def said(error: str | None, description: str | None, uri: str | None, secrets: Iterable[str]) -> ErrorResponse:
    """The three as plain text, with every secret taken out."""
    sent = tuple(secrets)
    return ErrorResponse(*(plain_words(text, sent) or None if text else None for text in (error, description, uri)))


def plain_words(text: str, secrets: Iterable[str]) -> str:
    """The text on one line, at most 300 characters, without any secret in a form it was sent in, or a part of one."""
    plain = _plain(text[:_LONGEST_READ])
    forms = sorted(
        {form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST}, key=len, reverse=True
    )
    for form in forms:
        plain = re.sub(re.escape(form), _MASK, plain, flags=re.IGNORECASE)
    return _without_parts(plain, forms)[:MAX_WORDS].strip()


def _without_parts(text: str, forms: Iterable[str]) -> str:
    parts = {form[start : start + _PART] for form in forms for start in range(len(form) - _PART + 1)}
    kept, shown_to = [], 0
    for start in range(len(text)):
        if text[start : start + _PART] in parts:
            kept += [text[shown_to:start], _MASK if start >= shown_to else ""]
            shown_to = start + _PART
    return "".join(kept) + text[shown_to:]


def _plain(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", _INVISIBLE.sub("", text)).split())


def _forms(secret: str) -> Iterator[str]:
    """Plain, percent- and form-encoded, and in base64 without its padding."""
    if len(secret) < _SHORTEST:
        return
    data = secret.encode("utf-8", "surrogatepass")
    yield _plain(secret)
    yield from (quote(data, safe=""), quote(data), quote_plus(data))
    yield from (encode(data).decode("ascii").rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode))
