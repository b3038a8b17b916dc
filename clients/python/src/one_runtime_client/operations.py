"""Send the requests of a resource's methods, and return their answers: objects, lists with pages, or raw responses."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, ParamSpec, TypeVar
from urllib.parse import urlencode

import httpx2

from one_runtime_client.calls import Call
from one_runtime_client.parsing import ParseError, next_cursor
from one_runtime_client.requests import Request
from one_runtime_client.responses import unexpected_answer
from one_runtime_client.transports import AsyncTransport, Transport

__all__ = ["AsyncPages", "Page", "Pages", "RawResponse"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list. `next_cursor` is the cursor of the next page, and None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RawResponse(Generic[T]):
    """A response of One Runtime. `http_response` is the response of httpx2."""

    http_response: httpx2.Response
    _parse: Callable[[Any], T] = field(repr=False)

    @property
    def status(self) -> int:
        """The HTTP status, such as 201 for a new resource, 200 for a present one, or 304 after `If-None-Match`."""
        return self.http_response.status_code

    @property
    def headers(self) -> httpx2.Headers:
        """The headers. The case of a name does not matter."""
        return self.http_response.headers

    @property
    def request_id(self) -> str | None:
        """The header `Request-Id`, which the operator finds in the log."""
        return self.headers.get("request-id")

    @property
    def etag(self) -> str | None:
        """The header `ETag`, for `If-None-Match` or `If-Match` in a later request."""
        return self.headers.get("etag")

    def parse(self) -> T:
        """Return the answer, as the method itself returns it.

        Raises:
            OneRuntimeError: `unexpected_answer`: the response does not have the documented form. A response with the
                status 304 has no answer.
        """
        return _parsed(self.http_response, self._parse)


class Pages(Generic[T]):
    """A list that the client `OneRuntime` requests page by page.

    Each loop over the list starts at the first page. The loop requests the next page when all items of a page are used.
    """

    def __init__(self, transport: Transport, call: Call, parse: Callable[[Any], Page[T]]) -> None:
        self._transport, self._call, self._parse = transport, call, parse

    def page(self, cursor: str | None = None) -> Page[T]:
        """Return a page. `cursor`: the `next_cursor` of the previous page, or None for the first page."""
        return _parsed(self._transport.send(_call_at(self._call, cursor)), self._parse)

    def __iter__(self) -> Iterator[T]:
        page = self.page()
        yield from page.items
        while page.next_cursor is not None:
            page = self.page(page.next_cursor)
            yield from page.items


class AsyncPages(Generic[T]):
    """A list that the client `AsyncOneRuntime` requests page by page.

    Each loop over the list starts at the first page. The loop requests the next page when all items of a page are used.
    """

    def __init__(self, transport: AsyncTransport, call: Call, parse: Callable[[Any], Page[T]]) -> None:
        self._transport, self._call, self._parse = transport, call, parse

    async def page(self, cursor: str | None = None) -> Page[T]:
        """Return a page. `cursor`: the `next_cursor` of the previous page, or None for the first page."""
        return _parsed(await self._transport.send(_call_at(self._call, cursor)), self._parse)

    async def __aiter__(self) -> AsyncIterator[T]:
        page = await self.page()
        for item in page.items:
            yield item
        while page.next_cursor is not None:
            page = await self.page(page.next_cursor)
            for item in page.items:
                yield item


class Resource:
    """A group of methods of `OneRuntime`, such as `client.sessions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _request(self, request: Request, parse: Callable[[Any], T]) -> T:
        return _parsed(self._transport.send(request.call()), parse)

    def _pages(self, request: Request, parse: Callable[[Any], tuple[T, ...]]) -> Pages[T]:
        return Pages(self._transport, request.call(), _page_of(parse))


class AsyncResource:
    """A group of methods of `AsyncOneRuntime`, such as `client.sessions`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _request(self, request: Request, parse: Callable[[Any], T]) -> T:
        return _parsed(await self._transport.send(request.call()), parse)

    def _pages(self, request: Request, parse: Callable[[Any], tuple[T, ...]]) -> AsyncPages[T]:
        return AsyncPages(self._transport, request.call(), _page_of(parse))


class _RawRequests:
    """Replaces the requests of a resource: its methods then return raw responses."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _request(self, request: Request, parse: Callable[[Any], T]) -> RawResponse[T]:
        return RawResponse(self._transport.send(request.call()), parse)

    def _pages(self, request: Request, parse: Callable[[Any], tuple[T, ...]]) -> RawResponse[Page[T]]:
        return self._request(request, _page_of(parse))


class _AsyncRawRequests:
    """Replaces the requests of a resource: its methods then return raw responses."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _request(self, request: Request, parse: Callable[[Any], T]) -> RawResponse[T]:
        return RawResponse(await self._transport.send(request.call()), parse)

    async def _pages(self, request: Request, parse: Callable[[Any], tuple[T, ...]]) -> RawResponse[Page[T]]:
        return await self._request(request, _page_of(parse))


def with_response(method: Callable[P, T]) -> Callable[P, RawResponse[T]]:
    """Return a method that returns the raw response. Use it for a method of `OneRuntime`."""
    return _raw(method, _RawRequests)


def page_with_response(method: Callable[P, Pages[T]]) -> Callable[P, RawResponse[Page[T]]]:
    """Return a method that returns the raw response of one page. Use it for a method of `OneRuntime`."""
    return _raw(method, _RawRequests)


def async_with_response(
    method: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, RawResponse[T]]]:
    """Return a method that returns the raw response. Use it for a method of `AsyncOneRuntime`."""
    return _raw(method, _AsyncRawRequests)


def async_page_with_response(
    method: Callable[P, AsyncPages[T]],
) -> Callable[P, Coroutine[Any, Any, RawResponse[Page[T]]]]:
    """Return a method that returns the raw response of one page. Use it for a method of `AsyncOneRuntime`."""
    return _raw(method, _AsyncRawRequests)


def _raw(method: Any, requests: Callable[[Any], object]) -> Callable[..., Any]:
    """Return a bound method that runs with other requests, and with the arguments and the docstring of the method."""
    function, resource = method.__func__, requests(method.__self__._transport)  # noqa: SLF001 - same module

    @functools.wraps(function)
    def raw(*args: Any, **kwargs: Any) -> Any:
        return function(resource, *args, **kwargs)

    signature = inspect.signature(method)
    vars(raw)["__signature__"] = signature.replace(return_annotation=RawResponse)
    return raw


def _page_of(parse: Callable[[Any], tuple[T, ...]]) -> Callable[[Any], Page[T]]:
    return lambda value: Page(parse(value), next_cursor(value))


def _call_at(call: Call, cursor: str | None) -> Call:
    if cursor is None:
        return call
    others = [(name, value) for name, value in httpx2.QueryParams(call.query).multi_items() if name != "cursor"]
    return replace(call, query=urlencode([*others, ("cursor", cursor)]))


def _parsed(response: httpx2.Response, parse: Callable[[Any], T]) -> T:
    if response.status_code == httpx2.codes.NOT_MODIFIED:
        raise unexpected_answer(response, "the resource has not changed (304). Use with_raw_response")
    try:
        return parse(response.json() if response.content else None)
    except ParseError as error:
        raise unexpected_answer(response, str(error)) from error
    except ValueError as error:
        raise unexpected_answer(response, "it is not JSON") from error
