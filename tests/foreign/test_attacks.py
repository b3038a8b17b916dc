"""Attacks of RFC 9700 on an authorization, over HTTP against authorization servers of third parties.

A callback is accepted once, in time, from the browser that started the attempt, at its integration's address, from its
issuer, and with the code that was issued for it. `test_attacks_in_a_browser.py` has the attacks of foreign pages.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.foreign.authorizations import SessionAuthorization, allow, authorize, call_back, outcome, prepare, start
from tests.foreign.person import ALICE, BOB
from tests.foreign.plain_client import PlainClient, Refusal
from tests.foreign.providers import OAuthClient, Provider
from tests.foreign.served import Served, served
from tests.foreign.visitor import Stuck, Visitor

pytestmark = [pytest.mark.foreign, pytest.mark.promise("P5"), pytest.mark.soak_on("postgresql")]

LOST = "Start again from the app"
INVALID_GRANT = Refusal("invalid_grant", 400)


@pytest_asyncio.fixture
async def victim(database_url: str, oidc_provider: Provider, django_provider: Provider) -> AsyncIterator[Served]:
    """One Runtime with two providers; the attacks target the first provider."""
    async with served(database_url, oidc_provider, django_provider) as runtime:
        yield runtime


async def is_untouched(runtime: Served, attempt: SessionAuthorization) -> bool:
    """Return True if nothing was connected and the attempt is still pending."""
    outcome_body = (await outcome(runtime, attempt)).json()
    return await runtime.connections() == [] and outcome_body["state"] == "waiting"


async def test_state_is_accepted_once(victim: Served) -> None:
    attempt = await authorize(victim)
    callback = await allow(attempt)
    assert (await call_back(victim, callback, attempt.cookie)).status_code == 200
    again = await call_back(victim, callback, attempt.cookie)
    assert (again.status_code, LOST in again.text) == (409, True)
    other = await call_back(victim, {**callback, "code": "of-somebody-else"}, attempt.cookie)
    assert (other.status_code, LOST in other.text) == (409, True)
    assert len(await victim.connections()) == 1
    assert (await outcome(victim, attempt)).json()["state"] == "connected"


async def test_only_one_of_concurrent_callbacks_is_accepted(victim: Served) -> None:
    attempt = await authorize(victim)
    callback = await allow(attempt)
    answers = await asyncio.gather(*(call_back(victim, callback, attempt.cookie) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(await victim.connections()) == 1


async def test_callback_in_another_browser_is_refused_and_the_right_browser_may_still_bring_it(victim: Served) -> None:
    attempt, other = await authorize(victim), await authorize(victim, end_user_id="mallory")
    callback = await allow(attempt)
    name, stolen = attempt.cookie.partition("=")[0], other.cookie.partition("=")[2]
    for cookie in (None, other.cookie, f"{name}={stolen}", f"{name}=", f"{name}=orb_made-up"):
        refused = await call_back(victim, callback, cookie)
        assert (refused.status_code, LOST in refused.text) == (409, True)
        assert ALICE.email not in refused.text
        assert "set-cookie" not in refused.headers
    assert await is_untouched(victim, attempt)
    assert (await call_back(victim, callback, attempt.cookie)).status_code == 200
    (connection,) = await victim.connections()
    assert connection["account"]["label"] == ALICE.email


async def test_callback_at_another_integrations_redirect_uri_is_refused(victim: Served) -> None:
    attempt = await authorize(victim)
    callback = await allow(attempt)
    for slug in ("django-provider", "github", "no-such-thing"):
        refused = await call_back(victim, callback, attempt.cookie, slug)
        assert (refused.status_code, LOST in refused.text) == (409, True)
    assert await is_untouched(victim, attempt)
    assert (await call_back(victim, callback, attempt.cookie)).status_code == 200


async def test_late_callback_is_refused(victim: Served) -> None:
    attempt = await authorize(victim, expires_in=3600)
    callback = await allow(attempt)
    victim.clock.advance(minutes=10, seconds=1)
    refused = await call_back(victim, callback, attempt.cookie)
    assert (refused.status_code, LOST in refused.text) == (409, True)
    assert await victim.connections() == []


@pytest.mark.parametrize("change", [{"iss": "https://attacker.example"}, {"iss": ""}, None], ids=str)
async def test_callback_of_another_or_no_issuer_is_refused_before_its_code_is_used(
    victim: Served, change: dict[str, str] | None
) -> None:
    attempt = await authorize(victim)
    callback = await allow(attempt)
    assert callback["iss"] == victim.provider.url
    before = token_requests(victim)
    if change is None:
        del callback["iss"]
    refused = await call_back(victim, callback | (change or {}), attempt.cookie)
    assert "The response didn’t come from OIDC provider as it should" in refused.text
    assert (await outcome(victim, attempt)).json()["code"] == "issuer_mismatch"
    assert await victim.connections() == []
    assert token_requests(victim) == before


async def test_attackers_callback_is_refused_in_the_victims_browser(victim: Served) -> None:
    """Login CSRF (RFC 9700, 4.7): the victim opens the callback of the attacker's attempt."""
    attempt, victims_attempt = await authorize(victim, end_user_id="mallory"), await authorize(victim)
    callback = await allow(attempt, BOB)
    for cookie in (None, victims_attempt.cookie):
        refused = await call_back(victim, callback, cookie)
        assert (refused.status_code, LOST in refused.text) == (409, True)
    assert await victim.connections() == await victim.connections("mallory") == []


