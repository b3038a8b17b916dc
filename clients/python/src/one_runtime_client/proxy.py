"""`client.proxy`: a provider's API with an end user's credential. The provider's answer comes back as it is."""

import functools
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Concatenate, Final, Generic, ParamSpec, overload

import httpx2

from one_runtime_client.asked import Asked, Body, Query, query_of, segment
from one_runtime_client.drivers import Awaiting, Blocking
from one_runtime_client.operations import D, Resource

P = ParamSpec("P")

MOST_SECONDS: Final = 600.0
"""How long One Runtime waits for a provider at the most."""
_SECONDS: Final = 60.0  # that One Runtime waits for a provider where nothing is said
_SLACK: Final = 15.0  # of each try, for the 10 seconds that a connection may take
_TRIES: Final = 3
_PAUSES: Final = 60.0  # seconds between them
_STEPS: Final = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:[/?]|$)", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def call(  # noqa: PLR0913 - by name
    method: str,
    integration_slug: str,
    path: str,
    *,
    end_user_id: str | None = None,
    connection_id: str | None = None,
    query: Query | None = None,
    json: Any = None,
    body: Body | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    retry: bool = False,
    base_url: str | None = None,
) -> Asked:
    """Call a provider through an end user's connection: the newest active one, or `connection_id`.

    A provider's error is an answer like any other. `timeout`: seconds that the provider may be silent, 600 at the most.
    `retry`: where the provider is overloaded or away, One Runtime repeats the call if its method is idempotent (a POST
    is never sent twice). `base_url`: another of the integration's addresses, as for uploads.

    Raises: ConnectRequired, where the end user has to connect (again); OneRuntimeError; ValueError, for an address that
    would lead elsewhere; TypeError, for a body that this client cannot send.
    """
    if end_user_id is None and connection_id is None:
        raise ValueError("say whose connection to use: end_user_id, or connection_id")
    whose = {"One-Runtime-End-User": end_user_id, "One-Runtime-Connection": connection_id}
    how = {
        "One-Runtime-Base-Url": base_url,
        "One-Runtime-Retry": "idempotent" if retry else None,
        "One-Runtime-Timeout": None if timeout is None else f"{min(timeout, MOST_SECONDS):.3f}",
    }
    own = [(name, value) for name, value in (headers or {}).items() if name.lower() != "authorization"]
    ours = [(name, value) for name, value in (whose | how).items() if value is not None]
    for name, value in ours:
        if _CONTROL.search(value):
            raise ValueError(f"{name} must not hold control characters")
    address, _, path_query = path.partition("?")
    return Asked(
        method=method,
        path=f"/v1/proxy/{segment(integration_slug)}/{_safe(address).removeprefix('/')}",
        query="&".join(part for part in (path_query, query_of(query)) if part),
        json=json,
        body=body,
        headers=(*own, *ours),
        relayed=True,
        timeout=_patience(timeout, retry=retry),
    )


class Call(Generic[P]):
    """A method that answers what the provider answers."""

    def __init__(self, method: str, asked: Callable[Concatenate[str, P], Asked]) -> None:
        self._method, self._asked = method, asked

    @overload
    def __get__(self, proxy: None, owner: type) -> "Call[P]": ...
    @overload
    def __get__(self, proxy: Resource[Blocking], owner: type) -> Callable[P, httpx2.Response]: ...
    @overload
    def __get__(self, proxy: Resource[Awaiting], owner: type) -> Callable[P, Coroutine[Any, Any, httpx2.Response]]: ...
    def __get__(self, proxy: Any, owner: type) -> Any:
        """The call as a method of `client.proxy`."""
        return self if proxy is None else _bound(_send, proxy, functools.partial(self._asked, self._method))


class AnyCall(Generic[P]):
    """The same, for a method that is named by the caller."""

    def __init__(self, asked: Callable[P, Asked]) -> None:
        self._asked = asked

    @overload
    def __get__(self, proxy: None, owner: type) -> "AnyCall[P]": ...
    @overload
    def __get__(self, proxy: Resource[Blocking], owner: type) -> Callable[P, httpx2.Response]: ...
    @overload
    def __get__(self, proxy: Resource[Awaiting], owner: type) -> Callable[P, Coroutine[Any, Any, httpx2.Response]]: ...
    def __get__(self, proxy: Any, owner: type) -> Any:
        """The call as a method of `client.proxy`."""
        return self if proxy is None else _bound(_send, proxy, self._asked)


class Streamed(Generic[P]):
    """The same, for a body that is read as it comes, in a `with` block."""

    def __init__(self, asked: Callable[P, Asked]) -> None:
        self._asked = asked

    @overload
    def __get__(self, proxy: None, owner: type) -> "Streamed[P]": ...
    @overload
    def __get__(
        self, proxy: Resource[Blocking], owner: type
    ) -> Callable[P, AbstractContextManager[httpx2.Response]]: ...
    @overload
    def __get__(
        self, proxy: Resource[Awaiting], owner: type
    ) -> Callable[P, AbstractAsyncContextManager[httpx2.Response]]: ...
    def __get__(self, proxy: Any, owner: type) -> Any:
        """The call as a method of `client.proxy`."""
        return self if proxy is None else _bound(_stream, proxy, self._asked)


class Proxy(Resource[D]):
    """The APIs of providers. `client.proxy.get("hubspot", "/crm/v3/objects/contacts", end_user_id="user_123")`."""

    request = AnyCall(call)
    stream = Streamed(call)
    get = Call("GET", call)
    head = Call("HEAD", call)
    post = Call("POST", call)
    put = Call("PUT", call)
    patch = Call("PATCH", call)
    delete = Call("DELETE", call)


def _bound(act: Callable[..., Any], proxy: Resource[Any], asked: Callable[..., Asked]) -> Callable[..., Any]:
    """A method that tells its arguments as `call` does."""
    method = functools.update_wrapper(functools.partial(act, proxy, asked), asked)
    method.__doc__ = call.__doc__
    return method


def _send(proxy: Resource[Any], asked: Callable[..., Asked], *args: Any, **kwargs: Any) -> Any:
    return proxy.driver.send(asked(*args, **kwargs))


def _stream(proxy: Resource[Any], asked: Callable[..., Asked], *args: Any, **kwargs: Any) -> Any:
    return proxy.driver.stream(asked(*args, **kwargs))


def _safe(path: str) -> str:
    """Raises: ValueError for what would be resolved to another address, perhaps of One Runtime itself."""
    if _STEPS.search(path) or "#" in path or "\\" in path or _CONTROL.search(path):
        raise ValueError("path must not hold `.` or `..` as a step, `#`, a backslash or control characters")
    return path


def _patience(timeout: float | None, *, retry: bool) -> float | None:
    """Seconds to wait for One Runtime, which tells better than a timeout of ours what went wrong."""
    if timeout is None and not retry:
        return None
    once = min(_SECONDS if timeout is None else timeout, MOST_SECONDS) + _SLACK
    return once * _TRIES + _PAUSES if retry else once
