"""The proxy in front of programs of third parties, with credentials that are right, wrong and revoked."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import pytest
import pytest_asyncio

from one_runtime.catalog.request import ConnectionValues, build_check
from tests.application import JSON, PUBLIC_URL, RunningAcme
from tests.foreign.connecting import Connecting, connecting
from tests.foreign.plain_client import PlainClient
from tests.foreign.providers import VENDORS, Provider

pytestmark = pytest.mark.foreign


@pytest_asyncio.fixture
async def runtime(database_url: str, acme: RunningAcme, django_provider: Provider) -> AsyncIterator[Connecting]:
    async with connecting(database_url, acme, django_provider) as runtime:
        yield runtime


async def call(runtime: Connecting, path: str, method: str = "GET", body: bytes | None = None) -> httpx2.Response:
    headers = {"One-Runtime-End-User": "user_123"} | ({} if body is None else JSON)
    return await runtime.client.http.request(method, f"/v1/proxy/{runtime.slug}{path}", headers=headers, content=body)


async def directly(provider: Provider, token: str) -> httpx2.Response:
    """Send the entry's check request directly to the provider."""
    check = build_check(provider.auth, ConnectionValues({}, {"access_token": token}))
    async with httpx2.AsyncClient(verify=False) as plain:
        return await plain.request(check.method, check.url, headers=dict(check.headers), content=check.body)


@asynccontextmanager
async def registered_client(runtime: Connecting) -> AsyncIterator[PlainClient]:
    """Register a client that One Runtime uses too, so that a test can revoke its tokens."""
    client = runtime.provider.register_client(f"{PUBLIC_URL}/connect/callback/{runtime.slug}")
    body = {"client_id": client.client_id, "client_secret": client.client_secret}
    answer = await runtime.client.send("PUT", f"/v1/integrations/{runtime.slug}/oauth-client", body)
    assert answer.status_code == 200, answer.text
    async with PlainClient(runtime.provider, client) as plain:
        yield plain


async def test_proxy_calls_the_api_as_the_connected_account(runtime: Connecting) -> None:
    connection = await runtime.connect()
    answer = await call(runtime, "/me")
    assert (answer.status_code, answer.json()["email"]) == (200, connection["account"]["label"])
    assert (await call(runtime, "/no-such-page")).status_code == 404
    assert "one-runtime-error" not in (await call(runtime, "/no-such-page")).headers


async def test_token_revoked_at_the_provider_is_renewed_once_and_the_call_repeated(
    database_url: str, acme: RunningAcme, emulated: Mapping[str, Provider]
) -> None:
    async with connecting(database_url, acme, emulated["okta"]) as runtime, registered_client(runtime) as plain:
        connection = await runtime.connect()
        token = await runtime.token(connection["id"])
        await plain.revoke(token, "access_token")
        answer = await call(runtime, "/oauth2/v1/userinfo")
        assert (answer.status_code, answer.headers["one-runtime-attempts"]) == (200, "2")
        assert await runtime.token(connection["id"]) != token


async def test_connection_needs_reauth_after_the_grant_was_revoked_at_the_provider(runtime: Connecting) -> None:
    async with registered_client(runtime) as plain:
        connection = await runtime.connect()
        await plain.revoke(await runtime.token(connection["id"]), "access_token")  # ends Django's grant
        answer = await call(runtime, "/me")
        assert (answer.status_code, answer.headers["one-runtime-error"]) == (409, "connect_required")
        refused = (await runtime.client.get(f"/v1/connections/{connection['id']}")).json()
        assert refused["status"] == "needs_reauth"


async def test_refusal_of_a_wrong_token_is_passed_on_unchanged(runtime: Connecting) -> None:
    body = {"integration_slug": runtime.slug, "end_user_id": "user_123", "auth_type": "oauth2", "check": False}
    created = await runtime.client.post("/v1/connections", {**body, "credentials": {"access_token": "wrong"}})
    assert created.status_code == 201, created.text
    answer = await call(runtime, "/me")
    without_us = await directly(runtime.provider, "wrong")
    assert (answer.status_code, answer.content) == (without_us.status_code, without_us.content)
    assert "one-runtime-error" not in answer.headers


@pytest.mark.parametrize("vendor", VENDORS)
async def test_each_vendors_response_is_the_same_as_without_the_proxy(
    database_url: str, acme: RunningAcme, emulated: Mapping[str, Provider], vendor: str
) -> None:
    provider = emulated[vendor]
    check = build_check(provider.auth, ConnectionValues({}, {"access_token": ""}))
    path = check.url.removeprefix(provider.auth.base_url)
    async with connecting(database_url, acme, provider) as runtime:
        token = await runtime.token((await runtime.connect())["id"])
        answer = await call(runtime, path, check.method, check.body)
    assert (answer.status_code, answer.json()) == (200, (await directly(provider, token)).json())
