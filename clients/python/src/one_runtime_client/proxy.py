"""Call a provider's API through One Runtime (`client.proxy`). One Runtime adds the end user's credential."""

import functools
import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Concatenate, Final, Generic, ParamSpec, overload

import httpx2

from one_runtime_client.calls import Body, Call, Query, query_string, segment
from one_runtime_client.operations import Resource, TransportT, signed, transport_of
from one_runtime_client.transports import AsyncTransport, Transport

P = ParamSpec("P")

MAX_TIMEOUT: Final = 600.0
"""Maximum number of seconds that One Runtime waits for a provider."""
_DEFAULT_TIMEOUT: Final = 60.0  # seconds that One Runtime waits for a provider by default
_MARGIN: Final = 15.0  # seconds for each attempt: One Runtime needs up to 10 seconds to connect to the provider
_ATTEMPTS: Final = 3
_PAUSES: Final = 60.0  # total seconds of all pauses between the attempts
_DOT_SEGMENT: Final = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:[/?]|$)", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def proxy_call(  # noqa: PLR0913 - by name
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
) -> Call:
    """Call a provider through a connection: `connection_id`, or the newest active connection of `end_user_id`.

    The method returns every response of the provider, even an error. `timeout`: maximum number of seconds that One
    Runtime waits for data from the provider, at most 600. `retry`: One Runtime repeats a GET, HEAD, PUT, DELETE or
    OPTIONS when the provider is overloaded or unreachable. `base_url`: another base URL of the integration, for example
    for uploads.

    Raises: ConnectRequired, if the end user has to connect (again); OneRuntimeError; ValueError for an invalid
    argument, such as a path with the segment `..`; TypeError for a body that this client cannot send.
    """
    if end_user_id is None and connection_id is None:
        raise ValueError("Pass end_user_id or connection_id: the call needs a connection.")
    options = {
        "One-Runtime-End-User": end_user_id,
        "One-Runtime-Connection": connection_id,
        "One-Runtime-Base-Url": base_url,
        "One-Runtime-Retry": "idempotent" if retry else None,
        "One-Runtime-Timeout": None if timeout is None else f"{min(timeout, MAX_TIMEOUT):.3f}",
    }
    own_headers = [(name, value) for name, value in options.items() if value is not None]
    for name, value in own_headers:
        if _CONTROL.search(value):
            raise ValueError(f"{name} must not contain control characters.")
    provider_headers = [(name, value) for name, value in (headers or {}).items() if name.lower() != "authorization"]
    address, _, path_query = path.partition("?")
    return Call(
        method=method,
        path=f"/v1/proxy/{segment(integration_slug)}/{_checked_path(address).removeprefix('/')}",
        query="&".join(part for part in (path_query, query_string(query)) if part),
        json=json,
        body=body,
        headers=(*provider_headers, *own_headers),
        route=f"{method} /v1/proxy/{integration_slug}/{{path}}",
        relayed=True,
        repeatable=retry,
        timeout=_client_timeout(timeout, retry=retry),
    )


class ProxyVerb(Generic[P]):
    """A method of `client.proxy` with a fixed HTTP method."""

    def __init__(self, verb: str, arrange: Callable[Concatenate[str, P], Call]) -> None:
        self._verb, self._arrange = verb, arrange

    @overload
    def __get__(self, proxy: None, owner: type) -> "ProxyVerb[P]": ...
    @overload
    def __get__(self, proxy: Resource[Transport], owner: type) -> Callable[P, httpx2.Response]: ...
    @overload
    def __get__(
        self, proxy: Resource[AsyncTransport], owner: type
    ) -> Callable[P, Coroutine[Any, Any, httpx2.Response]]: ...
    def __get__(self, proxy: Any, owner: type) -> Any:
        """Return the method of `client.proxy`."""
        return self if proxy is None else _bound(_send, proxy, functools.partial(self._arrange, self._verb))


class ProxySend(Generic[P]):
    """The method of `client.proxy` that takes any HTTP method."""

    def __init__(self, arrange: Callable[P, Call]) -> None:
        self._arrange = arrange

    @overload
    def __get__(self, proxy: None, owner: type) -> "ProxySend[P]": ...
    @overload
    def __get__(self, proxy: Resource[Transport], owner: type) -> Callable[P, httpx2.Response]: ...
    @overload
    def __get__(
        self, proxy: Resource[AsyncTransport], owner: type
    ) -> Callable[P, Coroutine[Any, Any, httpx2.Response]]: ...
    def __get__(self, proxy: Any, owner: type) -> Any:
        """Return the method of `client.proxy`."""
        return self if proxy is None else _bound(_send, proxy, self._arrange)


class ProxyStream(Generic[P]):
    """The method of `client.proxy` for a `with` block. The caller reads the body in pieces."""

    def __init__(self, arrange: Callable[P, Call]) -> None:
        self._arrange = arrange

    @overload
    def __get__(self, proxy: None, owner: type) -> "ProxyStream[P]": ...
    @overload
    def __get__(
        self, proxy: Resource[Transport], owner: type
    ) -> Callable[P, AbstractContextManager[httpx2.Response]]: ...
    @overload
    def __get__(
        self, proxy: Resource[AsyncTransport], owner: type
    ) -> Callable[P, AbstractAsyncContextManager[httpx2.Response]]: ...
    def __get__(self, proxy: Any, owner: type) -> Any:
        """Return the method of `client.proxy`."""
        return self if proxy is None else _bound(_stream, proxy, self._arrange)


class Proxy(Resource[TransportT]):
    """The APIs of providers. For example: `client.proxy.get("hubspot", "/crm/v3/owners", end_user_id="user_123")`."""

    request = ProxySend(proxy_call)
    stream = ProxyStream(proxy_call)
    get = ProxyVerb("GET", proxy_call)
    head = ProxyVerb("HEAD", proxy_call)
    post = ProxyVerb("POST", proxy_call)
    put = ProxyVerb("PUT", proxy_call)
    patch = ProxyVerb("PATCH", proxy_call)
    delete = ProxyVerb("DELETE", proxy_call)


def _bound(act: Callable[..., Any], proxy: Resource[Any], arrange: Callable[..., Call]) -> Callable[..., Any]:
    """Return a method with the arguments and the docstring of `proxy_call`."""
    method = functools.partial(act, proxy, arrange)
    method.__doc__ = proxy_call.__doc__
    return signed(method, inspect.signature(arrange).replace(return_annotation=inspect.Signature.empty))


def _send(proxy: Resource[Any], arrange: Callable[..., Call], *args: Any, **kwargs: Any) -> Any:
    return transport_of(proxy).send(arrange(*args, **kwargs))


def _stream(proxy: Resource[Any], arrange: Callable[..., Call], *args: Any, **kwargs: Any) -> Any:
    return transport_of(proxy).stream(arrange(*args, **kwargs))


def _checked_path(path: str) -> str:
    """Return the path. Raises: ValueError for a path that can resolve to another path of One Runtime."""
    if _DOT_SEGMENT.search(path) or "#" in path or "\\" in path or _CONTROL.search(path):
        raise ValueError("path must not contain the segments . or .., #, a backslash or control characters.")
    return path


def _client_timeout(timeout: float | None, *, retry: bool) -> float | None:
    """Return the seconds that the client waits, or None for the client's default.

    The client waits longer than One Runtime. So the client receives One Runtime's error, which says what went wrong.
    """
    if timeout is None and not retry:
        return None
    attempt = min(_DEFAULT_TIMEOUT if timeout is None else timeout, MAX_TIMEOUT) + _MARGIN
    return attempt * _ATTEMPTS + _PAUSES if retry else attempt
