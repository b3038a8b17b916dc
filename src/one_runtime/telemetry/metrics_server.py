"""`/metrics` for Prometheus, on a listener of its own that only operators reach; several processes add up.

Where several serve, each keeps its values in files of a folder of this start (prometheus_client's multiprocess mode),
and their supervisor reads them (docs/decisions/0013-metrics-of-several-processes.md).
"""

import fcntl
import multiprocessing
import os
import platform
import shutil
import socket
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from one_runtime import __version__
from one_runtime.errors import ConfigurationError
from one_runtime.settings import HostPort
from one_runtime.telemetry import metrics

PATH: Final = "/metrics"

_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX: Final = f"one-runtime-metrics-{os.getuid()}-"
_LOCK: Final = "serving.lock"
_DEAD: Final = "0"
"""In the place of a process id: what those did that are not there any more."""
_LEAST: Final = frozenset({"process_start_time_seconds", "process_max_fds"})
"""What does not add up: the least is told."""
_CPU: Final = "process_cpu_seconds"
_STARTING: Final = 60.0
"""Seconds in which a folder that was just made gets its lock."""
_PATIENCE: Final = 5.0
"""Seconds for a caller to send its request."""

log = structlog.get_logger()


@contextmanager
def metrics_served(listen: HostPort, *, workers: int) -> Iterator[str]:
    """Serve the metrics of this process, or of the `workers` that it starts in the block; at which address.

    Raises: ConfigurationError where nobody can listen there.
    """
    disable_created_metrics()  # another series for each, that hardly anybody reads
    registry = CollectorRegistry()
    with ExitStack() as stack:
        if workers > 1:
            folder = stack.enter_context(_shared_folder())
            registry.register(Workers(folder, _children))
            registry.register(Processes(lambda: ["self", *map(str, _children())]))
        else:
            registry.register(metrics.REGISTRY)
            registry.register(Processes(lambda: ["self"]))
        registry.register(Build())
        address = stack.enter_context(_listening(listen, registry))
        log.info("metrics_served", url=f"http://{address}{PATH}")
        yield f"http://{address}{PATH}"


class Build(Collector):
    """Which version runs."""

    def collect(self) -> Iterable[Metric]:
        """One sample that is always 1."""
        told = GaugeMetricFamily("one_runtime_build_info", "Always 1.", labels=["version", "python"])
        told.add_metric([__version__, platform.python_version()], 1)
        yield told


class Processes(Collector):
    """What the operating system says of our processes, added up under the usual names."""

    def __init__(self, ids: Callable[[], Iterable[str]]) -> None:
        self._ids = ids
        self._told = 0.0

    def collect(self) -> Iterable[Metric]:
        """The families of one process, with the values of all."""
        found: dict[str, Metric] = {}
        values: defaultdict[str, list[float]] = defaultdict(list)
        ended = os.times()  # of the children that have ended; one that ends while we look is in the next answer
        values[_CPU].append(ended.children_user + ended.children_system)
        for one in self._ids():
            for family in ProcessCollector(pid=lambda one=one: one, registry=None).collect():  # type: ignore[misc]
                found.setdefault(family.name, family)
                values[family.name] += [sample.value for sample in family.samples]
        self._told = max(self._told, sum(values[_CPU]))  # a counter never falls
        values[_CPU] = [self._told]
        for name, family in found.items():
            (sample,) = family.samples
            add = min if name in _LEAST else sum
            family.samples = [sample._replace(value=add(values[name]))]
            yield family


class Workers(Collector):
    """The values of all processes that serve, and of those that did: a counter never falls because one died."""

    def __init__(self, folder: Path, alive: Callable[[], frozenset[int]]) -> None:
        self._folder, self._alive = folder, alive
        self._lock = threading.Lock()

    def collect(self) -> Iterable[Metric]:
        """Everything, added up."""
        with self._lock:
            self._bury()
            # A process makes its files empty, and then gives them their size: the library's own look trips over those.
            files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
            return list(MultiProcessCollector.merge(files))

    def _bury(self) -> None:
        """What the dead counted goes into one file, so that many restarts do not leave many files; their gauges go."""
        files = sorted(self._folder.glob("*.db"))
        alive = {_DEAD, *map(str, self._alive())}  # after the files: one that has just begun is not taken for dead
        for file in files:
            kind, _, process = file.stem.rpartition("_")
            if process in alive:
                continue
            if not kind.startswith("gauge"):
                if file.stat().st_size:
                    _add(file, self._folder / f"{kind}_{_DEAD}.db")
                file.unlink()
            mark_process_dead(int(process), str(self._folder))


def _add(source: Path, target: Path) -> None:
    total = MmapedDict(str(target))
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(source)):
            before, _ = total.read_value(key)
            total.write_value(key, before + value, 0.0)
    finally:
        total.close()


def _children() -> frozenset[int]:
    return frozenset(child.pid for child in multiprocessing.active_children() if child.pid is not None)


@contextmanager
def _shared_folder() -> Iterator[Path]:
    """A folder for this start, named in the environment of the processes to come; what earlier starts left is removed.

    A start that was killed leaves its folder, but not its lock. Raises: ConfigurationError where none can be made.
    """
    try:
        for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if _is_left(left):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    except OSError as error:
        raise ConfigurationError(
            "ONE_RUNTIME_METRICS_LISTEN: the metrics of several processes need a temporary folder. Name one that can "
            "be written to in TMPDIR."
        ) from error
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.environ[_FOLDER_VARIABLE] = str(folder)
            yield folder
    finally:
        os.environ.pop(_FOLDER_VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether it is ours, nobody holds its lock, and nobody is about to take it."""
    try:
        if folder.lstat().st_uid != os.getuid():  # another user's may hold anything, such as a pipe without an end
            return False
        with (folder / _LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return time.time() - folder.stat().st_mtime > _STARTING
    except OSError:
        return False


@contextmanager
def _listening(listen: HostPort, registry: CollectorRegistry) -> Iterator[str]:
    """Answer `GET /metrics` from a thread; at which address."""
    try:
        server = _server(listen, registry)
    except OSError as error:
        host, port = listen
        raise ConfigurationError(
            f"ONE_RUNTIME_METRICS_LISTEN: nobody can listen on {host}:{port} ({error.strerror})."
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        port = server.server_address[1]
        yield f"[{listen[0]}]:{port}" if ":" in listen[0] else f"{listen[0]}:{port}"
    finally:
        server.shutdown()
        server.server_close()


def _server(listen: HostPort, registry: CollectorRegistry) -> ThreadingTCPServer:
    class Handler(BaseHTTPRequestHandler):
        """Answers one caller."""

        timeout = _PATIENCE
        server_version = "One-Runtime"
        sys_version = ""

        def do_GET(self) -> None:
            """The metrics, in the form that the caller takes."""
            if self.path.partition("?")[0] != PATH:
                self.send_error(404)
                return
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            body = encode(registry)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
            """Say nothing: it would go to standard error as text, with what was asked for."""

    class Server(ThreadingTCPServer):
        """IPv4 or IPv6, by what it is to listen on. The library's server for HTTP would ask DNS for its own name."""

        address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Called while the error is handled; the standard library would print it, with what it says."""
            log.warning("metrics_failed", exc_info=True)  # noqa: LOG014

    return Server(listen, Handler)
