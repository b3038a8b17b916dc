"""Waits for a condition: tries again until a deadline. No other module of the tests sleeps."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from inspect import isawaitable
from typing import Final, TypeVar, cast

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1


def _pauses(seconds: float) -> Iterator[float]:
    """Yield growing pauses from 2 to 100 ms, until the deadline. Raises: TimeoutError."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while time.monotonic() < deadline:
        yield pause
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    raise TimeoutError(f"It did not happen within {seconds:g} s.")


def attempts(seconds: float = 30.0) -> Iterator[int]:
    """Yield the number of each attempt: `for _ in attempts(): if happened(): break`. Raises: TimeoutError."""
    for number, pause in enumerate(_pauses(seconds)):
        yield number
        time.sleep(pause)


async def async_attempts(seconds: float = 30.0) -> AsyncIterator[int]:
    """Yield the number of each attempt. The event loop is free between two attempts. Raises: TimeoutError."""
    for number, pause in enumerate(_pauses(seconds)):
        yield number
        await asyncio.sleep(pause)


async def eventually(probe: Callable[[], T | Awaitable[T]], seconds: float = 30.0) -> T:
    """Call the probe until it returns a true value. Return this value. Raises: TimeoutError."""
    async for _ in async_attempts(seconds):
        answer = probe()
        value = cast("T", await answer if isawaitable(answer) else answer)
        if value:
            return value
    raise AssertionError("unreachable: the attempts end with TimeoutError")
