"""People find what they mean: by name, alias, part of it, with a slip of the finger; in the popup as on the server."""

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
    const { search, sought } = await import(given.script);
    const rows = given.rows.map(([slug, ...rest]) => ({ slug, sought: sought(rest[0], slug, ...rest.slice(1)) }));
    return given.queries.map((query) => search(rows, query).map((row) => row.slug));
"""


def found(query: str) -> list[str]:
    return [one.slug for one in search(ENTRIES, query)]


def described(name: str, **more: Any) -> Integration:
    """An entry of this name, in other things like Close."""
    return next(one for one in ENTRIES if one.slug == "close").model_copy(update={"name": name, **more})


def test_sixty_things_that_people_type_are_found_first() -> None:
    assert len(QUERIES) == 60
    wrong = {query: found(query)[:3] for query, slug in QUERIES.items() if found(query)[:1] != [slug]}
    assert len(wrong) <= 3, wrong


@pytest.mark.parametrize("query", ["", "   ", "--", "\u200b"])
def test_nothing_typed_leaves_everything_in_its_order(query: str) -> None:
    assert found(query) == [one.slug for one in ENTRIES]


@pytest.mark.parametrize("query", ["qqqqqq", "hubspot qqqqqq", "x" * 10_000, "|", "| |", "hub|spot qqqq"])
def test_what_matches_nothing_finds_nothing(query: str) -> None:
    assert found(query) in ([], [one.slug for one in ENTRIES])
    assert (found(query) == []) == any(char.isalnum() for char in query)


def test_every_integration_is_found_first_by_its_own_name_and_by_its_slug() -> None:
    assert [one.slug for one in ENTRIES if found(one.name)[:1] != [one.slug]] == []
    assert [one.slug for one in ENTRIES if found(one.slug)[:1] != [one.slug]] == []


def test_capitals_accents_and_spaces_do_not_matter() -> None:
    entry = described("Métricool One", slug="metricool-one")
    for query in ("metricool", "MÉTRICOOL one", "metricoolone", "one me\u0301tri", "tricool", "\uff2detricool"):
        assert search([entry], query) == [entry]


@pytest.mark.parametrize("slip", ["pipdrive", "pipedrve", "piepdrive", "pippedrive", "pipedrivw", "pipedrivee"])
def test_one_slip_is_forgiven_and_only_where_nothing_else_matches(slip: str) -> None:
    pipedrive, other = (
        described("Pipedrive", slug="pipedrive"),
        described("Other", slug="other", description=f"A {slip}."),
    )
    assert search([pipedrive], slip) == [pipedrive]
    assert search([pipedrive, other], slip) == [other]
    assert search([pipedrive], slip.replace("p", "x", 1)) == []


@pytest.mark.slow
def test_the_popup_finds_the_same_in_the_same_order() -> None:
    """Every query of the list, 200 names and aliases, and each of them with a random slip."""
    chance = random.Random(5)
    words = [word for one in ENTRIES for word in (one.name, *one.aliases)]
    queries = [*map(str, QUERIES), *chance.sample(words, 200)]
    queries += [slipped(query, chance) for query in queries]
    rows = [[one.slug, one.name, one.category, one.description, list(one.aliases)] for one in ENTRIES]
    there = evaluate(IN_THE_BROWSER, {"script": SCRIPT.as_uri(), "rows": rows, "queries": queries})
    assert len(there) == len(queries)
    assert {query: slugs for query, slugs in zip(queries, there, strict=True) if slugs != found(query)} == {}


def slipped(query: str, chance: random.Random) -> str:
    at = chance.randrange(len(query))
    return query[:at] + chance.choice(["", "q", query[at] * 2, query[at + 1 : at + 2] + query[at]]) + query[at + 1 :]
