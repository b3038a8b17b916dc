"""Budgets of a list in bytes on the wire: 60 entries, and the whole catalog (docs/decisions/0020-list-size.md)."""

import base64
from typing import Final

import pytest

from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.logos import MAX_BYTES
from one_runtime.integrations.availability import Availability
from one_runtime.integrations.content_coding import SMALL, compress
from one_runtime.integrations.listing import IntegrationList, ListState
from one_runtime.integrations.rendering import Logo, Options
from tests.catalog.synthetic import synthetic_catalog

KB: Final = 1000


def listed(catalog: Catalog, logo: Logo) -> bytes:
    lists = IntegrationList(catalog, "https://connect.example.com")
    state = ListState(Availability(), "")
    return lists.body(lists.listed(state, Options(logo=logo)), "user_123")


def sizes(catalog: Catalog, logo: Logo) -> dict[str, int]:
    text = listed(catalog, logo)
    return {
        "plain": len(text),
        "gzip": len(compress(text, "gzip", SMALL)),
        "zstd": len(compress(text, "zstd", SMALL)),
    }


def test_60_entries_with_addresses_are_under_15_kb_compressed() -> None:
    measured = sizes(synthetic_catalog(60), "url")
    assert max(measured["gzip"], measured["zstd"]) < 15 * KB, measured


def test_60_entries_with_logos_inline_are_under_300_kb_plain_and_under_100_kb_compressed() -> None:
    measured = sizes(synthetic_catalog(60), "inline")
    assert measured["plain"] < 300 * KB, measured
    assert max(measured["gzip"], measured["zstd"]) < 100 * KB, measured


def test_the_whole_catalog_is_under_40_kb_with_addresses_and_under_300_kb_inline_compressed() -> None:
    catalog = load_catalog()
    for logo, most in (("url", 40 * KB), ("inline", 300 * KB)):
        measured = sizes(catalog, logo)  # type: ignore[arg-type] # two of the logos
        assert max(measured["gzip"], measured["zstd"]) < most, measured


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_every_mark_is_under_8_kb(kind: str) -> None:
    catalog = load_catalog() if kind == "real" else synthetic_catalog(60)
    assert MAX_BYTES == 8 * KB
    for entry in catalog.integrations:
        assert len(catalog.logo(entry.slug)) < 8 * KB, entry.slug
        assert len(base64.b64encode(catalog.logo(entry.slug))) < 11 * KB
