"""Search by name, alias, a part of them, and with a typing error."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from one_runtime.catalog.model import Integration
from one_runtime.catalog.search import search
from tests.catalog.entries import ENTRIES

QUERIES: Final[dict[str, str]] = yaml.safe_load(
    (Path(__file__).parent / "search_queries.yaml").read_text(encoding="utf-8")
)


def slugs_for(query: str) -> list[str]:
    return [entry.slug for entry in search(ENTRIES, query)]


def described(name: str, **more: Any) -> Integration:
    """Return a copy of the entry Close with another name."""
    return next(entry for entry in ENTRIES if entry.slug == "close").model_copy(update={"name": name, **more})


def test_sixty_typical_queries_find_the_intended_integration_first() -> None:
    assert len(QUERIES) == 60
    wrong = {query: slugs_for(query)[:3] for query, slug in QUERIES.items() if slugs_for(query)[:1] != [slug]}
    assert len(wrong) <= 3, wrong


@pytest.mark.parametrize("query", ["", "   ", "--", "\u200b"])
def test_an_empty_query_returns_everything_in_order(query: str) -> None:
    assert slugs_for(query) == [entry.slug for entry in ENTRIES]


@pytest.mark.parametrize("query", ["qqqqqq", "hubspot qqqqqq", "x" * 10_000, "|", "| |", "hub|spot qqqq"])
def test_a_query_without_a_match_finds_nothing(query: str) -> None:
    assert slugs_for(query) in ([], [entry.slug for entry in ENTRIES])
    assert (slugs_for(query) == []) == any(char.isalnum() for char in query)


@pytest.mark.slow
def test_every_integration_is_first_for_its_own_name_and_slug() -> None:
    assert [entry.slug for entry in ENTRIES if slugs_for(entry.name)[:1] != [entry.slug]] == []
    assert [entry.slug for entry in ENTRIES if slugs_for(entry.slug)[:1] != [entry.slug]] == []


def test_capitals_accents_and_spaces_do_not_matter() -> None:
    entry = described("Métricool One", slug="metricool-one")
    for query in ("metricool", "MÉTRICOOL one", "metricoolone", "one me\u0301tri", "tricool", "\uff2detricool"):
        assert search([entry], query) == [entry]


@pytest.mark.parametrize("slip", ["pipdrive", "pipedrve", "piepdrive", "pippedrive", "pipedrivw", "pipedrivee"])
def test_one_typing_error_is_allowed_if_nothing_else_matches(slip: str) -> None:
    pipedrive, other = (
        described("Pipedrive", slug="pipedrive"),
        described("Other", slug="other", description=f"A {slip}."),
    )
    assert search([pipedrive], slip) == [pipedrive]
    assert search([pipedrive, other], slip) == [other]
    assert search([pipedrive], slip.replace("p", "x", 1)) == []
