"""Turn each operation of the API into a method of a resource, such as `client.sessions.create`.

Each operation is declared once. The transport (the object that sends requests) decides whether the method is
synchronous or asynchronous.
"""

import functools
import inspect
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload
from urllib.parse import urlencode

import httpx2

from one_runtime_client.arguments import Arguments
from one_runtime_client.calls import IDEMPOTENCY_KEY, Call, query_string, segment
from one_runtime_client.parsing import ParseError, next_cursor
from one_runtime_client.responses import unexpected_answer
from one_runtime_client.transports import AsyncTransport, Transport

__all__ = ["AsyncPages", "Page", "Pages"]

P = ParamSpec("P")
T = TypeVar("T")
TransportT = TypeVar("TransportT", bound=Transport | AsyncTransport)


class Resource(Generic[TransportT]):
    """A group of operations, such as `client.sessions`."""

    def __init__(self, transport: TransportT) -> None:
        self._transport: TransportT = transport


def transport_of(resource: Resource[Any]) -> Any:
    """Return the transport of a resource. The transport is private, but the descriptors of this package need it."""
    return resource._transport  # noqa: SLF001


class Route(Generic[P]):
    """A method and a path of the API, with the function that arranges the caller's arguments."""

    def __init__(self, route: str, arrange: Callable[P, Arguments], *, creates: bool = False) -> None:
        self.route, self._creates = route, creates
        self._method, _, self._path = route.partition(" ")
        self._arrange = arrange

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """Return the call for these arguments. Raises: ValueError for an empty identifier."""
        arguments = self._arrange(*args, **kwargs)
        headers = [("content-type", arguments.media_type)] if arguments.media_type else []
        if self._creates:
            headers.append((IDEMPOTENCY_KEY, str(uuid.uuid4())))
        return Call(
            method=self._method,
            route=self.route,
            path=self._path.format_map({name: segment(value) for name, value in arguments.path.items()}),
            query=query_string(arguments.query),
            json=arguments.json,
            body=arguments.body,
            headers=tuple(headers),
        )

    def _bound(self, resource: Any, send: Callable[..., Any], send_async: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method for the resource's transport, with the name, docstring and arguments of `arrange`."""
        transport = transport_of(resource)
        method = functools.partial(send if isinstance(transport, Transport) else send_async, transport)
        functools.update_wrapper(method, self._arrange)
        return signed(method, self._signature)

    @functools.cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self._arrange).replace(return_annotation=inspect.Signature.empty)


def signed(method: Callable[..., Any], signature: inspect.Signature) -> Callable[..., Any]:
    """Give a method the signature that `help` and editors show."""
    vars(method)["__signature__"] = signature
    return method


class Operation(Route[P], Generic[P, T]):
    """An operation with one answer."""

    def __init__(
        self, route: str, arrange: Callable[P, Arguments], parse: Callable[[Any], T], *, creates: bool = False
    ) -> None:
        super().__init__(route, arrange, creates=creates)
        self._parse = parse

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Transport], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: Resource[AsyncTransport], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        """Return the operation as a method of a resource."""
        return self if resource is None else self._bound(resource, self._send, self._send_async)

    def _send(self, transport: Transport, *args: P.args, **kwargs: P.kwargs) -> T:
        return _parsed(transport.send(self.call(*args, **kwargs)), self._parse)

    async def _send_async(self, transport: AsyncTransport, *args: P.args, **kwargs: P.kwargs) -> T:
        return _parsed(await transport.send(self.call(*args, **kwargs)), self._parse)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list. `next_cursor` is the cursor of the next page, and None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


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


class Listing(Route[P], Generic[P, T]):
    """An operation that returns a list with pages."""

    def __init__(self, route: str, arrange: Callable[P, Arguments], parse: Callable[[Any], tuple[T, ...]]) -> None:
        super().__init__(route, arrange)
        self._parse = parse

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Transport], owner: type) -> Callable[P, Pages[T]]: ...
    @overload
    def __get__(self, resource: Resource[AsyncTransport], owner: type) -> Callable[P, AsyncPages[T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        """Return the operation as a method of a resource."""
        return self if resource is None else self._bound(resource, self._pages, self._async_pages)

    def _pages(self, transport: Transport, *args: P.args, **kwargs: P.kwargs) -> Pages[T]:
        return Pages(transport, self.call(*args, **kwargs), self._page)

    def _async_pages(self, transport: AsyncTransport, *args: P.args, **kwargs: P.kwargs) -> AsyncPages[T]:
        return AsyncPages(transport, self.call(*args, **kwargs), self._page)

    def _page(self, value: Any) -> Page[T]:
        return Page(self._parse(value), next_cursor(value))


def _call_at(call: Call, cursor: str | None) -> Call:
    if cursor is None:
        return call
    others = [(name, value) for name, value in httpx2.QueryParams(call.query).multi_items() if name != "cursor"]
    return replace(call, query=urlencode([*others, ("cursor", cursor)]))


def _parsed(response: httpx2.Response, parse: Callable[[Any], T]) -> T:
    try:
        return parse(response.json() if response.content else None)
    except ParseError as error:
        raise unexpected_answer(response, str(error)) from error
    except ValueError as error:
        raise unexpected_answer(response, "it is not JSON") from error
