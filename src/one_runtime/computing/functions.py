"""Call functions of this package in the processes of a pool. `function_worker.py` is the other side."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from one_runtime.computing.frames import Frame
from one_runtime.computing.pool import ProcessPool
from one_runtime.computing.process import ProcessEnded
from one_runtime.telemetry.logger import Logger

log = Logger()

Computation: TypeAlias = Callable[..., Frame]
"""A function of a module. It takes bytes and named arguments of JSON, and returns facts of JSON and bytes.

Its module should import little, because a new process imports the module too.
"""

WORKER: Final = "one_runtime.computing.function_worker"
WAIT_SECONDS: Final = 20.0
COMPUTE_SECONDS: Final = 20.0
"""Times to wait for a process, and for the result, in seconds. A busy system runs a process slowly."""
MAX_RESULT: Final = 8 * 1024 * 1024
"""Size of the largest result, in bytes."""
_MOST: Final = 4
"""Number of processes on a machine with many processors. Each has about 30 MB."""


class FunctionPool:
    """Calls functions for owners, such as organizations, which share the processes fairly."""

    def __init__(
        self, size: int | None = None, wait_seconds: float = WAIT_SECONDS, compute_seconds: float = COMPUTE_SECONDS
    ) -> None:
        self.pool = ProcessPool(WORKER, size or max(min(os.cpu_count() or 1, _MOST), 2))
        self._wait_seconds, self._compute_seconds = wait_seconds, compute_seconds

    async def call(self, owner: str, function: Computation, data: bytes, arguments: Mapping[str, Any]) -> Frame:
        """Return the result of the function.

        Raises: NoProcess if no process is free in time; ProcessEnded if the call needs too much time or memory.
        """
        name = f"{function.__module__}:{function.__qualname__}"
        async with self.pool.reserve(owner, self._wait_seconds) as reservation:
            process = reservation.process
            if process is None:
                raise ProcessEnded
            process.reusable = False
            try:
                async with asyncio.timeout(self._compute_seconds):
                    await process.send({"function": name, "arguments": arguments}, data)
                    answer, result = await process.receive(MAX_RESULT)
            except (TimeoutError, ProcessEnded) as error:
                log.warning("computation_failed", function=name, kind=type(error).__name__)
                raise ProcessEnded from error
            process.reusable = not answer["last"]
        return answer["facts"], result

    async def close(self) -> None:
        """End all processes. Running calls fail."""
        await self.pool.close()
