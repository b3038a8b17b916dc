"""Search by name, alias, a part of them, and with a typing error, with equal results on the server and in the popup."""

import random
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from one_runtime.catalog.model import Integration
from one_runtime.catalog.search import search
from one_runtime.catalog.tools.build import HERE
from tests.catalog.entries import ENTRIES
from tests.catalog.javascript import evaluate

QUERIES: Final[dict[str, str]] = yaml.safe_load(
    (Path(__file__).parent / "search_queries.yaml").read_text(encoding="utf-8")
)
SCRIPT: Final = HERE.parent / "connect" / "static" / "search.js"
IN_THE_BROWSER: Final = """
    const { search, searchedText } = await import(given.script);
    const rows = given.rows.map(
      ([slug, name, ...rest]) => ({ slug, searchedText: searchedText(name, slug, ...rest) }),
    );
    return given.queries.map((query) => search(rows, query).map((row) => row.slug));
"""


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


@pytest.mark.slow
def test_the_popup_finds_the_same_integrations_in_the_same_order() -> None:
    """Compares the typical queries, 200 names and aliases, and each of them with a random typing error."""
    chance = random.Random(5)
    words = [word for entry in ENTRIES for word in (entry.name, *entry.aliases)]
    queries = [*map(str, QUERIES), *chance.sample(words, 200)]
    queries += [with_typing_error(query, chance) for query in queries]
    rows = [[entry.slug, entry.name, entry.category, entry.description, list(entry.aliases)] for entry in ENTRIES]
    there = evaluate(IN_THE_BROWSER, {"script": SCRIPT.as_uri(), "rows": rows, "queries": queries})
    assert len(there) == len(queries)
    assert {query: slugs for query, slugs in zip(queries, there, strict=True) if slugs != slugs_for(query)} == {}


def with_typing_error(query: str, chance: random.Random) -> str:
    at = chance.randrange(len(query))
    return query[:at] + chance.choice(["", "q", query[at] * 2, query[at + 1 : at + 2] + query[at]]) + query[at + 1 :]
