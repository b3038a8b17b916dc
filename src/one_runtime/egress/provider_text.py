"""Remove secrets and control characters from the text of a provider (promise P11 of docs/security.md)."""

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MAX_TEXT: Final = 300
MASK: Final = "\u2026"
SHORTEST_SECRET: Final = 3  # masking shorter values would mask parts of ordinary words
# Minimum length of a part of a secret that `redact` masks. Providers show shorter parts of a key on purpose.
_SHORTEST_PART: Final = 12
_MOST_READ: Final = 4000
_DROPPED: Final = frozenset({"Cf", "Cn", "Co"})
_BREAKS: Final = frozenset({"Cc", "Cs", "Zl", "Zp", "Zs"})
# Unicode's invisible characters (Default_Ignorable_Code_Point) outside the category Cf, for example fillers.
INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    """Return the text on one line, without control characters, direction marks and invisible characters.

    Direction marks can reverse the displayed text. Invisible characters can hide a secret from `redact`.
    """
    if not text.isprintable():  # most texts are printable and skip the slow loop over the characters
        text = "".join(map(_printable_character, text))
    return " ".join(INVISIBLE.sub("", text).split())


def redact(text: str, secrets: Iterable[str]) -> str:
    """Mask every secret in the text. Return printable text of at most 300 characters.

    `redact` masks a secret in these forms: unencoded, percent-encoded, in base64, in JSON and in HTML. Upper and lower
    case do not matter. `redact` also masks a part of a secret if the part has at least 12 characters.
    """
    plain = printable(text[:_MOST_READ])
    if len(plain) < SHORTEST_SECRET:  # saves the time to build the forms
        return plain
    forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
    for form in forms:
        if len(form) > len(plain):  # saves the time to compile the expression
            continue
        plain = re.sub(re.escape(form), MASK, plain, flags=re.IGNORECASE)
    return _mask_parts(plain, forms)[:MAX_TEXT].strip()


def contains_secret(text: str, secrets: Iterable[str]) -> bool:
    """Return True if the text contains a complete secret, in any of the forms that `redact` masks."""
    plain = printable(text)
    # To save time, skip each secret that is longer than the text, because no form is shorter than its secret. Most
    # texts are account names, which are shorter than a key.
    possible = [secret for secret in secrets if len(printable(secret)) <= len(plain)]
    return any(re.search(re.escape(form), plain, flags=re.IGNORECASE) for secret in possible for form in _forms(secret))


def _printable_character(character: str) -> str:
    category = unicodedata.category(character)
    if category in _DROPPED:
        return ""
    return " " if category in _BREAKS else character


def _forms(secret: str) -> list[str]:
    """Return the forms in which a provider's text can contain the secret."""
    if len(secret) < SHORTEST_SECRET:
        return []
    data = secret.encode("utf-8", "surrogatepass")
    forms = [
        secret,
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        html.escape(secret),
        html.escape(secret, quote=False),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        *_json_forms(secret),
        *base64_forms(data),
    ]
    return [form for form in map(printable, forms) if len(form) >= SHORTEST_SECRET]


def _json_forms(secret: str) -> Iterator[str]:
    """Yield the forms in the JSON of PHP, Go and .NET, which escape more characters than JSON requires."""
    plain = json.dumps(secret)[1:-1]
    yield plain.replace("/", "\\/")
    yield plain.translate({ord(each): f"\\u{ord(each):04x}" for each in "<>&"})
    yield plain.replace('\\"', "\\u0022").translate({ord(each): f"\\u{ord(each):04X}" for each in "<>&'+`"})


def base64_forms(data: bytes) -> Iterator[str]:
    """Yield the base64 forms of the data, without padding: alone, and inside longer data such as `user:password`."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode("ascii").rstrip("=")
        for bytes_before in range(3):
            whole = encode(b"\0" * bytes_before + data).decode("ascii").rstrip("=")
            # Omit the first and last characters that also depend on bytes outside the data.
            first, last = (0, 2, 3)[bytes_before], len(whole) - bool((bytes_before + len(data)) % 3)
            if last - first >= _SHORTEST_PART:
                yield whole[first:last]


def _mask_parts(text: str, forms: Iterable[str]) -> str:
    """Mask each part of a form if the part has at least 12 characters."""
    if len(text) < _SHORTEST_PART:
        return text
    parts = {
        folded[start : start + _SHORTEST_PART]
        for folded in map(_lower, forms)
        for start in range(len(folded) - _SHORTEST_PART + 1)
    }
    folded_text, pieces, masked_to = _lower(text), [], 0
    for start in range(len(text)):
        if folded_text[start : start + _SHORTEST_PART] in parts:
            pieces += [text[masked_to:start], MASK if start >= masked_to else ""]
            masked_to = start + _SHORTEST_PART
    return "".join(pieces) + text[masked_to:]


def _lower(text: str) -> str:
    """Return the text in lower case. Every character keeps its index."""
    if len(lowered := text.lower()) == len(text):
        return lowered
    return "".join(lower if len(lower := character.lower()) == 1 else character for character in text)
