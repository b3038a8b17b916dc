"""Sign-in at the OpenID provider, with the pages of the dashboard."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
from pydantic import SecretStr

from one_runtime.clock import system_clock
from one_runtime.encryption import secret_tokens
from one_runtime.team import dashboard_sessions
from tests.application import RunningAcme, settings_for, started
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, FakeProvider, running_provider
from tests.promises.canaries import leaks
from tests.promises.stores import everything_stored, query

CALLBACK = "/sign-in/oidc/callback"


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with running_provider(system_clock) as provider:
        yield provider


@pytest_asyncio.fixture
async def team(database_url: str, acme: RunningAcme, provider: FakeProvider) -> AsyncIterator[Team]:
    """The application with a provider, and an organization that people join by the domain of their address."""
    settings = settings_for(
        database_url,
        acme,
        dashboard_listen="127.0.0.1:8003",
        egress_allow=frozenset({("127.0.0.1", urlsplit(provider.url).port)}),
        oidc_issuer=provider.url,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=SecretStr(CLIENT_SECRET),
        oidc_allowed_domains=frozenset({"acme.example"}),
    )
    async with started(settings, acme, worker=False) as application:
        organization_id = await application.organization()
        yield Team(application, organization_id, application.client(await application.key(organization_id)))


async def provider_url(browser: TeamBrowser, **fields: str) -> str:
    """Press the button on the sign-in page. Return the URL of the provider's page."""
    page = await browser.post("/sign-in/oidc", fields)
    assert page.status_code == 200, text_of(page)
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.text)
    assert found is not None
    url = unescape(found[1])
    assert f'href="{found[1]}"' in page.text, "a browser without meta refresh needs a link"
    return url


async def test_person_signs_in_and_returns_to_the_page(team: Team, provider: FakeProvider) -> None:
    browser = await team.browser(None)
    wanted = browser.address("")
    first = await browser.get()
    sign_in = await browser.get(first.headers["location"])
    assert f"Sign in with {urlsplit(provider.url).netloc}" in text_of(sign_in)
    assert f'name="next" value="{wanted}"' in sign_in.text
    answer = await browser.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser, next=wanted)).decode()}")
    assert (answer.status_code, answer.headers["location"]) == (303, wanted)
    assert set(browser.http.cookies) == {"or_session", "or_known_browser"}
    assert "Overview" in text_of(await browser.get())


async def test_sign_in_leads_to_no_other_site(team: Team, provider: FakeProvider) -> None:
    browser = await team.browser(None)
    for elsewhere in ("https://attacker.example", "//attacker.example", "/\\attacker.example"):
        url = await provider_url(browser, next=elsewhere)
        answer = await browser.get(f"{CALLBACK}?{provider.authorize(url).decode()}")
        assert answer.headers["location"] == "/"
        url = await provider_url(browser)
        browser.http.cookies.set("or_oidc_next", quote(elsewhere, safe="/"), domain="127.0.0.1", path="/")
        answer = await browser.get(f"{CALLBACK}?{provider.authorize(url).decode()}")
        assert answer.headers["location"] == "/"


@pytest.mark.promise("P2")
async def test_token_of_an_invitation_is_not_stored_during_the_sign_in(team: Team, provider: FakeProvider) -> None:
    browser, token = await team.browser(None), secret_tokens.make(secret_tokens.INVITATION).secret
    path = f"/invitation?token={token}"
    url = await provider_url(browser, next=path)
    assert leaks({"token": token}, everything_stored(team.application.installation)) == []
    answer = await browser.get(f"{CALLBACK}?{provider.authorize(url).decode()}")
    assert answer.headers["location"] == path


async def test_refused_person_sees_one_sentence_and_gets_no_session(team: Team, provider: FakeProvider) -> None:
    browser = await team.browser(None)
    provider.claims["email"] = "eve@other.example"
    answer = await browser.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser)).decode()}")
    assert answer.status_code == 403
    assert "eve@other.example is not a member of an organization. Ask an owner" in text_of(answer)
    stranger = await team.browser(None)
    foreign = await stranger.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser)).decode()}")
    assert (foreign.status_code, "began in another browser" in text_of(foreign)) == (403, True)
    provider.document = {"issuer": "https://other.example"}
    team.application.clock.advance(hours=1)
    down = await browser.post("/sign-in/oidc")
    assert (down.status_code, "Try again, or sign in with another method" in text_of(down)) == (502, True)
    for each in (browser, stranger):
        assert "or_session" not in each.http.cookies
        assert (await each.get()).status_code == 303


