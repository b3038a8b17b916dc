"""The two ways to send: one that blocks and one that awaits. What is sent and what it means is decided in `asked`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Final

import httpx2

from one_runtime_client.asked import Asked, Server, is_refusal, refusal, wait_before_retry
from one_runtime_client.errors import ConnectionFailed, Problem

_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=4.0)
"""How many calls may be under way says One Runtime, with a code: here they would wait unseen. What was not used for 5
seconds its server closes."""


class Blocking:
    """Sends with a connection pool, and waits."""

    def __init__(self, server: Server, timeout: float, sleep: Callable[[float], None]) -> None:
        self.server, self.timeout, self._sleep = server, timeout, sleep
        self._http = httpx2.Client(timeout=timeout, limits=_LIMITS)
        _forget_cookies(self._http)

    def send(self, asked: Asked) -> httpx2.Response:
        """The whole answer. Raises: OneRuntimeError."""
        with self.stream(asked) as response:
            response.read()
            return response

    @contextmanager
    def stream(self, asked: Asked) -> Iterator[httpx2.Response]:
        """The answer, whose body is still to be read. Raises: OneRuntimeError."""
        response = self._accepted(asked)
        try:
            yield response
        except httpx2.RequestError as error:
            if not _broke_off(response, error):
                raise
            raise _no_answer(error) from error
        finally:
            response.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _accepted(self, asked: Asked) -> httpx2.Response:
        tries = 0
        while True:
            tries += 1
            try:
                response = self._http.send(self.server.request(self._http, asked), stream=True)
                if not is_refusal(asked, response):
                    return response
                response.read()
            except httpx2.RequestError as error:
                raise _no_answer(error) from _cause(error)
            wait = wait_before_retry(asked, response, tries)
            if wait is None:
                raise refusal(response)
            self._sleep(wait)


class Awaiting:
    """Sends with a connection pool, and awaits."""

    def __init__(self, server: Server, timeout: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.server, self.timeout, self._sleep = server, timeout, sleep
        self._http = httpx2.AsyncClient(timeout=timeout, limits=_LIMITS)
        _forget_cookies(self._http)

    async def send(self, asked: Asked) -> httpx2.Response:
        """The whole answer. Raises: OneRuntimeError."""
        async with self.stream(asked) as response:
            await response.aread()
            return response

    @asynccontextmanager
    async def stream(self, asked: Asked) -> AsyncIterator[httpx2.Response]:
        """The answer, whose body is still to be read. Raises: OneRuntimeError."""
        response = await self._accepted(asked)
        try:
            yield response
        except httpx2.RequestError as error:
            if not _broke_off(response, error):
                raise
            raise _no_answer(error) from error
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def _accepted(self, asked: Asked) -> httpx2.Response:
        tries = 0
        while True:
            tries += 1
            try:
                response = await self._http.send(self.server.request(self._http, asked), stream=True)
                if not is_refusal(asked, response):
                    return response
                await response.aread()
            except httpx2.RequestError as error:
                raise _no_answer(error) from _cause(error)
            wait = wait_before_retry(asked, response, tries)
            if wait is None:
                raise refusal(response)
            await self._sleep(wait)


def _forget_cookies(http: httpx2.Client | httpx2.AsyncClient) -> None:
    """A provider's cookie must not go along with the next end user's request."""
    http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))


def _broke_off(response: httpx2.Response, error: httpx2.RequestError) -> bool:
    """Whether it is this answer that ended early, and not something else that the caller did meanwhile."""
    try:
        return error.request is response.request
    except RuntimeError:  # of no request
        return False


def _no_answer(error: httpx2.RequestError) -> ConnectionFailed:
    kind = type(error).__name__
    # What the library says of a header that it cannot send holds the header.
    words = "" if isinstance(error, httpx2.LocalProtocolError) else str(error)
    reason = f"{kind}: {words}" if words else kind
    code = "timeout" if isinstance(error, httpx2.TimeoutException) else "connection_failed"
    return ConnectionFailed(Problem(code=code, status=None, detail=f"One Runtime did not answer: {reason}."))


def _cause(error: httpx2.RequestError) -> httpx2.RequestError | None:
    return None if isinstance(error, httpx2.LocalProtocolError) else error
