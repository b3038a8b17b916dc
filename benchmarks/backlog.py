"""`python -m benchmarks.backlog`: the list while a server delivers a backlog, from its first to its last delivery.

The measurement takes about an hour for each database with 100,000 deliveries. Another program on the machine can
influence it, because the rounds are long.
"""

import asyncio
import sys
import tempfile
import time
from typing import Final

import uvloop

from benchmarks import webhooks
from benchmarks.__main__ import _postgres
from benchmarks.rows import NewDatabase
from benchmarks.steady import figures, steady
from benchmarks.webhooks import LIST_RATE, USER, Ground
from one_runtime.db.migrations import migrate

BACKLOG: Final = 100_000
_ALONE: Final = 3
"""Rounds without deliveries, before and after the backlog. The server restarts before each round."""
_SECONDS: Final = 60.0
_PART: Final = 300.0


async def _alone(control: Ground) -> list[float]:
    """Request the list of a server without deliveries. Return the durations in milliseconds."""
    took = list[float]()
    for _ in range(_ALONE):
        await asyncio.to_thread(control.server.stop)
        await asyncio.to_thread(control.start)
        await webhooks._steady(control, 2.0)  # noqa: SLF001 - of the same benchmark
        took += await webhooks._steady(control, _SECONDS)  # noqa: SLF001
    await asyncio.to_thread(control.server.stop)
    return took


async def _beside(ground: Ground, backlog: int) -> list[float]:
    """Request the list until the server has delivered the backlog. Return the durations in milliseconds."""
    took = list[float]()
    listed = ground.call(f"GET /v1/integrations?end_user_id={USER}&logo=url").request
    await asyncio.to_thread(ground.start)
    while ground.receipts.count < backlog:
        async with steady(ground.server.port, listed, LIST_RATE) as requests:
            end = time.monotonic() + _PART
            while ground.receipts.count < backlog and time.monotonic() < end:  # noqa: ASYNC110 - an hour, in seconds
                await asyncio.sleep(1)
        took += requests.took
        print(f"{ground.receipts.count:,} deliveries: {requests.result()}", flush=True)
    await asyncio.to_thread(ground.server.stop)
    return took


async def measure(database: str, new: NewDatabase, backlog: int) -> None:
    """Measure on a new database, and print the figures."""
    url, control_url = new("backlog"), new("control")
    migrate(url)
    migrate(control_url)
    async with webhooks._ground(url) as ground, webhooks._ground(control_url) as control:  # noqa: SLF001
        await ground.queue(backlog)
        alone = await _alone(control)
        begun = time.perf_counter()
        beside = await _beside(ground, backlog)
        rate = ground.receipts.count / (time.perf_counter() - begun)
        alone += await _alone(control)
    before, during = figures(alone), figures(beside)
    print(f"{database}, alone: {before}\n{database}, beside {rate:.1f} deliveries/s: {during}")
    print(f"{database}: the p99 is {during.p99 / before.p99:.2f} times as long")


def main() -> None:
    """Measure on both databases. The argument is the number of deliveries."""
    backlog = int(sys.argv[1]) if len(sys.argv) > 1 else BACKLOG
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure("SQLite", lambda name: f"sqlite:///{folder}/{name}.db", backlog))
    with _postgres() as databases:
        uvloop.run(measure("PostgreSQL", databases.create, backlog))


if __name__ == "__main__":
    main()
