"""A drill: two servers behind nginx and Caddy restart one after the other, with the same build or as an upgrade.

The upgrade begins with the previous version and its schema. Meanwhile callers create and read connections.
"""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import pytest

from one_runtime.db.migrations import current_revision
from one_runtime.encryption.vault import new_key
from tests.deploy.proxies import KINDS, Kind, proxying
from tests.egress.certificates import tls_contexts
from tests.figures import Figures
from tests.fork_server import ROOT, run
from tests.operating.callers import Callers
from tests.operating.load import all_connections
from tests.ports import free_port
from tests.promises.serving import Served, Serving, start, stop
from tests.versions import THIS, Version

pytestmark = [pytest.mark.soak, pytest.mark.foreign, pytest.mark.timeout(900)]

DRAIN = "6"
"""Longer than the 5 seconds for which the server keeps an idle connection."""


@dataclass
class Machines:
    """Two servers on one database. Each server has a folder for its log."""

    folders: list[Path]
    served: list[Served] = field(default_factory=list)

    async def start(self, what: Serving, stack: AsyncExitStack) -> None:
        for folder in self.folders:
            folder.mkdir()
            self.served.append(await start(what, folder))
            stack.push_async_callback(self._stop, len(self.served) - 1)

    async def _stop(self, index: int) -> None:
        await stop(self.served[index])

    async def restart_each(self, what: Serving, callers: Callers) -> None:
        """Stop each server as `systemctl restart` does, and start it again on its port."""
        for index, served in enumerate(self.served):
            served.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(served.process.wait, 60) in {0, -signal.SIGTERM}
            self.served[index] = await start(replace(what, port=served.port), self.folders[index])
            await callers.more()


async def command(version: Version, settings: dict[str, str], *words: str) -> str:
    """Run a command of a version. Return the output."""
    environment = {"PATH": os.environ["PATH"], **settings, "PYTHONPATH": str(version.sources)}
    line = [sys.executable, "-m", "one_runtime", *words]
    done = await asyncio.to_thread(run, line, environment, cwd=ROOT, seconds=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("upgrade", [False, True], ids=["restart", "upgrade"])
@pytest.mark.parametrize("kind", KINDS)
async def test_rolling_restart_or_upgrade_under_load_fails_no_request(
    kind: Kind,
    upgrade: bool,
    empty_postgres_url: str,
    tmp_path: Path,
    figures: Figures,
    request: pytest.FixtureRequest,
) -> None:
    _, trust = tls_contexts(tmp_path, "localhost")
    port = free_port()
    old: Version = request.getfixturevalue("previous") if upgrade else THIS
    settings = {
        "ONE_RUNTIME_DATABASE_URL": empty_postgres_url,
        "ONE_RUNTIME_ENCRYPTION_KEYS": new_key(),
        "ONE_RUNTIME_PUBLIC_URL": f"https://localhost:{port}",
        "ONE_RUNTIME_RATE_LIMIT": "0",
        "ONE_RUNTIME_LOG_LEVEL": "warning",
        "ONE_RUNTIME_DRAIN_SECONDS": DRAIN,
    }
    await command(old, settings, "migrate")
    assert current_revision(empty_postgres_url) == old.revision
    organization_id = await command(old, settings, "organizations", "create", "Northwind")
    key = await command(old, settings, "api-keys", "create", organization_id)

    def serving(version: Version) -> Serving:
        return Serving(empty_postgres_url, settings=settings | {"PYTHONPATH": str(version.sources)})

    def new_client() -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(base_url=f"https://localhost:{port}", headers=headers, verify=trust, timeout=60)

    machines, callers = Machines([tmp_path / name for name in ("first", "second")]), Callers(new_client, 6)
    async with AsyncExitStack() as stack:
        await machines.start(serving(old), stack)
        separator = " max_fails=0; server " if kind == "nginx" else " "
        addresses = separator.join(f"127.0.0.1:{served.port}" for served in machines.served)
        stack.enter_context(proxying(kind, tmp_path, addresses, port))
        async with callers.running():
            await callers.more()
            if upgrade:
                await command(THIS, settings, "migrate")
                assert current_revision(empty_postgres_url) == THIS.revision
                await callers.more()
            await machines.restart_each(serving(THIS), callers)
        assert callers.failures() == []
        async with new_client() as http:
            assert {connection["id"] for connection in await all_connections(http)} >= callers.acknowledged.keys()
    figures(f"{callers.summary()}; {len(callers.acknowledged)} acknowledged connections, 0 missing")
