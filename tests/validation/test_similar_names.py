"""Names that a caller can have meant."""

import time

import pytest

from one_runtime.validation.names import similar_names


def test_the_most_similar_names_come_first() -> None:
    names = ["contacts_list", "contacts_get", "contact_create", "deals_list"]
    assert similar_names("contact_list", names, 2) == ["contacts_list", "contacts_get"]
    assert similar_names("xyz", names, 2) == []
    assert similar_names("a" * 65, ["a" * 64], 1) == []


@pytest.mark.promise("P17")
def test_many_names_that_are_slow_to_compare_take_little_time() -> None:
    names = [f"{'aabb' * 14}_{number}" for number in range(2_000)]
    begun = time.thread_time()
    similar_names("bbaabaab" * 7, names, 5, 0.5)
    assert time.thread_time() - begun < 0.15  # difflib alone takes 700 ms
