"""The last failure of each integration."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from one_runtime.clock import rfc3339
from one_runtime.db.ids import new_id
from one_runtime.reports.integration_failures import LastFailure, find_last_failures
from tests.application import Application, Client
from tests.promises.stores import query
from tests.proxy.test_usage import call


async def failures(application: Application, organization_id: str) -> dict[str, LastFailure]:
    async with application.installation.database.read() as tx:
        return dict(await find_last_failures(tx, organization_id, application.clock()))


async def add_calls(application: Application, organization_id: str, number: int, **values: Any) -> None:
    log, at = application.app.services.request_log, values.pop("at", application.clock())
    for _ in range(number):
        log.note(replace(call(organization_id, at=at), id=new_id(), **values))
    await log.flush()


def store_error(application: Application, table: str, row_id: str, code: str, at: datetime) -> None:
    column = "error" if table == "connections" else "last_error"
    error = json.dumps({"code": code, "message": "Refused.", "at": rfc3339(at)})
    query(application.installation, f"UPDATE {table} SET {column} = '{error}' WHERE id = '{row_id}'")


async def test_latest_error_of_connections_and_sessions_is_the_last_failure(application: Application) -> None:
    organization_id = await application.organization()
    client = application.client(await application.key(organization_id))
    now = application.clock()
    assert await failures(application, organization_id) == {}
    old, new = [(await client.connect(f"user_{number}"))["id"] for number in range(2)]
    session = (await client.session("user_3"))["id"]
    store_error(application, "connections", old, "invalid_grant", now - timedelta(minutes=5))
    store_error(application, "connections", new, "check_refused", now - timedelta(hours=5))
    store_error(application, "hosted_connection_sessions", session, "client_refused", now - timedelta(days=2))
    found = (await failures(application, organization_id))["acme"]
    assert (found.kind, found.id, found.code, found.status) == ("connection", old, "invalid_grant", "active")
    assert found.at == now - timedelta(minutes=5)
    store_error(application, "hosted_connection_sessions", session, "client_refused", now - timedelta(minutes=1))
    found = (await failures(application, organization_id))["acme"]
    assert (found.kind, found.id, found.code) == ("session", session, "client_refused")
    assert await failures(application, await application.organization("Southwind Traders")) == {}
    application.clock.advance(days=31)
    assert (await failures(application, organization_id))["acme"].id == old, "the session is too old"


async def test_calls_count_if_a_tenth_of_them_failed(application: Application, client: Client) -> None:
    organization_id = await application.organization()
    now = application.clock()
    await add_calls(application, organization_id, 95, integration_slug="slack")
    await add_calls(application, organization_id, 5, integration_slug="slack", status=500)
    await add_calls(application, organization_id, 15, integration_slug="hubspot")
    await add_calls(
        application, organization_id, 5, integration_slug="hubspot", status=500, at=now - timedelta(hours=3)
    )
    await add_calls(application, organization_id, 5, integration_slug="notion", status=500, at=now - timedelta(days=2))
    found = await failures(application, organization_id)
    assert list(found) == ["hubspot"]
    hour = (now - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    hubspot = found["hubspot"]
    assert (hubspot.kind, hubspot.calls, hubspot.failures, hubspot.at) == ("calls", 20, 5, hour)


async def test_error_of_the_same_hour_says_more_than_the_calls(application: Application) -> None:
    organization_id = await application.organization()
    client = application.client(await application.key(organization_id))
    connection_id = (await client.connect("user_1"))["id"]
    hour = application.clock().replace(minute=0, second=0, microsecond=0)
    store_error(application, "connections", connection_id, "invalid_grant", hour)
    await add_calls(application, organization_id, 5, integration_slug="acme", status=500)
    assert (await failures(application, organization_id))["acme"].kind == "connection"
    store_error(application, "connections", connection_id, "invalid_grant", hour - timedelta(minutes=1))
    assert (await failures(application, organization_id))["acme"].kind == "calls"
