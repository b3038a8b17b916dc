"""The public list: each variant is rendered and compressed once."""

import asyncio
import json
import tracemalloc
from typing import Final

import pytest

from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.model import CATEGORIES
from one_runtime.integrations.content_coding import BLOCKING_SIZE, FAST, Coding, compress
from one_runtime.integrations.public_list import PublicList
from one_runtime.integrations.rendering import IntegrationRenderer, Logo, Options

LOGOS: Final[tuple[Logo, ...]] = ("inline", "url", "none")
CODINGS: Final[tuple[Coding, ...]] = ("gzip", "zstd")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def public(catalog: Catalog) -> PublicList:
    return PublicList(catalog, IntegrationRenderer(catalog, "https://connect.example.com"))


def test_whole_list_and_categories_are_rendered_once(public: PublicList) -> None:
    bodies = {}
    for logo in LOGOS:
        for category in (None, *CATEGORIES):
            options = Options(category=category, logo=logo)
            body = bodies[options] = public.listed(options).joined()
            assert public.listed(options).joined() is body
    listed = [json.loads(bodies[Options(category=category)])["integrations"] for category in CATEGORIES]
    assert sum(map(len, listed)) == len(json.loads(bodies[Options()])["integrations"])


def test_number_of_cached_lists_is_limited(public: PublicList) -> None:
    size = len(LOGOS) * (1 + len(CATEGORIES))
    for number in range(size + 5):
        public.listed(Options(category=f"Category {number}", logo="none"))
    assert public._whole.cache_info().currsize == size


async def test_concurrent_requests_share_one_compression(public: PublicList) -> None:
    listed = public.listed(Options())
    body = listed.joined()
    for coding in CODINGS:
        results = await asyncio.gather(*(public.compressed(Options(), listed, body, coding) for _ in range(4)))
        assert results[0] is not None
        assert all(result is results[0] for result in results)
        assert await public.compressed(Options(), listed, body, coding) is results[0]


async def test_only_short_selections_are_compressed(public: PublicList, catalog: Catalog) -> None:
    slugs = [integration.slug for integration in catalog.integrations]
    for count in (1, 5, 30, 100, 600):
        options = Options(slugs=frozenset(slugs[:count]))
        listed = public.listed(options)
        body = listed.joined()
        compressed = await public.compressed(options, listed, body, "gzip")
        assert compressed == (compress(body, "gzip", FAST) if 1000 <= len(body) <= BLOCKING_SIZE else None), count


def test_equal_lists_have_equal_entity_tags(public: PublicList) -> None:
    everything = frozenset(item["slug"] for item in json.loads(public.listed(Options()).joined())["integrations"])
    assert public.listed(Options(slugs=everything | {"unknown"})).etag == public.listed(Options()).etag
    some = [
        Options(),
        Options(logo="url"),
        Options(category="CRM"),
        Options(search="crm"),
        Options(slugs=frozenset({"slack"})),
        Options(slugs=frozenset({"slack", "hubspot"})),
        Options(slugs=frozenset()),
    ]
    assert len({public.listed(options).etag for options in some}) == len(some)


def test_selections_leave_no_memory_behind(public: PublicList) -> None:
    public.listed(Options(search="warm", logo="none"))
    tracemalloc.start()
    for number in range(20):
        public.listed(Options(slugs=frozenset({"slack", f"{number}".ljust(100_000, "x")}), logo="none"))
        public.listed(Options(search=f"{number:03} and a long text".ljust(100_000, "x"), logo="none"))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 256 * 1024
