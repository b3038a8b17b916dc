"""The two clients: `OneRuntime` blocks, `AsyncOneRuntime` awaits. They offer the same."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from one_runtime_client.asked import Server
from one_runtime_client.drivers import Awaiting, Blocking
from one_runtime_client.resources import Api

TIMEOUT: Final = 75.0
"""Seconds. One Runtime itself gives a provider 10 for a connection, and 60."""


class OneRuntime(Api[Blocking]):
    """A client that blocks. Close it, or use it as a context manager; threads may share it.

    `timeout` in seconds, of each wait for the network. `sleep` waits before a request is repeated.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(Blocking(Server(base_url, api_key), timeout, sleep))

    def close(self) -> None:
        """Let go of the connections."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"OneRuntime({self.driver.server.base_url!r})"


class AsyncOneRuntime(Api[Awaiting]):
    """A client that awaits. Close it, or use it as an asynchronous context manager.

    `timeout` in seconds, of each wait for the network. `sleep` waits before a request is repeated.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(Awaiting(Server(base_url, api_key), timeout, sleep))

    async def close(self) -> None:
        """Let go of the connections."""
        await self.driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncOneRuntime({self.driver.server.base_url!r})"
