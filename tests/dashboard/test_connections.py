"""The pages of connections: the list, the page of one connection, and its actions, as a form without JavaScript."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
import pytest_asyncio

from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, PUBLIC_URL
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.promises import stores

SECRETS: Final = (*ACME_KEYS.values(), "acmeat_", "acmert_", "acmecs_")


@dataclass(frozen=True, slots=True)
class Desk:
    """The desk of a support engineer: a browser, and the connections of the organization."""

    team: Team
    browser: TeamBrowser
    healthy: str
    broken: str

    async def events(self, connection_id: str) -> list[dict[str, Any]]:
        """Return the events of a connection, newest first."""
        answer = await self.team.api.get("/v1/events", connection_id=connection_id)
        events: list[dict[str, Any]] = answer.json()["events"]
        return events

    async def connect_with_tokens(self, end_user_id: str = "user_9", *scopes: str) -> str:
        """Import a connection with tokens of Acme, and return its id."""
        acme, api = self.team.application.acme.acme, self.team.api
        client_id, client_secret = acme.register_client(f"{PUBLIC_URL}/connect/callback/acme")
        client = {"client_id": client_id, "client_secret": client_secret}
        assert (await api.send("PUT", "/v1/integrations/acme/oauth-client", client)).status_code == 200
        tokens = acme.grants.start(GLOBEX, client_id, ("account:read", *scopes))
        credentials = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
        connection = await api.connect(end_user_id, auth_type="oauth2", credentials=credentials)
        connection_id: str = connection["id"]
        return connection_id


@pytest_asyncio.fixture
async def desk(team: Team) -> Desk:
    """The desk, with a healthy and a broken connection."""
    await team.api.session("user_1", mode="link", end_user_name="Ada Lovelace", end_user_email="ada@lovelace.example")
    healthy = await team.api.connect("user_1", metadata={"plan": "pro", "seats": 5})
    broken = await team.api.connect("user_2", ACME_KEYS[INITECH])
    team.application.acme.acme.revoke(ACME_KEYS[INITECH])
    assert (await team.api.post(f"/v1/connections/{broken['id']}/check")).json()["outcome"] == "refused"
    return Desk(team, await team.browser("support"), healthy["id"], broken["id"])


async def test_list_shows_each_connection_with_its_state_and_error_in_words(desk: Desk) -> None:
    text = text_of(await desk.browser.get("connections"))
    assert "2 connections. 1 has to connect again" in text
    for words in ("Acme CRM", "Ada Lovelace", "user_1", "Globex Corporation", "Active", "never"):
        assert words in text
    assert "Has to connect again The provider refused the credential in a check." in text


async def test_list_is_filtered_by_each_field(desk: Desk) -> None:
    failing = await desk.connect_with_tokens()
    desk.team.application.acme.acme.faults.token_status = 503
    assert (await desk.browser.post(f"connections/{failing}/refresh")).status_code == 502
    healthy, broken = desk.healthy, desk.broken
    for query, expected in (
        ({}, {healthy, broken, failing}),
        ({"status": "needs_reauth"}, {broken}),
        ({"status": "active"}, {healthy, failing}),
        ({"status": "failing"}, {failing}),
        ({"status": "nonsense"}, {healthy, broken, failing}),
        ({"integration": "ACME"}, {healthy, broken, failing}),
        ({"integration": "hubspot"}, set()),
        ({"integration": "acme", "status": "needs_reauth"}, {broken}),
        ({"error": "credentials_refused"}, {broken}),
        ({"error": "credentials_refused", "status": "active"}, set()),
        ({"error": "invalid_grant"}, set()),
        ({"end_user": "user_1"}, {healthy}),
        ({"end_user": "Ada@Lovelace.example"}, {healthy}),
        ({"end_user": "lovelace"}, {healthy}),
        ({"end_user": "USER"}, {healthy, broken, failing}),
        ({"end_user": "user", "status": "failing"}, {failing}),
        ({"end_user": "user", "status": "needs_reauth", "error": "credentials_refused"}, {broken}),
        ({"end_user": "nobody%"}, set()),
        ({"end_user_id": "user_2"}, {broken}),
        ({"before": healthy}, set()),
        ({"before": "nonsense"}, {healthy, broken, failing}),
    ):
        answer = await desk.browser.get("connections", **query)
        found = set(re.findall(r'/connections/([0-9a-f-]{36})"', answer.text))
        assert (answer.status_code, found) == (200, expected), query


async def test_refresh_that_fails_before_its_due_time_names_no_start(desk: Desk) -> None:
    failing, installation = await desk.connect_with_tokens(), desk.team.application.installation
    due = "SET refresh_due_at = '2999-01-01T00:00:00.000Z'"
    stores.query(installation, f"UPDATE credentials {due} WHERE connection_id = '{failing}'")
    desk.team.application.acme.acme.faults.token_status = 503
    answer = await desk.browser.post(f"connections/{failing}/refresh")
    page = text_of(answer)
    assert answer.status_code == 502
    assert "The refresh failed. Acme CRM does not refresh the tokens at the moment. Try again later." in page
    assert "One Runtime tries again by itself. You can also try again later." in page
    assert "provider_trouble . One Runtime tries again 2999-01-01 ." in page


async def test_long_list_has_pages(desk: Desk) -> None:
    for number in range(51):
        await desk.team.api.connect(f"many_{number}", check=False)
    seen, path = list[str](), "connections?end_user=&status=active"
    while path:
        answer = await desk.browser.get(path)
        seen += re.findall(r'<a href="/o/[^"]+/connections/([0-9a-f-]{36})"', answer.text)
        older = re.search(r'href="([^"]+)" rel="next"', answer.text)
        path = unescape(older[1]) if older else ""
    assert len(seen) == len(set(seen)) == 52
    assert seen == sorted(seen, reverse=True)


async def test_page_explains_the_error_and_shows_events_and_calls_in_one_order(desk: Desk) -> None:
    for path, connection in (("v1/contacts", desk.healthy), ("nothing", desk.healthy), ("v1/contacts", desk.broken)):
        await desk.team.api.http.get(f"/v1/proxy/acme/{path}", headers={"one-runtime-connection": connection})
    await desk.team.application.app.services.request_log.flush()
    broken = text_of(await desk.browser.get(f"connections/{desk.broken}"))
    assert "Why it does not work The provider refused the credential in a check." in broken
    assert "Ask the end user to connect again." in broken
    assert "Details: This API key was revoked by an administrator of Initech." in broken
    timeline = broken[broken.index("Timeline") :]
    order = [timeline.index(words) for words in ("GET /v1/contacts", "Has to connect again", "Connected")]
    assert order == sorted(order)
    assert "status 409 (connect_required)" in timeline
    page = (await desk.browser.get(f"connections/{desk.broken}")).text
    event = re.search(r'<a href="([^"]+)">Has to connect again</a>', page)
    assert event is not None
    listed = re.findall(r"<code>([a-z_]+\.[a-z_]+)</code>", (await desk.browser.get(unescape(event[1]))).text)
    assert listed[0] == "connection.needs_reauth"
    healthy = text_of(await desk.browser.get(f"connections/{desk.healthy}"))
    for words in ("plan pro", "seats 5", "acc_globex", "API key", "status 200", "status 404"):
        assert words in healthy
    assert "The provider found nothing at this path." in healthy
    assert "Initech" not in healthy


async def test_timeline_has_pages_without_gap_or_repetition(desk: Desk) -> None:
    for number in range(60):
        await desk.team.api.send("PATCH", f"/v1/connections/{desk.healthy}", {"name": f"Name {number}"})
        await desk.team.api.http.get(f"/v1/proxy/acme/{number}", headers={"one-runtime-connection": desk.healthy})
    await desk.team.application.app.services.request_log.flush()
    calls, changes, path = list[str](), 0, f"connections/{desk.healthy}"
    while path:
        page = (await desk.browser.get(path)).text
        calls += re.findall(r"<code>GET /(\d+)</code>", page)
        changes += page.count(">Connection changed<")
        older = re.search(r'href="([^"]+)" rel="next"', page)
        path = unescape(older[1]) if older else ""
    assert calls == [str(number) for number in reversed(range(60))]
    assert changes == 60


async def test_check_reports_each_outcome_in_words(desk: Desk) -> None:
    acme = desk.team.application.acme.acme
    path = f"connections/{desk.healthy}/check"
    assert "the provider accepted the credential" in text_of(await desk.browser.submit(path))
    acme.restrict(ACME_KEYS[GLOBEX])
    lacking = text_of(await desk.browser.submit(path))
    assert "but the credential lacks a permission" in lacking
    assert "Lacks a permission" in lacking
    acme.fail_with(503)
    failed = await desk.browser.post(path)
    assert failed.status_code == 502
    assert "The check has no result." in text_of(failed)
    acme.fail_with(None)
    assert "the provider refused the credential" in text_of(
        await desk.browser.submit(f"connections/{desk.broken}/check")
    )
    acme.restore(ACME_KEYS[INITECH])
    await desk.browser.submit(f"connections/{desk.broken}/check")
    event = (await desk.events(desk.broken))[0]
    assert (event["type"], event["actor"]["type"]) == ("connection.recovered", "member")
    assert event["actor"]["id"] == desk.browser.member_id


async def test_refresh_is_offered_only_for_tokens_and_reports_the_result(desk: Desk) -> None:
    assert "Refresh now" not in text_of(await desk.browser.get(f"connections/{desk.healthy}"))
    with_tokens = await desk.connect_with_tokens("user_9", "contacts:read")
    page = text_of(await desk.browser.get(f"connections/{with_tokens}"))
    assert "Refresh now" in page
    assert "Sign-in OAuth" in page
    refreshed = text_of(await desk.browser.submit(f"connections/{with_tokens}/refresh"))
    for words in (
        "The tokens are new.",
        "Next renewal in",
        "Token expires in",
        "Allowed scopes account:read contacts:read",
    ):
        assert words in refreshed
    acme = desk.team.application.acme.acme
    acme.faults.token_status = 503
    failed = await desk.browser.post(f"connections/{with_tokens}/refresh")
    assert failed.status_code == 502
    assert "The refresh failed." in text_of(failed)
    assert "One Runtime tries again in" in text_of(failed)
    acme.faults.token_status = None
    acme.grants.revoke_account(GLOBEX)
    refused = await desk.browser.post(f"connections/{with_tokens}/refresh")
    assert refused.status_code == 409
    assert "The tokens cannot be refreshed. The end user has to connect again." in text_of(refused)
    assert "The provider refused the refresh token." in text_of(refused)


async def test_refused_check_of_an_active_connection_says_that_one_runtime_tries_again(desk: Desk) -> None:
    """The provider refuses access token and refresh token, but names no reason for the refresh token."""
    acme, with_tokens = desk.team.application.acme.acme, await desk.connect_with_tokens()
    await desk.browser.submit(f"connections/{with_tokens}/refresh")
    acme.faults.omit_error_codes = True
    acme.grants.revoke_account(GLOBEX)
    checked = text_of(await desk.browser.submit(f"connections/{with_tokens}/check"))
    assert "The check failed: the provider refused the credential." in checked
    assert "One Runtime tries again by itself" in checked
    assert "The end user has to connect again" not in checked
    assert (await desk.team.api.get(f"/v1/connections/{with_tokens}")).json()["status"] == "active"
    desk.team.application.clock.advance(hours=2)
    assert "Next renewal due now" in text_of(await desk.browser.get(f"connections/{with_tokens}"))
    assert (await desk.team.api.post(f"/v1/connections/{with_tokens}/refresh")).status_code == 502
    waiting = text_of(await desk.browser.get(f"connections/{with_tokens}"))
    retry = re.search(r"One Runtime tries again (in [^.]+)\.", waiting)
    assert retry is not None
    assert f"Next renewal {retry[1]}" in waiting


async def test_reconnect_link_works_once_for_this_connection(desk: Desk) -> None:
    answer = await desk.browser.post(f"connections/{desk.broken}/link")
    assert answer.status_code == 200
    url = re.search(r"<code>(http://127\.0\.0\.1:8000/connect\?session_token=orcs_[^<]+)</code>", answer.text)
    assert url is not None
    assert "Northwind again" in text_of(answer)
    assert "<h1>Reconnect link</h1>" in answer.text
    crumbs = answer.text.partition('aria-label="Breadcrumb"')[2].partition("</nav>")[0]
    assert f'/connections/{desk.broken}">Initech</a>' in crumbs
    token = dict(parse_qsl(urlsplit(url[1]).query))["session_token"]
    assert token not in (await desk.browser.get(f"connections/{desk.broken}")).text
    desk.team.application.acme.acme.restore(ACME_KEYS[INITECH])
    headers = {"sec-fetch-dest": "document", "sec-fetch-mode": "navigate", "sec-fetch-site": "same-origin"}
    form = {"session_token": token, "auth_type": "api_key", "credentials.api_key": ACME_KEYS[INITECH]}
    for step in ("confirm", "connect"):
        answer = await desk.team.api.http.post("/connect", data={**form, "step": step}, headers=headers)
        assert answer.status_code == 200
    read = (await desk.team.api.get(f"/v1/connections/{desk.broken}")).json()
    assert read["status"] == "active"
    created = [event for event in await desk.events(desk.broken) if event["type"].endswith("session.created")]
    assert created[0]["actor"]["type"] == "member"


async def test_link_has_an_email_with_the_message(desk: Desk) -> None:
    developer = await desk.team.browser("developer")
    answer = await developer.post(f"connections/{desk.healthy}/link")
    mail = re.search(r'href="(mailto:[^"]+)"', answer.text)
    assert mail is not None
    address, _, query = unescape(mail[1]).partition("?")
    fields = dict(parse_qsl(query))
    assert address == "mailto:ada@lovelace.example"
    assert fields["subject"] == "Connect Acme CRM again to Northwind"
    assert "Hello Ada Lovelace," in fields["body"]
    assert "With the link, Ada Lovelace connects Acme CRM again." in text_of(answer)
    assert "/connect?session_token=orcs_" in fields["body"]


async def test_link_for_a_disabled_integration_is_refused_in_words(desk: Desk) -> None:
    await desk.team.api.send("PATCH", "/v1/organization", {"integrations": {"mode": "listed", "slugs": ["hubspot"]}})
    answer = await desk.browser.post(f"connections/{desk.broken}/link")
    assert answer.status_code == 422
    assert "There is no link." in text_of(answer)
    assert "not enabled for your organization" in text_of(answer)


@pytest.mark.parametrize("name", ["", "  Ada's <b>portal</b> & more  "])
async def test_connection_is_renamed(desk: Desk, name: str) -> None:
    page = await desk.browser.submit(f"connections/{desk.healthy}/rename", {"name": name})
    assert "The connection has a new name." in text_of(page)
    assert (name.strip() or "Globex Corporation") in text_of(page)
    assert "<b>portal" not in page.text


async def test_member_chooses_the_default_connection(desk: Desk) -> None:
    page = await desk.browser.submit(f"connections/{desk.healthy}/default", {"is_default": "yes"})
    assert "This is now the default connection." in text_of(page)
    assert '<span class="badge plain">Default</span>' in page.text
    stored = (await desk.team.api.get(f"/v1/connections/{desk.healthy}")).json()
    assert (stored["is_default"], stored["name"]) == (True, "Globex Corporation")
    (newest, *_) = await desk.events(desk.healthy)
    assert (newest["type"], newest["data"]["changed"]) == ("connection.updated", ["is_default"])
    page = await desk.browser.submit(f"connections/{desk.healthy}/default", {"is_default": "no"})
    assert "This is no longer the default connection." in text_of(page)
    assert '<span class="badge plain">Default</span>' not in page.text


@pytest.mark.parametrize("name", ["x" * 256, "\u202eliame", "\u200b"])
async def test_unusable_name_is_refused_with_the_form(desk: Desk, name: str) -> None:
    answer = await desk.browser.post(f"connections/{desk.healthy}/rename", {"name": name})
    assert answer.status_code == 422
    assert 'class="field invalid"' in answer.text
    assert "Globex Corporation" in text_of(answer)


async def test_disconnect_shows_the_result_for_each_token(desk: Desk) -> None:
    with_tokens = await desk.connect_with_tokens()
    answer = await desk.browser.post(f"connections/{with_tokens}/disconnect")
    assert "Refresh token Revoked at the provider" in text_of(answer)
    assert (await desk.browser.get(f"connections/{with_tokens}")).status_code == 404
    assert (await desk.browser.post(f"connections/{with_tokens}/disconnect")).status_code == 404
    key = text_of(await desk.browser.post(f"connections/{desk.healthy}/disconnect"))
    assert "The connection of user_1 with Acme CRM is deleted." in key
    assert "One Runtime cannot revoke this credential at the provider." in key
    assert (await desk.events(with_tokens))[0]["actor"]["type"] == "member"


async def test_connection_of_another_organization_is_not_found(desk: Desk) -> None:
    other = await desk.team.application.organization("Southwind Traders")
    browser = await desk.team.browser("owner", other)
    for path in ("", "/check", "/refresh", "/link", "/rename", "/default", "/disconnect"):
        page = f"connections/{desk.healthy}{path}"
        answer = await (browser.post(page, {"name": "Mine"}) if path else browser.get(page))
        assert answer.status_code == 404, path
    assert "user_1" not in (await browser.get("connections")).text
    assert (await desk.team.api.get(f"/v1/connections/{desk.healthy}")).json()["name"] == "Globex Corporation"


async def test_no_page_contains_a_credential(desk: Desk) -> None:
    with_tokens = await desk.connect_with_tokens()
    await desk.browser.submit(f"connections/{with_tokens}/refresh")
    pages = [await desk.browser.get("connections"), await desk.browser.get("end-users")]
    for connection_id in (desk.healthy, desk.broken, with_tokens):
        pages.append(await desk.browser.get(f"connections/{connection_id}"))
        pages.append(await desk.browser.post(f"connections/{connection_id}/link"))
        pages.append(await desk.browser.post(f"connections/{connection_id}/disconnect"))
    for page in pages:
        assert page.status_code == 200
        for secret in SECRETS:
            assert secret not in page.text


async def test_scopes_of_a_connection_are_in_words(team: Team) -> None:
    credentials = {"access_token": "canary-access-token", "scope": "chat:write own.scope"}
    client = {"client_id": "ours", "client_secret": "s" * 20}
    assert (await team.api.send("PUT", "/v1/integrations/slack/oauth-client", client)).status_code == 200
    slack = {"integration_slug": "slack", "auth_type": "oauth2", "credentials": credentials, "check": False}
    connection = (await team.api.post("/v1/connections", {"end_user_id": "user_1", **slack})).json()
    stores.query(team.application.installation, "UPDATE connections SET missing_scopes = '[\"channels:read\"]'")
    page = text_of(await (await team.browser("support")).get(f"connections/{connection['id']}"))
    assert "Allowed scopes chat:write Send messages in channels that the app is in. own.scope" in page
    assert "Scopes that are missing channels:read Read the list and the details of public channels." in page
