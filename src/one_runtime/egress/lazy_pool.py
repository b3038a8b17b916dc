"""Create the pool of HTTP connections at the first request, because most commands send no request.

The import of aiohttp takes 60 ms.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from one_runtime.egress.limits import PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.target import AllowList

if TYPE_CHECKING:
    from one_runtime.egress.pool import Pool


class LazyPool:
    """A pool that does not exist before the first call of `get`. `pool` describes the arguments."""

    def __init__(
        self, allow: AllowList, network: Network, limits: PoolLimits, before_request: Callable[[], None] | None
    ) -> None:
        self.allow = allow
        self._network = network
        self._limits = limits
        self._before_request = before_request
        self._pool: Pool | None = None
        self._closed = False

    def without_allow_list(self) -> "LazyPool":
        """Return another pool with the same network and limits, which connects only to the public internet."""
        return LazyPool(frozenset(), self._network, self._limits, self._before_request)

    def get(self) -> "Pool":
        """Return the pool. The first call imports aiohttp."""
        if self._pool is None:
            from one_runtime.egress.pool import Pool  # noqa: PLC0415 - imports aiohttp

            if self._closed:
                raise RuntimeError("this egress is closed")
            self._pool = Pool(self.allow, self._network, self._limits, self._before_request)
        return self._pool

    async def close(self) -> None:
        """Close every connection, even if a request uses the connection."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()
