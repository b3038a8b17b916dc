"""Search operations in several indexes, by the words of an agent.

Each index returns candidates, ordered by FTS5's `bm25`. The ranks of different indexes are not comparable, because a
rank depends on the size of the index. So `search` ranks all candidates again with the same rule.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final

from one_runtime.agents.operations.index import Candidate, OperationIndex, words_in
from one_runtime.catalog.operation import READ_METHODS, Operation
from one_runtime.catalog.popular import POPULARITY

_MAX_QUERY: Final = 500
_MAX_WORDS: Final = 10
_CANDIDATES: Final = 25
_STOP_WORDS: Final = frozenset(
    words_in(
        "a an and any api are as at be by can do for from function how i in into is it me my of on or please that "
        "the this to tool use using via want what which with you your"
    )
)
_SYNONYMS: Final = (
    frozenset({"create", "add", "insert", "new"}),
    frozenset({"delete", "remove"}),
    frozenset({"update", "edit", "change", "modify"}),
    frozenset({"get", "read", "retrieve", "fetch", "show", "list", "find", "search"}),
    frozenset({"all", "list", "search"}),
    frozenset({"send", "post", "publish"}),
)
_SUFFIX: Final = re.compile(r"(?<=[a-z0-9]{3})(?:ing|ions?|ed|es|e|s)$")

_EXACT, _STEM, _SYNONYM, _PREFIX = 1.0, 0.98, 0.95, 0.7
_OF_INTEGRATION, _OF_NAME, _OF_SUMMARY, _OF_PATH = 1.6, 1.0, 0.8, 0.6
_CONCISE: Final = 0.4
_MIN_PREFIX: Final = 3
_MIN_NOUNS: Final = 2
"""Minimum number of nouns of a query that names an integration and a thing."""
_CONNECTED_FIRST: Final = 0.7
"""Share of the best score that an operation of a connected integration needs to come first."""


@dataclass(frozen=True, slots=True)
class Match:
    """An operation that matches a query. `connected`: True if the end user has connected the integration."""

    operation: Operation
    connected: bool


@dataclass(frozen=True, slots=True)
class _Term:
    """One word of the query, and other words with the same meaning (`synonyms`)."""

    text: str
    stem: str
    synonyms: frozenset[str]
    synonym_stems: frozenset[str]

    @property
    def expression(self) -> str:
        """Return an expression of FTS5. Words consist of letters and digits, so no word is syntax inside quotes."""
        prefix = "*" if len(self.text) >= _MIN_PREFIX else ""
        synonyms = "".join(f' OR "{word}"' for word in sorted(self.synonyms))
        return f'("{self.text}"{prefix}{synonyms})'

    def points(self, tokens: Collection[str], stems: Collection[str]) -> float:
        """Return a number from 0 to 1 for the best match with the words of a text."""
        if self.text in tokens:
            return _EXACT
        if self.stem in stems:
            return _STEM
        if not self.synonym_stems.isdisjoint(stems):
            return _SYNONYM
        return _PREFIX if any(token.startswith(self.text) for token in tokens) else 0.0


def search(
    indexes: Sequence[OperationIndex],
    query: str,
    slugs: Collection[str] | None,
    connected: Collection[str],
    limit: int,
) -> list[Match]:
    """Return the operations that match a query best, at most `limit`.

    Connected integrations come first, unless their operations match much worse. If several indexes have an operation
    with the same name, or with the same method and path, only the operation of the first index is a match.

    `slugs`: the integrations to search, or None for all. `connected`: the integrations that the end user has connected.
    """
    words = _read_query(query)
    if not words:
        return []
    slugs = slugs if slugs is None else frozenset(slugs)
    near = frozenset(connected) if slugs is None else slugs.intersection(connected)
    distinct = {(hit.slug, hit.name, hit.found_in): hit for hit in _candidates(indexes, words, slugs, near, limit)}
    candidates = list(distinct.values())
    scores = [_score(candidate, words) for candidate in candidates]
    enough = _CONNECTED_FIRST * max(scores, default=0.0)
    ranked = sorted(
        zip(scores, candidates, strict=True),
        key=lambda hit: (
            hit[1].slug not in near or hit[0] < enough,
            hit[1].deprecated,
            -hit[0],
            POPULARITY.get(hit[1].slug, len(POPULARITY)),
            hit[1].method not in READ_METHODS,
        ),
    )
    visible = (candidate for _, candidate in ranked if not _is_replaced(candidate, indexes))
    found = ((candidate.slug, candidate.found_in.get(candidate.slug, candidate.name)) for candidate in visible)
    matches = (Match(operation, slug in near) for slug, operation in found if operation is not None)
    return list(islice(matches, limit))


def _is_replaced(candidate: Candidate, indexes: Sequence[OperationIndex]) -> bool:
    """Return True if an index before the candidate's index has an operation with the same name or the same path."""
    before = takewhile(lambda index: index is not candidate.found_in, indexes)
    return any(index.has(candidate) for index in before)


