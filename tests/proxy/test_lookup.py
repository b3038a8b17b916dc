"""Look-up of proxy calls: API key, scope, connection."""

import pytest

from one_runtime.proxy import lookup
from one_runtime.proxy.lookup import ConnectionSelector
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.authentication import PresentedKey, Principal, read_principal
from tests.proxy.relay import KEY, Relay


async def test_missing_key_scope_or_connection_is_refused(relay: Relay) -> None:
    relay.key, right = "oru_junk", relay.key
    assert (await relay.call("GET")).status == 401
    relay.key = await relay.application.key(relay.organization, "read", "connect")
    refused = await relay.call("GET")
    assert (refused.status, refused.problem) == (403, "insufficient_scope")
    relay.key = right
    for slug, user, status, code in (
        ("nothing", "user_123", 404, "not_found"),
        ("x-nothing", "user_123", 404, "not_found"),
        ("granted", "user_123", 409, "connect_required"),
        ("raw", "nobody", 409, "connect_required"),
        ("raw", None, 422, "invalid_input"),
    ):
        answer = await relay.call("GET", slug=slug, user=user)
        assert (answer.status, answer.problem) == (status, code), slug
    assert relay.upstream.arrived == []


async def test_principal_of_a_proxy_call_is_its_api_key(relay: Relay) -> None:
    installation, key = relay.application.installation, PresentedKey.recognize(relay.key)
    assert key is not None
    principals = list[Principal]()
    await lookup.load(installation, key, ConnectionSelector("raw", "user_123", None), principals.append)
    async with installation.database.read() as tx:
        assert principals == [await read_principal(tx, key)]


@pytest.mark.promise("P1")
async def test_connection_of_another_organization_is_not_found(relay: Relay) -> None:
    (mine, *_) = (await relay.client.get("/v1/connections", integration_slug="raw")).json()["connections"]
    relay.key = await relay.application.key(await relay.application.organization("Southwind"))
    for user, header in (("user_123", "X: 1"), (None, f"One-Runtime-Connection: {mine['id']}")):
        answer = await relay.call("GET", "/x", header, user=user)
        assert (answer.status, answer.problem) == (409, "connect_required")
    assert relay.upstream.arrived == []


async def test_newest_active_connection_is_used_unless_an_id_is_given(relay: Relay) -> None:
    client = relay.client
    body = {"integration_slug": "raw", "end_user_id": "user_123", "auth_type": "api_key", "check": False}
    second = (
        await client.post("/v1/connections", {**body, "credentials": {"api_key": "second"}, "multiple": True})
    ).json()
    answer = await relay.call("GET")
    assert answer.named(b"one-runtime-connection") == [second["id"].encode()]
    assert relay.last.named(b"x-key") == [b"second"]
    listed = (await client.get("/v1/connections", integration_slug="raw")).json()["connections"]
    first = next(connection["id"] for connection in listed if connection["id"] != second["id"])
    for user in ("user_123", None):
        named = await relay.call("GET", "/x", f"One-Runtime-Connection: {first}", user=user)
        assert named.named(b"one-runtime-connection") == [first.encode()]
        assert relay.last.named(b"x-key") == [KEY.encode()]
    for header in (f"One-Runtime-Connection: {first}", "One-Runtime-Connection: none"):
        wrong = await relay.call("GET", "/x", header, user="somebody")
        assert (wrong.status, wrong.problem) == (409, "connect_required")


@pytest.mark.promise("P2")
async def test_revoked_key_is_refused(relay: Relay) -> None:
    assert (await relay.call("GET")).status == 200
    async with relay.application.installation.database.write() as tx:
        await api_keys.revoke(tx, "_".join(relay.key.split("_")[:2]), relay.application.clock())
    assert (await relay.call("GET")).status == 401
    assert len(relay.upstream.arrived) == 1
