"""Share one running call between concurrent callers in the same process, for example one refresh of tokens.

A lease in the database prevents concurrent calls of several processes.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class SingleFlight:
    """Running calls by key."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, asyncio.Task[Any]] = {}

    async def join(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the running call for this key. Start `call` if no call for the key is running.

        If a caller is cancelled, the call continues until its work is complete.
        """
        return await asyncio.shield(self.start(key, call))

    def start(self, key: Hashable, call: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Task[T]":
        """Return the running call for this key. Start `call` if no call for the key is running.

        Wait for the task with `asyncio.wait` or `asyncio.shield`, so that a cancellation does not end the call.
        """
        flight = self._flying.get(key)
        if flight is None:
            flight = asyncio.create_task(call())
            self._flying[key] = flight
            flight.add_done_callback(lambda _: self._flying.pop(key, None))
            flight.add_done_callback(_seen)
        return flight

    def find(self, key: Hashable) -> "asyncio.Task[Any] | None":
        """Return the running call for this key, or None."""
        return self._flying.get(key)

    async def land(self) -> None:
        """Wait until every running call has ended."""
        while self._flying:
            await asyncio.wait(list(self._flying.values()))


def _seen(flight: asyncio.Task[Any]) -> None:
    """Read the exception of the call, because asyncio logs an error about an exception that no code reads."""
    if not flight.cancelled():
        flight.exception()