def _read_query(query: str) -> list[_Term]:
    """Return the words of a query without repetitions. Omit words such as `the`, if the query has other words."""
    words = list(dict.fromkeys(words_in(query[:_MAX_QUERY])))
    telling = [word for word in words if word not in _STOP_WORDS] or words
    return [_term(word) for word in telling[:_MAX_WORDS]]


def _candidates(
    indexes: Sequence[OperationIndex],
    words: Sequence[_Term],
    slugs: Collection[str] | None,
    near: Collection[str],
    limit: int,
) -> Iterator[Candidate]:
    """Yield operations that match all words. If these are fewer than `limit`, also yield operations that match less.

    Operations of the integrations that the query names come in addition, because their verbs can be other words.

    `near`: the connected integrations among `slugs`.
    """
    named = _of_named_integrations(words)
    for allowed in (near,) if slugs is not None and len(near) == len(slugs) else (near, slugs):
        count = 0
        if named is not None:
            for index in indexes:
                yield from index.find(named, allowed, _CANDIDATES)
        for expression in _expressions(words):
            for index in indexes:
                found = index.find(expression, allowed, _CANDIDATES)
                count += len(found)
                yield from found
            if count >= limit:
                break


def _of_named_integrations(words: Sequence[_Term]) -> str | None:
    """Return an expression for the operations of integrations whose names are in the query, or None."""
    nouns = [word for word in words if not word.synonyms]
    if len(nouns) < _MIN_NOUNS:
        return None
    texts = " OR ".join(f'"{word.text}"' for word in nouns)
    return f"integration : ({texts}) AND {{name summary path}} : ({texts})"


def _expressions(words: Sequence[_Term]) -> Iterator[str]:
    """Yield expressions of FTS5, each for more operations than the expression before."""
    verbs, nouns = ([word for word in words if bool(word.synonyms) is is_verb] for is_verb in (True, False))
    yield " AND ".join(word.expression for word in words)
    if verbs and len(nouns) > 1:
        yield f"({_any(verbs)}) AND ({_any(nouns)})"
    if len(words) > 1:
        yield _any(nouns or verbs)


def _any(words: Sequence[_Term]) -> str:
    return " OR ".join(word.expression for word in words)


def _score(candidate: Candidate, words: Sequence[_Term]) -> float:
    """Return the sum of the points of all words, and a bonus for a name without further words."""
    texts = [
        (weight, tokens := text.split(), {_stem(token) for token in tokens})
        for weight, text in (
            (_OF_INTEGRATION, candidate.integration_words),
            (_OF_NAME, candidate.name_words),
            (_OF_SUMMARY, candidate.summary_words),
            (_OF_PATH, candidate.path_words),
        )
    ]
    total = sum(max(weight * word.points(tokens, stems) for weight, tokens, stems in texts) for word in words)
    _, tokens, stems = texts[1]
    in_name = sum(word.points(tokens, stems) for word in words)
    return total + _CONCISE * min(1.0, in_name / max(1, len(tokens)))


def _term(text: str) -> _Term:
    stem = _stem(text)
    groups = [group for group in _SYNONYMS if stem in map(_stem, group)]
    synonyms = frozenset(word for group in groups for word in group if _stem(word) != stem)
    return _Term(text, stem, synonyms, frozenset(map(_stem, synonyms)))


@lru_cache(maxsize=16_384)
def _stem(word: str) -> str:
    """Return a rough stem: `invoices`, `invoiced` and `invoice` have the same stem."""
    return _SUFFIX.sub("", f"{word[:-1]}i" if word.endswith("y") else word.replace("ies", "i"))
