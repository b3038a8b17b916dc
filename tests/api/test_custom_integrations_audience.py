"""Where an organization's own integration sends credentials elsewhere, nothing given before follows it (P7)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.connecting import popup
from one_runtime.connecting.authorization import (
    AuthorizationRedirect,
    CallbackResult,
    handle_callback,
    prepare_authorization,
    start_authorization,
)
from one_runtime.connecting.popup import ConnectRequest
from one_runtime.connections import pending_revocations
from one_runtime.integrations import custom, oauth_clients
from one_runtime.tokens.revocation import revoke_due
from tests.application import Client
from tests.billing import ENTRY, OAUTH, PATH, SLUG, Billing, connect, import_tokens, register, with_client
from tests.egress.upstream import answer
from tests.purging import purge

pytestmark = [pytest.mark.promise("P7"), pytest.mark.slow]

WHOLE: Final = ENTRY + OAUTH
OTHER_TOKENS: Final = WHOLE.replace("id.acme.com/token", "id2.acme.com/token")
OTHER_REVOCATION: Final = WHOLE.replace("id.acme.com/revoke", "id2.acme.com/revoke")
OTHER_HOST: Final = WHOLE.replace("billing.acme.com", "elsewhere.acme.com")


async def refused(client: Client, connection: dict[str, Any]) -> None:
    """Every way to use it, or to ask about it."""
    path = f"/v1/connections/{connection['id']}"
    for method, step in (("POST", "refresh"), ("GET", "credentials")):
        told = await client.send(method, f"{path}/{step}")
        assert (told.status_code, told.json()["code"]) == (409, "needs_reauth"), step
    assert (await client.post(f"{path}/check")).json()["working"] is False


async def started(billing: Billing, client: Client, token: str) -> AuthorizationRedirect:
    """Start an authorization: the browser goes to the provider."""
    installation = billing.application.installation
    await client.popup("", token)
    view = await popup.load_view(installation, token, opening=False)
    prepared = await prepare_authorization(installation, view, ConnectRequest("oauth2"))
    return await start_authorization(installation, prepared.ticket)


async def call_back(billing: Billing, redirect: AuthorizationRedirect) -> CallbackResult:
    """Send the browser back with a code, and with its cookie."""
    state = parse_qs(urlsplit(redirect.url).query)["state"][0]
    query = f"state={state}&code=good-code".encode()
    return await handle_callback(billing.application.installation, SLUG, query, lambda _: redirect.binding, None)


async def test_tokens_are_renewed_where_they_were_given_and_stay_for_it(billing: Billing) -> None:
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
async def test_tokens_go_to_no_other_host(billing: Billing, text: str) -> None:
    client = await billing.organization()
    await with_client(client)
    connection = await import_tokens(client)
    asked = len(billing.reached)
    assert (await register(client, text))["invalidated_connections"] == 1
    await refused(client, connection)
    await client.post("/v1/disconnect", {"integration_slug": SLUG, "end_user_id": "user_123"})
    assert billing.reached[asked:] == []


async def test_what_has_moved_stays_so_where_it_moves_back(billing: Billing) -> None:
    client = await billing.organization()
    await register(client)
    connection = await connect(client)
    asked = len(billing.reached)
    await register(client, ENTRY.replace("billing.acme.com", "elsewhere.acme.com"))
    await register(client)
    await refused(client, connection)
    assert billing.reached[asked:] == []


async def test_the_answer_says_that_the_client_is_gone(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    told = await register(client, OTHER_TOKENS)
    assert [one.partition(",")[0] for one in told["warnings"]] == [f"The OAuth client of {SLUG} was deleted"]


async def test_every_connection_is_told_however_many_there_are(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom, "_BATCH", 2)
    client = await billing.organization()
    await register(client)
    for number in range(5):
        await connect(client, f"user-{number}", check=False)
    moved = await register(client, ENTRY.replace("billing.acme.com", "elsewhere.acme.com"))
    assert moved["invalidated_connections"] == 5
    statuses = {one["status"] for one in (await client.get("/v1/connections")).json()["connections"]}
    assert statuses == {"needs_reauth"}


async def test_a_token_that_waits_to_be_revoked_waits_in_vain(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    await import_tokens(client)
    billing.upstream.answers["/revoke"] = answer(503)
    gone = await client.post("/v1/disconnect", {"integration_slug": SLUG, "end_user_id": "user_123"})
    assert {one["outcome"] for one in gone.json()["revocations"]} == {"failed"}
    await register(client, OTHER_REVOCATION)
    asked = len(billing.reached)
    billing.application.clock.advance(hours=2)
    assert await revoke_due(billing.application.installation) == 1
    assert billing.reached[asked:] == []


@pytest.mark.promise("P9")
async def test_tokens_of_a_deleted_integration_are_still_revoked(billing: Billing) -> None:
    client, installation = await billing.organization(), billing.application.installation
    await with_client(client)
    await import_tokens(client)
    billing.upstream.answers["/revoke"] = answer(503)
    assert (await client.send("DELETE", f"{PATH}/{SLUG}?delete_connections=true")).status_code == 204
    assert (await client.get(f"{PATH}/{SLUG}")).status_code == 404
    billing.upstream.answers["/revoke"] = answer(200, body=b"{}")
    asked = len(billing.reached)
    billing.application.clock.advance(hours=2)
    assert await revoke_due(installation) == 1
    assert set(billing.reached[asked:]) == {"id.acme.com/revoke"}
    billing.application.clock.advance(days=31)
    await purge(installation)
    async with installation.database.read() as tx:
        organization = (await client.get("/v1/organization")).json()["id"]
        assert await organization_catalogs.find_last(tx, organization, SLUG) is None


async def test_what_is_typed_into_a_window_goes_where_the_window_said(billing: Billing) -> None:
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


async def test_a_consent_ends_where_it_began(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    token = (await client.session(integration_slug=SLUG))["session_token"]
    redirect = await started(billing, client, token)
    await with_client(client, OTHER_TOKENS)
    back = await call_back(billing, redirect)
    assert back.problem is not None
    assert "was changed meanwhile" in back.problem.detail
    again = await call_back(billing, redirect)
    assert again.problem is not None
    assert "has no such authorization pending" in again.problem.detail, "the state is used up"
    assert billing.reached == []
    session = (await client.get("/v1/hosted-connection-sessions/" + await session_of(client))).json()
    assert "changed meanwhile" in session["last_error"]["message"]


async def session_of(client: Client) -> str:
    events = (await client.get("/v1/events", type="hosted_connection_session.created")).json()["events"]
    found: str = events[0]["data"]["session_id"]
    return found


async def test_a_consent_goes_through_where_nothing_moves(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    token = (await client.session(integration_slug=SLUG))["session_token"]
    redirect = await started(billing, client, token)
    await register(client, WHOLE.replace("Invoices of", "Bills of"))
    back = await call_back(billing, redirect)
    assert back.problem is None, back.problem
    assert "id.acme.com/token" in billing.reached
    (connection,) = (await client.get("/v1/connections")).json()["connections"]
    billing.application.clock.advance(hours=2)
    held = await client.get(f"/v1/connections/{connection['id']}/credentials")
    assert held.json()["credentials"]["access_token"] == "at-2", "renewed, and still for the same audience"


async def test_a_connection_that_is_not_redeemed_yet_moves_too(billing: Billing) -> None:
    client = await billing.organization()
    settings = {"display_name": "Northwind", "return_urls": ["https://app.example.com/done"]}
    assert (await client.send("PUT", "/v1/organization", settings)).status_code == 200
    await register(client)
    session = await client.session(integration_slug=SLUG, return_url="https://app.example.com/done")
    installation = billing.application.installation
    view = await popup.load_view(installation, session["session_token"], presentation="page", opening=False)
    request = ConnectRequest("api_key", credentials={"api_key": "bk_0123456789abcdef"})
    connected = await popup.connect(installation, view, request, None)
    code = parse_qs(urlsplit(connected.return_to or "").query)["code"][0]
    asked = len(billing.reached)
    await register(client, ENTRY.replace("billing.acme.com", "elsewhere.acme.com"))
    redeemed = {"code": code, "end_user_id": "user_123"}
    made = await client.post(f"/v1/hosted-connection-sessions/{session['id']}/redeem", redeemed)
    assert made.status_code == 200, made.text
    (connection,) = (await client.get("/v1/connections")).json()["connections"]
    await refused(client, connection)
    assert billing.reached[asked:] == []


OPEN: Final = WHOLE.replace(
    "  - type: oauth2\n",
    "  - type: oauth2\n    params:\n      - name: site\n        label: Site\n        placeholder: id\n"
    "        pattern: '[a-z0-9]{1,20}'\n        transform: [lower]\n",
).replace("https://id.acme.com", "https://{site}.acme.com")


async def test_a_client_names_the_hosts_that_an_end_user_says_a_part_of(billing: Billing) -> None:
    client = await billing.organization()
    await register(client, OPEN)
    path, secret = f"/v1/integrations/{SLUG}/oauth-client", {"client_id": "ours", "client_secret": "s3cret-s3cret"}
    missing = await client.send("PUT", path, secret)
    assert [one["field"] for one in missing.json()["errors"]] == ["hosts"]
    made = await client.send("PUT", path, {**secret, "hosts": ["id.acme.com"]})
    assert made.json()["hosts"] == ["id.acme.com"]
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
async def test_a_client_is_registered_for_the_choices_that_there_were(
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


def test_the_definition_outlives_what_is_to_be_revoked() -> None:

    assert pending_revocations.RETENTION + timedelta(days=1) < custom.RETENTION


async def test_a_token_that_waits_to_be_revoked_is_revoked_where_nothing_moved(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    await import_tokens(client)
    billing.upstream.answers["/revoke"] = answer(503)
    await client.post("/v1/disconnect", {"integration_slug": SLUG, "end_user_id": "user_123"})
    await register(client, WHOLE.replace("Invoices of", "Bills of"))
    asked = len(billing.reached)
    billing.application.clock.advance(hours=2)
    assert await revoke_due(billing.application.installation) == 1
    assert set(billing.reached[asked:]) == {"id.acme.com/revoke"}


@pytest.mark.promise("P9")
async def test_what_was_granted_and_not_connected_is_revoked_where_it_was_granted(billing: Billing) -> None:
    client = await billing.organization()
    await with_client(client)
    billing.upstream.answers["/v1/me"] = answer(401, body=b"{}")
    token = (await client.session(integration_slug=SLUG))["session_token"]
    redirect = await started(billing, client, token)
    back = await call_back(billing, redirect)
    assert back.problem is not None
    assert "id.acme.com/revoke" in billing.reached


async def test_fields_of_a_client_that_the_entry_does_not_ask_for_are_nobodys(billing: Billing) -> None:
    """Under the name of a part of the host they would choose another one."""
    client, installation = await billing.organization(), billing.application.installation
    field = "{name: site, label: Site, where: There., pattern: '[a-z0-9]{1,20}'}"
    asking = WHOLE.replace(
        "      where: Ask the billing team.", f"      where: Ask the billing team.\n      fields: [{field}]"
    )
    await register(client, asking.replace("    pkce:", "    send: {headers: {X-Site: '{site}'}}\n    pkce:"))
    path, secret = f"/v1/integrations/{SLUG}/oauth-client", {"client_id": "ours", "client_secret": "s3cret-s3cret"}
    made = await client.send("PUT", path, {**secret, "fields": {"site": "evil"}})
    assert made.status_code == 200, made.text
    organization = (await client.get("/v1/organization")).json()["id"]
    await register(client, WHOLE)
    async with installation.database.read() as tx:
        kept = await oauth_clients.find_own(tx, installation.vault, organization, SLUG)
        integration = await installation.catalogs.get(tx, organization, SLUG)
    assert kept is not None
    assert integration is not None
    auth = integration.auth_of("oauth2")
    assert isinstance(auth, OAuth2Auth)
    assert (dict(kept.fields), kept.fields_of(auth)) == ({"site": "evil"}, {})
