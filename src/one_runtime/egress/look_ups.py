"""Share the threads that resolve names between tenants and domains.

The system's look-up of a name occupies a thread until the name servers of the domain answer, which can take 20 seconds.
Anybody can have a domain whose name servers do not answer, with any number of names. So the look-ups of one domain and
of one tenant (organization) use only a part of the threads (promise P12 of docs/security.md).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

THREADS: Final = 256
"""Number of threads that resolve names. Look-ups wait for the network and need hardly any processor time."""

PER_TENANT: Final = 64
"""Maximum number of concurrent look-ups of one tenant."""

PER_DOMAIN: Final = 16
"""Maximum number of concurrent look-ups of one tenant in one domain. A domain can have a host for each account."""

PATIENCE: Final = 10.0
"""Seconds for which a look-up waits for a place. aiohttp does not end a look-up when its request ends."""


class LookUps:
    """The look-ups in progress."""

    def __init__(self) -> None:
        self._semaphores: WeakValueDictionary[tuple[str, ...], asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, host: str, tenant: str) -> AsyncIterator[None]:
        """Wait for a place, and keep it during the `async with` block.

        Raises: TimeoutError if no place was free within `PATIENCE`.
        """
        domain = ".".join(host.split(".")[-2:])
        async with asyncio.timeout(PATIENCE) as waiting:
            # In this order, look-ups that wait for a slow domain do not count for the tenant.
            async with self._semaphore((tenant, domain), PER_DOMAIN), self._semaphore((tenant,), PER_TENANT):
                waiting.reschedule(None)
                yield

    def _semaphore(self, key: tuple[str, ...], limit: int) -> asyncio.Semaphore:
        semaphore = self._semaphores.get(key)
        if semaphore is None:
            semaphore = self._semaphores[key] = asyncio.Semaphore(limit)
        return semaphore
