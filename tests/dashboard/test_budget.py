"""The cost of every page with very many rows: SQL statements, bytes and server time.

The test walks the declarations of the pages, so a new page is measured without a change here.
"""

import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from one_runtime.dashboard.application import PAGES
from one_runtime.db.engine import Transaction
from tests.application import RunningAcme, running, settings_for, started
from tests.dashboard.many_rows import ManyRows
from tests.dashboard.served import fill, sample_paths
from tests.dashboard.team import Team, TeamBrowser
from tests.database import ANY_DATABASE
from tests.figures import Figures
from tests.ports import free_port
from tests.promises.stores import query

MAX_STATEMENTS: Final = 4
MAX_BYTES: Final = 30_000
MAX_SECONDS: Final = 0.030
"""Maximum of the 95th percentile of the server time of a page."""

REPEATS: Final = 100


SEARCHES: Final = (
    "audit?type=connection.created&actor_type=api_key",
    "requests?integration=acme",
    "agents/runs?integration=acme",
    "connections?status=needs_reauth&end_user=person.99",
    "end-users?q=person.99",
    "integrations?q=crm",
)
"""Lists with filters that no index supports. A search that finds few rows needs a second statement."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The costs of a page. `statements`: number of SQL statements of each request. `size`: compressed bytes."""

    name: str
    statements: list[int] = field(default_factory=list)
    size: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def percentile(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.95)]

    def __str__(self) -> str:
        median, high = sorted(self.seconds)[len(self.seconds) // 2] * 1000, self.percentile * 1000
        return (
            f"{self.name}: p95 {high:.1f} ms, median {median:.1f} ms, {max(self.statements)} statements, "
            f"{self.size:,} bytes"
        )


@pytest.fixture
def sqlite_folder() -> Iterator[Path]:
    """Provide a folder on the disk, because the file can be larger than the memory. Delete the file after the test."""
    with TemporaryDirectory(prefix="one-runtime-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def crowded_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """Provide a database that no later test uses, because its deletion is fast and deleting all its rows is not."""
    name = "migrated_sqlite_url" if database_kind == "sqlite" else "new_postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@asynccontextmanager
async def crowded(url: str, acme: RunningAcme, connections: int, requests: int) -> AsyncIterator[Team]:
    """Run the dashboard of an organization with many rows."""
    port = free_port()
    settings = settings_for(
        url, acme, public_url=f"http://127.0.0.1:{port}", listen=f"127.0.0.1:{port}", dashboard_listen="127.0.0.1:8003"
    )
    async with started(settings, acme, worker=False) as application:
        organization_id = await application.organization()
        ((key_id,),) = query(application.installation, "SELECT key_id FROM key_ring")
    ManyRows(organization_id, key_id, application.clock(), connections, requests).insert(url)
    async with started(settings, acme, worker=False) as application:
        client = application.client(await application.key(organization_id))
        async with running(application.app, port, lifespan="off"):
            await fill(application, client)
        yield Team(application, organization_id, client)


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the names of the methods that run a statement."""
    calls = list[str]()
    with monkeypatch.context() as patched:
        for name in ("all", "one", "execute", "execute_many"):
            original = getattr(Transaction, name)

            async def counted(
                tx: Transaction, *args: Any, _name: str = name, _original: Any = original, **values: Any
            ) -> Any:
                calls.append(_name)
                return await _original(tx, *args, **values)

            patched.setattr(Transaction, name, counted)
        yield calls


async def measure(
    team: Team, browser: TeamBrowser, monkeypatch: pytest.MonkeyPatch, repeats: int = REPEATS
) -> list[Cost]:
    """Open each page several times."""
    member_id, costs = await team.member("support"), list[Cost]()
    paths = await sample_paths(team.api, team.organization_id, member_id)
    for spec in PAGES:
        if spec.method != "GET":
            continue
        cost, size = Cost(spec.name), 0
        for _ in range(repeats):
            with counting(monkeypatch) as calls:
                begin = time.perf_counter()
                answer = await browser.http.get(paths[spec.name], headers={"accept-encoding": "gzip"})
                cost.seconds.append(time.perf_counter() - begin)
            assert answer.status_code < 500, spec.name
            cost.statements.append(len(calls))
            size = max(size, int(answer.headers.get("content-length", 0)))
        costs.append(Cost(cost.name, cost.statements, size, cost.seconds))
    return costs


def excesses(costs: list[Cost], *, timed: bool) -> list[str]:
    """Return what exceeds its limit."""
    found = [
        f"{cost.name}: {max(cost.statements)} statements" for cost in costs if max(cost.statements) > MAX_STATEMENTS
    ]
    found += [f"{cost.name}: {cost.size} bytes" for cost in costs if cost.size > MAX_BYTES]
    if timed:
        slow = [cost for cost in costs if cost.percentile > MAX_SECONDS]
        found += [f"{cost.name}: {cost.percentile * 1000:.1f} ms" for cost in slow]
    return found


@ANY_DATABASE
@pytest.mark.slow
async def test_pages_need_few_statements_and_bytes(
    crowded_url: str, acme: RunningAcme, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with crowded(crowded_url, acme, 20_000, 20_000) as team:
        browser = await team.browser()
        costs = await measure(team, browser, monkeypatch, repeats=2)
        for path in SEARCHES:
            with counting(monkeypatch) as calls:
                answer = await browser.get(path)
            assert answer.status_code == 200, path
            assert len(calls) <= MAX_STATEMENTS, path
    assert excesses(costs, timed=False) == []
    assert any(cost.statements[-1] == MAX_STATEMENTS for cost in costs), "the test counts statements"
    assert all(cost.size for cost in costs if "{organization_id}" in cost.name)


@pytest.mark.soak
@pytest.mark.alone
@pytest.mark.timeout(3600)
async def test_pages_are_fast_with_ten_million_calls(
    crowded_url: str, acme: RunningAcme, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    async with crowded(crowded_url, acme, 100_000, 10_000_000) as team:
        gc.collect()
        gc.freeze()  # as the server does after its start: its process has no objects of other tests
        try:
            costs = await measure(team, await team.browser(), monkeypatch)
        finally:
            gc.unfreeze()
    for cost in costs:
        figures(str(cost))
    assert excesses(costs, timed=True) == []
