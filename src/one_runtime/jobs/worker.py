"""Run the worker: the background tasks of a server process. `serving/periodic_tasks.py` lists the tasks.

Each task runs at its own interval, independent of other tasks. Several processes can run the same task at the same
time. Before a process works on a row of the database, the process reserves the row (`queue.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Table

from one_runtime.errors import Unavailable
from one_runtime.jobs.queue import wakeups_of
from one_runtime.telemetry import metrics, tracing
from one_runtime.telemetry.logger import Logger

Context_contra = TypeVar("Context_contra", contravariant=True)
Context = TypeVar("Context")

log = Logger()


@dataclass(frozen=True, slots=True)
class PeriodicTask(Generic[Context_contra]):
    """One kind of background work.

    `interval`: seconds between the end of a run and the start of the next run. `work`: a function that returns the
    number of processed rows. `queue`: the table of a queue, or None. If a transaction has called
    `wake_on_commit` for this table, the commit starts the next run immediately.
    """

    name: str
    interval: float
    work: Callable[[Context_contra], Awaitable[int]]
    queue: Table | None = None


async def run(context: Context, tasks: Iterable[PeriodicTask[Context]]) -> None:
    """Run every task immediately, and then repeatedly at its interval, until the caller cancels `run`.

    No task waits for another task. After an error, a task waits for its interval and then runs again.
    """
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(_repeat(task, context))


async def _repeat(task: PeriodicTask[Context], context: Context) -> None:
    current = asyncio.current_task()
    assert current is not None  # noqa: S101 - this coroutine runs in a task
    with wakeups_of(task.queue) as wakeup:
        while True:
            wakeup.clear()  # A commit during the run sets the event, and so starts another run.
            await _run_once(task, context)
            if current.cancelling():  # before Python 3.12, `asyncio.wait_for` in a library can lose a cancellation
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(task.interval):
                    await wakeup.wait()


async def _run_once(task: PeriodicTask[Context], context: Context) -> None:
    try:
        with tracing.worker_task(task.name) as span, metrics.worker_task(task.name) as measured:
            measured.done = await task.work(context)
            tracing.set_rows(span, measured.done)
        log.debug("task_finished", task=task.name, rows=measured.done)
    except Unavailable as error:
        log.warning("task_postponed", task=task.name, code=error.code)
    except Exception:  # an error in one task must not stop the worker
        log.exception("task_failed", task=task.name)
