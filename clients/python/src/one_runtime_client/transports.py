"""Send calls to One Runtime, synchronously or asynchronously. `retries` decides when a call is repeated."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn, Self

import httpx2

from one_runtime_client.calls import Call, Server
from one_runtime_client.pools import AsyncHttpClient, AsyncPools, HttpClient, Pools
from one_runtime_client.responses import cause, ended_early, is_refusal, no_answer, refusal
from one_runtime_client.retries import Retries


class _Shared:
    """An object that copies share, and that cannot be pickled."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        """Raises: TypeError."""
        raise TypeError(
            "A client of One Runtime cannot be pickled, because the pickle would contain your API key. Create a client "
            "in each process: without arguments, it reads ONE_RUNTIME_URL and ONE_RUNTIME_API_KEY."
        )


class Transport(_Shared):
    """Sends calls synchronously over a connection pool."""

    def __init__(
        self, server: Server, http_client: HttpClient | None, max_retries: int, sleep: Callable[[float], None]
    ) -> None:
        self.server, self._max_retries, self._sleep = server, max_retries, sleep
        self._pools = Pools(http_client, server.timeout)

    def send(self, call: Call) -> httpx2.Response:
        """Return the whole response. Raises: OneRuntimeError."""
        # A provider that has answered must not receive the request again, even if its answer is cut off.
        with self.stream(call, whole=not call.relayed) as response:
            response.read()
            return response

    @contextmanager
    def stream(self, call: Call, *, whole: bool = False) -> Iterator[httpx2.Response]:
        """Yield the response before its body is read, or with `whole` afterwards. Raises: OneRuntimeError."""
        response = self._accepted(call, whole=whole)
        try:
            yield response
        except httpx2.RequestError as error:
            if not ended_early(response, error):
                raise
            raise no_answer(error) from error
        finally:
            response.close()

    def close(self) -> None:
        """Close the HTTP connections."""
        self._pools.close()

    def _accepted(self, call: Call, *, whole: bool) -> httpx2.Response:
        retries = Retries(call, self._max_retries)
        while True:
            http = self._pools.current()
            request = self.server.request(http, call)
            try:
                response = http.send(request, stream=True, auth=None, follow_redirects=False)
                refused = is_refusal(call, response)
                if refused or whole:
                    response.read()
            except httpx2.RequestError as error:
                wait = retries.after_failure(error)
                if wait is None:
                    raise no_answer(error) from cause(error)
            else:
                if not refused:
                    return response
                wait = retries.after_response(response)
                if wait is None:
                    raise refusal(response)
            self._sleep(wait)


class AsyncTransport(_Shared):
    """Sends calls asynchronously over a connection pool."""

    def __init__(
        self,
        server: Server,
        http_client: AsyncHttpClient | None,
        max_retries: int,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.server, self._max_retries, self._sleep = server, max_retries, sleep
        self._pools = AsyncPools(http_client, server.timeout)

    async def send(self, call: Call) -> httpx2.Response:
        """Return the whole response. Raises: OneRuntimeError."""
        # A provider that has answered must not receive the request again, even if its answer is cut off.
        async with self.stream(call, whole=not call.relayed) as response:
            await response.aread()
            return response

    @asynccontextmanager
    async def stream(self, call: Call, *, whole: bool = False) -> AsyncIterator[httpx2.Response]:
        """Yield the response before its body is read, or with `whole` afterwards. Raises: OneRuntimeError."""
        response = await self._accepted(call, whole=whole)
        try:
            yield response
        except httpx2.RequestError as error:
            if not ended_early(response, error):
                raise
            raise no_answer(error) from error
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the HTTP connections."""
        await self._pools.close()

    async def _accepted(self, call: Call, *, whole: bool) -> httpx2.Response:
        retries = Retries(call, self._max_retries)
        while True:
            http = self._pools.current()
            request = self.server.request(http, call)
            try:
                response = await http.send(request, stream=True, auth=None, follow_redirects=False)
                refused = is_refusal(call, response)
                if refused or whole:
                    await response.aread()
            except httpx2.RequestError as error:
                wait = retries.after_failure(error)
                if wait is None:
                    raise no_answer(error) from cause(error)
            else:
                if not refused:
                    return response
                wait = retries.after_response(response)
                if wait is None:
                    raise refusal(response)
            await self._sleep(wait)
