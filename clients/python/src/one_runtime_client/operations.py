"""Operations of the API as attributes: each is described once, and blocks or awaits as its client does."""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload
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
        content = request.content
        return Asked(method=self._method, path=path, query=query, json=request.json, content=content, headers=headers)

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
    """A part of a list. `next_cursor`: where the next one begins; None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None


class Listing(Route[P], Generic[P, T]):
    """An operation with pages, which are asked for as they are wanted."""

    def __init__(self, route: str, request: Callable[P, Request], read: Callable[[Any], tuple[T, ...]]) -> None:
        super().__init__(route, request)
        self._read = read

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, resource: Resource[Awaiting], owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        """The operation as a method of a resource."""
        return self if resource is None else self._bound(resource.driver, self._block, self._await)

    def _block(self, driver: Blocking, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        asked: Asked | None = self.asked(*args, **kwargs)
        while asked is not None:
            page = _answer(driver.send(asked), self.page)
            yield from page.items
            asked = _next(asked, page.next_cursor)

    async def _await(self, driver: Awaiting, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        asked: Asked | None = self.asked(*args, **kwargs)
        while asked is not None:
            page = _answer(await driver.send(asked), self.page)
            for item in page.items:
                yield item
            asked = _next(asked, page.next_cursor)

    def page(self, value: Any) -> Page[T]:
        """One page of it. Raises: Unreadable."""
        return Page(self._read(value), cursor_of(value))


class OnePage(Generic[P, T]):
    """One page of the list, for callers who keep the cursor themselves: None is the first page's. What the list takes
    goes along by name."""

    def __init__(self, listing: Listing[P, T]) -> None:
        self._listing = listing

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource[Blocking], owner: type) -> Callable[Concatenate[str | None, P], Page[T]]: ...
    @overload
    def __get__(
        self, resource: Resource[Awaiting], owner: type
    ) -> Callable[Concatenate[str | None, P], Coroutine[Any, Any, Page[T]]]: ...
    def __get__(self, resource: Any, owner: type) -> Any:
        """The page as a method of a resource."""
        if resource is None:
            return self
        driver = resource.driver
        method = functools.partial(self._block if isinstance(driver, Blocking) else self._await, driver)
        method.__doc__ = type(self).__doc__
        return method

    def _block(self, driver: Blocking, cursor: str | None, *args: P.args, **kwargs: P.kwargs) -> Page[T]:
        return _answer(driver.send(self._asked(cursor, *args, **kwargs)), self._listing.page)

    async def _await(self, driver: Awaiting, cursor: str | None, *args: P.args, **kwargs: P.kwargs) -> Page[T]:
        return _answer(await driver.send(self._asked(cursor, *args, **kwargs)), self._listing.page)

    def _asked(self, cursor: str | None, *args: P.args, **kwargs: P.kwargs) -> Asked:
        first = self._listing.asked(*args, **kwargs)
        return _next(first, cursor) or first


def _next(asked: Asked, cursor: str | None) -> Asked | None:
    if cursor is None:
        return None
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
