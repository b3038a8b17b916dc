"""Deliveries start one by one while the server answers requests, and at once on a quiet server."""

import time
from itertools import pairwise

import pytest

from one_runtime.webhooks.pace import PAUSE, QUIET, Pace
from tests.waiting import eventually

DELIVERIES = 5


@pytest.mark.parametrize("seconds, at_once", [(0, 1), (2 * QUIET, DELIVERIES)], ids=["busy", "quiet"])
async def test_pauses_depend_on_the_time_since_the_newest_request(seconds: float, at_once: int) -> None:
    starts: list[float] = []

    def start_next() -> bool:
        if len(starts) == DELIVERIES:
            return False
        starts.append(time.perf_counter())
        return True

    pace = Pace(start_next, lambda: time.perf_counter() - seconds)
    pace.start()
    pace.start()
    assert len(starts) == at_once
    await eventually(lambda: len(starts) == DELIVERIES)
    if at_once == 1:
        assert all(later - earlier > PAUSE / 2 for earlier, later in pairwise(starts))
