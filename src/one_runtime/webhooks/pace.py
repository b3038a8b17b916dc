"""Spread the starts of deliveries in time while the server also answers requests.

Deliveries and requests share an event loop. Many deliveries that start together would delay a request by several
milliseconds. So while requests arrive, one delivery starts at a time, and then the loop is free for a pause. On a busy
loop, the pause ends later, so deliveries become slower.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

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
