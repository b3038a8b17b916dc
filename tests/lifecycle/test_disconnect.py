"""Disconnect where it meets other requests, tokens that cannot be opened, and more connections than one batch (P9)."""

import asyncio
from typing import Final

import pytest

from one_runtime.connections import connections
from one_runtime.connections.connections import NewConnection
from one_runtime.connections.credentials import ProviderAccount
from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.errors import NotFound
from one_runtime.integrations import custom
from one_runtime.lifecycle import disconnect
from one_runtime.tenancy.events import Actor
from tests.billing import SLUG, Billing, register
from tests.connecting.acme import AcmeAuthorizing
from tests.promises.stores import query

pytestmark = pytest.mark.promise("P9")

END_USER: Final = "user_123"


async def actor_of(runtime: AcmeAuthorizing) -> Actor:
    organization = (await runtime.client.get("/v1/organization")).json()
    return Actor(organization["id"], "system")


async def test_each_connection_is_deleted_and_counted_by_one_of_two_concurrent_requests(
    runtime: AcmeAuthorizing,
) -> None:
    ids = {(await runtime.connect(account, multiple=True))["id"] for account in (GLOBEX, INITECH)}
    installation, actor = runtime.application.installation, await actor_of(runtime)
    results = await asyncio.gather(
        *(disconnect.disconnect(installation, actor, runtime.slug, END_USER) for _ in range(2))
    )
    disconnected = [connection for result in results for connection in result]
    assert sorted(connection.connection.id for connection in disconnected) == sorted(ids)
    assert {result.outcome for connection in disconnected for result in connection.revocations} == {"revoked"}
    assert runtime.revoke_all_grants(GLOBEX) + runtime.revoke_all_grants(INITECH) == 0
    assert query(installation, "SELECT id FROM revocations") == []


async def test_a_connection_whose_tokens_cannot_be_opened_is_deleted_and_reported_as_not_revoked(
    runtime: AcmeAuthorizing,
) -> None:
    connection = await runtime.connect()
    installation = runtime.application.installation
    query(installation, f"UPDATE credentials SET version = version + 1 WHERE connection_id = '{connection['id']}'")
    disconnected = await disconnect.delete_connection(installation, await actor_of(runtime), connection["id"])
    assert [(result.token, result.outcome, result.reason) for result in disconnected.revocations] == [
        (None, "failed", "One Runtime cannot decrypt the stored tokens.")
    ]
    assert await runtime.connections() == []


async def test_a_connection_of_another_organization_is_not_deleted(runtime: AcmeAuthorizing) -> None:
    connection = await runtime.connect()
    other = Actor(await runtime.application.organization("Southwind"), "system")
    with pytest.raises(NotFound):
        await disconnect.delete_connection(runtime.application.installation, other, connection["id"])
    assert await disconnect.disconnect(runtime.application.installation, other, runtime.slug, END_USER) == []
    assert len(await runtime.connections()) == 1


async def test_an_integration_is_deleted_with_more_connections_than_one_batch(billing: Billing) -> None:
    client = await billing.organization()
    await register(client)
    installation = billing.application.installation
    organization = (await client.get("/v1/organization")).json()["id"]
    actor, vault, catalogs = Actor(organization, "system"), installation.vault, installation.catalogs
    async with installation.database.write() as tx:
        for number in range(201):
            account = NewConnection(f"user_{number}", SLUG, "api_key", None, {}, {}, ProviderAccount(), {})
            await connections.create_or_replace(tx, vault, catalogs, actor, account, installation.clock())
    await disconnect.delete_integration(installation, actor, SLUG)
    assert query(installation, "SELECT id FROM connections") == []
    with pytest.raises(NotFound):
        async with installation.database.read() as tx:
            await custom.get(tx, organization, SLUG)
