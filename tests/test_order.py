"""The order of the tests, if several workers of pytest-xdist run them."""

import pytest

from tests.order import in_shares


@pytest.mark.parametrize("workers", range(1, 6))
def test_each_share_has_an_equal_part_of_each_group_in_order(workers: int) -> None:
    groups = [[("browser", number) for number in range(3)], [("slow", number) for number in range(7)]]
    groups.append([("quick", number) for number in range(14)])
    ordered = in_shares(groups, workers)
    assert sorted(ordered) == sorted(test for group in groups for test in group)
    shares = []
    while workers:  # as pytest-xdist does
        size = len(ordered) // workers
        shares.append([name for name, _ in ordered[:size]])
        ordered, workers = ordered[size:], workers - 1
    for share in shares:
        assert share == sorted(share, key=["browser", "slow", "quick"].index)
    for name in ("browser", "slow", "quick"):
        counts = [share.count(name) for share in shares]
        assert max(counts) - min(counts) <= 2, name
