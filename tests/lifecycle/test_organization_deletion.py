"""The deletion of an organization: every row is deleted, every token is queued for revocation, servers continue."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import pytest
import pytest_asyncio

from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.errors import NotFound
from one_runtime.lifecycle import organization_deletion
from one_runtime.lifecycle.organization_deletion import DeletedOrganization
from one_runtime.serving.periodic_tasks import PERIODIC_TASKS
from one_runtime.settings import Settings
from one_runtime.tenancy import organizations
from one_runtime.tokens import revocation
from tests import oauth_rows
from tests.application import Application, RunningAcme, started
from tests.connecting.acme import AcmeAuthorizing
from tests.organization_rows import OWNED, OrganizationRows, count_rows, fill, queued_tokens
from tests.promises.stores import every_row, query
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P9")


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme) -> AsyncIterator[Application]:
    """Run the application without a worker, because a worker would send the queued revocations."""
    async with started(settings, acme, worker=False) as application:
        yield application


async def delete(application: Application, organization_id: str, batch: int = 100) -> DeletedOrganization:
    return await organization_deletion.delete(application.installation, organization_id, "alice", batch=batch)


def rows_of_others(application: Application, organization_id: str) -> dict[str, list[str]]:
    rows = every_row(application.installation)
    return {table: [row for row in rows[table] if organization_id not in row] for table in rows}


@pytest.mark.parametrize("batch", [1, 100])
async def test_every_table_with_an_organization_id_is_emptied_and_every_token_is_queued(
    application: Application, batch: int
) -> None:
    installation = application.installation
    northwind, tokens = await fill(installation, "Northwind", 3)
    southwind, _ = await fill(installation, "Southwind")
    identifier = northwind.organization_id
    await oauth_rows.client(northwind.place, "unused client", "secret", oauth_rows.NOT_REVOCABLE)
    before = await count_rows(installation, identifier)
    assert before.keys() == {table.name for table in OWNED}, "this test needs a row in each table"
    others = rows_of_others(application, identifier)

    result = await delete(application, identifier, batch)
    assert await queued_tokens(installation, identifier) == sorted(tokens)
    kept = {"revocations": len(tokens), "oauth_clients": 2, "custom_integrations": 1}
    assert await count_rows(installation, identifier) == kept
    assert (result.display_name, result.complete, result.pending_revocations) == ("Northwind", False, len(tokens))
    assert result.rows["connections"] == before["connections"] == 4
    assert result.rows["end_users"] == before["end_users"]
    assert result.rows["api_keys"] == before["api_keys"]
    assert result.rows["requests"] == before["requests"]
    (row,) = query(installation, f"SELECT display_name FROM organizations WHERE id = '{identifier}'")
    assert row == ("",)

    assert await organization_deletion.finish_all(installation) == 0
    assert await count_rows(installation, identifier) == kept, "the command can still run"
    application.clock.advance(hours=2)
    assert await organization_deletion.finish_all(installation) == 0
    assert await count_rows(installation, identifier) == {**kept, "oauth_clients": 1}, "no revocation needs the other"
    query(installation, f"DELETE FROM revocations WHERE organization_id = '{identifier}'")
    assert await organization_deletion.finish_all(installation) == 1
    assert await count_rows(installation, identifier) == {}
    assert query(installation, f"SELECT id FROM organizations WHERE id = '{identifier}'") == []
    assert rows_of_others(application, identifier) == others
    named = {table for table, rows in every_row(installation).items() if any(identifier in row for row in rows)}
    assert named == {"installation_events"}
    assert (await count_rows(installation, southwind.organization_id)).keys() == before.keys()


async def test_organization_without_tokens_is_deleted_completely_at_once(application: Application) -> None:
    organization = await application.organization()
    await application.key(organization)
    result = await delete(application, organization)
    assert (result.complete, dict(result.rows)) == (True, {"api_keys": 1, "events": 1})
    assert query(application.installation, "SELECT id FROM organizations") == []
    with pytest.raises(NotFound):
        await delete(application, organization)


async def test_worker_revokes_the_grants_and_deletes_the_rest(runtime: AcmeAuthorizing) -> None:
    await runtime.connect()
    installation = runtime.application.installation
    organization = (await runtime.client.get("/v1/organization")).json()["id"]
    assert (await delete(runtime.application, organization)).pending_revocations == 1
    assert await revocation.revoke_due(installation) == 1
    assert runtime.revoke_all_grants() == 0, "Acme has already revoked the grant"
    runtime.application.clock.advance(hours=2)
    (task,) = [task for task in PERIODIC_TASKS if task.name == "purge_organizations"]
    assert await task.work(installation) == 1
    assert query(installation, "SELECT id FROM organizations") == []


async def test_keys_and_sessions_are_refused_from_the_first_moment_and_other_organizations_are_served(
    application: Application,
) -> None:
    installation = application.installation
    northwind, southwind = await application.organization("Northwind"), await application.organization("Southwind")
    client = application.client(await application.key(northwind))
    other = application.client(await application.key(southwind))
    for _ in range(3):
        await client.session()
    session = await client.session()
    await organization_deletion.begin(installation, northwind, "alice")
    assert (await client.get("/v1/organization")).status_code == 401
    assert (await client.popup("", session["session_token"])).status_code in {401, 404}
    async with installation.database.read() as tx:
        assert [organization.id for organization in await organizations.list_all(tx)] == [southwind]
        with pytest.raises(NotFound):
            await organizations.get(tx, northwind)

    deletion = asyncio.create_task(delete(application, northwind, 1))
    answers = []
    while not deletion.done():
        answers.append((await other.session()).keys() >= {"session_token"})
        await asyncio.sleep(0)
    assert (await deletion).display_name is None, "an earlier run began the deletion"
    assert answers
    assert (await other.get("/v1/organization")).status_code == 200
    assert await count_rows(installation, northwind) == {}


class CrashingClock:
    """A clock that fails at its thirtieth call, in the transaction of a connection."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> datetime:
        self.calls += 1
        if self.calls == 30:
            raise RuntimeError("the process crashed")
        return system_clock()


async def test_interrupted_deletion_continues_and_queues_each_token_once(application: Application) -> None:
    installation = application.installation
    northwind, tokens = await fill(installation, "Northwind", 20)
    identifier = northwind.organization_id
    with pytest.raises(RuntimeError, match="crashed"):
        await organization_deletion.delete(replace(installation, clock=CrashingClock()), identifier, "alice", batch=1)
    assert 1 < (await count_rows(installation, identifier))["connections"] < 20
    result = await delete(application, identifier)
    assert (result.display_name, result.pending_revocations) == (None, len(tokens))
    assert await queued_tokens(installation, identifier) == sorted(tokens)


@pytest.mark.only_database("postgresql")
async def test_account_that_a_running_request_connects_is_deleted_too(application: Application) -> None:
    installation, organization = application.installation, await application.organization()
    place = oauth_rows.Place(installation.database, installation.vault, organization)
    rows = OrganizationRows(installation, organization, await oauth_rows.client(place, "client", "secret"))
    await organization_deletion.begin(installation, organization, "alice")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with installation.database.write() as tx:
        vault, catalogs, now = installation.vault, installation.catalogs, application.clock()
        await connections.create_or_replace(tx, vault, catalogs, rows.actor, rows.new("late", "late token"), now)
        deletion = asyncio.create_task(delete(application, organization))
        await eventually(lambda: query(installation, waiting) != [(0,)])
    result = await deletion
    assert await queued_tokens(installation, organization) == ["late token"]
    assert (result.rows["connections"], result.pending_revocations) == (1, 1)
