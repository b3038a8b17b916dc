"""The two clients: `OneRuntime` is synchronous, `AsyncOneRuntime` is asynchronous. Both have the same methods."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from one_runtime_client.calls import Server
from one_runtime_client.operations import Operation, Resource, TransportT
from one_runtime_client.parsing import answer
from one_runtime_client.proxy import Proxy
from one_runtime_client.resources.catalog import Catalog
from one_runtime_client.resources.connections import Connections, Disconnection, disconnect
from one_runtime_client.resources.custom_integrations import CustomIntegrations
from one_runtime_client.resources.end_users import EndUsers
from one_runtime_client.resources.events import Events
from one_runtime_client.resources.integrations import Integrations
from one_runtime_client.resources.oauth_clients import OAuthClients
from one_runtime_client.resources.organization import Organizations
from one_runtime_client.resources.proxy_requests import ProxyRequests
from one_runtime_client.resources.sessions import Sessions
from one_runtime_client.transports import AsyncTransport, Transport

__all__ = ["AsyncOneRuntime", "OneRuntime"]

TIMEOUT: Final = 75.0
"""Seconds. The limits of One Runtime for a provider are shorter: 10 s for the connection, 60 s for the response."""


class Api(Resource[TransportT]):
    """All resources of the API."""

    disconnect = Operation("POST /v1/disconnect", disconnect, answer(Disconnection))

    def __init__(self, transport: TransportT) -> None:
        super().__init__(transport)
        self.integrations = Integrations(transport)
        self.catalog = Catalog(transport)
        self.sessions = Sessions(transport)
        self.connections = Connections(transport)
        self.end_users = EndUsers(transport)
        self.organization = Organizations(transport)
        self.oauth_clients = OAuthClients(transport)
        self.custom_integrations = CustomIntegrations(transport)
        self.events = Events(transport)
        self.proxy_requests = ProxyRequests(transport)
        self.proxy = Proxy(transport)


class OneRuntime(Api[Transport]):
    """The synchronous client. Threads can share a client.

    Close the client after use, or use the client in a `with` block.

    `timeout`: seconds for each wait on the network. `sleep`: a function that waits a number of seconds before a retry.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(Transport(Server(base_url, api_key), timeout, sleep))

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


class AsyncOneRuntime(Api[AsyncTransport]):
    """The asynchronous client. Close the client after use, or use the client in an `async with` block.

    `timeout`: seconds for each wait on the network. `sleep`: a function that waits a number of seconds before a retry.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(AsyncTransport(Server(base_url, api_key), timeout, sleep))

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
