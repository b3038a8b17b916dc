"""Define when One Runtime repeats a failed delivery: the schedule of Standard Webhooks 1.0.0."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Time between each failed attempt and the next attempt. A delivery fails after ten attempts, in about 75 hours."""

MAX_RETRY_AFTER: Final = timedelta(hours=1)
"""Longest time for which One Runtime respects the header `Retry-After` of a receiver."""

_JITTER: Final = 0.1


def next_delay(
    failures: int, retry_after: timedelta | None, spread: Callable[[float, float], float] = random.uniform
) -> timedelta | None:
    """Return the time until the next attempt, or None if no further attempt follows.

    `failures`: number of failed attempts. `retry_after`: the receiver's `Retry-After`. The delay differs from the
    schedule by up to 10 percent, so that not all failed deliveries repeat at the same moment.
    """
    if failures > len(DELAYS):
        return None
    delay = DELAYS[failures - 1] * spread(1 - _JITTER, 1 + _JITTER)
    return max(delay, min(retry_after, MAX_RETRY_AFTER)) if retry_after else delay
