"""Look-up of proxy calls: API key, scope, connection."""

import json

import pytest

from one_runtime.connections import connections
from one_runtime.proxy import lookup
from one_runtime.proxy.lookup import ConnectionSelector
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.authentication import PresentedKey, Principal, read_principal
from one_runtime.tenancy.events import Actor
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


async def add_second(relay: Relay) -> tuple[str, str]:
    """Connect a second account, whose key is `second`. Return the ids of both connections."""
    client = relay.client
    body = {"integration_slug": "raw", "end_user_id": "user_123", "auth_type": "api_key", "check": False}
    added = await client.post("/v1/connections", {**body, "credentials": {"api_key": "second"}, "multiple": True})
    second: str = added.json()["id"]
    listed = (await client.get("/v1/connections", integration_slug="raw")).json()["connections"]
    return next(connection["id"] for connection in listed if connection["id"] != second), second


async def allow_defaults(relay: Relay) -> None:
    answer = await relay.client.send("PATCH", "/v1/organization", {"several_connections": "use_default"})
    assert answer.status_code == 200


@pytest.mark.promise("P15")
async def test_call_that_names_none_of_several_connections_is_refused_with_the_list(relay: Relay) -> None:
    first, second = await add_second(relay)
    refused = await relay.call("GET")
    assert (refused.status, refused.problem) == (409, "several_connections")
    assert [choice["id"] for choice in json.loads(refused.body)["connections"]] == [second, first]
    assert relay.upstream.arrived == []
    await relay.client.send("PATCH", f"/v1/connections/{first}", {"is_default": True})
    assert (await relay.call("GET")).problem == "several_connections", "the organization does not allow defaults"
    await relay.client.send("PATCH", f"/v1/connections/{first}", {"is_default": False})
    await allow_defaults(relay)
    assert (await relay.call("GET")).problem == "several_connections", "no connection is the default"
    assert relay.upstream.arrived == []


@pytest.mark.promise("P15")
async def test_default_connection_is_used_if_the_organization_allows_it(relay: Relay) -> None:
    first, second = await add_second(relay)
    await allow_defaults(relay)
    for chosen, key in ((first, KEY), (second, "second")):
        await relay.client.send("PATCH", f"/v1/connections/{chosen}", {"is_default": True})
        answer = await relay.call("GET")
        assert answer.named(b"one-runtime-connection") == [chosen.encode()]
        assert relay.last.named(b"x-key") == [key.encode()]
        listed = (await relay.client.get("/v1/connections", integration_slug="raw")).json()["connections"]
        assert [connection["id"] for connection in listed if connection["is_default"]] == [chosen]


@pytest.mark.promise("P15")
async def test_broken_default_connection_is_not_replaced_by_another_account(relay: Relay) -> None:
    first, second = await add_second(relay)
    actor = Actor(relay.organization, "system")
    async with relay.application.installation.database.write() as tx:
        lapsed = await connections.get(tx, relay.organization, second)
        await connections.mark_needs_reauth(tx, actor, lapsed, "credentials_refused", "No.", relay.application.clock())
    answer = await relay.call("GET")
    assert answer.named(b"one-runtime-connection") == [first.encode()], "one account works, so there is no choice"
    await allow_defaults(relay)
    await relay.client.send("PATCH", f"/v1/connections/{second}", {"is_default": True})
    refused = await relay.call("GET")
    assert (refused.status, refused.problem) == (409, "connect_required")
    assert len(relay.upstream.arrived) == 1


async def test_connection_is_selected_by_its_id(relay: Relay) -> None:
    first, _ = await add_second(relay)
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
