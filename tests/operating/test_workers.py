"""Several workers on a machine that is busy with other things."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.promises.serving import Serving, serving
from tests.waiting import eventually

pytestmark = pytest.mark.slow

UVICORNS = 5.0
"""Seconds that uvicorn by itself gives a worker to answer."""


@pytest.mark.timeout(180)
async def test_a_worker_without_cpu_time_for_a_while_is_not_replaced(
    migrated_postgresql_url: str, tmp_path: Path
) -> None:
    async with serving(Serving(migrated_postgresql_url, workers=2), tmp_path) as served:
        found = re.compile(rb"Started server process \[(\d+)\]")
        await eventually(lambda: len(found.findall(served.log())) == 2, seconds=30)
        worker = int(found.findall(served.log())[0])
        os.kill(worker, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await eventually(lambda: b"died" in served.log(), seconds=UVICORNS + 3)
        finally:
            os.kill(worker, signal.SIGCONT)
