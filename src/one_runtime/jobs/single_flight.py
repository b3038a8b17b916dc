"""One call of a function for several concurrent callers in this process. Several processes need a lease instead."""

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

        The cancellation of a caller does not cancel the call, because the call's work must not stop halfway.
        """
        flight = self._flying.get(key)
        if flight is None:
            flight = asyncio.create_task(call())
            self._flying[key] = flight
            flight.add_done_callback(lambda _: self._flying.pop(key, None))
            flight.add_done_callback(_seen)
        answer: T = await asyncio.shield(flight)
        return answer

    async def land(self) -> None:
        """Wait until every running call has ended."""
        while self._flying:
            await asyncio.wait(list(self._flying.values()))


def _seen(flight: asyncio.Task[Any]) -> None:
    """Read the exception: asyncio logs an error for an exception that is never read."""
    if not flight.cancelled():
        flight.exception()
