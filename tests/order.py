"""A pytest plugin: with several pytest-xdist workers, each worker runs its slow tests first, and its quick tests last.

With `--dist worksteal`, each worker receives an equal number of consecutive tests, and a worker without tests takes
tests from the end of another worker's share. So no worker is left alone with a slow test at the end of the run.

Half of the workers run the tests with a browser, and the other half run the other slow tests. So fewer workers start
browsers, demos and providers. Each of them needs seconds of CPU time until its first test.
"""

import os
from collections.abc import Sequence
from itertools import islice
from typing import Final, TypeVar

import pytest

Test = TypeVar("Test")

GROUPS: Final = ("browser", "foreign", "slow", "quick")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Reorder the tests for the workers of pytest-xdist."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        groups: tuple[list[pytest.Item], ...] = ([], [], [], [])
        for item in items:
            groups[_group(item)].append(item)
        groups[0].sort(key=_program)
        items[:] = in_shares(groups, workers)


def in_shares(groups: Sequence[Sequence[Test]], workers: int) -> list[Test]:
    """Return the tests of the four `GROUPS` in an order for pytest-xdist, which divides the order into equal shares.

    The first half of the shares have the tests with a browser, the last share of this half has the other tests with a
    foreign program, and the second half have the other slow tests. Quick tests fill all shares. If there are not enough
    quick tests, other tests fill the shares.

    From share to share, pytest-xdist divides the number of the other tests by the number of the other workers. It
    rounds down.
    """
    tests, left, ordered = [iter(group) for group in groups], [len(group) for group in groups], list[Test]()
    half = (workers + 1) // 2
    shares_of_groups = (range(half), range(half - 1, half), range(half, workers), range(0))
    for share in range(workers):
        free = sum(left) // (workers - share)
        parts = [0, 0, 0, 0]
        for group, shares in enumerate(shares_of_groups):
            if share in shares:
                parts[group] = min(left[group] // (shares.stop - share), free)
                free -= parts[group]
        for group in (3, 2, 1, 0):
            more = min(left[group] - parts[group], free)
            parts[group] += more
            free -= more
        for group, part in enumerate(parts):
            ordered += islice(tests[group], part)
            left[group] -= part
    return ordered


def _group(item: pytest.Item) -> int:
    """Return the index of the test's group in `GROUPS`."""
    marks = (name for name in GROUPS if item.get_closest_marker(name))
    return GROUPS.index(next(marks, "quick"))


def _program(item: pytest.Item) -> int:
    """Return 0 for a test with Firefox, 2 for a test with a foreign program, and otherwise 1.

    In this order, one worker starts Firefox, and another worker starts the foreign programs.
    """
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if parameters.get("browser") == "firefox":
        return 0
    return 2 if item.get_closest_marker("foreign") else 1
