"""`client_credentials` against django-oauth-toolkit: the customer enters id and secret, One Runtime gets tokens."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from one_runtime.connections import credentials
from one_runtime.connections.credentials import ConnectionKey
from tests.application import RunningAcme
from tests.foreign.connecting import Connecting, connecting
from tests.foreign.plain_client import PlainClient
from tests.foreign.providers import OAuthClient, Provider

pytestmark = pytest.mark.foreign


@pytest_asyncio.fixture
async def runtime(database_url: str, acme: RunningAcme, django_provider: Provider) -> AsyncIterator[Connecting]:
    async with connecting(database_url, acme, django_provider) as runtime:
        yield runtime


def typed(service: OAuthClient) -> dict[str, object]:
    """Return the input of the end user in the popup."""
    pair = {"client_id": service.client_id, "client_secret": service.client_secret}
    return {"auth_type": "client_credentials", "credentials": pair}


async def test_service_is_connected_by_its_own_client_and_its_tokens_are_renewed(runtime: Connecting) -> None:
    service = runtime.provider.register_service()
    token = (await runtime.session(auth_type="client_credentials"))["session_token"]
    connected = await runtime.client.popup("/connect", token, typed(service))
    assert connected.status_code == 200, connected.text
    connection_id = connected.json()["connection_id"]
    first = await runtime.token(connection_id)
    runtime.application.clock.advance(hours=1)
    second = await runtime.token(connection_id)
    assert second != first
    async with PlainClient(runtime.provider, service) as plain:
        assert (await plain.whoami(second)).account_id == "the-client-itself"
    connection = (await runtime.client.get(f"/v1/connections/{connection_id}")).text
    credentials_text = (await runtime.client.get(f"/v1/connections/{connection_id}/credentials")).text
    assert service.client_secret not in connection + credentials_text


async def test_wrong_secret_is_refused_with_the_providers_reason_and_nothing_is_stored(runtime: Connecting) -> None:
    service = runtime.provider.register_service()
    wrong = OAuthClient(service.client_id, "a-secret-that-is-another", "")
    token = (await runtime.session(auth_type="client_credentials"))["session_token"]
    refused = await runtime.client.popup("/connect", token, typed(wrong))
    assert (refused.status_code, refused.json()["code"]) == (422, "credentials_refused")
    assert refused.json()["provider_reason"] == "invalid_client"
    assert (await runtime.client.get("/v1/connections")).json()["connections"] == []
    assert (await runtime.client.popup("/connect", token, typed(service))).status_code == 200


async def test_service_needs_reauth_after_its_client_is_refused(runtime: Connecting) -> None:
    service = runtime.provider.register_service()
    body = {"integration_slug": runtime.slug, "end_user_id": "user_123", **typed(service)}
    created = await runtime.client.post("/v1/connections", body)
    assert created.status_code == 201, created.text
    path = f"/v1/connections/{created.json()['id']}"
    checked = await runtime.client.post(f"{path}/check")
    assert checked.json()["working"] is True
    await forget_secret(runtime, created.json()["id"])
    refused = await runtime.client.post(f"{path}/refresh")
    assert (refused.status_code, refused.json()["code"]) == (409, "needs_reauth")
    connection = (await runtime.client.get(path)).json()
    assert (connection["status"], connection["error"]["code"]) == ("needs_reauth", "client_refused")


async def forget_secret(runtime: Connecting, connection_id: str) -> None:
    """Replace the client's secret at the provider, so that the stored secret is wrong."""
    installation = runtime.application.installation
    organization = (await runtime.client.get("/v1/organization")).json()["id"]
    async with installation.database.write() as tx:
        owner = ConnectionKey(organization, connection_id)
        held = await credentials.load(tx, installation.vault, owner, lock=True)
        stale = {**held.secrets, "client_secret": "of-yesterday"}
        await credentials.store(tx, installation.vault, owner, stale, held.token_metadata)
