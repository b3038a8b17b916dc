"""P12: a long list of due refreshes at a failing host neither delays other refreshes nor stops other requests."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
import pytest_asyncio

from one_runtime.connections import due_credentials
from one_runtime.connections.due_credentials import START, DueCredential
from one_runtime.db import sqlite
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.engine import Transaction
from one_runtime.tokens.refresh_due import PAGES, refresh_due
from tests.application import RunningAcme
from tests.disabling import disable, enable
from tests.tokens.rotating import RotatingApplication, RotatingProvider, rotating_application
from tests.tokens.test_refresh_hosts import OTHER, answered, connect_many, two_hosts

pytestmark = pytest.mark.promise("P12")

BATCH = 2
LISTED = BATCH * PAGES
"""Rows that one listing reads, without the rows that are due since the previous listing."""


@pytest_asyncio.fixture
async def app(database_url: str, acme: RunningAcme, provider: RotatingProvider) -> AsyncIterator[RotatingApplication]:
    """The application with two integrations, whose token endpoints have different hosts."""
    async with rotating_application(database_url, acme, provider, two_hosts(provider)) as app:
        yield app


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[list[DueCredential]]:
    """The results of the statements that list due rows. Each run lists once, also on a busy machine."""
    pages, all_rows = list[list[DueCredential]](), Transaction.all
    monkeypatch.setattr("one_runtime.tokens.refresh_due._POLL", 3600.0)

    async def recording(tx: Transaction, *args: Any, **values: Any) -> list[Any]:
        rows: list[Any] = await all_rows(tx, *args, **values)
        if args[1] is DueCredential and "until" not in values:
            pages.append(rows)
        return rows

    monkeypatch.setattr(Transaction, "all", recording)
    return pages


async def test_a_long_list_is_read_in_parts_and_delays_no_other_refresh(
    app: RotatingApplication, listed: list[list[DueCredential]]
) -> None:
    failing = await connect_many(app, LISTED + 1, fault="503")
    app.application.clock.advance(seconds=1)
    good = await connect_many(app, 1, OTHER)
    app.application.clock.advance(seconds=1)
    failing += await connect_many(app, 2 * LISTED, fault="503")
    app.application.clock.advance(hours=2)
    await refresh_due(app.installation, batch=BATCH)
    assert [len(page) for page in listed] == [BATCH] * PAGES
    assert answered(app, good) == {}
    late = await connect_many(app, 1, OTHER, life=1.0)
    app.application.clock.advance(seconds=2)
    await refresh_due(app.installation, batch=BATCH)
    assert answered(app, good) == {"granted": 1}, "the second listing continues after the first one"
    assert answered(app, late) == {"granted": 1}, "a listing also reads the rows that became due after the previous one"
    for _ in range(2):
        await refresh_due(app.installation, batch=BATCH)
    assert len({row.key for page in listed for row in page}) == len(failing) + 2, "the fourth listing reaches the end"
    assert max(map(len, listed)) == BATCH
    assert len(listed) <= 4 * (PAGES + 2)


async def test_refreshes_grow_slowly_wherever_the_enabled_integration_is_in_the_list(app: RotatingApplication) -> None:
    await connect_many(app, 2 * LISTED, fault="503")
    app.application.clock.advance(seconds=1)
    resumed = await connect_many(app, 10, OTHER)
    await disable(app.installation, OTHER)
    app.application.clock.advance(hours=2)
    for _ in range(2):
        await refresh_due(app.installation, batch=BATCH)
    assert answered(app, resumed) == {}
    await enable(app.installation, OTHER)
    for _ in range(3):
        await refresh_due(app.installation, batch=BATCH)
    assert answered(app, resumed) == {"granted": 1}, "the rate after an outage"
    assert app.installation.token_hosts.scan.resumed == set()


@pytest.mark.only_database("sqlite")
async def test_a_page_is_read_in_the_order_of_an_index(app: RotatingApplication, database_url: str) -> None:
    path = sqlite_path(database_url)
    assert path is not None
    statement = sqlite._COMPILER.compile(due_credentials._DUE)
    with closing(sqlite3.connect(path)) as database:
        values = statement.values({"now": START.due_at, "limit": 1, **START._asdict()})
        plan = [row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {statement.text}", values)]
    assert (
        plan[0]
        == "SEARCH credentials USING INDEX ix_credentials_refresh_due_at (refresh_due_at>? AND refresh_due_at<?)"
    )
    # SQLite sorts only the rows with the same due time.
    assert [step for step in plan if "ORDER BY" in step] == ["USE TEMP B-TREE FOR LAST TERM OF ORDER BY"]
