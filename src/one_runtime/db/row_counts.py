"""Count the rows that an organization has, at most once a minute in each process.

A count can read many rows. So a process counts once, and then adds its own new rows to the count.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from cachetools import TTLCache

AGE: Final = 60.0
"""Maximum age of a count in seconds."""

_MAX_ORGANIZATIONS: Final = 10_000


class RowCounts:
    """Number of rows of each organization. A number omits the rows that other processes added after the count."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._counts: TTLCache[str, Counter[str]] = TTLCache(_MAX_ORGANIZATIONS, AGE, timer)

    async def add(self, organization_id: str, count: Callable[[], Awaitable[int]], limit: int) -> bool:
        """Add one row to the organization's count. Return False, and add nothing, if the count has reached `limit`.

        `count`: returns the number of the organization's rows in the database.
        """
        counted = self._counts.get(organization_id)
        if counted is None:
            counted = self._counts[organization_id] = Counter(rows=await count())
        if counted["rows"] >= limit:
            return False
        counted["rows"] += 1
        return True
