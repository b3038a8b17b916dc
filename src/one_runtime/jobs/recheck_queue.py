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
"""Maximum number of concurrent rechecks of one integration in one organization.

So one slow provider does not block other integrations.
"""

MAX_OF_INTEGRATION: Final = 16
"""Maximum number of concurrent rechecks of one integration in all organizations.

Two organizations can use an integration with different hosts. So a slow host of one leaves room for the other.
"""

MAX_OF_ORGANIZATION: Final = 32
"""Maximum number of concurrent rechecks of one organization, which is half of all (`lifecycle/recheck.py`)."""

_MAX_CONNECTIONS: Final = 10_000
_MAX_WAITING_OF_ORGANIZATION: Final = _MAX_CONNECTIONS // 2


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
        self._waiting_of: Counter[str] = Counter()
        self._running: Counter[tuple[str, str]] = Counter()

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
        """Add a connection to the queue, if the queue is not full. One organization can fill half of the queue.

        Do nothing if a recheck of the connection is queued, is running, or has recently ended (`COOLDOWN`).
        """
        known = request.connection_id in self._unfinished or request.connection_id in self._rechecked
        has_room = self._waiting_of[request.organization_id] < _MAX_WAITING_OF_ORGANIZATION
        if not known and has_room and len(self._waiting) < _MAX_CONNECTIONS:
            self._unfinished.add(request.connection_id)
            self._waiting.append(request)
            self._waiting_of[request.organization_id] += 1

    def drain(self) -> list[RecheckRequest]:
        """Remove and return the connections to recheck now. The caller must call `finish` after each recheck.

        The limits count the connections between `drain` and `finish`.
        """
        drained: list[RecheckRequest] = []
        waiting: list[RecheckRequest] = []
        for request in self._waiting:
            limits = _limits(request)
            if all(self._running[key] < limit for key, limit in limits.items()):
                self._running.update(limits.keys())
                drained.append(request)
            else:
                waiting.append(request)
        self._waiting, self._waiting_of = waiting, Counter(request.organization_id for request in waiting)
        return drained

    def finish(self, request: RecheckRequest) -> None:
        """Start the cooldown of a connection after a successful or failed recheck."""
        self._unfinished.discard(request.connection_id)
        for key in _limits(request):
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]
        self._rechecked[request.connection_id] = True


def _limits(request: RecheckRequest) -> dict[tuple[str, str], int]:
    """Return the limits of a recheck, by the organization and the integration that they count. Empty: all of them."""
    return {
        (request.organization_id, request.integration_slug): MAX_PER_INTEGRATION,
        ("", request.integration_slug): MAX_OF_INTEGRATION,
        (request.organization_id, ""): MAX_OF_ORGANIZATION,
    }
