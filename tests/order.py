"""A pytest plugin: with several pytest-xdist workers, each worker runs its slow tests first, and its quick tests last.

With `--dist worksteal`, each worker receives an equal number of consecutive tests, and a worker without tests takes
tests from the end of another worker's share. So no worker is left alone with a slow test at the end of the run.
"""

import os
from collections.abc import Sequence
from itertools import islice
from typing import Final, TypeVar

import pytest

Test = TypeVar("Test")

_SLOW: Final = ("slow", "foreign")  # marks


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Reorder the tests for the workers of pytest-xdist."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        groups: tuple[list[pytest.Item], ...] = ([], [], [])
        for item in items:
            groups[_group(item)].append(item)
        # Only one worker starts Firefox, because the start and the first page need several seconds of CPU time.
        groups[0].sort(key=_needs_firefox, reverse=True)
        items[:] = in_shares(groups, workers)


def in_shares(groups: Sequence[Sequence[Test]], workers: int) -> list[Test]:
    """Return all tests in an order in which each of pytest-xdist's shares has an equal part of each group, in order.

    From share to share, pytest-xdist divides the number of the other tests by the number of the other workers. It
    rounds down.
    """
    tests, left, ordered = [iter(group) for group in groups], [len(group) for group in groups], list[Test]()
    for others in range(workers, 0, -1):
        parts = [count // others for count in left]
        parts[-1] += sum(left) // others - sum(parts)
        for group, part in zip(tests, parts, strict=True):
            ordered += islice(group, part)
        left = [count - part for count, part in zip(left, parts, strict=True)]
    return ordered


def _group(item: pytest.Item) -> int:
    """Return 0 for a test with a browser, 1 for another slow test, and 2 for a quick test."""
    if item.get_closest_marker("browser"):
        return 0
    return 1 if any(item.get_closest_marker(name) for name in _SLOW) else 2


def _needs_firefox(item: pytest.Item) -> bool:
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return parameters.get("browser") == "firefox"
