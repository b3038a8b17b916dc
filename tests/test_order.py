"""The order of the tests, if several workers of pytest-xdist run them."""

import pytest

from tests.order import GROUPS, in_shares


def shares_of(counts: tuple[int, int, int, int], workers: int) -> list[list[str]]:
    """Return the groups of the tests in each share, for groups of this size. Check that each test is in one share."""
    groups = [[(name, number) for number in range(count)] for name, count in zip(GROUPS, counts, strict=True)]
    ordered = in_shares(groups, workers)
    assert sorted(ordered) == sorted(test for group in groups for test in group)
    shares = []
    while workers:  # as pytest-xdist does
        size = len(ordered) // workers
        shares.append([name for name, _ in ordered[:size]])
        ordered, workers = ordered[size:], workers - 1
    return shares


@pytest.mark.parametrize("workers", range(1, 6))
@pytest.mark.parametrize("counts", [(7, 5, 11, 60), (9, 0, 0, 0), (0, 0, 0, 9), (8, 1, 2, 0), (1, 9, 9, 1)], ids=str)
def test_each_share_runs_its_slow_tests_first(counts: tuple[int, int, int, int], workers: int) -> None:
    for share in shares_of(counts, workers):
        assert share == sorted(share, key=GROUPS.index)


def test_one_half_of_the_workers_runs_the_tests_with_a_browser_and_the_other_half_the_slow_tests() -> None:
    counted = [[share.count(name) for name in GROUPS] for share in shares_of((30, 20, 50, 300), 4)]
    assert counted == [[15, 0, 0, 85], [15, 20, 0, 65], [0, 0, 25, 75], [0, 0, 25, 75]]
    counted = [[share.count(name) for name in GROUPS] for share in shares_of((3, 1, 2, 12), 3)]
    assert counted == [[1, 0, 0, 5], [2, 1, 0, 3], [0, 0, 2, 4]]


def test_all_workers_share_the_tests_if_there_are_no_quick_tests() -> None:
    assert [len(share) for share in shares_of((40, 0, 0, 0), 4)] == [10, 10, 10, 10]
