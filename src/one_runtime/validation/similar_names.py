"""Find the names that a caller can have meant. The time grows only a little with the number and the length of names."""

from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nlargest
from typing import Final

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
