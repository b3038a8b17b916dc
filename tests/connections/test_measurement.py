"""Metrics of connections: the number by status, and the overdue refreshes by state."""

import asyncio
import fcntl
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import update
from sqlalchemy.sql import ClauseElement

from one_runtime.clock import system_clock
from one_runtime.connections import measurement
from one_runtime.connections.measurement import OverdueCount
from one_runtime.db import postgres, sqlite
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.schema import connections, credentials
from one_runtime.telemetry import metrics
from one_runtime.tenancy.events import Actor
from tests import disabling, oauth_rows, sealed_rows
from tests.application import RunningAcme, settings_for, started
from tests.connections.conftest import VAULT
from tests.waiting import eventually

PLACES: Final = (
    ("user_0", "active"),
    ("user_0", "active"),
    ("user_0", "active"),
    ("user_0", "needs_reauth"),
    ("user_1", "active"),
    ("user_2", "needs_reauth"),
)
"""End users and statuses of connections to one integration."""

MINUTE: Final = timedelta(minutes=1)


def value(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(f"one_runtime_{name}", labels)


async def change(database: Database, connection_id: str, **columns: object) -> None:
    """Change the refresh of a connection's credentials."""
    async with database.write() as tx:
        row = credentials.c.connection_id == connection_id
        await tx.execute(update(credentials).where(row).values(**columns))


async def test_connections_of_all_organizations_are_counted_by_status(database: Database, actor: Actor) -> None:
    for owner in (actor, await sealed_rows.organization(database)):
        ids = [
            await sealed_rows.connect(database, VAULT, owner, f"user_{number}", "secret")
            for number in range(len(PLACES))
        ]
        async with database.write() as tx:
            for connection_id, (end_user_id, status) in zip(ids, PLACES, strict=True):
                row = update(connections).where(connections.c.id == connection_id)
                await tx.execute(row.values(end_user_id=end_user_id, status=status))
    for page in (1, 2, 3, 5, 12, 100):
        counts = await measurement.count_by_status(database, page=page, pause=0)
        assert counts == {"active": 8, "needs_reauth": 4}, f"pages of {page}"


async def test_no_connections_are_counted_in_an_empty_database(database: Database) -> None:
    assert await measurement.count_by_status(database) == {"active": 0, "needs_reauth": 0}


@pytest.mark.parametrize(
    "statement, keys, index",
    [
        (measurement._PAGE, 1, {"sqlite": "sqlite_autoindex_connections_1", "postgresql": "pk_connections"}),
        (measurement._PAGE_IN_NEED, 2, dict.fromkeys(("sqlite", "postgresql"), "ix_connections_needs_reauth")),
    ],
)
def test_count_of_connections_reads_only_an_index(
    database_url: str, database_kind: str, statement: ClauseElement, keys: int, index: dict[str, str]
) -> None:
    """A count that reads the table takes four times as long, and far longer if the table is not in memory."""
    values = {f"after_{number}": measurement._START for number in range(keys)} | {"limit": 10}
    path, (plan, expected) = sqlite_path(database_url), ("", "COVERING INDEX")
    if path is not None:
        compiled = sqlite._COMPILER.compile(statement)
        with closing(sqlite3.connect(path)) as opened:
            plan = str(opened.execute(f"EXPLAIN QUERY PLAN {compiled.text}", compiled.values(values)).fetchall())
    else:
        compiled, expected = postgres._COMPILER.compile(statement), "Index Only Scan using"
        with psycopg.connect(database_url) as connection:
            connection.execute("SET enable_seqscan = off")  # PostgreSQL prefers to read small tables as a whole
            connection.execute("SET enable_bitmapscan = off")
            plan = str(connection.execute(f"EXPLAIN {compiled.text}".encode(), compiled.values(values)).fetchall())
    assert f"{expected} {index[database_kind]}" in plan, plan
    assert "SORT" not in plan.upper().replace("SORT KEY", ""), plan
    assert "B-TREE" not in plan, plan


def test_count_of_ten_million_connections_pauses_for_ten_seconds_at_most() -> None:
    """The whole count took 17 minutes, nearly all of it pauses. On SQLite, a page stops all requests."""
    assert 10_000_000 / measurement.PAGE * measurement.PAUSE <= 10
    assert measurement.MAX_OVERDUE / measurement.OVERDUE_PAGE * measurement.PAUSE <= 10
    assert measurement.PAGE <= 10_000


async def test_one_statement_counts_a_limited_number_of_connections(
    database: Database, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await sealed_rows.connect(database, VAULT, actor, f"user_{number}", "secret")
    one_row, limits = Transaction.one, list[object]()

    async def counting(tx: Transaction, *args: Any, **values: Any) -> Any:
        row = await one_row(tx, *args, **values)
        limits.append((values["limit"], row.connections))
        return row

    monkeypatch.setattr(Transaction, "one", counting)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await measurement.count_by_status(database, page=2, pause=0.1) == {"active": 5, "needs_reauth": 0}
    assert limits == [(2, 0), (2, 2), (2, 2), (2, 1)]
    assert loop.time() - begun >= 0.19, "requests run between two pages"


async def test_overdue_refreshes_are_counted_by_state(database: Database, actor: Actor) -> None:
    now = system_clock()
    client = await oauth_rows.client(oauth_rows.Place(database, VAULT, actor.organization_id), "client", "secret")
    paused = {"failures": 3, "retry_at": now + 9 * MINUTE}
    changed_client = {**paused, "oauth_client_id": client.id, "refused_client_version": client.version + 1}
    rows: list[tuple[datetime, dict[str, object]]] = [
        (now - 20 * MINUTE, paused),
        (now - 15 * MINUTE, changed_client),
        (now - 10 * MINUTE, {"failures": 1, "retry_at": now - MINUTE}),
        (now - 5 * MINUTE, {}),
        (now + MINUTE, {}),
    ]
    for number, (due_at, columns) in enumerate(rows):
        connection_id = await sealed_rows.connect(database, VAULT, actor, f"user_{number}", "secret")
        await change(database, connection_id, refresh_due_at=due_at, **columns)

    oldest, waiting = OverdueCount(1, now - 20 * MINUTE), OverdueCount(3, now - 15 * MINUTE)
    for page in (1, 2, 3, 4, 100):
        counts = await measurement.count_overdue(database, now, page=page, pause=0)
        assert counts == {"paused": oldest, "waiting": waiting}, f"pages of {page}"
    counts = await measurement.count_overdue(database, now, limit=2, page=1, pause=0)
    assert counts == {"paused": oldest, "waiting": OverdueCount(1, now - 15 * MINUTE)}
    assert await measurement.count_overdue(database, now, {"github", "acme"}, page=1, pause=0) == {}


async def test_one_statement_reads_a_limited_number_of_overdue_refreshes(
    database: Database, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite, a statement that reads 100,000 rows would stop all requests for seconds."""
    now, sizes = system_clock(), list[int]()
    for number in range(5):
        connection_id = await sealed_rows.connect(database, VAULT, actor, f"user_{number}", "secret")
        await change(database, connection_id, refresh_due_at=now - MINUTE)
    all_rows = Transaction.all

    async def counting(tx: Transaction, *args: Any, **values: Any) -> list[Any]:
        rows: list[Any] = await all_rows(tx, *args, **values)
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(Transaction, "all", counting)
    for disabled in ((), ("acme",)):
        await measurement.count_overdue(database, now, disabled, page=2, pause=0)
    assert sizes == [2, 2, 1, 2, 2, 1]


async def test_gauges_have_the_measured_values(database_url: str, acme: RunningAcme) -> None:
    async with started(settings_for(database_url, acme), acme, worker=False) as application:
        client = application.client(await application.key(await application.organization()))
        connection_id = (await client.connect())["id"]
        now = application.clock()
        installation = replace(application.installation, clock=lambda: now)
        await change(installation.database, connection_id, refresh_due_at=now - 3 * MINUTE)
        # The metric of handled items would otherwise contain every connection, and every run would have spans.
        assert await measurement.measure_statuses(installation) == 0
        assert await measurement.measure_overdue(installation) == 0
        assert [value("connections", status=status) for status in ("active", "needs_reauth")] == [1, 0]
        assert [value("refreshes_overdue", state=state) for state in ("waiting", "paused")] == [1, 0]
        oldest = [value("refresh_overdue_oldest_seconds", state=state) for state in ("waiting", "paused")]
        assert oldest == [180, 0]
        await disabling.disable(installation, "acme")
        await measurement.measure_overdue(installation)
        assert value("refreshes_overdue", state="waiting") == 0, "no refresh of a disabled integration is due"
        await client.send("DELETE", f"/v1/connections/{connection_id}")
        await measurement.measure_statuses(installation)
        await measurement.measure_overdue(installation)
        assert value("connections", status="active") == 0
        assert value("refreshes_overdue", state="waiting") == 0
        assert value("refresh_overdue_oldest_seconds", state="waiting") == 0


async def test_only_one_process_of_a_server_measures(
    database_url: str, acme: RunningAcme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(settings_for(database_url, acme), acme, worker=False) as application:
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        metrics.connections.labels("active").set(-1)
        metrics.refreshes_overdue.labels("waiting").set(-1)
        with (tmp_path / "measuring.lock").open("w") as lock:  # another process
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert await measurement.measure_statuses(application.installation) == 0
            assert await measurement.measure_overdue(application.installation) == 0
    assert (value("connections", status="active"), value("refreshes_overdue", state="waiting")) == (-1, -1)


@pytest.mark.only_database("sqlite")
async def test_a_server_with_metrics_measures_its_connections(database_url: str, acme: RunningAcme) -> None:
    metrics.connections.labels("active").set(-1)
    metrics.refreshes_overdue.labels("waiting").set(-1)
    async with started(settings_for(database_url, acme, metrics_listen="127.0.0.1:9464"), acme):
        await eventually(lambda: value("connections", status="active") == 0)
        await eventually(lambda: value("refreshes_overdue", state="waiting") == 0)
