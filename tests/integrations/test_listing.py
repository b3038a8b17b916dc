"""Caches of rendered lists: bounded in bytes, and independent of the caller's texts."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.integrations.availability import Availability
from one_runtime.integrations.byte_cache import ByteCache
from one_runtime.integrations.listing import IntegrationList, ListState
from one_runtime.integrations.rendering import Options

MB: Final = 1024 * 1024
STATE: Final = ListState(Availability(), "")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def lists(catalog: Catalog) -> IntegrationList:
    """Lists with rendered fragments, so that a test measures only the lists."""
    lists = IntegrationList(catalog, "https://connect.example.com")
    lists.listed(STATE, Options(logo="none"))
    return lists


@contextmanager
def memory_grows_by_at_most(size: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown <= size, f"{grown:,} bytes"


def test_unknown_slugs_are_not_part_of_the_cache_key(lists: IntegrationList) -> None:
    one, other = (
        lists.listed(STATE, Options(frozenset({"hubspot", f"unknown-{name}"}), logo="none")) for name in ("a", "b")
    )
    assert one is other


def test_list_with_only_unknown_slugs_is_empty(lists: IntegrationList) -> None:
    listed = lists.listed(STATE, Options(frozenset({"unknown"}), logo="none"))
    assert lists.body(listed, "u") == b'{"end_user_id": "u", "integrations": []}'


def test_lists_of_long_slugs_leave_no_memory_behind(lists: IntegrationList) -> None:
    with memory_grows_by_at_most(1 * MB):
        for number in range(200):
            slugs = frozenset(f"{number}-{name}-".ljust(240, "x") for name in range(250))
            lists.listed(STATE, Options(slugs, logo="none"))


def test_lists_of_many_known_slugs_or_a_search_leave_no_memory_behind(lists: IntegrationList, catalog: Catalog) -> None:
    known = [integration.slug for integration in catalog.integrations]
    lists.listed(STATE, Options(search="warm", logo="none"))
    with memory_grows_by_at_most(MB // 2):
        for slug in known[:100]:
            lists.listed(STATE, Options(frozenset(known) - {slug}, logo="none"))
        for number in range(20):
            lists.listed(STATE, Options(search=f"{number:03} and a long text".ljust(100_000, "x"), logo="none"))


def test_lists_with_many_connections_are_bounded_in_bytes(lists: IntegrationList) -> None:
    with memory_grows_by_at_most(20 * MB):
        for number in range(300):  # one long text for many connections, because a short text is parsed faster
            connections = f"{str(number).ljust(100_000, 'x')}:active"
            lists.listed(ListState(Availability(), connections), Options(logo="none"))


@pytest.mark.slow
def test_lists_of_many_availabilities_are_bounded_in_bytes(lists: IntegrationList, catalog: Catalog) -> None:
    with memory_grows_by_at_most(75 * MB):
        for integration in catalog.integrations[:130]:
            availability = Availability(disabled=frozenset({integration.slug}))
            lists.listed(ListState(availability, ""), Options())


def test_cache_removes_the_entry_that_was_not_used_for_the_longest_time() -> None:
    cache: ByteCache[str, str] = ByteCache(2000)
    cache.put("a", "A", 300)
    cache.put("b", "B", 300)
    assert cache.get("a") == "A"
    cache.put("c", "C", 300)
    assert [cache.get(key) for key in "abc"] == ["A", None, "C"]
    cache.put("a", "A", 2000)
    assert [cache.get(key) for key in "ac"] == [None, "C"], "a value over the capacity is not stored"
    assert cache.size <= 2000
