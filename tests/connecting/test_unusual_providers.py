"""Providers that deviate from RFC 6749, each described by a key of the entry."""

from typing import Final

import pytest

from one_runtime.demo.acme import GLOBEX
from tests.application import PUBLIC_URL
from tests.connecting.acme import SLUG, AcmeAuthorizing

AUTHORIZATION_URL: Final = "url: '{acme_url}/oauth/authorize'\n"
NONCE: Final = {AUTHORIZATION_URL: f"{AUTHORIZATION_URL}      nonce_param: nonce\n"}
TOKEN_URL: Final = "url: '{acme_url}/oauth/token'\n"
REVOCATION_AUTH: Final = "auth: basic\n"
RAW_BASIC: Final = {
    TOKEN_URL: f"{TOKEN_URL}      auth: basic_raw\n",
    f"      {REVOCATION_AUTH}": "      auth: basic_raw\n",
}
EXCHANGE: Final = {
    TOKEN_URL: f"{TOKEN_URL}      exchange:\n        url: '{{accounts_url}}/exchange'\n"
    "        params: {grant_type: exchange, token: '{access_token}'}\n",
}


@pytest.mark.parametrize("entry_changes", [RAW_BASIC], ids=["basic_raw"])
async def test_provider_that_decodes_no_form_in_http_basic_gives_refreshes_and_revokes(
    runtime: AcmeAuthorizing,
) -> None:
    registered = (await runtime.client.get(f"/v1/integrations/{SLUG}/oauth-client")).json()
    callback, secret = f"{PUBLIC_URL}/connect/callback/{SLUG}", "a+b c%/=:"
    client_id, _ = runtime.acme.acme.register_client(callback, client_id=registered["client_id"], client_secret=secret)
    body = {"client_id": client_id, "client_secret": secret}
    assert (await runtime.client.send("PUT", f"/v1/integrations/{SLUG}/oauth-client", body)).status_code == 200
    runtime.acme.acme.faults.raw_basic = True
    connection = await runtime.connect()
    refreshed = await runtime.client.post(f"/v1/connections/{connection['id']}/refresh")
    assert (refreshed.status_code, refreshed.json()["status"]) == (200, "active")
    deleted = await runtime.client.send("DELETE", f"/v1/connections/{connection['id']}")
    assert {token["outcome"] for token in deleted.json()["revocations"]} == {"revoked"}
    assert runtime.revoke_all_grants(GLOBEX) == 0


@pytest.mark.parametrize("entry_changes", [NONCE], ids=["nonce"])
async def test_each_authorization_request_has_a_new_nonce(runtime: AcmeAuthorizing) -> None:
    runtime.acme.acme.faults.require_nonce = True
    assert (await runtime.connect())["status"] == "active"
    assert (await runtime.connect())["status"] == "active"


@pytest.mark.promise("P9")
@pytest.mark.parametrize("entry_changes", [EXCHANGE], ids=["exchange"])
async def test_short_lived_token_is_revoked_if_its_exchange_fails(runtime: AcmeAuthorizing) -> None:
    """The stand-in has no endpoint for the exchange, so it answers 404."""
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    assert (page.status_code, runtime.token_requests()) == (409, 1)
    assert (await runtime.backend_session(session))["status"] == "pending"
    assert await runtime.connections() == []
    assert runtime.revoke_all_grants(GLOBEX) == 0
