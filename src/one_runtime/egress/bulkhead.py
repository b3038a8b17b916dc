"""Limit what each tenant (organization) does at the same time: its requests, and its look-ups of names.

An upstream is a scheme, host and port of a provider. The request that has waited longest starts first. aiohttp's own
limit is not enough, because all waiting requests of aiohttp share one queue. Many requests that wait for a hanging
upstream would delay the requests to other upstreams (promise P12 of docs/security.md). With the limit for all upstreams
together, a tenant with many hanging upstreams does not use the connections of other tenants.

The system's look-up of a name occupies a thread until the name servers of the domain answer, which can take 20 seconds.
Anybody can have a domain whose name servers do not answer, with any number of names. So the look-ups of one tenant, and
those in one domain, use only a part of the threads.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from one_runtime.egress.errors import UpstreamTimeout
from one_runtime.egress.target import Target

LOOK_UP_THREADS: Final = 256
"""Number of threads that resolve names. Look-ups wait for the network and need hardly any processor time."""

LOOK_UPS_PER_TENANT: Final = 64
"""Maximum number of concurrent look-ups of one tenant."""

LOOK_UPS_PER_DOMAIN: Final = 16
"""Maximum number of concurrent look-ups of one tenant in one domain. A domain can have a host for each account."""

PATIENCE: Final = 10.0
"""Seconds for which a look-up waits for a place. aiohttp does not end a look-up when its request ends."""

_NEWEST: Final = 1000
"""Number of semaphores that stay in memory, because a request takes 7 µs longer if its semaphores are new."""

_Key: TypeAlias = tuple[str] | tuple[str, str] | tuple[str, str, str, int]
"""A tenant, a tenant with a domain, or a tenant with scheme, host and port."""


class _Semaphores:
    """Semaphores by key. An old one exists only while a task has it or waits for it."""

    def __init__(self) -> None:
        self._semaphores: WeakValueDictionary[_Key, asyncio.Semaphore] = WeakValueDictionary()
        self._newest: deque[asyncio.Semaphore] = deque(maxlen=_NEWEST)

    def get(self, key: _Key, limit: int) -> asyncio.Semaphore:
        semaphore = self._semaphores.get(key)
        if semaphore is None:
            semaphore = self._semaphores[key] = asyncio.Semaphore(limit)
            self._newest.append(semaphore)
        return semaphore


class Place:
    """The permission to send one request. Release it after the response."""

    def __init__(self, of_upstream: asyncio.Semaphore, of_tenant: asyncio.Semaphore) -> None:
        self._of_upstream, self._of_tenant = of_upstream, of_tenant

    def release(self) -> None:
        """Let the next request start."""
        self._of_tenant.release()
        self._of_upstream.release()


class Bulkhead:
    """The requests in progress."""

    def __init__(self, per_upstream: int, per_tenant: int) -> None:
        self._per_upstream, self._per_tenant = per_upstream, per_tenant
        self._semaphores = _Semaphores()

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
        of_upstream = self._semaphores.get((tenant, target.scheme, target.host, target.port), self._per_upstream)
        of_tenant = self._semaphores.get((tenant,), self._per_tenant)
        # In this order, requests that wait for a hanging upstream do not count for the tenant.
        await self._wait(of_upstream, f"{self._per_upstream} requests to {target.authority}", begun, timeout)
        try:
            await self._wait(of_tenant, f"{self._per_tenant} requests of the organization", begun, timeout)
        except BaseException:
            of_upstream.release()
            raise
        return Place(of_upstream, of_tenant), max(timeout - (time.monotonic() - begun), 0.001)

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


class LookUps:
    """The look-ups in progress."""

    def __init__(self) -> None:
        self._semaphores = _Semaphores()

    @asynccontextmanager
    async def place(self, host: str, tenant: str) -> AsyncIterator[None]:
        """Wait for a place, and keep it during the `async with` block.

        Raises: TimeoutError if no place was free within `PATIENCE`.
        """
        domain = ".".join(host.split(".")[-2:])
        of_domain = self._semaphores.get((tenant, domain), LOOK_UPS_PER_DOMAIN)
        of_tenant = self._semaphores.get((tenant,), LOOK_UPS_PER_TENANT)
        async with asyncio.timeout(PATIENCE) as waiting:
            # In this order, look-ups that wait for a slow domain do not count for the tenant.
            async with of_domain, of_tenant:
                waiting.reschedule(None)
                yield
