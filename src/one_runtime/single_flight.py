"""Work that several callers want at once, and that is done once in this process. Not for what must be done once in all
processes: for that there is a lease in the database."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")

_PATIENCE: Final = 0.25  # seconds: one that does not come to its end must not hold up the others for ever


class Flights:
    """Calls under way, by what they are about."""

    def __init__(self) -> None:
        self._flying: dict[Hashable, asyncio.Task[Any]] = {}
        self._landing = 0
        self._clear = asyncio.Event()

    async def join(self, key: Hashable, call: Callable[[], Awaitable[T]]) -> T:
        """What the call under way for this key answers; where there is none, this one is made. It goes on where a
        caller leaves: what it does may not be left half done."""
        flight = self._flying.get(key)
        if flight is None:
            flight = asyncio.create_task(_awaited(call()))
            self._flying[key] = flight
            flight.add_done_callback(lambda _: self._flying.pop(key, None))
            flight.add_done_callback(_seen)
        answer: T = await asyncio.shield(flight)
        return answer

    @contextmanager
    def landing(self) -> Iterator[None]:
        """What is done inside may not wait: nothing that asks for `clearance` begins meanwhile."""
        self._landing += 1
        self._clear.clear()
        try:
            yield
        finally:
            self._landing -= 1
            if not self._landing:
                self._clear.set()

    async def clearance(self) -> None:
        """Let by what is landing, for a while."""
        if self._landing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._clear.wait(), _PATIENCE)

    async def land(self) -> None:
        """Wait until every call under way has ended."""
        while self._flying:
            await asyncio.wait(list(self._flying.values()))


async def _awaited(call: Awaitable[T]) -> T:
    return await call


def _seen(flight: asyncio.Task[Any]) -> None:
    """Nobody may be left to hear of a failure."""
    if not flight.cancelled():
        flight.exception()
