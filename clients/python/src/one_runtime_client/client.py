"""The two clients: `OneRuntime` is synchronous, `AsyncOneRuntime` is asynchronous. Both have the same methods."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from one_runtime_client.async_resources.api import AsyncApi
from one_runtime_client.calls import server_from
from one_runtime_client.pools import AsyncHttpClient, HttpClient
from one_runtime_client.resources.api import Api
from one_runtime_client.retries import MAX_RETRIES
from one_runtime_client.transports import AsyncTransport, Transport

__all__ = ["AsyncOneRuntime", "OneRuntime"]

TIMEOUT: Final = 75.0
"""Seconds. The limits of One Runtime for a provider are shorter: 10 s for the connection, 60 s for the response."""


class OneRuntime(Api):
    """The synchronous client. Threads can share a client, and so can the children of `os.fork`.

    Close the client after use, or use the client in a `with` block.

    Args:
        base_url: The address of One Runtime. Default: the environment variable `ONE_RUNTIME_URL`.
        api_key: An API key of your organization. Default: the environment variable `ONE_RUNTIME_API_KEY`.
        timeout: Seconds for each wait on the network.
        max_retries: Maximum number of retries of a call. 0 turns retries off. All waits of a call before its retries
            last up to 30 seconds.
        http_client: An `httpx2.Client` with your own settings, such as a certificate authority or an HTTP proxy. A
            client as an object works only in the process that created it, and you close it. If you pass a function that
            returns a client, each process has its own client.
        sleep: A function that waits a number of seconds before a retry.

    Raises:
        ValueError: An argument is missing or invalid.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        max_retries: int = MAX_RETRIES,
        http_client: HttpClient | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        server = server_from(base_url, api_key, timeout)
        super().__init__(Transport(server, http_client, max_retries, sleep))

    def close(self) -> None:
        """Close the HTTP connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"OneRuntime({self._transport.server.base_url!r})"


class AsyncOneRuntime(AsyncApi):
    """The asynchronous client. Event loops can share a client, and so can the children of `os.fork`.

    Close the client after use, or use the client in an `async with` block. The client has a connection pool for each
    event loop.

    Args:
        base_url: The address of One Runtime. Default: the environment variable `ONE_RUNTIME_URL`.
        api_key: An API key of your organization. Default: the environment variable `ONE_RUNTIME_API_KEY`.
        timeout: Seconds for each wait on the network.
        max_retries: Maximum number of retries of a call. 0 turns retries off. All waits of a call before its retries
            last up to 30 seconds.
        http_client: An `httpx2.AsyncClient` with your own settings, such as a certificate authority or an HTTP proxy. A
            client as an object works only in the event loop that used it first, and you close it. If you pass a
            function that returns a client, each event loop has its own client.
        sleep: A function that waits a number of seconds before a retry.

    Raises:
        ValueError: An argument is missing or invalid.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        max_retries: int = MAX_RETRIES,
        http_client: AsyncHttpClient | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        server = server_from(base_url, api_key, timeout)
        super().__init__(AsyncTransport(server, http_client, max_retries, sleep))

    async def close(self) -> None:
        """Close the HTTP connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncOneRuntime({self._transport.server.base_url!r})"
