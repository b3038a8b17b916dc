"""A server that stops: it first reports that it stops, and continues to serve until the delay ends."""

import asyncio
import signal
import socket
from pathlib import Path

import httpx2
import pytest

from one_runtime.settings import Settings
from tests.promises.serving import Served, Serving, serving
from tests.waiting import async_attempts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LONG = "60"


async def readiness(served: Served) -> httpx2.Response:
    """Ask for the readiness over a new connection."""
    async with httpx2.AsyncClient(base_url=served.url, timeout=20) as http:
        return await http.get("/readyz")


async def until_stopping(served: Served) -> None:
    async for _ in async_attempts():
        if (await readiness(served)).status_code == 503:
            return


def draining_for(seconds: str, database_url: str, workers: int = 1) -> Serving:
    return Serving(database_url, workers=workers, settings={"ONE_RUNTIME_DRAIN_SECONDS": seconds})


async def test_server_without_the_setting_does_not_drain(migrated_sqlite_url: str, tmp_path: Path) -> None:
    assert Settings.model_fields["drain_seconds"].default == 0
    async with serving(Serving(migrated_sqlite_url), tmp_path) as served:
        served.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(served.process.wait, 30) in {0, -signal.SIGTERM}


async def test_draining_server_is_not_ready_and_serves_new_connections(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    async with (
        serving(draining_for(LONG, migrated_sqlite_url), tmp_path) as served,
        httpx2.AsyncClient(base_url=served.url, timeout=20) as http,
    ):
        before = await http.get("/healthz")
        assert "connection" not in before.headers
        served.process.send_signal(signal.SIGTERM)
        await until_stopping(served)
        answer = await readiness(served)
        assert answer.json()["code"] == "unavailable", answer.text
        for _ in range(20):
            during = await http.get("/healthz")
            assert (during.status_code, during.headers["connection"]) == (200, "close")
        assert served.process.poll() is None
        served.process.send_signal(signal.SIGINT)  # ends the drain
        assert await asyncio.to_thread(served.process.wait, 30) in {0, -signal.SIGINT, -signal.SIGTERM}


async def test_draining_server_ends_after_the_delay(migrated_postgresql_url: str, tmp_path: Path) -> None:
    async with serving(draining_for("1", migrated_postgresql_url, workers=2), tmp_path) as served:
        served.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(served.process.wait, 60) in {0, -signal.SIGTERM}
        with socket.create_server(("127.0.0.1", served.port)):
            pass


async def test_connection_that_waits_at_the_end_gets_its_answer(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """While the process is stopped by SIGSTOP, the kernel alone completes the connection."""
    async with serving(Serving(migrated_sqlite_url), tmp_path) as served:
        served.process.send_signal(signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            served.process.send_signal(signal.SIGTERM)
            served.process.send_signal(signal.SIGCONT)
            answer = await asyncio.to_thread(lambda: b"".join(iter(lambda: connection.recv(65536), b"")))
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert await asyncio.to_thread(served.process.wait, 30) in {0, -signal.SIGTERM}
