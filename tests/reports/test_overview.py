"""The overview of an organization: bounded counts, and the items that need attention."""

import re
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import insert

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.schema import usage_hours
from one_runtime.db.sqlite import connect_sqlite
from one_runtime.proxy import usage
from one_runtime.reports import overview
from one_runtime.reports.overview import AttentionItem, BoundedCount, DoneSteps, OverviewNumbers
from one_runtime.settings import Settings
from one_runtime.webhooks import endpoints
from tests.application import Application, RunningAcme, started
from tests.organization_rows import OrganizationRows, fill
from tests.promises.stores import query

NONE_DONE = DoneSteps(False, False, False, False, False)
ERROR = '{"code": "invalid_grant", "message": "Token has been revoked.", "at": "2026-11-30T00:00:00Z"}'


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme) -> AsyncIterator[Application]:
    async with started(settings, acme, worker=False) as application:
        yield application


async def numbers(application: Application, organization_id: str) -> OverviewNumbers:
    async with application.installation.database.read() as tx:
        return await overview.read_numbers(tx, organization_id, new_since=application.clock() - timedelta(days=1))


async def attention(application: Application, organization_id: str) -> list[AttentionItem]:
    async with application.installation.database.read() as tx:
        return await overview.list_attention_items(tx, organization_id, application.clock() - timedelta(hours=23))


def change(application: Application, text: str) -> None:
    query(application.installation, text)


async def add_endpoint(rows: OrganizationRows, url: str | None, **values: Any) -> None:
    now = rows.installation.clock()
    endpoint = endpoints.new(rows.organization_id, url=url, description="", include=[], now=now)
    async with rows.installation.database.write() as tx:
        await endpoints.create(tx, rows.actor, endpoints.change(endpoint, values), ["*"])


async def count_calls(rows: OrganizationRows, slug: str, calls: int, failures: int, hours_ago: int = 0) -> None:
    hour = usage.start_of_hour(rows.installation.clock()) - hours_ago * usage.HOUR
    values = {
        "organization_id": rows.organization_id, "hour": hour, "integration_slug": slug, "source": "agent",
        "calls": calls, "failures": failures, "duration_ms_sum": 1, "duration_ms_max": 1, "request_bytes": 1,
        "response_bytes": 1,
    }  # fmt: skip
    async with rows.installation.database.write() as tx:
        await tx.execute(insert(usage_hours), **values)


async def test_new_organization_has_no_numbers_and_no_attention(application: Application) -> None:
    await fill(application.installation, "Southwind", 3)
    change(application, f"UPDATE connections SET status = 'needs_reauth', error = '{ERROR}'")
    organization_id = await application.organization("Northwind")
    zero = BoundedCount(0, True)
    assert await numbers(application, organization_id) == OverviewNumbers(zero, zero, 0, 0, NONE_DONE)
    assert await attention(application, organization_id) == []


async def test_numbers_count_end_users_connections_and_endpoints(application: Application) -> None:
    northwind, _ = await fill(application.installation, "Northwind", 4)
    await northwind.connect("user_0", "another account")
    await add_endpoint(northwind, "https://a.example/", status="disabled", disabled_reason="gone")
    await add_endpoint(northwind, "https://b.example/", failing_since=application.clock())
    await add_endpoint(northwind, "https://c.example/", failing_since=application.clock(), status="paused")
    change(application, "UPDATE connections SET status = 'needs_reauth' WHERE end_user_id = 'user_1'")
    found = await numbers(application, northwind.organization_id)
    assert replace(found, steps=None) == OverviewNumbers(
        end_users=BoundedCount(4, True),  # ada, user_0, user_2 and user_3
        needs_reauth=BoundedCount(1, True),
        webhook_endpoints=3,
        failing_endpoints=2,
        steps=None,
    )


@pytest.mark.parametrize(
    "scanned, counted, end_users, needs_reauth",
    [
        (9, 3, BoundedCount(3, True), BoundedCount(2, True)),
        (9, 2, BoundedCount(2, False), BoundedCount(2, True)),
        (4, 9, BoundedCount(3, False), BoundedCount(2, True)),
        (3, 1, BoundedCount(1, False), BoundedCount(1, False)),
    ],
)
async def test_counts_end_at_a_maximum(
    application: Application,
    monkeypatch: pytest.MonkeyPatch,
    scanned: int,
    counted: int,
    end_users: BoundedCount,
    needs_reauth: BoundedCount,
) -> None:
    northwind, _ = await fill(application.installation, "Northwind", 4)  # connections of ada, and user_0 to user_3
    await northwind.connect("user_0", "another account")
    change(application, "UPDATE connections SET status = 'needs_reauth' WHERE end_user_id IN ('user_2', 'user_3')")
    monkeypatch.setattr(overview, "SCANNED", scanned)
    monkeypatch.setattr(overview, "COUNTED", counted)
    monkeypatch.setattr(overview, "_NUMBERS", overview._numbers())
    found = await numbers(application, northwind.organization_id)
    assert (found.end_users, found.needs_reauth) == (end_users, needs_reauth)


