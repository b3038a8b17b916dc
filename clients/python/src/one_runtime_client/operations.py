"""Operations of the API as attributes: each is described once, and blocks or awaits as its client does."""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload
from urllib.parse import urlencode

import httpx2

from one_runtime_client.asked import Asked, query_of, segment, unreadable
from one_runtime_client.drivers import Awaiting, Blocking
from one_runtime_client.reading import Unreadable, cursor_of
from one_runtime_client.requests import Request

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D", bound=Blocking | Awaiting)


class Resource(Generic[D]):
    """A noun of the API, of a client that blocks or awaits."""

    def __init__(self, driver: D) -> None:
        self.driver: D = driver


class Route(Generic[P]):
    """A method and a path of the API, and the function that makes its requests."""

    def __init__(self, route: str, request: Callable[P, Request]) -> None:
        self.route = route
        self._method, _, self._path = route.partition(" ")
        self._request = request

    def asked(self, *args: P.args, **kwargs: P.kwargs) -> Asked:
        """A request of it. Raises: ValueError where an identifier is empty."""
        request = self._request(*args, **kwargs)
        path = self._path.format_map({name: segment(value) for name, value in request.path.items()})
        headers = (("content-type", request.media_type),) if request.media_type else ()
        query = query_of(request.params)
        body = request.content
        return Asked(method=self._method, path=path, query=query, json=request.json, body=body, headers=headers)

    def _bound(self, driver: object, block: Callable[..., Any], await_: Callable[..., Any]) -> Callable[..., Any]:
        """The method that goes with the driver, which tells its arguments as the request's function does."""
        method = functools.partial(block if isinstance(driver, Blocking) else await_, driver)
        return functools.update_wrapper(method, self._request)


class Operation(Route[P], Generic[P, T]):
    """An operation with one answer."""

    def __init__(self, route: str, request: Callable[P, Request], read: Callable[[Any], T]) -> None:
        super().__init__(route, request)
        self._read = read

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: Resource[Awaiting], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        """The operation as a method of a resource."""
        return self if resource is None else self._bound(resource.driver, self._block, self._await)

    def _block(self, driver: Blocking, *args: P.args, **kwargs: P.kwargs) -> T:
        return _answer(driver.send(self.asked(*args, **kwargs)), self._read)

    async def _await(self, driver: Awaiting, *args: P.args, **kwargs: P.kwargs) -> T:
        return _answer(await driver.send(self.asked(*args, **kwargs)), self._read)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list. `next_cursor` is the cursor of the next page; None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


class Pages(Generic[T]):
    """A list with pages, of `OneRuntime`. Each loop over it starts again and requests a page when it is needed."""

    def __init__(self, driver: Blocking, asked: Asked, read: Callable[[Any], Page[T]]) -> None:
        self._driver, self._asked, self._read = driver, asked, read

    def page(self, cursor: str | None = None) -> Page[T]:
        """Return the page at a `next_cursor`; without it, the first page."""
        return _answer(self._driver.send(_at(self._asked, cursor)), self._read)

    def __iter__(self) -> Iterator[T]:
        page = self.page()
        yield from page.items
        while page.next_cursor is not None:
            page = self.page(page.next_cursor)
            yield from page.items


class AsyncPages(Generic[T]):
    """A list with pages, of `AsyncOneRuntime`. Each loop over it starts again and requests a page when it is needed."""

    def __init__(self, driver: Awaiting, asked: Asked, read: Callable[[Any], Page[T]]) -> None:
        self._driver, self._asked, self._read = driver, asked, read

    async def page(self, cursor: str | None = None) -> Page[T]:
        """Return the page at a `next_cursor`; without it, the first page."""
        return _answer(await self._driver.send(_at(self._asked, cursor)), self._read)

    async def __aiter__(self) -> AsyncIterator[T]:
        page = await self.page()
        for item in page.items:
            yield item
        while page.next_cursor is not None:
            page = await self.page(page.next_cursor)
            for item in page.items:
                yield item


class Listing(Route[P], Generic[P, T]):
    """An operation whose answer comes in pages."""

    def __init__(self, route: str, request: Callable[P, Request], read: Callable[[Any], tuple[T, ...]]) -> None:
        super().__init__(route, request)
        self._read = read

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: type) -> Callable[P, Pages[T]]: ...
    @overload
    def __get__(self, resource: Resource[Awaiting], owner: type) -> Callable[P, AsyncPages[T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        """Return the operation as a method of a resource."""
        return self if resource is None else self._bound(resource.driver, self._block, self._await)

    def _block(self, driver: Blocking, *args: P.args, **kwargs: P.kwargs) -> Pages[T]:
        return Pages(driver, self.asked(*args, **kwargs), self._page)

    def _await(self, driver: Awaiting, *args: P.args, **kwargs: P.kwargs) -> AsyncPages[T]:
        return AsyncPages(driver, self.asked(*args, **kwargs), self._page)

    def _page(self, value: Any) -> Page[T]:
        return Page(self._read(value), cursor_of(value))


def _at(asked: Asked, cursor: str | None) -> Asked:
    if cursor is None:
        return asked
    others = [(name, value) for name, value in httpx2.QueryParams(asked.query).multi_items() if name != "cursor"]
    return replace(asked, query=urlencode([*others, ("cursor", cursor)]))


def _answer(response: httpx2.Response, read: Callable[[Any], T]) -> T:
    try:
        return read(response.json() if response.content else None)
    except Unreadable as error:
        raise unreadable(response, str(error)) from error
    except ValueError as error:
        raise unreadable(response, "it is not JSON") from error


def routes_of(kind: type) -> dict[str, str]:
    """The operations of a resource: attribute to `METHOD /path`."""
    return {name: one.route for name, one in vars(kind).items() if isinstance(one, Route)}
