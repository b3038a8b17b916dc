"""A rolling restart of two servers behind real Caddy, with load: no request fails. Review D4.

The drill in tests/operating/test_rolling_upgrade.py also restarts servers behind nginx, and upgrades servers.
"""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx2
import pytest

from one_runtime.encryption.vault import new_key
from tests.deploy.proxies import free_port, proxying
from tests.egress.certificates import tls_contexts
from tests.promises.serving import Served, Serving, make_key, start, stop
from tests.waiting import async_attempts

pytestmark = [pytest.mark.foreign, pytest.mark.slow, pytest.mark.timeout(240)]

CALLERS: Final = 6
DRAIN: Final = "6"
"""Longer than the 5 seconds for which the server keeps an idle connection."""


class Load:
    """Callers that create sessions and read the list of integrations, until the block ends."""

    def __init__(self, url: str, key: str, trust: ssl.SSLContext) -> None:
        self._url, self._headers, self._trust = url, {"Authorization": f"Bearer {key}"}, trust
        self.answered = 0
        self.failures: list[str] = []

    async def call(self, number: int) -> None:
        """Send requests, with pauses, until the task is cancelled. The pauses leave CPU for other tests."""
        body = {"integration_slug": "slack", "end_user_id": f"user_{number}"}
        async with httpx2.AsyncClient(
            base_url=self._url, headers=self._headers, verify=self._trust, timeout=60
        ) as http:
            async for _ in async_attempts(240):
                await self._send(http.post("/v1/hosted-connection-sessions", json=body))
                await self._send(http.get("/v1/integrations", params={"end_user_id": "user_1", "logo": "none"}))

    async def _send(self, request: Awaitable[httpx2.Response]) -> None:
        try:
            answer = await request
        except httpx2.TransportError as error:
            self.failures.append(repr(error))
            return
        self.answered += 1
        if answer.status_code != 200:
            self.failures.append(f"{answer.status_code} {answer.text[:200]}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the callers until the block ends."""
        tasks = [asyncio.create_task(self.call(number)) for number in range(CALLERS)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def more(self) -> None:
        """Wait for further answers, so that each phase of the restart has requests."""
        enough = self.answered + 100
        async for _ in async_attempts(60):
            if self.answered >= enough:
                return


async def restarted(served: Served, what: Serving, folder: Path) -> Served:
    """Stop a server as `systemctl restart` does, and start it again on the same port."""
    served.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(served.process.wait, 60) in {0, -signal.SIGTERM}
    return await start(replace(what, port=served.port), folder)


async def test_rolling_restart_under_load_fails_no_request(migrated_postgresql_url: str, tmp_path: Path) -> None:
    _, trust = tls_contexts(tmp_path, "localhost")
    key, port = await make_key(migrated_postgresql_url), free_port()
    settings = {
        "ONE_RUNTIME_ENCRYPTION_KEYS": new_key(),
        "ONE_RUNTIME_PUBLIC_URL": f"https://localhost:{port}",
        "ONE_RUNTIME_RATE_LIMIT": "0",
        "ONE_RUNTIME_LOG_LEVEL": "warning",
        "ONE_RUNTIME_DRAIN_SECONDS": DRAIN,
    }
    folders = [tmp_path / name for name in ("first", "second")]
    machines = [Serving(migrated_postgresql_url, workers=workers, settings=settings) for workers in (2, 1)]
    running: list[Served] = []
    async with AsyncExitStack() as stack:
        for machine, folder in zip(machines, folders, strict=True):
            folder.mkdir()
            running.append(await start(machine, folder))
            stack.push_async_callback(lambda index: stop(running[index]), len(running) - 1)
        ports = [served.port for served in running]
        addresses = " ".join(f"127.0.0.1:{number}" for number in ports)
        stack.enter_context(proxying("caddy", tmp_path, addresses, port))
        load = Load(f"https://localhost:{port}", key, trust)
        async with load.running():
            await load.more()
            for index in range(2):
                running[index] = await restarted(running[index], machines[index], folders[index])
            await load.more()
        assert load.failures == []
