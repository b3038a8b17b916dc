"""Limit the concurrent requests of each tenant (organization) to each upstream (scheme, host and port of a provider).

The request that has waited longest starts first. aiohttp's own limit is not enough, because all waiting requests of
aiohttp share one queue. Many requests that wait for a hanging upstream would delay the requests to other upstreams
(promise P12 of docs/security.md).
"""

import asyncio
import time
from weakref import WeakValueDictionary

from one_runtime.egress.errors import UpstreamTimeout
from one_runtime.egress.target import Target


class Bulkhead:
    """Semaphores by tenant and upstream. Each semaphore exists only while a request holds it or waits for it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._semaphores: WeakValueDictionary[tuple[str, str, str, int], asyncio.Semaphore] = WeakValueDictionary()

    async def acquire(self, target: Target, tenant: str, timeout: float) -> tuple[asyncio.Semaphore, float]:
        """Acquire the semaphore of the tenant and the target's upstream.

        Return the semaphore and the remaining seconds of the timeout. The caller must release the semaphore.

        Args:
            target: the target of the request. Scheme, host and port of the target identify the upstream.
            tenant: the id of an organization, or an empty text for a request that One Runtime makes for itself.
            timeout: maximum number of seconds to wait.

        Raises:
            UpstreamTimeout: the limit was reached, and the request could not start within the timeout.
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
