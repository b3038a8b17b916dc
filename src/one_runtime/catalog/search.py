"""Find integrations by what people type: every word must match; better places rank first."""

from collections.abc import Iterable, Sequence

from one_runtime.catalog.model import Integration


def search(integrations: Iterable[Integration], text: str) -> list[Integration]:
    """The integrations that match every word, by rank and then by name."""
    words = text.casefold().split()
    ranked = [(rank, one) for one in integrations if (rank := _rank(one, words)) is not None]
    ranked.sort(key=lambda pair: (pair[0], pair[1].name.casefold()))
    return [one for _, one in ranked]


def _rank(integration: Integration, words: Sequence[str]) -> int | None:
    ranks = [_word_rank(integration, word) for word in words]
    found = [rank for rank in ranks if rank is not None]
    return sum(found) if len(found) == len(ranks) else None


def _word_rank(integration: Integration, word: str) -> int | None:
    name = integration.name.casefold()
    places = (
        word in {name, integration.slug},
        name.startswith(word) or integration.slug.startswith(word),
        any(part.startswith(word) for part in name.replace("-", " ").split()),
        word in name or word in integration.slug,
        word in integration.category.casefold(),
        word in integration.description.casefold(),
    )
    return next((rank for rank, matches in enumerate(places) if matches), None)
