"""`one-runtime proxy-requests list`: calls through the proxy, over all organizations."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from one_runtime.clock import system_clock
from one_runtime.db.ids import new_id
from one_runtime.proxy.request_log import LoggedRequest, RequestLog
from one_runtime.tenancy.key_uses import KeyUses
from tests import sealed_rows
from tests.command_line import Run


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    return bare


def call(
    organization_id: str, connection_id: str, slug: str, status: int, api_key_id: str | None = None
) -> LoggedRequest:
    """Return a call that ended a minute ago. The log removes its end user, who does not exist."""
    at = system_clock() - timedelta(minutes=1)
    return LoggedRequest(
        new_id(),
        organization_id,
        at,
        "ada",
        connection_id,
        slug,
        "GET",
        "/contacts",
        status,
        None,
        1,
        0,
        9,
        5,
        4,
        api_key_id,
        None,
    )


def write(database_url: str, calls: Sequence[LoggedRequest]) -> None:
    async def do() -> None:
        async with sealed_rows.opened(database_url) as database, database.write() as tx:
            await RequestLog(database, KeyUses(database, system_clock), kept=True).write(tx, list(calls))

    asyncio.run(do())


def test_calls_are_filtered_over_all_organizations(run: Run, database_url: str) -> None:
    northwind, southwind = (run("organizations", "create", name).line for name in ("Northwind", "Southwind"))
    mine, other = new_id(), new_id()
    calls = [
        call(northwind, mine, "hubspot", 200),
        call(northwind, mine, "slack", 401),
        call(southwind, other, "slack", 0),
    ]
    write(database_url, calls)
    everything = run("proxy-requests", "list", "--json").rows
    assert [row["id"] for row in everything] == [entry.id for entry in reversed(calls)]
    assert everything[0] | {"id": "", "created_at": ""} == {
        "id": "",
        "created_at": "",
        "organization_id": southwind,
        "end_user_id": None,
        "connection_id": other,
        "integration_slug": "slack",
        "method": "GET",
        "path": "/contacts",
        "http_status": 0,
        "error_code": None,
        "attempts": 1,
        "request_bytes": 0,
        "response_bytes": 9,
        "duration_ms": 5,
        "upstream_ms": 4,
        "api_key_id": None,
        "request_id": None,
        "end_user_token_id": None,
        "run_id": None,
        "member_id": None,
    }
    for options, count in {
        ("--organization", northwind): 2,
        ("--connection", mine): 2,
        ("--connection", mine, "--organization", southwind): 0,
        ("--integration", "slack"): 2,
        ("--integration", "slack", "--http-status", "401"): 1,
        ("--end-user", "ada"): 0,
        ("--request-id", new_id()): 0,
        ("--since", "1h"): 3,
        ("--since", "2120-01-01"): 0,
        ("--until", "1h"): 0,
    }.items():
        listed = run("proxy-requests", "list", *options, "--json")
        assert listed.out.count('"id"') == count, options
    page = run("proxy-requests", "list", "--limit", "1")
    assert page.out.splitlines()[1].split("  ")[1] == southwind
    assert calls[2].id in page.err


def test_calls_of_a_leaked_key_are_listed(run: Run, database_url: str) -> None:
    organization = run("organizations", "create", "Northwind").line
    leaked = run("api-keys", "create", organization).line[:12]
    (key,) = run("api-keys", "list", "--json").rows
    calls = [call(organization, new_id(), "slack", 200, api_key_id) for api_key_id in (key["id"], new_id(), None)]
    write(database_url, calls)
    for name in (leaked, key["id"]):
        (row,) = run("proxy-requests", "list", "--api-key", name, "--json").rows
        assert (row["id"], row["api_key_id"]) == (calls[0].id, key["id"])
    assert "one-runtime api-keys list" in run("proxy-requests", "list", "--api-key", "oru_nothing0").sentence
