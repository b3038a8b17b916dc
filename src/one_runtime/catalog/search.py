"""Find integrations by what people type. The popup does the same in `connect/static/search.js`; a test compares them.

The whole query, without its spaces, may be a name or an alias or the beginning of one ("quick books", "sfdc"). Else
every word must be found, in a name or an alias, or at the beginning of a word of the category or the description.
Where nothing is found so, one slip of the finger is forgiven in each word of four letters or more.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from one_runtime.catalog.model import Integration

_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")
_NOWHERE: Final = 1_000
_SHORTEST_SLIP: Final = 4
_LONGEST_QUERY: Final = 100


@dataclass(frozen=True, slots=True)
class _Sought:
    """What an integration is found by. Words stand between spaces, whole names without their spaces between bars."""

    name: str
    names: str
    words: str
    more: str
    whole_name: str
    whole: str
    candidates: tuple[str, ...]
    whole_candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Word:
    """One word of the query, as it is looked for: as a word, as the beginning of one, and that of many the one, so
    that "emails" finds what is described as email."""

    word: str
    exact: str
    start: str
    single: str


def search(integrations: Iterable[Integration], text: str) -> list[Integration]:
    """The integrations that match, the best first; among equals the shortest name."""
    typed = _fold(text[:_LONGEST_QUERY]).split()
    everything = [(one, _sought_of(one)) for one in integrations]
    if not typed:
        return [one for one, _ in everything]
    query, words = "".join(typed), [_word(word) for word in typed]
    exact, start = f"|{query}|", f"|{query}"
    found = [(_rank(sought, exact, start, words), sought, one) for one, sought in everything]
    ranked = [hit for hit in found if hit[0] < _NOWHERE]
    if not ranked:
        found = [(_slip_rank(sought, query, words), sought, one) for one, sought in everything]
        ranked = [hit for hit in found if hit[0] < _NOWHERE]
    ranked.sort(key=lambda hit: (hit[0], len(hit[1].name), hit[1].name))
    return [one for _, _, one in ranked]


def _fold(text: str) -> str:
    """Words in lower case without accents, one space between them."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return _BETWEEN_WORDS.sub(" ", plain.lower()).strip()


def _sought_of(integration: Integration) -> _Sought:
    one = integration
    return _sought(one.name, one.slug, one.category, one.description, one.aliases)


@lru_cache(maxsize=4096)
def _sought(name: str, slug: str, category: str, description: str, aliases: tuple[str, ...]) -> _Sought:
    folded = [_fold(one) for one in (name, slug, *aliases)]
    whole = [one.replace(" ", "") for one in folded]
    return _Sought(
        name=folded[0],
        names=f" {folded[0]} ",
        words=f" {' '.join(folded[1:])} ",
        more=f" {_fold(f'{category} {description}')} ",
        whole_name=f"|{whole[0]}|{whole[1]}|",
        whole=f"|{'|'.join(whole)}|",
        candidates=tuple(dict.fromkeys(" ".join(folded).split())),
        whole_candidates=tuple(dict.fromkeys(whole)),
    )


def _word(word: str) -> _Word:
    single = word[:-1] if len(word) > _SHORTEST_SLIP and word.endswith("s") else word
    return _Word(word, f" {word} ", f" {word}", f" {single}")


def _rank(sought: _Sought, exact: str, start: str, words: list[_Word]) -> int:
    if start in sought.whole:
        if exact in sought.whole:
            return 0 if exact in sought.whole_name else 1
        return 2 if start in sought.whole_name else 3
    return 4 + sum(_word_rank(sought, word) for word in words)


def _word_rank(sought: _Sought, word: _Word) -> int:
    if word.word not in sought.whole:
        return 5 if word.single in sought.more else _NOWHERE
    if word.start in sought.names:
        return 0 if word.exact in sought.names else 1
    if word.start in sought.words:
        return 1 if word.exact in sought.words else 2
    return 4


def _slip_rank(sought: _Sought, query: str, words: list[_Word]) -> int:
    if _begins_with_a_slip(sought.whole_candidates, query):
        return 0
    total = 0
    for word in words:
        rank = _word_rank(sought, word)
        if rank == _NOWHERE:
            if not _begins_with_a_slip(sought.candidates, word.word):
                return _NOWHERE
            rank = 8
        total += rank
    return total


def _begins_with_a_slip(candidates: tuple[str, ...], typed: str) -> bool:
    """The first letter is right: people look at that one."""
    first = typed[0]
    return len(typed) >= _SHORTEST_SLIP and any(one[0] == first and _is_slip(one, typed) for one in candidates)


def _is_slip(candidate: str, typed: str) -> bool:
    """Whether one letter too many, too few, wrong or swapped makes `typed` of the beginning of `candidate`."""
    at = next((at for at, (one, other) in enumerate(zip(candidate, typed, strict=False)) if one != other), None)
    if at is None:
        return len(candidate) == len(typed) - 1
    rest, left = candidate[at:], typed[at:]
    return (
        rest[1:].startswith(left[1:])
        or rest[1:].startswith(left)
        or rest.startswith(left[1:])
        or (rest[1::-1] == left[:2] and rest[2:].startswith(left[2:]))
    )
