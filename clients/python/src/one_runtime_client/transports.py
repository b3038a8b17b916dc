"""Send calls to One Runtime, synchronously or asynchronously. `calls` decides what to send and when to retry."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Final

import httpx2

from one_runtime_client.calls import Call, Server, is_refusal, refusal, wait_before_retry
from one_runtime_client.errors import ConnectionFailed, Problem

_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=4.0)
"""The client does not limit the number of concurrent calls. One Runtime has a limit, and refuses calls above it.

One Runtime closes a connection after 5 idle seconds. A request at the same moment would fail, so the client closes an
idle connection after 4 seconds.
"""


class Transport:
    """Sends calls synchronously over a connection pool."""

    def __init__(self, server: Server, timeout: float, sleep: Callable[[float], None]) -> None:
        self.server, self.timeout, self._sleep = server, timeout, sleep
        self._http = httpx2.Client(timeout=timeout, limits=_LIMITS)
        _refuse_cookies(self._http)

    def send(self, call: Call) -> httpx2.Response:
        """Return the whole response. Raises: OneRuntimeError."""
        with self.stream(call) as response:
            response.read()
            return response

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx2.Response]:
        """Yield the response before its body is read. Raises: OneRuntimeError."""
        response = self._accepted(call)
        try:
            yield response
        except httpx2.RequestError as error:
            if not _ended_early(response, error):
                raise
            raise _no_answer(error) from error
        finally:
            response.close()

    def close(self) -> None:
        """Close the HTTP connections."""
        self._http.close()

    def _accepted(self, call: Call) -> httpx2.Response:
        attempts = 0
        while True:
            attempts += 1
            try:
                response = self._http.send(self.server.request(self._http, call), stream=True)
                if not is_refusal(call, response):
                    return response
                response.read()
            except httpx2.RequestError as error:
                raise _no_answer(error) from _cause(error)
            wait = wait_before_retry(call, response, attempts)
            if wait is None:
                raise refusal(response)
            self._sleep(wait)


class AsyncTransport:
    """Sends calls asynchronously over a connection pool."""

    def __init__(self, server: Server, timeout: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.server, self.timeout, self._sleep = server, timeout, sleep
        self._http = httpx2.AsyncClient(timeout=timeout, limits=_LIMITS)
        _refuse_cookies(self._http)

    async def send(self, call: Call) -> httpx2.Response:
        """Return the whole response. Raises: OneRuntimeError."""
        async with self.stream(call) as response:
            await response.aread()
            return response

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[httpx2.Response]:
        """Yield the response before its body is read. Raises: OneRuntimeError."""
        response = await self._accepted(call)
        try:
            yield response
        except httpx2.RequestError as error:
            if not _ended_early(response, error):
                raise
            raise _no_answer(error) from error
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the HTTP connections."""
        await self._http.aclose()

    async def _accepted(self, call: Call) -> httpx2.Response:
        attempts = 0
        while True:
            attempts += 1
            try:
                response = await self._http.send(self.server.request(self._http, call), stream=True)
                if not is_refusal(call, response):
                    return response
                await response.aread()
            except httpx2.RequestError as error:
                raise _no_answer(error) from _cause(error)
            wait = wait_before_retry(call, response, attempts)
            if wait is None:
                raise refusal(response)
            await self._sleep(wait)


def _refuse_cookies(http: httpx2.Client | httpx2.AsyncClient) -> None:
    """Store no cookie, so that the client never sends a provider's cookie with the request of another end user."""
    http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))


def _ended_early(response: httpx2.Response, error: httpx2.RequestError) -> bool:
    """Return True if the error belongs to this response.

    The caller's `with` block can raise an error that belongs to another request.
    """
    try:
        return error.request is response.request
    except RuntimeError:  # the error has no request
        return False


def _no_answer(error: httpx2.RequestError) -> ConnectionFailed:
    kind = type(error).__name__
    # The text of a LocalProtocolError quotes the invalid header, which can contain a credential.
    text = "" if isinstance(error, httpx2.LocalProtocolError) else str(error)
    reason = f"{kind}: {text}" if text else kind
    code = "timeout" if isinstance(error, httpx2.TimeoutException) else "connection_failed"
    return ConnectionFailed(Problem(code=code, status=None, detail=f"One Runtime did not answer: {reason}."))


def _cause(error: httpx2.RequestError) -> httpx2.RequestError | None:
    return None if isinstance(error, httpx2.LocalProtocolError) else error