@pytest.mark.promise("P11")
async def test_items_that_need_attention_have_a_reason(application: Application) -> None:
    northwind, _ = await fill(application.installation, "Northwind", 8)
    await add_endpoint(northwind, "https://a.example/hook?token=s3cret", status="disabled", disabled_reason="gone")
    await add_endpoint(northwind, None, failing_since=application.clock(), failed_attempts=7)
    await add_endpoint(northwind, "https://c.example/", failing_since=application.clock(), status="paused")
    await count_calls(northwind, "slack", 100, 10)
    await count_calls(northwind, "notion", 40, 40, hours_ago=23)
    await count_calls(northwind, "hubspot", 100, 9)
    await count_calls(northwind, "asana", 19, 19)
    await count_calls(northwind, "jira", 500, 500, hours_ago=24)
    await count_calls(northwind, usage.ALL, 1000, 1000)
    change(application, f"UPDATE connections SET status = 'needs_reauth', error = '{ERROR}' WHERE end_user_id <> 'ada'")
    found = await attention(application, northwind.organization_id)
    assert [(each.kind, each.subject, each.calls, each.failures) for each in found[:4]] == [
        ("integration", "notion", 40, 40),
        ("integration", "slack", 100, 10),
        ("webhook_endpoint", None, 0, 7),
        ("webhook_endpoint", "https://a.example/hook", 0, 0),
    ]
    assert [each.code for each in found[:4]] == [None, None, None, "gone"]
    connections = found[4:]
    assert [each.end_user_id for each in connections] == ["user_7", "user_6", "user_5", "user_4", "user_3"]
    assert {(each.code, each.message) for each in connections} == {("invalid_grant", "Token has been revoked.")}
    assert "s3cret" not in str(found)


async def test_oauth_client_needs_attention_while_the_provider_refuses_its_present_version(
    application: Application,
) -> None:
    northwind, _ = await fill(application.installation, "Northwind", 2)
    other, _ = await fill(application.installation, "Southwind", 2)
    client = northwind.client
    change(application, f"UPDATE credentials SET oauth_client_id = '{client.id}', refused_client_version = NULL")
    assert await attention(application, northwind.organization_id) == []
    (connection_id,) = min(query(application.installation, "SELECT id FROM connections"))
    change(
        application,
        f"UPDATE credentials SET refused_client_version = {client.version} WHERE connection_id = '{connection_id}'",
    )
    (found,) = await attention(application, northwind.organization_id)
    assert (found.kind, found.id, found.subject) == ("oauth_client", client.id, client.integration_slug)
    assert await attention(application, other.organization_id) == []
    change(application, "UPDATE oauth_clients SET version = version + 1")
    assert await attention(application, northwind.organization_id) == []


async def test_statements_use_indexes(application: Application, database_url: str) -> None:
    northwind, _ = await fill(application.installation, "Northwind")
    values = {
        "organization": northwind.organization_id,
        "since": application.clock(),
        "new_since": application.clock(),
        "starts": ["2026-11-30T00:00:00Z"],
    }
    async with application.installation.database.read() as tx:
        compiled = [tx._compiler.compile(each) for each in (overview._NUMBERS, overview._ITEMS, usage._TOTALS)]
    statements = [(each.text, each.values(values)) for each in compiled]
    path = sqlite_path(database_url)
    if path:
        with closing(connect_sqlite(path)) as connection:
            plans = [connection.execute(f"EXPLAIN QUERY PLAN {text}", given).fetchall() for text, given in statements]
        lines = [str(line[-1]) for plan in plans for line in plan]
        scans = [line for line in lines if line.startswith("SCAN")]
        assert all(re.match(r"SCAN (anon_\d+|edge|CONSTANT ROW|json_each)", scan) for scan in scans), scans
    else:
        with psycopg.connect(database_url) as postgres:
            postgres.execute("SET enable_seqscan = off")
            plans = [postgres.execute(f"EXPLAIN {text}".encode(), given).fetchall() for text, given in statements]
        lines = [str(line[0]) for plan in plans for line in plan]
        assert not [line for line in lines if "Seq Scan" in line]
    assert any("ix_connections_needs_reauth" in line for line in lines)
    assert any("ix_connections_end_user" in line for line in lines)
