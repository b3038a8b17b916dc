"""Limit the concurrent requests of each tenant (organization): to each upstream, and to all upstreams together.

An upstream is a scheme, host and port of a provider. The request that has waited longest starts first. aiohttp's own
limit is not enough, because all waiting requests of aiohttp share one queue. Many requests that wait for a hanging
upstream would delay the requests to other upstreams (promise P12 of docs/security.md). With the second limit, a tenant
with many hanging upstreams does not use the connections of other tenants.
"""

import asyncio
import time
from typing import TypeAlias
from weakref import WeakValueDictionary

from one_runtime.egress.errors import UpstreamTimeout
from one_runtime.egress.target import Target

_Key: TypeAlias = tuple[str] | tuple[str, str, str, int]
"""A tenant, or a tenant with scheme, host and port."""


class Place:
    """The permission to send one request. Release it after the response."""

    def __init__(self, of_upstream: asyncio.Semaphore, of_tenant: asyncio.Semaphore) -> None:
        self._of_upstream, self._of_tenant = of_upstream, of_tenant

    def release(self) -> None:
        """Let the next request start."""
        self._of_tenant.release()
        self._of_upstream.release()


class Bulkhead:
    """Semaphores by tenant and upstream. Each semaphore exists only while a request holds it or waits for it."""

    def __init__(self, per_upstream: int, per_tenant: int) -> None:
        self._per_upstream, self._per_tenant = per_upstream, per_tenant
        self._semaphores: WeakValueDictionary[_Key, asyncio.Semaphore] = WeakValueDictionary()

    async def acquire(self, target: Target, tenant: str, timeout: float) -> tuple[Place, float]:
        """Return a place for the request, and the remaining seconds of the timeout. The caller must release the place.

        Args:
            target: the target of the request. Scheme, host and port of the target identify the upstream.
            tenant: the id of an organization, or an empty text for a request that One Runtime makes for itself.
            timeout: maximum number of seconds to wait.

        Raises:
            UpstreamTimeout: a limit was reached, and the request could not start within the timeout.
        """
        begun = time.monotonic()
        of_upstream = self._semaphore((tenant, target.scheme, target.host, target.port), self._per_upstream)
        of_tenant = self._semaphore((tenant,), self._per_tenant)
        # In this order, requests that wait for a hanging upstream do not count for the tenant.
        await self._wait(of_upstream, f"{self._per_upstream} requests to {target.authority}", begun, timeout)
        try:
            await self._wait(of_tenant, f"{self._per_tenant} requests of the organization", begun, timeout)
        except BaseException:
            of_upstream.release()
            raise
        return Place(of_upstream, of_tenant), max(timeout - (time.monotonic() - begun), 0.001)

    def _semaphore(self, key: _Key, limit: int) -> asyncio.Semaphore:
        semaphore = self._semaphores.get(key)
        if semaphore is None:
            semaphore = self._semaphores[key] = asyncio.Semaphore(limit)
        return semaphore

    async def _wait(self, semaphore: asyncio.Semaphore, in_progress: str, begun: float, timeout: float) -> None:
        if not semaphore.locked():
            await semaphore.acquire()
            return
        try:
            # before Python 3.12, `wait_for` can lose a cancellation
            async with asyncio.timeout(timeout - (time.monotonic() - begun)):
                await semaphore.acquire()
        except TimeoutError:
            raise UpstreamTimeout(
                f"{in_progress} are in progress, which is the limit, and none ended within {timeout:g} seconds. Try "
                "again later."
            ) from None
