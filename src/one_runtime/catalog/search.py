"""Search integrations by the text that a user types (the query).

An integration matches if its name, slug or alias begins with the query. This comparison ignores spaces, so the query
"quick books" finds QuickBooks. An integration also matches if its texts contain every word of the query. A word can
occur inside a name, slug or alias. In the category and description, only the beginning of a word counts. If no
integration matches, the search allows one typing error in each word of four or more letters.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from one_runtime.catalog.model import Integration

_WORD_SEPARATOR: Final = re.compile(r"[\W_]+")
_NO_MATCH: Final = 1_000
_MIN_TYPO_LENGTH: Final = 4
_LONGEST_QUERY: Final = 100


@dataclass(frozen=True, slots=True)
class _SearchTexts:
    """The search texts of an integration.

    In `names`, `words` and `more`, each word has a space before and after. In `whole_name` and `whole`, the names
    contain no spaces, and each name has a bar (`|`) before and after.
    """

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
    """One word of the query in the forms that the search compares.

    `exact` finds a whole word, and `start` finds the beginning of a word. `single` is the singular, so that "emails"
    matches a description that contains "email".
    """

    word: str
    exact: str
    start: str
    single: str


def search(integrations: Iterable[Integration], text: str) -> list[Integration]:
    """Return the matching integrations, ordered by rank, and then by the length of the name.

    An empty query matches every integration.
    """
    typed = _fold(text[:_LONGEST_QUERY]).split()
    everything = [
        (entry, _search_texts(entry.name, entry.slug, entry.category, entry.description, entry.aliases))
        for entry in integrations
    ]
    if not typed:
        return [integration for integration, _ in everything]
    query, words = "".join(typed), [_word(word) for word in typed]
    exact, start = f"|{query}|", f"|{query}"
    hits = [(_rank(texts, exact, start, words), texts, integration) for integration, texts in everything]
    ranked = [hit for hit in hits if hit[0] < _NO_MATCH]
    if not ranked:
        hits = [(_typo_rank(texts, query, words), texts, integration) for integration, texts in everything]
        ranked = [hit for hit in hits if hit[0] < _NO_MATCH]
    ranked.sort(key=lambda hit: (hit[0], len(hit[1].name), hit[1].name))
    return [integration for _, _, integration in ranked]


def _fold(text: str) -> str:
    """Return the words in lower case without accents, separated by one space."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return _WORD_SEPARATOR.sub(" ", plain.lower()).strip()


@lru_cache(maxsize=4096)
def _search_texts(name: str, slug: str, category: str, description: str, aliases: tuple[str, ...]) -> _SearchTexts:
    folded = [_fold(text) for text in (name, slug, *aliases)]
    whole = [text.replace(" ", "") for text in folded]
    return _SearchTexts(
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
    single = word[:-1] if len(word) > _MIN_TYPO_LENGTH and word.endswith("s") else word
    return _Word(word, f" {word} ", f" {word}", f" {single}")


def _rank(texts: _SearchTexts, exact: str, start: str, words: list[_Word]) -> int:
    if start in texts.whole:
        if exact in texts.whole:
            return 0 if exact in texts.whole_name else 1
        return 2 if start in texts.whole_name else 3
    return 4 + sum(_word_rank(texts, word) for word in words)


def _word_rank(texts: _SearchTexts, word: _Word) -> int:
    if word.word not in texts.whole:
        return 5 if word.single in texts.more else _NO_MATCH
    if word.start in texts.names:
        return 0 if word.exact in texts.names else 1
    if word.start in texts.words:
        return 1 if word.exact in texts.words else 2
    return 4


def _typo_rank(texts: _SearchTexts, query: str, words: list[_Word]) -> int:
    if _begins_with_typo(texts.whole_candidates, query):
        return 0
    total = 0
    for word in words:
        rank = _word_rank(texts, word)
        if rank == _NO_MATCH:
            if not _begins_with_typo(texts.candidates, word.word):
                return _NO_MATCH
            rank = 8
        total += rank
    return total


def _begins_with_typo(candidates: tuple[str, ...], typed: str) -> bool:
    """Return True if a candidate begins with the typed text. Allow one typing error after the first letter."""
    first = typed[0]
    return len(typed) >= _MIN_TYPO_LENGTH and any(
        candidate[0] == first and _is_typo(candidate, typed) for candidate in candidates
    )


def _is_typo(candidate: str, typed: str) -> bool:
    """Return True if `typed` is the beginning of `candidate` with one typing error.

    A typing error is one letter that is added, missing or wrong, or two letters that are swapped.
    """
    at = next(
        (at for at, (expected, actual) in enumerate(zip(candidate, typed, strict=False)) if expected != actual), None
    )
    if at is None:
        return len(candidate) == len(typed) - 1
    rest, typed_rest = candidate[at:], typed[at:]
    return (
        rest[1:].startswith(typed_rest[1:])
        or rest[1:].startswith(typed_rest)
        or rest.startswith(typed_rest[1:])
        or (rest[1::-1] == typed_rest[:2] and rest[2:].startswith(typed_rest[2:]))
    )
