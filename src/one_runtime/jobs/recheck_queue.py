"""Recheck queue: connections whose credentials a provider refused during a call, to be checked once by the worker.

The queue is in memory. A request lost in a crash costs nothing: the next refused call asks again.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache

COOLDOWN: Final = 60.0
"""Seconds in which a connection is neither rechecked nor refreshed a second time."""

MAX_PER_INTEGRATION: Final = 8
"""Concurrent rechecks of one integration, so that a provider that hangs leaves room for the others."""

_MAX_CONNECTIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class RecheckRequest:
    """A connection whose credentials were refused."""

    organization_id: str
    connection_id: str
    integration_slug: str


class RecheckQueue:
    """Connections to recheck, and the connections that were refreshed or rechecked during the cooldown."""

    def __init__(self) -> None:
        self._refreshed: TTLCache[str, int] = TTLCache(_MAX_CONNECTIONS, COOLDOWN)
        self._rechecked: TTLCache[str, bool] = TTLCache(_MAX_CONNECTIONS, COOLDOWN)
        self._waiting: list[RecheckRequest] = []
        self._unfinished: set[str] = set()

    def mark_refreshed(self, connection_id: str, version: int) -> None:
        """Record the version of the tokens that replaced refused ones."""
        self._refreshed[connection_id] = version

    def was_refreshed(self, connection_id: str, version: int) -> bool:
        """Return whether tokens of this version are the result of a recent refresh. Another refresh would not help."""
        refreshed = self._refreshed.get(connection_id)
        return refreshed is not None and version >= refreshed

    def enqueue(self, request: RecheckRequest) -> None:
        """Add a connection, unless it is waiting, being rechecked, or was rechecked during the cooldown."""
        known = request.connection_id in self._unfinished or request.connection_id in self._rechecked
        if not known and len(self._waiting) < _MAX_CONNECTIONS:
            self._unfinished.add(request.connection_id)
            self._waiting.append(request)

    def drain(self) -> list[RecheckRequest]:
        """Remove and return the connections to recheck now, at most `MAX_PER_INTEGRATION` of each integration."""
        drained: list[RecheckRequest] = []
        waiting: list[RecheckRequest] = []
        counts: Counter[str] = Counter()
        for request in self._waiting:
            counts[request.integration_slug] += 1
            (drained if counts[request.integration_slug] <= MAX_PER_INTEGRATION else waiting).append(request)
        self._waiting = waiting
        return drained

    def finish(self, request: RecheckRequest) -> None:
        """Start the cooldown of a connection, whether its recheck succeeded or not."""
        self._unfinished.discard(request.connection_id)
        self._rechecked[request.connection_id] = True
