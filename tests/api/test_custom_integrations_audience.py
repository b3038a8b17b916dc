"""Credentials of a custom integration are never sent to a destination that changed afterwards (P7)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from one_runtime.catalog import organization_catalogs
from one_runtime.connecting import popup
from one_runtime.connecting.authorization import (
    AuthorizationRedirect,
    CallbackResult,
    handle_callback,
    prepare_authorization,
    start_authorization,
)
from one_runtime.connecting.popup import SubmittedForm
from one_runtime.connections import pending_revocations
from one_runtime.integrations import custom, oauth_clients
from one_runtime.tokens.revocation import revoke_due
from tests.application import Client
from tests.billing import ENTRY, KEY, OAUTH, PATH, SLUG, Billing, connect, import_tokens, register, with_client
from tests.egress.upstream import answer
from tests.purging import purge

pytestmark = [pytest.mark.promise("P7"), pytest.mark.slow]

WHOLE: Final = ENTRY + OAUTH
OTHER_TOKENS: Final = WHOLE.replace("id.acme.com/token", "id2.acme.com/token")
OTHER_REVOCATION: Final = WHOLE.replace("id.acme.com/revoke", "id2.acme.com/revoke")
OTHER_HOST: Final = WHOLE.replace("billing.acme.com", "elsewhere.acme.com")


async def assert_refused(client: Client, connection: dict[str, Any]) -> None:
    """Assert that refresh, credentials and check all refuse the connection."""
    path = f"/v1/connections/{connection['id']}"
    for method, step in (("POST", "refresh"), ("GET", "credentials")):
        response = await client.send(method, f"{path}/{step}")
        assert (response.status_code, response.json()["code"]) == (409, "needs_reauth"), step
    assert (await client.post(f"{path}/check")).json()["working"] is False


async def start(billing: Billing, client: Client, token: str) -> AuthorizationRedirect:
    """Start an authorization: the browser goes to the provider."""
    installation = billing.application.installation
    await client.popup("", token)
    view = await popup.load_view(installation, token, opening=False)
    _, ticket = await prepare_authorization(installation, view, SubmittedForm("oauth2"))
    return await start_authorization(installation, ticket.secret)


async def call_back(billing: Billing, redirect: AuthorizationRedirect) -> CallbackResult:
    """Send the browser back with a code, and with its cookie."""
    state = parse_qs(urlsplit(redirect.url).query)["state"][0]
    query = f"state={state}&code=good-code".encode()
    return await handle_callback(billing.application.installation, SLUG, query, lambda _: redirect.binding, None)


async def test_tokens_are_refreshed_at_the_unchanged_token_endpoint(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    connection = await import_tokens(client)
    renewed = await client.post(f"/v1/connections/{connection['id']}/refresh")
    assert renewed.status_code == 200, renewed.text
    held = await client.get(f"/v1/connections/{connection['id']}/credentials")
    assert held.json()["credentials"]["access_token"] == "at-1"
    assert (await client.post(f"/v1/connections/{connection['id']}/check")).json()["working"] is True
    assert "id.acme.com/token" in billing.reached


@pytest.mark.parametrize("text", [OTHER_TOKENS, OTHER_REVOCATION, OTHER_HOST], ids=["tokens", "revocation", "host"])
async def test_tokens_are_not_sent_to_a_changed_host(billing: Billing, text: str) -> None:
    client = await billing.organization()
    await with_client(client)
    connection = await import_tokens(client)
    request_count = len(billing.reached)
    assert (await register(client, text))["invalidated_connections"] == 1
    await assert_refused(client, connection)
    await client.post("/v1/disconnect", {"integration_slug": SLUG, "end_user_id": "user_123"})
    assert billing.reached[request_count:] == []


async def test_change_of_the_consent_pages_host_alone_keeps_the_connections(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    connection = await import_tokens(client)
    moved = await register(client, WHOLE.replace("id.acme.com/authorize", "id2.acme.com/authorize"))
    assert (moved["invalidated_connections"], moved["warnings"]) == (0, [])
    renewed = await client.post(f"/v1/connections/{connection['id']}/refresh")
    assert (renewed.status_code, renewed.json()["status"]) == (200, "active")


async def test_tokens_are_not_sent_to_a_known_host_with_another_purpose(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    connection = await import_tokens(client)
    request_count = len(billing.reached)
    swapped = (
        OAUTH.replace("id.acme.com", "-").replace("billing.acme.com", "id.acme.com").replace("-/", "billing.acme.com/")
    )
    assert (await register(client, ENTRY + swapped))["invalidated_connections"] == 1
    await assert_refused(client, connection)
    assert billing.reached[request_count:] == []


CHECK: Final = "      path: /me\n"
MOVED: Final[dict[str, Callable[[str], str]]] = {
    "base host": lambda text: text.replace("billing.acme.com", "elsewhere.acme.com"),
    "port": lambda text: text.replace("billing.acme.com", "billing.acme.com:8443"),
    "check host": lambda text: text.replace(CHECK, "      url: https://elsewhere.acme.com/me\n"),
    "more base host": lambda text: text.replace(
        "    send:", "    more_base_urls: ['https://elsewhere.acme.com']\n    send:"
    ),
    "send header name": lambda text: text.replace("Authorization: Bearer {api_key}", "X-Other: '{api_key}'"),
    "send to query": lambda text: text.replace(
        "      headers:\n        Authorization: Bearer {api_key}", "      query: {k: '{api_key}'}"
    ),
    "key in check path": lambda text: text.replace(CHECK, "      path: /me/{api_key}\n"),
    "key in check query": lambda text: text.replace(CHECK, f"{CHECK}      query: {{k: '{{api_key}}'}}\n"),
    "key in check header": lambda text: text.replace(CHECK, f"{CHECK}      headers: {{X-Z: '{{api_key}}'}}\n"),
    "key in base path": lambda text: text.replace("com/v1", "com/v1/{api_key}"),
    "key in more base path": lambda text: text.replace(
        "    send:", "    more_base_urls: ['https://billing.acme.com/v1/{api_key}']\n    send:"
    ),
}
KEPT: Final[dict[str, Callable[[str], str]]] = {
    "path only": lambda text: text.replace("com/v1", "com/elsewhere"),
    "identity": lambda text: text.replace("id: id\n", "id: echo\n"),
    "constant header": lambda text: text.replace("    send:", "    headers: {X-Const: '1'}\n    send:"),
}


async def call(client: Client) -> httpx2.Response:
    return await client.http.get(f"/v1/proxy/{SLUG}/echo", headers={"One-Runtime-End-User": "user_123"})


@pytest.mark.parametrize("change", MOVED.values(), ids=MOVED.keys())
async def test_stored_key_is_not_sent_to_another_place(billing: Billing, change: Callable[[str], str]) -> None:
    client = await billing.organization()
    await register(client)
    connection = await connect(client)
    request_count = len(billing.reached)
    assert change(ENTRY) != ENTRY
    assert (await register(client, change(ENTRY)))["invalidated_connections"] == 1
    assert (await client.get(f"/v1/connections/{connection['id']}")).json()["status"] == "needs_reauth"
    called = await call(client)
    assert (called.status_code, called.json()["code"]) == (409, "connect_required")
    assert billing.reached[request_count:] == []


@pytest.mark.parametrize("change", KEPT.values(), ids=KEPT.keys())
async def test_stored_key_is_sent_to_the_same_place(billing: Billing, change: Callable[[str], str]) -> None:
    client = await billing.organization()
    await register(client)
    await connect(client)
    assert change(ENTRY) != ENTRY
    assert (await register(client, change(ENTRY)))["invalidated_connections"] == 0
    assert (await call(client)).status_code == 200
    assert billing.upstream.requests[-1].header("authorization") == f"Bearer {KEY}"


@pytest.mark.promise("P1")
async def test_change_of_an_integration_keeps_the_connections_of_other_organizations(billing: Billing) -> None:
    client, other = await billing.organization(), await billing.organization("Southwind")
    for organization in (client, other):
        await register(organization)
        await connect(organization)
    assert (await register(client, MOVED["key in base path"](ENTRY)))["invalidated_connections"] == 1
    assert (await call(client)).status_code == 409
    assert (await call(other)).status_code == 200
    assert billing.upstream.requests[-1].target == "/v1/echo"


async def test_connection_stays_invalidated_when_the_destination_is_restored(billing: Billing) -> None:
    client = await billing.organization()
    await register(client)
    connection = await connect(client)
    request_count = len(billing.reached)
    await register(client, ENTRY.replace("billing.acme.com", "elsewhere.acme.com"))
    await register(client)
    await assert_refused(client, connection)
    assert billing.reached[request_count:] == []


async def test_response_warns_that_the_oauth_client_was_deleted(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    integration = await register(client, OTHER_TOKENS)
    assert [warning.partition(".")[0] for warning in integration["warnings"]] == [
        f"One Runtime deleted the OAuth client of {SLUG}"
    ]


async def test_connections_are_invalidated_in_several_batches(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom, "_BATCH", 2)
    client = await billing.organization()
    await register(client)
    for number in range(5):
        await connect(client, f"user-{number}", check=False)
    moved = await register(client, ENTRY.replace("billing.acme.com", "elsewhere.acme.com"))
    assert moved["invalidated_connections"] == 5
    statuses = {connection["status"] for connection in (await client.get("/v1/connections")).json()["connections"]}
    assert statuses == {"needs_reauth"}


async def test_pending_revocation_is_not_sent_to_a_changed_endpoint(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    await import_tokens(client)
    billing.upstream.answers["/revoke"] = answer(503)
    gone = await client.post("/v1/disconnect", {"integration_slug": SLUG, "end_user_id": "user_123"})
    assert {revocation["outcome"] for revocation in gone.json()["revocations"]} == {"failed"}
    await register(client, OTHER_REVOCATION)
    request_count = len(billing.reached)
    billing.application.clock.advance(hours=2)
    assert await revoke_due(billing.application.installation) == 1
    assert billing.reached[request_count:] == []


@pytest.mark.promise("P9")
async def test_tokens_of_a_deleted_integration_are_revoked(billing: Billing) -> None:
    client, installation = await billing.organization(), billing.application.installation
    await with_client(client)
    await import_tokens(client)
    billing.upstream.answers["/revoke"] = answer(503)
    deleted = await client.send("DELETE", f"{PATH}/{SLUG}?delete_connections=true")
    assert deleted.json()["revocation_counts"] == {"revoked": 0, "failed": 2, "not_supported": 0}
    assert (await client.get(f"{PATH}/{SLUG}")).status_code == 404
    billing.upstream.answers["/revoke"] = answer(200, body=b"{}")
    request_count = len(billing.reached)
    billing.application.clock.advance(hours=2)
    assert await revoke_due(installation) == 1
    assert set(billing.reached[request_count:]) == {"id.acme.com/revoke"}
    billing.application.clock.advance(days=31)
    await purge(installation)
    async with installation.database.read() as tx:
        organization = (await client.get("/v1/organization")).json()["id"]
        assert await organization_catalogs.find_last(tx, organization, SLUG) is None


async def test_key_typed_before_the_destination_changed_is_refused(billing: Billing) -> None:
    client = await billing.organization()
    await register(client)
    token = (await client.session(integration_slug=SLUG))["session_token"]
    assert (await client.popup("", token)).status_code == 200
    billing.application.clock.advance(seconds=5)
    await register(client, ENTRY.replace("billing.acme.com", "elsewhere.acme.com"))
    typed = await client.type_key(token, "bk_0123456789abcdef")
    assert (typed.status_code, typed.json()["code"]) == (409, "integration_changed")
    assert billing.reached == []
    again = (await client.session(integration_slug=SLUG))["session_token"]
    assert (await client.type_key(again, "bk_0123456789abcdef")).status_code == 200


async def test_callback_after_the_token_endpoint_changed_is_refused(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    token = (await client.session(integration_slug=SLUG))["session_token"]
    redirect = await start(billing, client, token)
    await with_client(client, OTHER_TOKENS)
    back = await call_back(billing, redirect)
    assert back.problem is not None
    assert "was changed during the authorization" in back.problem.detail
    again = await call_back(billing, redirect)
    assert again.problem is not None
    assert "has no such pending authorization" in again.problem.detail, "the state is used up"
    assert billing.reached == []
    session = (await client.get("/v1/hosted-connection-sessions/" + await session_of(client))).json()
    assert "changed during the authorization" in session["last_error"]["message"]


async def session_of(client: Client) -> str:
    events = (await client.get("/v1/events", type="hosted_connection_session.created")).json()["events"]
    session_id: str = events[0]["data"]["session_id"]
    return session_id


async def test_callback_with_an_unchanged_integration_connects(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    token = (await client.session(integration_slug=SLUG))["session_token"]
    redirect = await start(billing, client, token)
    await register(client, WHOLE.replace("Invoices of", "Bills of"))
    back = await call_back(billing, redirect)
    assert back.problem is None, back.problem
    assert "id.acme.com/token" in billing.reached
    (connection,) = (await client.get("/v1/connections")).json()["connections"]
    billing.application.clock.advance(hours=2)
    held = await client.get(f"/v1/connections/{connection['id']}/credentials")
    assert held.json()["credentials"]["access_token"] == "at-2", "renewed, and still for the same audience"


async def test_unredeemed_connection_is_invalidated_too(billing: Billing) -> None:
    client = await billing.organization()
    settings = {"display_name": "Northwind", "return_urls": ["https://app.example.com/done"]}
    assert (await client.send("PUT", "/v1/organization", settings)).status_code == 200
    await register(client)
    session = await client.session(integration_slug=SLUG, return_url="https://app.example.com/done")
    installation = billing.application.installation
    view = await popup.load_view(installation, session["session_token"], presentation="page", opening=False)
    request = SubmittedForm("api_key", credentials={"api_key": "bk_0123456789abcdef"})
    connected = await popup.connect(installation, view, request, None)
    code = parse_qs(urlsplit(connected.return_to or "").query)["code"][0]
    request_count = len(billing.reached)
    await register(client, ENTRY.replace("billing.acme.com", "elsewhere.acme.com"))
    redeemed = {"code": code, "end_user_id": "user_123"}
    response = await client.post(f"/v1/hosted-connection-sessions/{session['id']}/redeem", redeemed)
    assert response.status_code == 200, response.text
    (connection,) = (await client.get("/v1/connections")).json()["connections"]
    await assert_refused(client, connection)
    assert billing.reached[request_count:] == []


OPEN: Final = WHOLE.replace(
    "  - type: oauth2\n",
    "  - type: oauth2\n    params:\n      - name: site\n        label: Site\n        placeholder: id\n"
    "        pattern: '[a-z0-9]{1,20}'\n        transform: [lower]\n",
).replace("https://id.acme.com", "https://{site}.acme.com")


async def test_oauth_client_covers_only_the_registered_hosts_of_a_parameter(billing: Billing) -> None:
    client = await billing.organization()
    await register(client, OPEN)
    path, secret = f"/v1/integrations/{SLUG}/oauth-client", {"client_id": "ours", "client_secret": "s3cret-s3cret"}
    missing = await client.send("PUT", path, secret)
    assert [error["field"] for error in missing.json()["errors"]] == ["hosts"]
    response = await client.send("PUT", path, {**secret, "hosts": ["id.acme.com"]})
    assert response.json()["hosts"] == ["id.acme.com"]
    token = (await client.session(integration_slug=SLUG))["session_token"]
    for site, status in (("id2", 422), ("id", 200)):
        body = {"auth_type": "oauth2", "params": {"site": site}, "credentials": {}}
        assert (await client.popup("/authorization", token, body)).status_code == status, site


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("value: id}", "value: id2}"),
        lambda text: text.replace("value: id}", "value: id}, {value: id2, label: Two}"),
    ],
    ids=["another choice", "one more"],
)
async def test_oauth_client_covers_only_the_options_at_its_registration(
    billing: Billing, change: Callable[[str], str]
) -> None:
    client = await billing.organization()
    chosen = OPEN.replace("placeholder: id\n", "options: [{label: One, value: id}]\n")
    chosen = chosen.replace("        pattern: '[a-z0-9]{1,20}'\n        transform: [lower]\n", "")
    await with_client(client, chosen)
    assert (await client.get("/v1/oauth-clients")).json()["oauth_clients"][0]["hosts"] == ["id.acme.com"]
    assert (await register(client, chosen.replace("Invoices of", "Bills of")))["warnings"] == []
    assert len((await register(client, change(chosen)))["warnings"]) == 1
    assert (await client.get("/v1/oauth-clients")).json() == {"oauth_clients": []}


def test_definition_is_stored_longer_than_pending_revocations() -> None:
    assert pending_revocations.RETENTION + timedelta(days=1) < custom.RETENTION


async def test_pending_revocation_is_sent_to_the_unchanged_endpoint(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    await import_tokens(client)
    billing.upstream.answers["/revoke"] = answer(503)
    await client.post("/v1/disconnect", {"integration_slug": SLUG, "end_user_id": "user_123"})
    await register(client, WHOLE.replace("Invoices of", "Bills of"))
    request_count = len(billing.reached)
    billing.application.clock.advance(hours=2)
    assert await revoke_due(billing.application.installation) == 1
    assert set(billing.reached[request_count:]) == {"id.acme.com/revoke"}


@pytest.mark.promise("P9")
async def test_unconnected_grant_is_revoked_at_its_own_provider(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    billing.upstream.answers["/v1/me"] = answer(401, body=b"{}")
    token = (await client.session(integration_slug=SLUG))["session_token"]
    redirect = await start(billing, client, token)
    back = await call_back(billing, redirect)
    assert back.problem is not None
    assert "id.acme.com/revoke" in billing.reached


async def test_undeclared_fields_of_an_oauth_client_are_ignored(billing: Billing) -> None:
    """A field with the name of a host parameter would select another host."""
    client, installation = await billing.organization(), billing.application.installation
    field = "{name: site, label: Site, where: There., pattern: '[a-z0-9]{1,20}'}"
    asking = WHOLE.replace(
        "      where: Ask the billing team.", f"      where: Ask the billing team.\n      fields: [{field}]"
    )
    await register(client, asking.replace("    pkce:", "    send: {headers: {X-Site: '{site}'}}\n    pkce:"))
    path, secret = f"/v1/integrations/{SLUG}/oauth-client", {"client_id": "ours", "client_secret": "s3cret-s3cret"}
    response = await client.send("PUT", path, {**secret, "fields": {"site": "evil"}})
    assert response.status_code == 200, response.text
    organization = (await client.get("/v1/organization")).json()["id"]
    await register(client, WHOLE)
    async with installation.database.read() as tx:
        oauth_client = await oauth_clients.find_own(tx, installation.vault, organization, SLUG)
        integration = await installation.catalogs.get(tx, organization, SLUG)
    assert oauth_client is not None
    assert integration is not None
    auth = integration.oauth2
    assert auth is not None
    assert (dict(oauth_client.fields), oauth_client.fields_of(auth)) == ({"site": "evil"}, {})
