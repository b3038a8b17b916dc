"""`/metrics` on its own listener; the values of several workers add up and outlive a dead worker."""

import asyncio
import fcntl
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from one_runtime import __version__
from one_runtime.errors import ConfigurationError
from one_runtime.telemetry.metrics_server import WorkerMetrics, is_measuring_process, metrics_served
from tests.application import Client
from tests.fork_server import ROOT
from tests.ports import free_port
from tests.promises.serving import Served, Serving, make_key, serving
from tests.waiting import async_attempts, eventually

HOST: Final = "127.0.0.1"


def samples(text: str) -> dict[str, float]:
    """Return the value of each sample by `name{label="value"}`."""
    values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            values[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return values


@pytest.mark.slow
def test_metrics_are_served_in_the_formats_of_prometheus() -> None:
    with metrics_served((HOST, 0), workers=1) as url:
        plain = httpx2.get(url)
        assert plain.headers["content-type"].startswith("text/plain; version=")
        values = samples(plain.text)
        assert values[f'one_runtime_build_info{{python="{platform.python_version()}",version="{__version__}"}}'] == 1
        assert values["process_resident_memory_bytes"] > 1_000_000
        assert values["process_start_time_seconds"] <= time.time()
        assert not [name for name in values if "_created" in name]
        accept = "application/openmetrics-text;version=1.0.0"
        assert httpx2.get(url, headers={"accept": accept}).text.endswith("# EOF\n")


@pytest.mark.slow
def test_metrics_listener_accepts_ipv6_and_refuses_a_used_port() -> None:
    with metrics_served(("::1", 0), workers=1) as url:
        assert url.startswith("http://[::1]:")
        assert httpx2.get(url).status_code == 200
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=rf"ONE_RUNTIME_METRICS_LISTEN: .*{port} \(.*in use\)"),
            metrics_served((HOST, port), workers=1),
        ):
            pass


async def test_public_listener_has_no_metrics(client: Client) -> None:
    assert (await client.get("/metrics")).status_code == 404


@pytest.mark.slow
def test_folder_of_several_workers_is_private_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with metrics_served((HOST, 0), workers=2):
        (folder,) = tmp_path.iterdir()
        assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder)
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_missing_temporary_folder_names_the_variable_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="TMPDIR"), metrics_served((HOST, 0), workers=2):
        pass


WORK: Final = """
import os, sys
from one_runtime.telemetry import metrics
metrics.errors.labels("not_found").inc(int(sys.argv[1]))
metrics.egress_duration.labels("acme").observe(0.2)
metrics.requests_in_flight.set(3)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def run_worker(folder: Path, number: int) -> None:
    """Run a worker that records metrics, then kill it."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-c", WORK, str(number)],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()


@pytest.mark.slow
def test_counters_of_dead_workers_remain_and_gauges_are_removed(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(tmp_path))
    for number in (1, 2, 3):
        run_worker(tmp_path, number)
        assert list(tmp_path.glob("gauge_livesum_*.db"))
        errors = registry.get_sample_value("one_runtime_errors_total", {"code": "not_found"})
        assert errors == sum(range(number + 1))
        bucket = {"integration": "acme", "le": "0.25"}
        name = "one_runtime_egress_request_duration_seconds_bucket"
        assert registry.get_sample_value(name, bucket) == number
        assert registry.get_sample_value("one_runtime_http_requests_in_flight", {}) is None
        assert list(tmp_path.glob("gauge_livesum_*.db")) == []


def test_one_worker_of_a_server_measures_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_measuring_process(), "a server with one process has no other"
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with (tmp_path / "measuring.lock").open("w") as lock:  # another worker
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not is_measuring_process()
    assert is_measuring_process(), "the other worker is dead"
    assert is_measuring_process(), "the worker keeps the lock"
    with (tmp_path / "measuring.lock").open("w") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_empty_file_of_a_starting_worker_is_skipped(tmp_path: Path) -> None:
    for name in ("counter_7.db", "gauge_livesum_7.db"):
        (tmp_path / name).touch()
    assert list(WorkerMetrics(tmp_path).collect()) == []


