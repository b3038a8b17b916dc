"""Whose turn it is: so many exchanges with one upstream at a time, for each who asks, first come, first served (P12).

The client has a limit of its own, but while many wait for an upstream that hangs, some who wait for another wait for
ever.
"""

import asyncio
import time
from weakref import WeakValueDictionary

from one_runtime.egress.errors import UpstreamTimeout
from one_runtime.egress.target import Target


class Bulkhead:
    """A semaphore for each upstream, for as long as somebody talks to it or waits."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._turns: WeakValueDictionary[tuple[str, str, str, int], asyncio.Semaphore] = WeakValueDictionary()

    async def take(self, target: Target, whose: str, patience: float) -> tuple[asyncio.Semaphore, float]:
        """Wait for a turn, which is then to be released; and how many seconds of the patience are left.

        Args:
            target: the upstream.
            whose: who shares the turns: nobody waits for another's.
            patience: seconds to wait at the most.

        Raises:
            UpstreamTimeout: it did not come within the patience.
        """
        key = whose, target.scheme, target.host, target.port
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = asyncio.Semaphore(self._at_once)
        if not turn.locked():
            await turn.acquire()
            return turn, patience
        begun = time.monotonic()
        try:
            async with asyncio.timeout(patience):  # up to 3.11, `wait_for` may lose that a caller has gone
                await turn.acquire()
        except TimeoutError:
            raise UpstreamTimeout(
                f"{target.authority} has as many requests under way as it may have, and none of them ended within "
                f"{patience:g} seconds."
            ) from None
        return turn, max(patience - (time.monotonic() - begun), 0.001)
