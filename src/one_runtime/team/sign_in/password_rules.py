"""Refuse passwords that are too short, too long or easy to guess. There are no rules about kinds of characters.

`common_passwords.txt.gz` contains the 19,640 most frequent passwords of known leaks, in lower case. The list is a part
of Django (docs/decisions/0045-sign-in.md).
"""

import gzip
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Final

from one_runtime.errors import InvalidInput

MIN_CHARACTERS: Final = 12
MAX_BYTES: Final = 1024

_MIN_DIFFERENT: Final = 5
_MIN_OTHER: Final = 6
"""Minimum number of characters beside a known word, such as the e-mail address of the member."""
_MIN_WORD: Final = 4
_LONGEST_BLOCK: Final = 6
_ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
)
_FIELD: Final = "password"
# Digits and symbols that often replace a letter.
_LETTERS: Final = str.maketrans("013457@$!", "oleastasi")


def check(password: str, words: Iterable[str]) -> None:
    """Raises: InvalidInput for a password that a member cannot set.

    `words`: words that an attacker tries first, such as the member's e-mail address and the organization's name.
    """
    if len(password) > MAX_BYTES or len(encode(password)) > MAX_BYTES:  # normalizing a long text takes long
        raise _invalid(f"must be at most {MAX_BYTES:,} bytes")
    text = _normalize(password)
    if len(text) < MIN_CHARACTERS:
        raise _invalid(f"must have at least {MIN_CHARACTERS} characters")
    lowered = text.casefold()
    if len(set(lowered)) < _MIN_DIFFERENT or _is_repeated(lowered):
        raise _invalid("must not repeat a few characters")
    if _is_sequence(lowered):
        raise _invalid("must not consist of neighbours in the alphabet or on the keyboard, such as abcdef or qwerty")
    if _is_common(lowered):
        raise _invalid("must not be a common password, or a common password with some digits or symbols")
    for word in words:
        for part in _parts(word):
            if part in lowered and len(lowered.replace(part, "")) < _MIN_OTHER:
                raise _invalid("must not consist of your name, your e-mail address or the name of your organization")


def encode(password: str) -> bytes:
    """Return the bytes to hash. Equal texts in different Unicode forms have the same bytes (NIST SP 800-63B)."""
    return _normalize(password).encode("utf-8", "surrogatepass")


def _normalize(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _invalid(message: str) -> InvalidInput:
    return InvalidInput.of(_FIELD, message)


def _is_repeated(text: str) -> bool:
    """Return True if the text repeats a short block, such as `abcabcabcabc`. The last block can be incomplete."""
    return any((text[:size] * len(text)).startswith(text) for size in range(1, _LONGEST_BLOCK + 1))


def _is_sequence(text: str) -> bool:
    """Return True if at most two characters of the text do not continue a row of the alphabet or of a keyboard."""
    pairs = {pair for row in _ROWS for line in (row, row[::-1]) for pair in pairwise(line)}
    breaks = sum(pair not in pairs for pair in pairwise(text))
    return breaks <= 2


def _is_common(text: str) -> bool:
    common = _common_passwords()
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)
    plain = re.sub(r"[\W\d_]", "", bare.translate(_LETTERS))
    return not common.isdisjoint({text, bare, plain})


def _parts(word: str) -> Iterable[str]:
    """Yield the word, and its parts between symbols, such as the name in an e-mail address. Omit short parts."""
    lowered = _normalize(word).casefold()
    return (part for part in {lowered, *re.split(r"[\W_]+", lowered)} if len(part) >= _MIN_WORD)


@cache
def _common_passwords() -> frozenset[str]:
    packed = (files(__package__) / "common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().splitlines())
