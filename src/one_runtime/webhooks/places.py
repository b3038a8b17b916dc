"""Limit the deliveries that one process has claimed, by lane and organization.

An organization can occupy at most as many places of a lane as remain free. So endpoints that hang never use up a lane:
one organization can occupy half of the lane, a second organization a quarter, and so on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from one_runtime.tenancy.event_deliveries import FIRST, TROUBLED
from one_runtime.webhooks.deliveries import ClaimedDelivery

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
