"""Several workers on a machine that is busy with other things."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.promises.serving import Serving, serving
from tests.waiting import eventually

pytestmark = pytest.mark.slow

UVICORN_TIMEOUT = 5.0
"""Default timeout of uvicorn's worker health check, in seconds."""


@pytest.mark.timeout(180)
async def test_worker_without_cpu_time_is_not_replaced(migrated_postgresql_url: str, tmp_path: Path) -> None:
    async with serving(Serving(migrated_postgresql_url, workers=2), tmp_path) as served:
        started = re.compile(rb"Started server process \[(\d+)\]")
        await eventually(lambda: len(started.findall(served.log())) == 2, seconds=30)
        worker = int(started.findall(served.log())[0])
        os.kill(worker, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await eventually(lambda: b"died" in served.log(), seconds=UVICORN_TIMEOUT + 3)
        finally:
            os.kill(worker, signal.SIGCONT)
