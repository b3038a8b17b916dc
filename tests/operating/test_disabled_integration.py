"""Every process of a running server notices that the operator disabled an integration. No restart is necessary."""

from pathlib import Path

import httpx2
import pytest

from one_runtime.catalog.loader import load_catalog
from one_runtime.clock import system_clock
from one_runtime.integrations import disabling
from tests import sealed_rows
from tests.disabling import OPERATOR
from tests.promises.serving import Served, Serving, make_key, serving
from tests.waiting import async_attempts

pytestmark = [pytest.mark.slow, pytest.mark.soak]

SLUG = "hubspot"
REQUESTS = 16
"""Requests in new network connections. With two processes, both processes answer some of them."""


async def answers(served: Served, key: str) -> set[int]:
    """Create sessions, each over a network connection of its own. Return the statuses."""
    headers, statuses = {"Authorization": f"Bearer {key}", "Connection": "close"}, set[int]()
    async with httpx2.AsyncClient(base_url=served.url, headers=headers, timeout=30) as http:
        for _ in range(REQUESTS):
            body = {"integration_slug": SLUG, "end_user_id": "user_123"}
            statuses.add((await http.post("/v1/hosted-connection-sessions", json=body)).status_code)
    return statuses


@pytest.mark.timeout(120)
async def test_running_processes_stop_and_resume_the_use(migrated_postgresql_url: str, tmp_path: Path) -> None:
    url, catalog = migrated_postgresql_url, load_catalog()
    async with serving(Serving(url, workers=2), tmp_path) as served, sealed_rows.opened(url) as database:
        key = await make_key(url)
        assert await answers(served, key) == {200}
        async with database.write() as tx:
            await disabling.disable(tx, catalog, OPERATOR, SLUG, None, system_clock())
        async for _ in async_attempts(60):
            if served.log().count(b'"integration_disabled"') == 2:
                break
        assert await answers(served, key) == {422}
        async with database.write() as tx:
            await disabling.enable(tx, OPERATOR, SLUG, system_clock())
        async for _ in async_attempts(60):
            if await answers(served, key) == {200}:
                break
