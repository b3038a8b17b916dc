"""Keep a connection pool for each process, and for the asynchronous client a pool for each event loop.

A child process of `os.fork` inherits the sockets of its parent. If both used a socket, each could receive a response
that belongs to the other. So a child process opens a pool of its own. The child does not close the inherited pool in an
orderly way, because a message on an inherited socket would reach the parent's connection. No lock protects the pools,
because a fork copies a lock in its locked state.
"""

import asyncio
import os
import warnings
import weakref
from collections.abc import Callable
from typing import Final, TypeAlias

import httpx2

HttpClient: TypeAlias = httpx2.Client | Callable[[], httpx2.Client]
AsyncHttpClient: TypeAlias = httpx2.AsyncClient | Callable[[], httpx2.AsyncClient]

_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=4.0)
"""The client does not limit the number of concurrent calls. One Runtime has a limit, and refuses calls above it.

One Runtime closes a connection after 5 idle seconds. A request at the same moment would fail, so the client closes an
idle connection after 4 seconds.
"""


class Pools:
    """The connection pools of a synchronous client."""

    def __init__(self, http_client: HttpClient | None, timeout: float) -> None:
        self._given = http_client if isinstance(http_client, httpx2.Client) else None
        self._open: Callable[[], httpx2.Client] = (
            http_client if callable(http_client) else lambda: httpx2.Client(timeout=timeout, limits=_LIMITS)
        )
        self._process, self._closed = os.getpid(), False
        self._pools: dict[int, httpx2.Client] = {}
        _all_pools.add(self)

    def current(self) -> httpx2.Client:
        """Return the pool of this process. Raises: RuntimeError after `close`."""
        _require_open(closed=self._closed)
        process = os.getpid()
        if self._given is not None:
            _require_same(self._process == process, "process")
            return self._given
        pool = self._pools.get(process)
        if pool is not None:
            return pool
        opened = self._open()
        pool = self._pools.setdefault(process, opened)  # several threads can arrive here: the first one wins
        if pool is not opened:
            opened.close()
        return pool

    def forget(self) -> None:
        """Forget the pools that a child process has inherited. Python then closes their sockets in this process."""
        self._pools.clear()

    def close(self) -> None:
        """Close the pool of this process, but not an `http_client` that the caller passed as an object."""
        self._closed = True
        pool = self._pools.pop(os.getpid(), None)
        self._pools.clear()
        if pool is not None:
            pool.close()


_all_pools: Final[weakref.WeakSet[Pools]] = weakref.WeakSet()


def _forget_inherited() -> None:
    """Forget all pools of the parent process, without a ResourceWarning for each of their sockets.

    Directly after a fork, the process has a single thread. So no other thread sees the changed filters of warnings.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for pools in _all_pools:
            pools.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_inherited)


class AsyncPools:
    """The connection pools of an asynchronous client. A pool works only in the event loop that opened its sockets."""

    def __init__(self, http_client: AsyncHttpClient | None, timeout: float) -> None:
        self._given = http_client if isinstance(http_client, httpx2.AsyncClient) else None
        self._open: Callable[[], httpx2.AsyncClient] = (
            http_client if callable(http_client) else lambda: httpx2.AsyncClient(timeout=timeout, limits=_LIMITS)
        )
        self._process, self._closed = os.getpid(), False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pools: dict[tuple[int, asyncio.AbstractEventLoop], httpx2.AsyncClient] = {}

    def current(self) -> httpx2.AsyncClient:
        """Return the pool of this process and event loop. Raises: RuntimeError after `close`."""
        _require_open(closed=self._closed)
        process, loop = os.getpid(), asyncio.get_running_loop()
        if self._given is not None:
            self._loop = self._loop or loop
            _require_same(self._process == process, "process")
            _require_same(self._loop is loop, "event loop")
            return self._given
        pool = self._pools.get((process, loop))
        if pool is None:
            self._forget_pools_of_closed_loops()
            pool = self._pools[process, loop] = self._open()
        return pool

    async def close(self) -> None:
        """Close the pools of this process, but not an `http_client` that the caller passed as an object.

        A pool of another event loop closes in its loop. If that loop does not run any more, the sockets of the pool
        close when Python frees the pool.
        """
        self._closed = True
        self._forget_pools_of_closed_loops()
        for (process, loop), pool in list(self._pools.items()):
            if process != os.getpid():
                continue
            del self._pools[process, loop]
            if loop is asyncio.get_running_loop():
                await pool.aclose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(pool.aclose(), loop)

    def _forget_pools_of_closed_loops(self) -> None:
        """Forget the pools of closed event loops. Python then closes the sockets.

        An inherited pool stays: an event loop shares its selector with its parent process. If this process freed the
        sockets of the pool, it could remove the parent's sockets from the selector.
        """
        for process, loop in list(self._pools):
            if loop.is_closed():
                self._pools.pop((process, loop), None)


def _require_open(*, closed: bool) -> None:
    if closed:
        raise RuntimeError("The client is closed. Create a new client.")


def _require_same(same: bool, place: str) -> None:  # noqa: FBT001 - the condition
    if not same:
        raise RuntimeError(
            f"An http_client works only in the {place} that used it first. Pass a function that returns a new client."
        )
