"""Queue connections for a recheck after a provider has refused the credentials in a proxy call.

The worker then tests if the credentials of the connections still work. The queue is in memory. If a crash loses the
queue, the next refused call adds the connection again.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache

COOLDOWN: Final = 60.0
"""Minimum seconds between two rechecks of a connection, and between two refreshes by proxy calls after a 401."""

MAX_PER_INTEGRATION: Final = 8
"""Maximum number of concurrent rechecks of one integration. So one slow provider does not block other integrations."""

_MAX_CONNECTIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class RecheckRequest:
    """A connection with refused credentials."""

    organization_id: str
    connection_id: str
    integration_slug: str


class RecheckQueue:
    """Connections to recheck, and connections that were refreshed or rechecked in the last `COOLDOWN` seconds."""

    def __init__(self) -> None:
        self._refreshed: TTLCache[str, int] = TTLCache(_MAX_CONNECTIONS, COOLDOWN)
        self._rechecked: TTLCache[str, bool] = TTLCache(_MAX_CONNECTIONS, COOLDOWN)
        self._waiting: list[RecheckRequest] = []
        self._unfinished: set[str] = set()
        self._running: Counter[str] = Counter()

    def mark_refreshed(self, connection_id: str, version: int) -> None:
        """Record the version of new tokens that have replaced refused tokens."""
        self._refreshed[connection_id] = version

    def was_refreshed(self, connection_id: str, version: int) -> bool:
        """Return True if the tokens of this version, or of an older version, come from a recent refresh.

        If the provider refuses recently refreshed tokens, another refresh would not help.
        """
        refreshed = self._refreshed.get(connection_id)
        return refreshed is not None and version >= refreshed

    def enqueue(self, request: RecheckRequest) -> None:
        """Add a connection to the queue, if the queue is not full.

        Do nothing if a recheck of the connection is queued, is running, or has recently ended (`COOLDOWN`).
        """
        known = request.connection_id in self._unfinished or request.connection_id in self._rechecked
        if not known and len(self._waiting) < _MAX_CONNECTIONS:
            self._unfinished.add(request.connection_id)
            self._waiting.append(request)

    def drain(self) -> list[RecheckRequest]:
        """Remove and return the connections to recheck now. The caller must call `finish` after each recheck.

        At most `MAX_PER_INTEGRATION` connections of an integration are between `drain` and `finish`.
        """
        drained: list[RecheckRequest] = []
        waiting: list[RecheckRequest] = []
        for request in self._waiting:
            if self._running[request.integration_slug] < MAX_PER_INTEGRATION:
                self._running[request.integration_slug] += 1
                drained.append(request)
            else:
                waiting.append(request)
        self._waiting = waiting
        return drained

    def finish(self, request: RecheckRequest) -> None:
        """Start the cooldown of a connection after a successful or failed recheck."""
        self._unfinished.discard(request.connection_id)
        self._running[request.integration_slug] -= 1
        if not self._running[request.integration_slug]:
            del self._running[request.integration_slug]
        self._rechecked[request.connection_id] = True
