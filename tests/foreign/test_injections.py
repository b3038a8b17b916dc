"""P5: changes to an authorization request or a callback have no effect (RFC 9700, 4)."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
import pytest_asyncio

from one_runtime.encryption import secret_tokens
from tests.application import RunningAcme
from tests.authorizations import OUR_PAGE
from tests.foreign.connecting import Connecting, connecting, target_of
from tests.foreign.person import ALICE
from tests.foreign.providers import Provider
from tests.foreign.visitor import Visitor
from tests.redirects import RETURN_URL
from tests.redirects import register as register_return_url

pytestmark = [pytest.mark.foreign, pytest.mark.promise("P5")]

EVIL = "https://evil.example"


@pytest_asyncio.fixture
async def runtime(database_url: str, acme: RunningAcme, oidc_provider: Provider) -> AsyncIterator[Connecting]:
    async with connecting(database_url, acme, oidc_provider) as runtime:
        yield runtime


def without(url: str, *names: str) -> str:
    """Return the URL without these parameters."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in names]
    return urlunsplit(parts._replace(query=urlencode(query)))


async def connected_to(runtime: Connecting) -> list[object]:
    return list((await runtime.client.get("/v1/connections")).json()["connections"])


async def test_removed_challenge_leads_to_no_connection(runtime: Connecting) -> None:
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    assert attempt.query["code_challenge_method"] == "S256"
    assert len(attempt.query["code_challenge"]) == 43
    async with Visitor() as visitor:
        callback = await visitor.consent(without(attempt.url, "code_challenge", "code_challenge_method"), ALICE)
    page = await runtime.call_back(callback, attempt.cookie)
    assert page.status_code == 409
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))[
        "code"
    ] == "authorization_refused"
    assert await connected_to(runtime) == []


@pytest.mark.parametrize("knows_the_state", [True, False])
async def test_error_text_of_a_forged_callback_is_not_shown_and_changes_nothing(
    runtime: Connecting, knows_the_state: bool
) -> None:
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    state = attempt.query["state"] if knows_the_state else secret_tokens.make(secret_tokens.STATE).secret
    words = "Call 555-0100 and tell them your password <b>now</b>"
    injected = {"error": "access_denied", "error_description": words, "error_uri": EVIL, "state": state}
    page = await runtime.call_back(injected, None)
    assert page.status_code == 409
    assert "555-0100" not in page.text
    assert EVIL not in page.text
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))["state"] == "waiting"
    state_of = (await runtime.client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()
    assert words not in str(state_of)
    assert (state_of["last_error"] or {}).get("code") == ("browser_mismatch" if knows_the_state else None)


async def test_providers_error_is_plain_text_and_its_url_is_not_a_link(runtime: Connecting) -> None:
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    error = {"error": "server_error", "error_description": "<script>alert(1)</script>", "error_uri": EVIL}
    page = await runtime.call_back(
        {**error, "state": attempt.query["state"], "iss": runtime.provider.url}, attempt.cookie
    )
    assert "<script>alert(1)" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert f'href="{EVIL}' not in page.text


async def test_callback_cannot_change_where_the_browser_returns_to(runtime: Connecting) -> None:
    await register_return_url(runtime.client, RETURN_URL)
    session = await runtime.session(return_url=RETURN_URL)
    form = {"session_token": session["session_token"], "step": "connect", "auth_type": "oauth2"}
    redirect_page = await runtime.client.http.post("/connect", data=form, headers=OUR_PAGE)
    async with Visitor() as visitor:
        callback = await visitor.consent(target_of(redirect_page), ALICE)
    injected = {**callback, "return_url": EVIL, "redirect_uri": EVIL, "next": EVIL}
    return_page = await runtime.call_back(injected, redirect_page.headers["set-cookie"].partition(";")[0])
    assert EVIL not in return_page.text
    target = target_of(return_page)
    assert target.startswith(f"{RETURN_URL}?")
    assert parse_qs(urlsplit(target).query)["status"] == ["connected"]


async def test_no_page_of_an_authorization_sends_its_url_as_referrer(runtime: Connecting) -> None:
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    pages = [
        await runtime.client.get("/connect/authorization"),
        await runtime.call_back(
            {"state": attempt.query["state"], "code": "x", "iss": runtime.provider.url}, attempt.cookie
        ),
        await runtime.call_back({"state": "nothing"}, None),
    ]
    for page in pages:
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert session["session_token"] not in page.text
        assert attempt.query["state"] not in page.text


async def test_number_of_codes_that_a_session_can_try_is_limited(runtime: Connecting) -> None:
    session = await runtime.session()
    before = runtime.provider.process.log().count("POST /token")
    for _ in range(10):
        attempt = await runtime.authorize(session["session_token"])
        guess = {"state": attempt.query["state"], "code": "a-guess", "iss": runtime.provider.url}
        assert (await runtime.call_back(guess, attempt.cookie)).status_code == 409
    over = await runtime.prepare(session["session_token"])
    assert (over.status_code, over.json()["code"]) == (429, "too_many_attempts")
    assert runtime.provider.process.log().count("POST /token") == before + 10
    assert await connected_to(runtime) == []
