"""A pool of processes that organizations share fairly."""

import asyncio
import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from one_runtime.computing.process import ProcessEnded, WorkerProcess

IDLE_SECONDS: Final = 60.0
"""Time after which an unused process ends, in seconds."""
_FEWEST: Final = 2
"""Number of processes on a machine with one processor, so that one organization cannot use all of them."""


class NoProcess(Exception):
    """Other work used all processes for too long."""


class ProcessReservation:
    """The right to use a process. `process`: None while the reservation is returned.

    A holder that waits for something else calls `idle`. If `wanted` is set meanwhile, other work needs the process, and
    the holder should return the process with `give_back`, and reserve a process again later.
    """

    def __init__(self, pool: "ProcessPool", owner: str) -> None:
        self._pool, self.owner = pool, owner
        self.process: WorkerProcess | None = None
        self.wanted = asyncio.Event()
        self.can_return = True

    async def renew(self) -> WorkerProcess:
        """Wait for a process. Raises: ProcessEnded if the pool is closed."""
        self.process = await self._pool._take(self.owner)  # noqa: SLF001 - both classes are one thing
        self.wanted.clear()
        return self.process

    def give_back(self) -> None:
        """Return the process, so that other work can use it."""
        process, self.process = self.process, None
        if process is not None:
            self._pool._return(self.owner, process)  # noqa: SLF001

    def keep(self) -> None:
        """Refuse to return the process before the end of the work."""
        self.can_return = False
        self.wanted.clear()
        self._pool._ask_to_return()  # noqa: SLF001

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Say that the process computes nothing while the `with` block runs."""
        self.wanted.clear()
        self._pool._idle_reservations[self] = None  # noqa: SLF001
        self._pool._ask_to_return()  # noqa: SLF001
        try:
            yield
        finally:
            self._pool._idle_reservations.pop(self, None)  # noqa: SLF001


class ProcessPool:
    """Processes that start when work needs them, and end when they are unused.

    An owner, such as an organization, uses at most half of the processes. The waiting owners share them in order.
    """

    def __init__(self, module: str, size: int | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
        """`module`: see `WorkerProcess.start`. `size`: number of processes. Default: the number of processors."""
        self._module = module
        self._free = size or max(os.cpu_count() or 1, _FEWEST)
        self._most = max(self._free // 2, 1)
        self._idle_seconds = idle_seconds
        self._held = Counter[str]()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._idle_reservations: dict[ProcessReservation, None] = {}
        self._unused: dict[WorkerProcess, asyncio.TimerHandle] = {}
        self._busy: set[WorkerProcess] = set()
        self._ending: set[asyncio.Task[int | None]] = set()
        self._is_closed = False

    @property
    def processes(self) -> list[WorkerProcess]:
        """Return the processes that work, and then the unused processes."""
        return [*self._busy, *self._unused]

    @asynccontextmanager
    async def reserve(self, owner: str, seconds: float) -> AsyncIterator[ProcessReservation]:
        """Reserve a process. `seconds`: time to wait for the process. Raises: NoProcess; ProcessEnded."""
        reservation = ProcessReservation(self, owner)
        try:
            async with asyncio.timeout(seconds):
                await reservation.renew()
        except TimeoutError as error:
            raise NoProcess from error
        try:
            yield reservation
        finally:
            reservation.give_back()

    async def close(self) -> None:
        """End all processes. Running work fails."""
        self._is_closed = True
        for process, timer in self._unused.items():
            timer.cancel()
            self._end(process)
        self._unused.clear()
        for process in self._busy:
            self._end(process)
        if self._ending:
            await asyncio.wait(self._ending)

    async def _take(self, owner: str) -> WorkerProcess:
        """Wait for a process. Return the process. Raises: ProcessEnded."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(place)
        self._grant()
        self._ask_to_return()
        try:
            await place
            process = self._find_unused() or await self._start()
        except BaseException:
            self._forget(owner, place)
            raise
        self._busy.add(process)
        return process

    def _forget(self, owner: str, place: asyncio.Future[None]) -> None:
        """Leave the queue, or give up the place in the pool."""
        if place.done() and not place.cancelled():
            self._release(owner)
        else:
            waiting = self._waiting.get(owner, deque())
            if place in waiting:
                waiting.remove(place)
            if not waiting:
                self._waiting.pop(owner, None)

    def _grant(self) -> None:
        """Give free processes to the waiting owners, one after another."""
        while self._free and (owner := next(filter(self._may_have_more, self._waiting), None)) is not None:
            waiting = self._waiting.pop(owner)
            place = waiting.popleft()
            if waiting:
                self._waiting[owner] = waiting  # now the last of all owners
            if place.cancelled():
                continue
            self._free -= 1
            self._held[owner] += 1
            place.set_result(None)

    def _may_have_more(self, owner: str) -> bool:
        return self._held[owner] < self._most

    def _ask_to_return(self) -> None:
        """Ask reservations that compute nothing to return their processes, one for each piece of waiting work."""
        asked = [reservation for reservation in self._idle_reservations if reservation.wanted.is_set()]
        idle = [
            reservation
            for reservation in self._idle_reservations
            if reservation.can_return and not reservation.wanted.is_set()
        ]
        for owner, waiting in self._waiting.items():
            for _ in waiting:
                # An owner with its share of the processes can only get one of its own.
                of = None if self._may_have_more(owner) else owner
                if (reservation := _first_of(asked, of)) is not None:
                    asked.remove(reservation)
                elif (reservation := _first_of(idle, of)) is not None:
                    idle.remove(reservation)
                    reservation.wanted.set()

    def _return(self, owner: str, process: WorkerProcess) -> None:
        self._busy.discard(process)
        if process.reusable and process.is_alive and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._unused[process] = loop.call_later(self._idle_seconds, self._end_unused, process)
        else:
            self._end(process)
        self._release(owner)

    def _release(self, owner: str) -> None:
        self._free += 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._grant()

    async def _start(self) -> WorkerProcess:
        """Start a process. Raises: ProcessEnded."""
        if self._is_closed:
            raise ProcessEnded
        return await WorkerProcess.start(self._module)

    def _find_unused(self) -> WorkerProcess | None:
        while self._unused:
            process, timer = self._unused.popitem()
            timer.cancel()
            if process.is_alive:
                return process
        return None

    def _end_unused(self, process: WorkerProcess) -> None:
        if self._unused.pop(process, None) is not None:
            self._end(process)

    def _end(self, process: WorkerProcess) -> None:
        task = asyncio.create_task(process.kill())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _first_of(reservations: list[ProcessReservation], owner: str | None) -> ProcessReservation | None:
    """Return the first reservation of the owner, or of any owner."""
    return next((reservation for reservation in reservations if owner in {None, reservation.owner}), None)
