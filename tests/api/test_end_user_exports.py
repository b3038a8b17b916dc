"""`/v1/end-user-exports`: everything that One Runtime stores about an end user, in one call."""

from typing import Final
from urllib.parse import quote

import pytest
from sqlalchemy import select

from one_runtime.agents.authorization import authorizations
from one_runtime.agents.authorization.authorizations import Approval
from one_runtime.api import end_user_exports
from one_runtime.db.schema import agent_authorizations, metadata
from one_runtime.tenancy.agent_policy import AgentPolicy
from tests.application import ACME_KEYS, Application, Client
from tests.organization_rows import fill

PATH: Final = "/v1/end-user-exports"
LISTS: Final = {
    "agent_authorizations": "agent_authorizations",
    "agent_runs": "paused_agent_runs",
    "approval_requests": "approval_requests",
    "connect_requests": "connect_requests",
    "connections": "connections",
    "end_user_tokens": "end_user_tokens",
    "events": "events",
    "hosted_connection_sessions": "sessions",
    "requests": "proxy_requests",
}
"""The list of the export by the table with its rows."""
OMITTED: Final = {"end_users", "webhook_deliveries"}
"""The export has the row of `end_users` in `end_user`. Deliveries name an end user who was deleted, until they end."""


async def test_export_contains_the_rows_of_the_end_user_in_every_table(application: Application) -> None:
    rows, _ = await fill(application.installation, "Northwind")
    await fill(application.installation, "Southwind")
    database, now, user = application.installation.database, application.clock(), "agent's user"
    async with database.write() as tx:
        (pending,) = await tx.all(
            select(agent_authorizations.c.id).where(agent_authorizations.c.organization_id == rows.organization_id)
        )
        approval = Approval(user, AgentPolicy(access="read"))
        await authorizations.approve(tx, rows.actor, pending.id, approval, "https://one-runtime.example", now)
    client = application.client(await application.key(rows.organization_id, "admin"))
    exports = {}
    for end_user_id in (user, "ada", "grace", "user_0"):
        answer = await client.get(f"{PATH}/{quote(end_user_id)}")
        assert answer.status_code == 200, answer.text
        exports[end_user_id] = answer.json()
        assert exports[end_user_id]["end_user"]["end_user_id"] == end_user_id
    tables = [table for table in metadata.sorted_tables if "end_user_id" in table.c and table.name not in OMITTED]
    assert {table.name for table in tables} == LISTS.keys(), "add new data of end users to the export"
    for table in tables:
        async with database.read() as tx:
            stored = await tx.all(
                select(table.c.id, table.c.end_user_id).where(table.c.organization_id == rows.organization_id)
            )
        ids = {user: {row.id for row in stored if row.end_user_id == user} for user in exports}
        exported = {user: {item["id"] for item in export[LISTS[table.name]]} for user, export in exports.items()}
        assert (exported, any(ids.values())) == (ids, True), table.name


async def test_export_of_many_rows_is_complete(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_user_exports, "PAGE", 1)
    for key in ACME_KEYS.values():
        await client.connect("a/b", key, multiple=True)
        await client.session("a/b")
    export = (await client.get(f"{PATH}/a/b")).json()
    listed = (await client.get("/v1/connections", end_user_id="a/b")).json()["connections"]
    assert (export["connections"], len(listed)) == (listed, 2)
    assert export["sessions"] == (await client.get("/v1/hosted-connection-sessions")).json()["sessions"]
    assert len(export["sessions"]) == 2
    assert export["events"] == (await client.get("/v1/events", end_user_id="a/b")).json()["events"]
    assert len(export["events"]) >= 4
    assert export["end_user"] == (await client.get("/v1/end-users/a/b")).json()


async def test_export_contains_no_secret(client: Client) -> None:
    await client.connect()
    session = await client.session()
    token = (await client.post("/v1/end-user-tokens", {"end_user_id": "user_123"})).json()["end_user_token"]
    text = (await client.get(f"{PATH}/user_123")).text
    assert [secret for secret in (session["session_token"], token, "acme_globex0123456789") if secret in text] == []


async def test_unknown_end_user_and_another_organization_s_end_user_are_not_found(
    application: Application, client: Client
) -> None:
    await client.connect()
    other = application.client(await application.key(await application.organization("Southwind")))
    for caller, user in ((client, "nobody"), (client, "a%00b"), (other, "user_123")):
        answer = await caller.get(f"{PATH}/{user}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), user
