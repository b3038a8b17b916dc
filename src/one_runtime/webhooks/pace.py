"""Share a server process between the deliveries of all endpoints, and with the requests that it answers.

Deliveries and requests share an event loop. Many deliveries that start together would delay a request by several
milliseconds. So while requests arrive, one delivery starts at a time, and then the loop is free for a pause. On a busy
loop, the pause ends later, so deliveries become slower.

An organization can occupy at most as many places of a lane as remain free. So endpoints that hang never use up a lane:
one organization can occupy half of the lane, a second organization a quarter, and so on.

At the full rate, a backlog of thousands of deliveries would delay requests for minutes. So while requests arrive,
recent deliveries precede the backlog, and the deliveries of the backlog start at `RATE`, with an equal share for each
endpoint.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from one_runtime.tenancy.event_deliveries import FIRST, TROUBLED
from one_runtime.webhooks.deliveries import ClaimedDelivery, DueEndpoint

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


PLACES: Final[Mapping[int, int]] = {FIRST: 1000, TROUBLED: 500}
"""Maximum number of deliveries by lane that one process has claimed."""


class Places:
    """The places of the lanes in one process. A claimed delivery occupies a place until its result is stored."""

    def __init__(self) -> None:
        self._of_lane = Counter[int]()
        self._of_organization = Counter[tuple[int, str]]()

    def left(self, lane: int, organization_id: str) -> int:
        """Return the number of further deliveries of an organization that the process can claim."""
        free = PLACES[lane] - self._of_lane[lane]
        occupied = self._of_organization[lane, organization_id]
        return max((free - occupied + 1) // 2, 0)

    def occupy(self, claimed: Iterable[ClaimedDelivery]) -> None:
        """Occupy a place for each claimed delivery."""
        self._add(claimed, 1)

    def release(self, claimed: Iterable[ClaimedDelivery]) -> None:
        """Release the places of deliveries that are stored, or that the process does not send."""
        self._add(claimed, -1)

    def _add(self, claimed: Iterable[ClaimedDelivery], number: int) -> None:
        for each in claimed:
            key = (each.lane, each.organization_id)
            self._of_lane[each.lane] += number
            self._of_organization[key] += number
            if not self._of_organization[key]:
                del self._of_organization[key]


QUIET: Final = 1.0
"""Seconds without a request after which deliveries start without a pause."""

PAUSE: Final = 0.002
"""Seconds between the starts of two deliveries while the server answers requests."""


class Pace:
    """Decides when deliveries start."""

    def __init__(self, start_next: Callable[[], bool], last_request: Callable[[], float]) -> None:
        """`start_next`: starts one delivery, or returns False if no delivery can start.

        `last_request`: returns the time at which the newest request arrived, by `time.perf_counter`.
        """
        self._start_next, self._last_request = start_next, last_request
        self._is_pausing = False

    @property
    def is_busy(self) -> bool:
        """Return True while requests arrive."""
        return time.perf_counter() - self._last_request() < QUIET

    def start(self) -> None:
        """Start all deliveries that can start, now or after pauses."""
        while not self._is_pausing and self._start_next():
            if self.is_busy:
                self._is_pausing = True
                asyncio.get_running_loop().call_later(PAUSE, self._end_pause)

    def _end_pause(self) -> None:
        self._is_pausing = False
        self.start()
