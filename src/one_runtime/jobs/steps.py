"""Run long work on the database in small steps, while servers use the same database."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from one_runtime.errors import Unavailable

T = TypeVar("T")

_PAUSES: Final = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Seconds between attempts while the database is busy or unreachable. Together, they outlast a usual failover."""

_LONGEST_PAUSE: Final = 1.0


async def retry(step: Callable[[], Awaitable[T]]) -> T:
    """Retry a step for a limited time while the database is busy or unreachable. Raises: Unavailable."""
    for pause in _PAUSES:
        try:
            return await step()
        except Unavailable:
            await asyncio.sleep(pause)
    return await step()


async def rest(begun: float) -> None:
    """Pause after a step for as long as the step took, but at most one second.

    SQLite allows only one writer at a time, and servers can write during the pause. `begun`: the value of
    `time.monotonic()` at the start of the step.
    """
    await asyncio.sleep(min(time.monotonic() - begun, _LONGEST_PAUSE))
