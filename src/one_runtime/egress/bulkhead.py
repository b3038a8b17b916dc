"""Concurrency limit for each pair of tenant and upstream (P12). Requests wait in the order in which they arrive.

aiohttp's own limiter is not enough. With this limiter, requests to one upstream may starve while many requests wait for
another upstream that hangs.
"""

import asyncio
import time
from weakref import WeakValueDictionary

from one_runtime.egress.errors import UpstreamTimeout
from one_runtime.egress.target import Target


class Bulkhead:
    """One semaphore for each pair of tenant and upstream. It exists only while an exchange uses it or waits for it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._semaphores: WeakValueDictionary[tuple[str, str, str, int], asyncio.Semaphore] = WeakValueDictionary()

    async def acquire(self, target: Target, tenant: str, timeout: float) -> tuple[asyncio.Semaphore, float]:
        """Acquire the semaphore. Return the semaphore, which the caller must release, and the rest of the timeout.

        Args:
            target: the upstream.
            tenant: requests of one tenant never wait for another tenant's requests.
            timeout: seconds to wait.

        Raises:
            UpstreamTimeout: no other exchange ended within the timeout.
        """
        key = tenant, target.scheme, target.host, target.port
        semaphore = self._semaphores.get(key)
        if semaphore is None:
            semaphore = self._semaphores[key] = asyncio.Semaphore(self._limit)
        if not semaphore.locked():
            await semaphore.acquire()
            return semaphore, timeout
        begun = time.monotonic()
        try:
            async with asyncio.timeout(timeout):  # before Python 3.12, `wait_for` can lose a cancellation
                await semaphore.acquire()
        except TimeoutError:
            raise UpstreamTimeout(
                f"{self._limit} requests to {target.authority} are in progress, which is the limit, and none ended "
                f"within {timeout:g} seconds. Try again later."
            ) from None
        return semaphore, max(timeout - (time.monotonic() - begun), 0.001)
