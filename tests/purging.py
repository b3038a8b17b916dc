"""Runs every purge of the worker at once."""

from one_runtime.context import Installation
from one_runtime.serving.periodic_tasks import PERIODIC_TASKS


async def purge(installation: Installation) -> int:
    """Run all purges. Return the number of deleted rows."""
    tasks = [task for task in PERIODIC_TASKS if task.name.startswith("purge_")]
    assert len(tasks) == 8
    return sum([await task.work(installation) for task in tasks])
