"""Log the failures of token requests in one line for each integration, error code and minute.

During an outage, a line for each of thousands of connections would fill the disk.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from cachetools import LRUCache

from one_runtime.telemetry.logger import Logger

INTERVAL: Final = timedelta(minutes=1)
"""Minimum time between two lines about the same integration and error code."""

_MAX_INTEGRATIONS: Final = 1000

log = Logger()


class FailureLog:
    """Failures of this process that no line has counted yet, by integration and error code."""

    def __init__(self) -> None:
        self._unlogged: Counter[tuple[str, str]] = Counter()
        self._logged_at: LRUCache[tuple[str, str], datetime] = LRUCache(_MAX_INTEGRATIONS)

    def record(self, integration: str, code: str, now: datetime) -> None:
        """Count a failure. Write a line if the last line is older than `INTERVAL`."""
        key = integration, code
        self._unlogged[key] += 1
        logged_at = self._logged_at.get(key)
        if logged_at is None or now - logged_at >= INTERVAL:
            self._logged_at[key] = now
            log.warning("token_endpoint_failing", integration=integration, code=code, failures=self._unlogged.pop(key))

    def end_outage(self, integration: str) -> None:
        """Write a line about the end of an outage, with the number of failures that no line has counted yet."""
        keys = [key for key in self._unlogged if key[0] == integration]
        log.info("token_endpoint_recovered", integration=integration, failures=sum(map(self._unlogged.pop, keys)))
