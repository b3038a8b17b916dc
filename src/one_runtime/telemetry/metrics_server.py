"""Serve `/metrics` for Prometheus, on a separate port for operators.

With several server processes (workers), each worker writes its metrics to files in one folder (prometheus_client's
multiprocess mode). The workers' parent process combines the values, and serves the sum of most metrics
(docs/decisions/0013-metrics-of-several-processes.md).
"""

import fcntl
import multiprocessing
import os
import platform
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from one_runtime import __version__
from one_runtime.errors import ConfigurationError
from one_runtime.telemetry import metrics
from one_runtime.telemetry.logger import Logger

_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

log = Logger()


@contextmanager
def metrics_served(listen: tuple[str, int], *, workers: int) -> Iterator[str]:
    """Serve the metrics while the block runs, and yield the URL.

    With one worker, the function serves the metrics of this process. With several workers, the function serves the
    combined metrics of the workers. The workers must start inside the block.

    Raises: ConfigurationError if the server cannot use the address, or cannot create a temporary folder.
    """
    disable_created_metrics()  # the `_created` series would double the number of series
    host, port = listen
    with ExitStack() as stack:
        registry = CollectorRegistry()
        if workers > 1:
            registry.register(WorkerMetrics(stack.enter_context(_shared_folder())))
        else:
            registry.register(metrics.REGISTRY)
            ProcessCollector(registry=registry)
        register_build_info(registry)
        try:
            server, _ = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigurationError(
                f"ONE_RUNTIME_METRICS_LISTEN: cannot listen on {host}:{port} ({error.strerror}). "
                "Choose another address or a free port."
            ) from error
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        url = f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"
        log.info("metrics_served", url=url)
        yield url


def register_build_info(registry: CollectorRegistry) -> None:
    """Register the metric with the versions of One Runtime and Python."""
    build = Gauge("one_runtime_build_info", "Always 1.", ["version", "python"], registry=registry)
    build.labels(__version__, platform.python_version()).set(1)


class WorkerMetrics(Collector):
    """Combines the values of all workers. The counters of dead workers stay included, so that no counter decreases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Delete the gauges of dead workers, and return the combined values of the remaining metrics."""
        files = list(self._folder.glob("*.db"))
        # List the files before the workers. Otherwise, a worker that starts between these steps would count as dead.
        alive = {child.pid for child in multiprocessing.active_children()}
        for process in {int(file.stem.rpartition("_")[2]) for file in files} - alive:
            mark_process_dead(process, str(self._folder))
        # A starting worker creates empty files, which the library cannot read.
        values: Iterable[Metric] = MultiProcessCollector.merge(
            [str(file) for file in files if file.exists() and file.stat().st_size]
        )
        return values


def is_measuring_process() -> bool:
    """Return True in one process of a server. This process sets the gauges whose values come from the database.

    Workers compete for a lock. The operating system releases the lock of a dead worker.
    """
    folder = os.environ.get(_FOLDER_VARIABLE)
    if folder is None:
        return True
    try:
        fcntl.flock(_measuring_lock(folder), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@cache
def _measuring_lock(folder: str) -> int:
    """Open the lock file of the metrics folder. The process keeps the file open, and so can hold the lock."""
    return os.open(Path(folder) / "measuring.lock", os.O_CREAT | os.O_WRONLY, 0o600)


@contextmanager
def _shared_folder() -> Iterator[Path]:
    """Create a folder, and store its path in the environment variable that workers read. Raises: ConfigurationError."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="one-runtime-metrics-")
    except OSError as error:
        raise ConfigurationError(
            "ONE_RUNTIME_METRICS_LISTEN: the metrics of several processes need a writable temporary folder. "
            "Set TMPDIR to such a folder."
        ) from error
    with folder as path:
        os.environ[_FOLDER_VARIABLE] = path
        try:
            yield Path(path)
        finally:
            del os.environ[_FOLDER_VARIABLE]