class Scraped:
    """A server and its metrics listener."""

    def __init__(self, served: Served, port: int, key: str) -> None:
        self.served, self.key = served, key
        self.url = f"http://{HOST}:{port}/metrics"
        self.answered = 0

    async def ask(self, times: int) -> None:
        """Request lists over separate connections, so that every worker receives some."""
        for _ in range(times):
            async with httpx2.AsyncClient(headers={"authorization": f"Bearer {self.key}"}) as http:
                address = f"{self.served.url}/v1/integrations?end_user_id=user_123&logo=none"
                try:
                    self.answered += (await http.get(address)).status_code == 200
                except httpx2.TransportError:  # the killed worker received the request
                    continue

    async def values(self) -> dict[str, float]:
        async with httpx2.AsyncClient() as http:
            return samples((await http.get(self.url)).text)

    async def listed(self) -> float:
        labels = 'method="GET",route="/v1/integrations",status="2xx"'
        return (await self.values()).get(f"one_runtime_http_request_duration_seconds_count{{{labels}}}", 0)

    async def wait_for(self, number: int) -> None:
        """Wait until this many requests are counted."""
        async for _ in async_attempts():
            if await self.listed() == number:
                return

    async def wait_for_measurement(self) -> None:
        """Wait until the server has counted the connections."""
        async for _ in async_attempts():
            if (await self.values()).get('one_runtime_connections{status="active"}') == 0:
                return

    def workers(self) -> list[int]:
        started = re.findall(rb'"event": "Started server process \[(\d+)\]"', self.served.log())
        return [int(pid) for pid in started]


@pytest.mark.slow
@pytest.mark.only_database("postgresql")
async def test_values_of_workers_are_added_and_survive_a_dead_worker(database_url: str, tmp_path: Path) -> None:
    key, port = await make_key(database_url), free_port()
    settings = {"ONE_RUNTIME_METRICS_LISTEN": f"{HOST}:{port}", "TMPDIR": str(tmp_path)}
    async with serving(Serving(database_url, workers=2, settings=settings), tmp_path) as served:
        scraped = Scraped(served, port, key)
        await eventually(lambda: len(scraped.workers()) == 2)
        await scraped.ask(40)
        assert scraped.answered == 40
        await scraped.wait_for(40)
        await scraped.wait_for_measurement()
        pool = (await scraped.values())["one_runtime_database_connections_max"]
        assert pool == 20, "two pools"
        os.kill(scraped.workers()[0], signal.SIGKILL)
        await eventually(lambda: len(scraped.workers()) == 3, 30)
        assert await scraped.listed() == 40, "every request is counted exactly once"
        async for _ in async_attempts(20):
            await scraped.ask(1)
            if scraped.answered >= 60:
                break
        await scraped.wait_for(scraped.answered)
        assert (await scraped.values())["one_runtime_database_connections_max"] == 20, (
            "the pool of the dead worker is not counted"
        )
        assert b"Traceback" not in served.log()
        assert f'"url": "{scraped.url}"'.encode() in served.log()
    assert "one-runtime-metrics" not in str(os.listdir(tmp_path)), "the server removes the folder"  # noqa: PTH208


@pytest.mark.slow
@pytest.mark.only_database("sqlite")
async def test_one_process_serves_its_own_metrics_until_it_stops(database_url: str, tmp_path: Path) -> None:
    key, port = await make_key(database_url), free_port()
    settings = {"ONE_RUNTIME_METRICS_LISTEN": f"{HOST}:{port}"}
    async with serving(Serving(database_url, settings=settings), tmp_path) as served:
        scraped = Scraped(served, port, key)
        await scraped.ask(5)
        await scraped.wait_for(5)
        await scraped.wait_for_measurement()
        public = await asyncio.to_thread(httpx2.get, f"{served.url}/metrics")
        assert public.status_code == 404
    assert served.process.returncode in {0, -signal.SIGTERM}
    with pytest.raises(httpx2.ConnectError):
        await scraped.values()
