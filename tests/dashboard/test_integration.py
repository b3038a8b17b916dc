"""The page of one integration: the OAuth client, the test connection, and the numbers."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from one_runtime.demo.acme import GLOBEX
from one_runtime.encryption import secret_tokens
from one_runtime.oauth.authorization import AuthorizationRequest, authorization_url
from tests.application import ACME_KEYS, Client
from tests.billing import ENTRY, OAUTH, register
from tests.dashboard.team import DASHBOARD_URL, Team, text_of

WINDOW: Final = {"sec-fetch-dest": "document", "sec-fetch-mode": "navigate"}
OURS: Final = {**WINDOW, "sec-fetch-site": "same-origin"}
SECRET: Final = "the-canary-secret-0123456789"
CLIENT: Final = {
    "client_id": "our-app",
    "client_secret": SECRET,
    "scopes": "contacts:read\r\ncontacts:read contacts:write",
}


async def client_of(api: Client, slug: str) -> dict[str, object]:
    answer = await api.get(f"/v1/integrations/{slug}/oauth-client")
    return dict(answer.json()) if answer.status_code == 200 else {}


async def test_state_names_the_next_step(team: Team) -> None:
    browser = await team.browser("admin")
    ready = text_of(await browser.get("integrations/acme"))
    assert "Ready Your end users can connect Acme CRM (API key). For OAuth, register an OAuth client." in ready
    needs_client = text_of(await browser.get("integrations/basecamp"))
    assert "Needs an OAuth client Register an OAuth client first." in needs_client
    await browser.submit("integrations/acme/oauth-client", CLIENT)
    assert "Your end users can connect Acme CRM (API key or OAuth)." in text_of(await browser.get("integrations/acme"))
    used = text_of(await browser.get("integrations/acme"))
    assert re.search(r"client our-app has been registered since [\d-]+\. New connections use it\.", used)
    page = text_of(await browser.submit("integrations/acme/disable"))
    assert "client our-app has been registered since" in page
    assert "New connections use it" not in page
    assert "Not enabled Your organization has not enabled Acme CRM" in page
    assert (await browser.get("integrations/nonsense")).status_code == 404


async def test_page_has_the_redirect_url_the_scopes_and_the_fields(team: Team) -> None:
    page = text_of(await (await team.browser("support")).get("integrations/acme"))
    assert "http://127.0.0.1:8000/connect/callback/acme" in page
    assert "Allow these scopes, if the provider asks for scopes: account:read , contacts:read" in page
    assert "Open Acme CRM in another tab and copy the key of one of its accounts." in page
    assert "Ask an administrator of Northwind to register the client id" in page


async def test_scopes_are_in_words(team: Team) -> None:
    browser = await team.browser("admin")
    hubspot = text_of(await browser.get("integrations/hubspot"))
    assert "unless a session names others. oauth Connect an account. Every app needs this scope. Set up" in hubspot
    client = {"client_id": "ours", "client_secret": SECRET, "scopes": "crm.objects.contacts.read own.scope"}
    await browser.submit("integrations/hubspot/oauth-client", client)
    page = await browser.get("integrations/hubspot")
    text = text_of(page)
    assert "crm.objects.contacts.read Read contacts. own.scope Set up" in text
    assert "The documentation of HubSpot describes the scopes without a text." in text
    assert 'href="https://developers.hubspot.com/docs"' in page.text


async def test_page_lists_the_scopes_that_the_authorization_request_sends(team: Team) -> None:
    more = "    more_scopes:\n      param: user_scope\n      always: [audit]\n      default: [reports]\n"
    await register(team.api, ENTRY + OAUTH.replace("    pkce:", f"{more}    pkce:"))
    browser, installation = await team.browser("admin"), team.application.installation
    for scopes in ("", "write own.scope"):
        await browser.submit("integrations/x-billing/oauth-client", {**CLIENT, "scopes": scopes})
        async with installation.database.read() as tx:
            integration = await installation.catalogs.require(tx, browser.organization_id, "x-billing")
        assert integration.oauth2 is not None
        chosen = tuple(scopes.split()) or None
        request = AuthorizationRequest("https://app.example/callback", "state", "challenge", chosen)
        query = parse_qs(urlsplit(authorization_url(integration.oauth2, "our-app", request, {})).query)
        sent = " ".join([*query["scope"], *query["user_scope"]]).split()
        page = (await browser.get("integrations/x-billing")).text
        listed = page[page.index('<ul class="scopes">') :].partition("</ul>")[0]
        assert re.findall(r"<li><code>([^<]*)</code>", listed) == sent


async def test_administrator_registers_and_deletes_a_client_without_seeing_its_secret(team: Team) -> None:
    browser = await team.browser("admin")
    saved = await browser.submit("integrations/acme/oauth-client", CLIENT)
    assert "The OAuth client is registered." in text_of(saved)
    assert "our-app" in saved.text
    assert SECRET not in saved.text
    assert SECRET[-4:] not in saved.text
    assert (await client_of(team.api, "acme"))["scopes"] == ["contacts:read", "contacts:write"]
    kept = await browser.submit("integrations/acme/oauth-client", {"client_id": "our-app", "scopes": ""})
    assert "The OAuth client is registered." in text_of(kept)
    client = await client_of(team.api, "acme")
    assert (client["scopes"], client["client_secret_last_four"]) == (None, SECRET[-4:])
    deleted = await browser.submit("integrations/acme/oauth-client/delete")
    assert "The OAuth client is deleted." in text_of(deleted)
    assert await client_of(team.api, "acme") == {}
    events = (await team.api.get("/v1/events")).json()["events"]
    assert [event["type"] for event in events if event["type"].startswith("oauth_client")] == [
        "oauth_client.deleted", "oauth_client.updated", "oauth_client.updated"
    ]  # fmt: skip
    assert all(event["actor"]["type"] == "member" for event in events if event["type"].startswith("oauth_client"))


async def test_errors_of_the_client_stand_beside_the_fields(team: Team) -> None:
    browser = await team.browser("admin")
    wrong = {"client_id": "x" * 256, "client_secret": "s" * 10_001, "scopes": 'a"b ' + "scope " * 300}
    answer = await browser.post("integrations/acme/oauth-client", wrong)
    text = text_of(answer)
    assert answer.status_code == 422
    for problem in ("must be at most 255 characters", "must be at most 10000 characters", "is not a valid scope"):
        assert problem in text
    assert "sssss" not in answer.text, "the form does not repeat the secret"
    many = {"client_id": "x", "client_secret": SECRET, "scopes": " ".join(f"scope{number}" for number in range(201))}
    assert "must have at most 200 scopes" in text_of(await browser.post("integrations/acme/oauth-client", many))
    empty = text_of(await browser.post("integrations/acme/oauth-client", {}))
    assert "must not be blank" in empty
    assert "is required: the secret that Acme CRM shows for this client_id" in empty
    assert (await browser.post("integrations/openweather/oauth-client", CLIENT)).status_code == 404
    assert await client_of(team.api, "acme") == {}


async def test_client_of_a_variable_host_needs_hosts(team: Team) -> None:
    params = "    params: [{name: host, label: Host, placeholder: id, pattern: '[a-z0-9]+', transform: [lower]}]\n"
    oauth = OAUTH.replace("https://id.acme.com/token", "https://{host}.acme.com/token")
    entry = ENTRY + oauth.replace("    client:\n", params + "    client:\n")
    await register(team.api, entry)
    browser = await team.browser("admin")
    fields = {"client_id": "ours", "client_secret": SECRET}
    answer = await browser.post("integrations/x-billing/oauth-client", fields)
    assert "is required. List the provider's hosts" in text_of(answer)
    many = {**fields, "hosts": " ".join(f"h{number}.acme.com" for number in range(101))}
    assert "must have at most 100 hosts" in text_of(await browser.post("integrations/x-billing/oauth-client", many))
    await browser.submit("integrations/x-billing/oauth-client", {**fields, "hosts": "id.acme.com\r\nid2.acme.com"})
    assert (await client_of(team.api, "x-billing"))["hosts"] == ["id.acme.com", "id2.acme.com"]
    page = (await browser.get("integrations/x-billing")).text
    assert "id.acme.com\nid2.acme.com</textarea>" in page


async def test_member_tries_an_integration_with_a_link_and_checks_the_connection(team: Team) -> None:
    """Without JavaScript."""
    browser = await team.browser("developer")
    assert (await browser.post("integrations/acme/check")).status_code == 404
    page = await browser.post("integrations/acme/try")
    assert page.status_code == 200
    link = next(part for part in page.text.split('"') if part.startswith("http://127.0.0.1:8000/connect?"))
    token = parse_qs(urlsplit(link).query)["session_token"][0]
    assert secret_tokens.recognize(secret_tokens.SESSION, token)
    assert token not in (await browser.get("integrations/acme")).text
    assert (await team.api.http.get(link, headers=WINDOW)).status_code == 200
    key = {"auth_type": "api_key", "credentials.api_key": ACME_KEYS[GLOBEX]}
    for step in ({"step": "confirm"}, {"step": "connect", **key}):
        answer = await team.api.http.post("/connect", data={"session_token": token, **step}, headers=OURS)
        assert answer.status_code == 200, answer.text
    [connection] = (await team.api.get("/v1/connections")).json()["connections"]
    assert connection["end_user_id"] == f"dashboard:{browser.member_id}"
    shown = await browser.get("integrations/acme")
    assert f"/connections/{connection['id']}" in shown.text
    assert "Created 1 Connected 1 (100 %) Failed 0" in text_of(shown)
    assert "The provider accepted the credential" in text_of(await browser.submit("integrations/acme/check"))
    other = text_of(await (await team.browser("developer")).get("integrations/acme"))
    assert "Your test connection" not in other, "each member has a test connection of their own"
    team.application.acme.acme.revoke(ACME_KEYS[GLOBEX])
    refused = await browser.post("integrations/acme/check")
    assert refused.status_code == 422
    assert "The provider refused the credential. Connect your test account again." in text_of(refused)
    assert "Connect again" in text_of(await browser.get("integrations/acme"))


async def test_script_gets_a_session_for_the_dashboard_only(team: Team) -> None:
    browser = await team.browser("developer")
    answer = await browser.post("integrations/acme/try", {"mode": "embed"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()["session_token"]
    shell = await team.api.http.get("/connect", params={"session_token": token, "request_id": "r" * 20})
    assert f"frame-ancestors {DASHBOARD_URL}" in shell.headers["content-security-policy"]
    refused = await browser.post("integrations/basecamp/try", {"mode": "embed"})
    assert refused.status_code == 422
    assert "needs an OAuth client" in refused.json()["error"]
    without_script = await browser.post("integrations/basecamp/try")
    assert without_script.status_code == 422
    remedy = "Basecamp needs an OAuth client for OAuth 2.0. Register a client in the form “OAuth client”"
    assert remedy in text_of(without_script)


async def test_page_that_opens_the_popup_keeps_its_windows(team: Team) -> None:
    """With `same-origin`, the window of an OAuth authorization could not talk to the popup (docs/popup.md)."""
    answer = await (await team.browser("developer")).get("integrations/acme")
    assert answer.headers["cross-origin-opener-policy"] == "same-origin-allow-popups"


async def test_numbers_are_those_of_this_integration_and_the_last_30_days(team: Team) -> None:
    connected, refused = await team.api.session("user_1"), await team.api.session("user_2")
    await team.api.type_key(connected["session_token"], ACME_KEYS[GLOBEX])
    await team.api.type_key(refused["session_token"], "acme_unknown0123456789")
    await team.api.session("user_3", integration_slug="hubspot", auth_type="api_key")
    browser = await team.browser("support")
    page = text_of(await browser.get("integrations/acme"))
    assert "Connections 1 " in page
    assert "Created 2 Connected 1 (50 %) Failed 0 Last error" in page
    assert "credentials_refused" in page
    member_id = browser.member_id
    assert member_id is not None
    team.application.clock.advance(days=31)
    await team.sign_in(browser.http, member_id)
    page = text_of(await browser.get("integrations/acme"))
    assert "No end user has started to connect Acme CRM in the last 30 days." in page
