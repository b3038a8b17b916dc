"""Runs periodic tasks, each at its own interval and independent of the others. Safe in any number of processes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from one_runtime.errors import Unavailable
from one_runtime.telemetry import metrics, tracing

Context = TypeVar("Context")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PeriodicTask(Generic[Context]):
    """One kind of background work. `every`: seconds from the end of one run to the next; `work` returns the number of
    rows it processed."""

    name: str
    every: float
    work: Callable[[Context], Awaitable[int]]


async def run(context: Context, tasks: Iterable[PeriodicTask[Context]]) -> None:
    """Run every task now and then at its interval, until cancelled. No task waits for another.

    A database outage or a fault in one task delays that task by one interval.
    """
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(_repeat(task, context))


async def _repeat(task: PeriodicTask[Context], context: Context) -> None:
    current = asyncio.current_task()
    assert current is not None  # noqa: S101 - this coroutine runs in a task
    while True:
        await _run_once(task, context)
        if current.cancelling():  # asyncio.wait_for, which the pool uses, swallows a cancellation up to Python 3.11
            return
        await asyncio.sleep(task.every)


async def _run_once(task: PeriodicTask[Context], context: Context) -> None:
    try:
        with tracing.worker_task(task.name), metrics.worker_task(task.name) as measured:
            measured.done = await task.work(context)
        log.debug("task_finished", task=task.name, rows=measured.done)
    except Unavailable as error:
        log.warning("task_postponed", task=task.name, code=error.code)
    except Exception:  # the worker's loop: the other tasks go on
        log.exception("task_failed", task=task.name)
