"""Deliver a backlog slowly while the server also answers requests, with an equal share for each endpoint.

A delivery uses the event loop for about a millisecond. At the full rate, a backlog of thousands of deliveries would
delay requests for minutes. So while requests arrive, recent deliveries precede the backlog, and the deliveries of the
backlog start at `RATE`.
"""

from datetime import timedelta
from typing import Final

from one_runtime.webhooks.deliveries import DueEndpoint

RECENT: Final = timedelta(seconds=10)
"""A delivery that has been due for longer belongs to the backlog."""

RATE: Final = 30
"""Maximum number of deliveries of the backlog that one process starts per second while requests arrive."""

CLAIM_INTERVAL: Final = 1.0
"""Minimum seconds between two claims of the backlog while requests arrive."""

CLAIM: Final = int(RATE * CLAIM_INTERVAL)
"""Maximum number of deliveries of one such claim."""


class Rotation:
    """Decides which endpoints are next, because a claim of the backlog can be too small for all endpoints."""

    def __init__(self) -> None:
        self._last = dict[str, int]()
        self._claims = 0

    def next(self, due: list[DueEndpoint]) -> list[DueEndpoint]:
        """Return at most `CLAIM` endpoints. The endpoint whose last choice was the longest time ago is first."""
        last = {each.endpoint_id: self._last.get(each.endpoint_id, 0) for each in due}
        chosen = sorted(due, key=lambda each: last[each.endpoint_id])[:CLAIM]
        self._claims += 1
        self._last = last | dict.fromkeys((each.endpoint_id for each in chosen), self._claims)
        return chosen