async def test_sign_in_replaces_the_session_of_the_browser(team: Team, provider: FakeProvider) -> None:
    browser, thief = await team.browser("owner"), await team.browser(None)
    thief.http.cookies.set("or_session", browser.http.cookies["or_session"])
    assert (await thief.get()).status_code == 200
    await browser.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser)).decode()}")
    assert (await thief.get()).status_code == 303


async def test_time_of_the_proof_at_the_provider_counts_for_actions_that_need_a_recent_one(
    team: Team, provider: FakeProvider
) -> None:
    for minutes, is_recent in ((1, True), (60, False)):
        browser = await team.browser(None)
        provider.signed = {"auth_time": int((team.application.clock() - timedelta(minutes=minutes)).timestamp())}
        await browser.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser)).decode()}")
        async with team.application.installation.database.read() as tx:
            token, now = browser.http.cookies["or_session"], team.application.clock()
            visitor = await dashboard_sessions.find_visitor(tx, token, None, now)
        assert visitor is not None
        assert visitor.has_authenticated_recently(now) == is_recent
        assert "prompt=login" in await provider_url(browser), "the member has signed in"


async def test_sign_in_without_auth_time_counts_only_if_the_provider_had_to_authenticate_again(
    team: Team, provider: FakeProvider
) -> None:
    """The first sign-in possibly used an old session at the provider."""
    browser = await team.browser(None)
    for is_recent in (False, True):
        await browser.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser)).decode()}")
        async with team.application.installation.database.read() as tx:
            token, now = browser.http.cookies["or_session"], team.application.clock()
            visitor = await dashboard_sessions.find_visitor(tx, token, None, now)
        assert visitor is not None
        assert visitor.has_authenticated_recently(now) == is_recent


async def test_member_of_the_provider_adds_another_way_to_sign_in_and_keeps_both(
    team: Team, provider: FakeProvider
) -> None:
    host = urlsplit(provider.url).netloc

    async def sign_in(**fields: str) -> TeamBrowser:
        await browser.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser, **fields)).decode()}")
        return browser

    browser = await team.browser(None)
    account = text_of(await (await sign_in()).get("/account"))
    assert f"You sign in with your account at {host}." in account
    assert "confirm that it is you" in account
    assert "New password" not in account, "the provider possibly used an old session"
    again = await browser.get("/sign-in/again", next="/account")
    assert f"Sign in with {host}" in text_of(again)
    assert "for a new invitation" not in text_of(again)
    account = text_of(await (await sign_in(next="/account")).get("/account"))
    assert ("confirm that it is you" in account, "New password" in account) == (False, True)
    password = await browser.submit("/account/password", {"password": "seven quiet herons"})
    assert "Your password is saved." in text_of(password)
    account = text_of(await (await sign_in()).get("/account"))
    assert f"You sign in with your account at {host}." in account
    assert "You have no password" not in account, "a further sign-in at the provider keeps the password"


async def test_member_with_a_session_signs_in_at_the_provider_for_the_first_time(
    team: Team, provider: FakeProvider
) -> None:
    browser = await team.browser("admin")
    query(
        team.application.installation, f"UPDATE members SET email = 'ada@acme.example' WHERE id = '{browser.member_id}'"
    )
    answer = await browser.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser)).decode()}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/"), text_of(answer)
    assert "You sign in with your account at" in text_of(await browser.get("/account"))
    assert (await browser.get("members")).status_code == 200


async def test_member_whose_provider_is_turned_off_reads_what_to_do(team: Team, provider: FakeProvider) -> None:
    browser = await team.browser(None)
    await browser.get(f"{CALLBACK}?{provider.authorize(await provider_url(browser)).decode()}")
    dashboard: Any = team.application.app.listeners[8003]
    dashboard._services = replace(dashboard._services, openid=None)
    assert "This server has no OpenID provider now" in text_of(await browser.get("/account"))
    again = text_of(await browser.get("/sign-in/again", next="/account"))
    assert "None of your ways to sign in works at this address. Ask an owner for a new invitation" in again
