"""Check names that One Runtime shows to end users in its own sentences, and find the name that a caller has meant."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nlargest
from typing import Final

from one_runtime.errors import InvalidInput

MAX_NAME: Final = 255
"""Maximum number of characters of a name."""

REORDERING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that reorder the text after the name. A warning with such a name would be unreadable (UAX 9)."""
# Letters and symbols without a glyph. Their Unicode category does not show that they are invisible.
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def name_problem(name: str) -> str | None:
    """Return the reason to refuse a name, or None for a usable name."""
    if REORDERING.search(name):
        return "must not contain characters that change the direction of text, such as U+202E"
    if not any(unicodedata.category(character)[0] in "LNPSM" and character not in _BLANK for character in name):
        return "must contain a visible character"
    return None


def text_problem(text: str) -> str | None:
    """Return the reason why the database cannot store a text, or None.

    PostgreSQL cannot store NUL. UTF-8 cannot encode lone surrogates.
    """
    if "\x00" in text:
        return "must not contain a NUL character"
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        return "must be valid Unicode, without lone surrogates"
    return None


def check_name(field: str, text: str) -> str:
    """Return a name without surrounding spaces. Raises: InvalidInput for the field."""
    name = text.strip()
    if len(name) > MAX_NAME:
        raise InvalidInput.of(field, f"must have at most {MAX_NAME} characters")
    problem = text_problem(name) or name_problem(name)
    if problem is not None:
        raise InvalidInput.of(field, problem)
    return name


_LONGEST: Final = 64
_COMPARED: Final = 10
"""Number of names that `difflib` compares. It needs up to 0.3 ms for each."""


def similar_names(name: str, names: Iterable[str], most: int, cutoff: float = 0.6) -> list[str]:
    """Return the names that are similar to a mistyped one, at most `most`, the most similar first.

    `cutoff`: see `difflib.get_close_matches`. Names that share few letters with the mistyped one are left out first.
    """
    if len(name) > _LONGEST:
        return []
    letters = Counter(name)

    def shared(other: str) -> float:
        return 2 * (letters & Counter(other)).total() / (len(name) + len(other))

    return get_close_matches(name, nlargest(_COMPARED, names, key=shared), most, cutoff)