@pytest.mark.parametrize("of", ["oidc-provider", "django-provider"])
async def test_attackers_code_in_the_victims_callback_is_refused(victim: Served, of: str) -> None:
    """Code injection (RFC 9700, 4.5), which PKCE prevents, and mix-up (4.4): the code is of another provider."""
    attempt, other = await authorize(victim), await authorize(victim, end_user_id="mallory", integration_slug=of)
    callback = await allow(attempt)
    injected = callback | {"code": (await allow(other, BOB))["code"]}
    refused = await call_back(victim, injected, attempt.cookie)
    assert "was no longer valid when we completed it" in refused.text
    assert (await outcome(victim, attempt)).json()["code"] == "invalid_grant"
    assert await victim.connections() == []


async def test_stolen_code_is_refused_without_its_verifier(victim: Served) -> None:
    """PKCE (RFC 7636) protects the code even if the client's secret is stolen too."""
    client = await registered(victim)
    attempt = await authorize(victim)
    query = attempt.query
    assert (query["client_id"], query["code_challenge_method"]) == (client.client_id, "S256")
    assert len(query["code_challenge"]) == 43
    callback = await allow(attempt)
    async with PlainClient(victim.provider, client) as thief:
        for guess in ("", query["code_challenge"], "v" * 43):
            assert not hasattr(await thief.exchange(callback["code"], guess), "access_token")
    assert (await authorize(victim)).query["code_challenge"] != query["code_challenge"]


async def test_host_header_does_not_change_the_redirect_uri(
    victim: Served,
) -> None:
    prepared = await prepare(victim, await victim.session())
    started = await start(victim, prepared["ticket"], host="attacker.example", **{"sec-fetch-site": "same-origin"})
    attempt = SessionAuthorization("", started.json()["url"], "", {})
    assert attempt.query["redirect_uri"] == f"{victim.url}/connect/callback/oidc-provider"
    elsewhere = replace(attempt, url=attempt.url.replace("callback%2Foidc-provider", "callback%2Fdjango-provider"))
    assert elsewhere != attempt
    async with Visitor() as visitor:
        with pytest.raises(Stuck, match="redirect_uri"):
            await visitor.consent(elsewhere.url, ALICE)


async def test_ticket_is_accepted_once(victim: Served) -> None:
    prepared = await prepare(victim, await victim.session())
    answers = await asyncio.gather(*(start(victim, prepared["ticket"]) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    refused = [answer for answer in answers if answer.status_code == 409]
    assert {answer.json()["code"] for answer in refused} == {"consent_lost"}
    assert not any("set-cookie" in answer.headers for answer in refused)


async def test_ticket_expires_after_two_minutes(victim: Served) -> None:
    prepared = await prepare(victim, await victim.session())
    victim.clock.advance(minutes=2, seconds=1)
    assert (await start(victim, prepared["ticket"])).json()["code"] == "consent_lost"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": "OURS"},
        {"origin": "https://attacker.example"},
        {"origin": "null"},
        {"accept": "*/*"},
    ],
    ids=str,
)
@pytest.mark.promise("P6")
async def test_ticket_is_accepted_only_from_our_own_page(victim: Served, headers: dict[str, str]) -> None:
    prepared = await prepare(victim, await victim.session())
    request_headers = {name: victim.url if value == "OURS" else value for name, value in headers.items()}
    refused = await start(victim, prepared["ticket"], **request_headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_lost")
    assert "set-cookie" not in refused.headers
    assert (await start(victim, prepared["ticket"], origin=victim.url)).status_code == 200


async def test_new_attempt_ends_the_attempt_before(victim: Served) -> None:
    attempt = await authorize(victim)
    callback = await allow(attempt)
    await prepare(victim, attempt.session)
    assert LOST in (await call_back(victim, callback, attempt.cookie)).text
    assert await victim.connections() == []


@pytest.mark.promise("P6")
async def test_framed_callback_is_refused_and_does_not_use_the_state(victim: Served) -> None:
    attempt = await authorize(victim)
    callback = await allow(attempt)
    framed = {"sec-fetch-dest": "iframe", "sec-fetch-site": "cross-site"}
    refused = await call_back(victim, callback, attempt.cookie, **framed)
    assert refused.status_code == 403
    assert "frame-ancestors 'none'" in refused.headers["content-security-policy"]
    assert await is_untouched(victim, attempt)


async def test_only_the_session_of_the_attempt_can_read_its_outcome(victim: Served) -> None:
    attempt = await authorize(victim)
    other = await victim.session(end_user_id="mallory")
    assert (await outcome(victim, attempt, other)).status_code == 404
    assert (await outcome(victim, attempt)).json()["state"] == "waiting"


async def test_cookie_is_sent_only_to_our_server_and_deleted_after_use(victim: Served) -> None:
    prepared = await prepare(victim, await victim.session())
    started = await start(victim, prepared["ticket"])
    cookie, *attributes = started.headers["set-cookie"].split("; ")
    assert set(attributes) == {"Max-Age=600", "Path=/", "HttpOnly", "SameSite=Lax"}
    attempt = SessionAuthorization("", started.json()["url"], cookie, {})
    assert attempt.query["state"] not in cookie
    page = await call_back(victim, await allow(attempt), cookie)
    assert page.headers["set-cookie"].startswith(f"{cookie.partition('=')[0]}=; Max-Age=0")


async def registered(runtime: Served) -> OAuthClient:
    """Register a new client at the provider; later authorizations use this client."""
    return await runtime.register(runtime.provider)


def token_requests(runtime: Served) -> int:
    """Return the number of token requests to the provider."""
    return runtime.provider.process.log().count('"POST /token"')
