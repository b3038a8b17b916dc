"""OAuth authorizations against Acme CRM, in this process: every end of a callback, and the attacks on it (P5, P9)."""

import asyncio
import re
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any, Final

import psycopg
import pytest
from pydantic import SecretStr
from structlog.testing import CapturingLogger

from one_runtime.connecting import account_selection, authorization, authorization_attempts, sessions
from one_runtime.connecting.authorization import MAX_ATTEMPTS
from one_runtime.connecting.authorization_attempts import KEPT
from one_runtime.connections.credentials import ConnectionKey
from one_runtime.db.schema import consents
from one_runtime.demo.acme import GLOBEX
from one_runtime.egress.client import Egress
from one_runtime.egress.response import Response
from one_runtime.encryption import secret_tokens
from one_runtime.tokens.refresh import held_credentials
from tests.application import PUBLIC_URL, started
from tests.authorizations import OUR_PAGE, StartedAuthorization
from tests.connecting.acme import CLOSED_PORT, LOST, SLUG, AcmeAuthorizing, is_untouched
from tests.foreign.person import ALICE
from tests.foreign.visitor import Visitor
from tests.missing_key import activate_last, add_key
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P5")

RETURN_URL: Final = "https://app.example.com/done"


async def test_an_allowed_authorization_makes_a_connection(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    assert attempt.query["code_challenge_method"] == "S256"
    assert attempt.query["redirect_uri"] == f"{PUBLIC_URL}/connect/callback/{SLUG}"
    assert await is_untouched(runtime, token, attempt)
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    assert page.status_code == 200
    assert "Globex Corporation" in page.text
    assert "Max-Age=0" in page.headers["set-cookie"]
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["connection"]["connection_name"]) == ("connected", "Globex Corporation")
    (connection,) = await runtime.connections()
    assert connection["account"] == {"id": GLOBEX, "label": "Globex Corporation"}
    assert (await runtime.backend_session(session))["status"] == "connected"
    created = (await runtime.client.get("/v1/events", type="connection.created")).json()["events"]
    assert [event["actor"]["type"] for event in created] == ["end_user"]


@pytest.mark.promise("P6")
async def test_in_the_mode_redirect_the_connection_counts_after_the_code_was_redeemed(runtime: AcmeAuthorizing) -> None:
    body = {"display_name": "Northwind", "return_urls": [RETURN_URL]}
    assert (await runtime.client.send("PUT", "/v1/organization", body)).status_code == 200
    session = await runtime.session(return_url=RETURN_URL)
    form = {"session_token": session["session_token"], "step": "connect", "auth_type": "oauth2"}
    async with runtime.browser() as browser:
        page = await browser.post("/connect", data=form, headers=OUR_PAGE)
    cookie = page.headers["set-cookie"].partition(";")[0]
    (url,) = re.findall(r'href="([^"]*/oauth/authorize[^"]*)"', page.text)
    attempt = StartedAuthorization("", url.replace("&amp;", "&"), cookie)
    returned = await runtime.call_back(await runtime.allow(attempt), cookie)
    (back,) = set(re.findall(r'href="(https://app\.example\.com/done[^"]*)"', returned.text))
    assert await runtime.connections() == []
    code = re.findall(r"code=([^&]+)", back)[0]
    redeemed = await runtime.client.post(
        f"/v1/hosted-connection-sessions/{session['id']}/redeem", {"code": code, "end_user_id": "user_123"}
    )
    assert redeemed.json()["connection"]["account"]["id"] == GLOBEX


@pytest.mark.promise("P6")
async def test_a_top_level_page_shows_its_form_again_after_a_denial(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session(mode="link")
    form = {"session_token": session["session_token"], "step": "connect", "auth_type": "oauth2"}
    async with runtime.browser() as browser:
        page = await browser.post("/connect", data=form, headers=OUR_PAGE)
    cookie = page.headers["set-cookie"].partition(";")[0]
    (url,) = re.findall(r'href="([^"]*/oauth/authorize[^"]*)"', page.text)
    async with Visitor() as visitor:
        callback = await visitor.deny(url.replace("&amp;", "&"), ALICE)
    shown = await runtime.call_back(callback, cookie)
    assert "Access wasn’t allowed" in shown.text
    assert f'name="session_token" value="{session["session_token"]}"' in shown.text
    without_page = await runtime.call_back(callback, None)
    assert (without_page.status_code, session["session_token"] in without_page.text) == (409, False)


async def test_a_denial_fails_the_attempt_and_the_session_goes_on(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    async with Visitor() as visitor:
        callback = await visitor.deny(attempt.url, ALICE)
    assert callback["error"] == "access_denied"
    page = await runtime.call_back(callback, attempt.cookie)
    assert (page.status_code, "Access wasn’t allowed" in page.text) == (409, True)
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "consent_denied")
    read = await runtime.backend_session(session)
    assert (read["status"], read["last_error"]["code"]) == ("pending", "consent_denied")
    (failed,) = (await runtime.client.get("/v1/events", type="hosted_connection_session.failed")).json()["events"]
    assert failed["data"]["reason"] == "consent_denied"
    assert await runtime.failed_checks(session) == 0
    again = await runtime.authorize(token)
    assert (await runtime.call_back(await runtime.allow(again), again.cookie)).status_code == 200
    assert (await runtime.outcome(token, again.authorization_id))["state"] == "connected"


@pytest.mark.promise("P8")
async def test_a_server_without_the_active_key_exchanges_no_code_and_another_server_does(
    runtime: AcmeAuthorizing,
) -> None:
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    setting, both = add_key(runtime.application.installation)
    await activate_last(runtime.application.installation, both)
    requests = runtime.token_requests()
    page = await runtime.call_back(callback, attempt.cookie)
    assert (page.status_code, runtime.token_requests()) == (503, requests)
    assert await is_untouched(runtime, token, attempt)
    installation = runtime.application.installation
    settings = installation.settings.model_copy(update={"encryption_keys": SecretStr(setting)})
    async with started(settings, runtime.acme, installation.catalog, worker=False) as other:
        page = await replace(runtime, application=other).call_back(callback, attempt.cookie)
    assert (page.status_code, runtime.token_requests()) == (200, requests + 1)
    assert (await runtime.outcome(token, attempt.authorization_id))["state"] == "connected"


@pytest.fixture
def missing_key(runtime: AcmeAuthorizing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Activate a key that this server lacks when the provider has answered."""
    installation, request = runtime.application.installation, Egress.request
    _, both = add_key(installation)

    async def request_and_activate(self: Egress, method: str, url: str, **options: Any) -> Response:
        response = await request(self, method, url, **options)
        await activate_last(installation, both)
        return response

    monkeypatch.setattr(Egress, "request", request_and_activate)


@pytest.mark.promise("P8")
@pytest.mark.usefixtures("missing_key")
async def test_tokens_are_stored_when_a_key_that_this_server_lacks_was_activated_during_the_exchange(
    runtime: AcmeAuthorizing,
) -> None:
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    assert page.status_code == 200
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert outcome["state"] == "connected"
    organization_id = (await runtime.client.get("/v1/organization")).json()["id"]
    key = ConnectionKey(organization_id, outcome["connection"]["connection_id"])
    usable = await held_credentials(runtime.application.installation, key)
    assert usable.values.credentials["access_token"]


@pytest.mark.promise("P9")
@pytest.mark.usefixtures("missing_key")
async def test_tokens_of_a_failed_authorization_are_revoked_by_a_server_that_lacks_the_active_key(
    runtime: AcmeAuthorizing,
) -> None:
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    runtime.acme.acme.fail_with(500)
    await runtime.call_back(callback, attempt.cookie)
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "provider_unavailable")
    assert runtime.token_requests() == 1
    assert runtime.revoke_all_grants() == 0, "the grant was in force"


async def test_callback_with_an_unknown_state_is_refused(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    for state in ("", "orst_made-up", callback["state"][:-1] + ("A" if callback["state"][-1] != "A" else "B")):
        refused = await runtime.call_back(callback | {"state": state}, attempt.cookie)
        assert (refused.status_code, LOST in refused.text) == (409, True)
        assert "set-cookie" not in refused.headers
    assert runtime.token_requests() == 0
    assert await is_untouched(runtime, token, attempt)


async def test_callback_with_reused_state_is_refused(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    assert (await runtime.call_back(callback, attempt.cookie)).status_code == 200
    for again in (callback, callback | {"code": "another-code"}):
        refused = await runtime.call_back(again, attempt.cookie)
        assert (refused.status_code, LOST in refused.text) == (409, True)
    assert runtime.token_requests() == 1
    assert len(await runtime.connections()) == 1


@pytest.mark.only_database("postgresql")
async def test_of_two_callbacks_at_once_only_one_consumes_the_state(
    runtime: AcmeAuthorizing, database_url: str
) -> None:
    attempt = await runtime.authorize((await runtime.session())["session_token"])
    callback, browser = await runtime.allow(attempt), attempt.cookie.partition("=")[2]
    installation = runtime.application.installation
    vault, now, outside = installation.vault, installation.clock(), copy_context()
    with psycopg.connect(database_url, autocommit=True) as observer:
        async with installation.database.write() as tx:
            first = await authorization_attempts.consume(tx, vault, callback["state"], browser, SLUG, now)
            second = asyncio.create_task(runtime.call_back(callback, attempt.cookie), context=outside)
            await eventually(lambda: observer.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall())
        refused = await second
    assert first is not None
    assert (refused.status_code, LOST in refused.text) == (409, True)
    assert runtime.token_requests() == 0


async def test_callback_in_another_browser_is_refused_and_the_right_browser_may_still_bring_it(
    runtime: AcmeAuthorizing,
) -> None:
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    other = await runtime.authorize((await runtime.session("mallory"))["session_token"])
    callback = await runtime.allow(attempt)
    name, stolen = attempt.cookie.partition("=")[0], other.cookie.partition("=")[2]
    for cookie in (None, other.cookie, f"{name}={stolen}", f"{name}=", f"{name}=orb_made-up"):
        refused = await runtime.call_back(callback, cookie)
        assert (refused.status_code, LOST in refused.text) == (409, True)
        assert "set-cookie" not in refused.headers
    assert runtime.token_requests() == 0
    assert await is_untouched(runtime, token, attempt)
    assert (await runtime.call_back(callback, attempt.cookie)).status_code == 200
    assert len(await runtime.connections()) == 1


async def test_page_learns_that_a_browser_returned_without_the_cookie(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]

    async def outcome(attempt: StartedAuthorization) -> tuple[str, str | None]:
        answer = await runtime.outcome(token, attempt.authorization_id)
        return answer["state"], answer["code"]

    first = await runtime.authorize(token)
    callback = await runtime.allow(first)
    unknown = callback | {"state": callback["state"][:-1] + "!"}
    for query, slug in ((unknown, SLUG), (callback, "github")):
        await runtime.call_back(query, None, slug)
        assert await outcome(first) == ("waiting", None)
    await runtime.call_back(callback, None)
    assert await outcome(first) == ("waiting", "browser_mismatch")
    assert (await runtime.backend_session(session))["last_error"]["code"] == "browser_mismatch"
    runtime.application.clock.advance(seconds=1)
    second = await runtime.authorize(token)
    assert await outcome(second) == ("waiting", None)
    await runtime.call_back(await runtime.allow(second), second.cookie)
    assert await outcome(second) == ("connected", None)
    assert (await runtime.backend_session(session))["last_error"] is None


async def note_opener_policy(runtime: AcmeAuthorizing, session_id: str, **headers: str) -> int:
    """Send the request of a window that has no opener. Return the status."""
    sent = {"sec-fetch-site": "same-origin", **headers}
    path = "/connect/authorization/opener-policy"
    return (await runtime.client.http.post(path, json={"session": session_id}, headers=sent)).status_code


async def test_page_learns_that_its_policy_has_cut_off_the_window(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    assert await note_opener_policy(runtime, session["id"]) == 404, "no attempt waits for a window"
    prepared = (await runtime.prepare(token)).json()
    assert await note_opener_policy(runtime, session["id"], **{"sec-fetch-site": "cross-site"}) == 409
    for other in ((await runtime.session("mallory"))["id"], session["id"][:-1], "", token):
        assert await note_opener_policy(runtime, other) in {404, 422}
    outcome = await runtime.outcome(token, prepared["authorization_id"])
    assert (outcome["state"], outcome["code"]) == ("waiting", None)

    assert await note_opener_policy(runtime, session["id"]) == 204
    outcome = await runtime.outcome(token, prepared["authorization_id"])
    assert (outcome["state"], outcome["code"]) == ("waiting", "opener_policy")
    seen = await runtime.backend_session(session)
    assert (seen["status"], seen["last_error"]["code"]) == ("pending", "opener_policy")
    assert "same-origin-allow-popups" in seen["last_error"]["message"]

    runtime.application.clock.advance(seconds=1)
    attempt = await runtime.authorize(token)  # the note ends nothing, and is about one attempt
    assert await note_opener_policy(runtime, session["id"]) == 404
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("waiting", None)
    assert (await runtime.call_back(await runtime.allow(attempt), attempt.cookie)).status_code == 200
    assert (await runtime.backend_session(session))["last_error"] is None


async def test_callback_at_the_redirect_address_of_another_integration_is_refused(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    for slug in ("github", "no-such-integration"):
        refused = await runtime.call_back(callback, attempt.cookie, slug)
        assert (refused.status_code, LOST in refused.text) == (409, True)
    assert await is_untouched(runtime, token, attempt)
    assert (await runtime.call_back(callback, attempt.cookie)).status_code == 200


async def test_callback_after_ten_minutes_is_refused(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session(expires_in=3600))["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    runtime.application.clock.advance(minutes=10, seconds=1)
    refused = await runtime.call_back(callback, attempt.cookie)
    assert (refused.status_code, LOST in refused.text) == (409, True)
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "session_expired")
    assert runtime.token_requests() == 0


@pytest.mark.parametrize("issuer", ["https://attacker.example", "", None], ids=str)
async def test_callback_of_another_issuer_is_refused_before_its_code_is_used(
    runtime: AcmeAuthorizing, issuer: str | None
) -> None:
    """Mix-up (RFC 9700, 4.4; RFC 9207)."""
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    assert callback["iss"] == runtime.acme.url
    changed = {name: value for name, value in callback.items() if name != "iss"}
    refused = await runtime.call_back(changed if issuer is None else changed | {"iss": issuer}, attempt.cookie)
    assert "The response didn’t come from Acme CRM as it should" in refused.text
    assert (await runtime.outcome(token, attempt.authorization_id))["code"] == "issuer_mismatch"
    assert runtime.token_requests() == 0


async def test_malformed_callbacks_are_refused(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session())["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    twice = f"/connect/callback/{SLUG}?state={callback['state']}&state={callback['state']}&code=x"
    long = f"/connect/callback/{SLUG}?state={callback['state']}&code={'x' * 20_000}"
    async with runtime.browser() as browser:
        for address in (twice, long, f"/connect/callback/{SLUG}"):
            refused = await browser.get(address, headers={"cookie": attempt.cookie})
            assert (refused.status_code, LOST in refused.text) == (409, True)
        not_utf8 = await browser.get(f"/connect/callback/{SLUG}?state=%ff", headers={"cookie": attempt.cookie})
        assert not_utf8.status_code == 422
        head = await browser.head(f"/connect/callback/{SLUG}?state={callback['state']}")
        assert head.status_code == 405
    framed = await runtime.call_back(callback, attempt.cookie, **{"sec-fetch-dest": "iframe"})
    assert framed.status_code == 403
    assert await is_untouched(runtime, token, attempt)
    without_code = {name: value for name, value in callback.items() if name != "code"}
    assert (await runtime.call_back(without_code, attempt.cookie)).status_code == 409
    assert (await runtime.outcome(token, attempt.authorization_id))["code"] == "callback_refused"


def capture_log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """Record the log of the module that exchanges codes for tokens."""
    log = CapturingLogger()
    monkeypatch.setattr(authorization, "log", log)
    return log


def line_of_failure(log: CapturingLogger) -> dict[str, Any]:
    """Return the only line about a failed token exchange."""
    (line,) = (call.kwargs for call in log.calls if call.args == ("token_exchange_failed",))
    return line


async def test_a_refused_code_counts_as_a_failed_attempt(
    runtime: AcmeAuthorizing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code injection (RFC 9700, 4.5): the code belongs to the verifier of another attempt."""
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    other = await runtime.authorize((await runtime.session("mallory"))["session_token"])
    callback = await runtime.allow(attempt)
    injected = callback | {"code": (await runtime.allow(other))["code"]}
    log = capture_log(monkeypatch)
    page = await runtime.call_back(injected, attempt.cookie)
    assert "was no longer valid when we completed it" in page.text
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "invalid_grant")
    assert "code_verifier" in outcome["provider_reason"]
    line = line_of_failure(log)
    assert (line["code"], line["status"], line["error"]) == ("invalid_grant", 400, "invalid_grant")
    assert await runtime.failed_checks(session) == 1
    assert await runtime.connections() == []


async def test_ten_refused_codes_end_the_session(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    for number in range(sessions.MAX_FAILED_CHECKS):
        attempt = await runtime.authorize(token)
        callback = {"state": attempt.query["state"], "code": f"guess-{number}", "iss": runtime.acme.url}
        assert (await runtime.call_back(callback, attempt.cookie)).status_code == 409
    assert (await runtime.backend_session(session))["status"] == "failed"
    refused = await runtime.prepare(token)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert runtime.token_requests() == sessions.MAX_FAILED_CHECKS


@pytest.mark.promise("P12")
@pytest.mark.parametrize(
    "status, code",
    [(500, "provider_trouble"), (503, "provider_trouble"), (200, "malformed_answer")],
    ids=["HTTP 500", "HTTP 503", "no JSON"],
)
async def test_a_broken_token_endpoint_fails_the_attempt_and_does_not_count(
    runtime: AcmeAuthorizing, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    runtime.acme.acme.faults.token_status = status
    log = capture_log(monkeypatch)
    page = await runtime.call_back(callback, attempt.cookie)
    line = line_of_failure(log)
    assert (line["code"], line["status"]) == (code, None if status == 200 else status)
    assert callback["code"] not in str(line)
    assert "isn’t answering as it should" in page.text
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", code)
    assert await runtime.failed_checks(session) == 0
    runtime.acme.acme.faults.token_status = None
    again = await runtime.authorize(token)
    assert (await runtime.call_back(await runtime.allow(again), again.cookie)).status_code == 200


@pytest.mark.promise("P12")
@pytest.mark.parametrize(
    "entry_changes", [{"'{acme_url}/oauth/token'": f"http://127.0.0.1:{CLOSED_PORT}/token"}], ids=["closed port"]
)
async def test_a_token_endpoint_that_cannot_be_reached_fails_the_attempt_and_does_not_count(
    runtime: AcmeAuthorizing, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    log = capture_log(monkeypatch)
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    assert "couldn’t reach Acme CRM" in page.text
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "provider_unreachable")
    last_error = (await runtime.backend_session(session))["last_error"]
    assert last_error["message"] == "Acme CRM could not be reached. Try again."
    line = line_of_failure(log)
    assert line["cause"] == f"127.0.0.1:{CLOSED_PORT} refuses connections."
    assert (line["integration"], line["status"], line["error"]) == ("acme", None, None)
    assert await runtime.failed_checks(session) == 0


async def test_a_session_that_ended_meanwhile_takes_no_connection(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    assert (await runtime.client.popup("/cancel", token)).status_code == 204
    page = await runtime.call_back(callback, attempt.cookie)
    assert "This was cancelled." in page.text
    assert (await runtime.backend_session(session))["status"] == "cancelled"
    assert runtime.token_requests() == 0


@pytest.mark.slow
async def test_a_session_has_fifty_attempts(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session())["session_token"]
    for _ in range(MAX_ATTEMPTS):
        attempt = await runtime.authorize(token)
        denied = {"state": attempt.query["state"], "error": "access_denied", "iss": runtime.acme.url}
        assert (await runtime.call_back(denied, attempt.cookie)).status_code == 409
    refused = await runtime.prepare(token)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")


@pytest.mark.promise("P9")
async def test_granted_tokens_that_are_not_connected_are_revoked(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    runtime.acme.acme.fail_with(500)
    await runtime.call_back(callback, attempt.cookie)
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "provider_unavailable")
    assert runtime.token_requests() == 1
    assert await runtime.failed_checks(session) == 0
    assert runtime.revoke_all_grants() == 0, "the grant was in force"


@pytest.mark.parametrize("entry_changes", [{"always: [account:read]": "always: [contacts:read]"}])
async def test_the_page_names_the_permission_that_the_granted_token_lacks(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    assert (page.status_code, "lacks the permission account:read" in page.text) == (422, True)
    outcome = await runtime.outcome(session["session_token"], attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "permission_missing")
    assert outcome["text"] == {"name": "problem.permission", "values": {"permission": "account:read"}}
    last_error = (await runtime.backend_session(session))["last_error"]
    assert "lack the permission account:read" in last_error["message"]


@pytest.mark.promise("P9")
async def test_granted_tokens_stay_where_a_connection_may_share_their_grant(runtime: AcmeAuthorizing) -> None:
    await runtime.connect()
    attempt = await runtime.authorize((await runtime.session())["session_token"])
    callback = await runtime.allow(attempt)
    runtime.acme.acme.fail_with(500)
    await runtime.call_back(callback, attempt.cookie)
    assert runtime.revoke_all_grants() == 2


async def test_the_ticket_is_used_once_and_for_two_minutes(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session())["session_token"]
    ticket = (await runtime.prepare(token)).json()["ticket"]
    elsewhere = await runtime.start(ticket, **{"sec-fetch-site": "cross-site"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "consent_lost")
    assert (await runtime.start(ticket)).status_code == 200
    assert (await runtime.start(ticket)).json()["code"] == "consent_lost"
    late = (await runtime.prepare(token)).json()["ticket"]
    runtime.application.clock.advance(minutes=2, seconds=1)
    assert (await runtime.start(late)).json()["code"] == "consent_lost"


@pytest.mark.only_database("postgresql")
async def test_of_two_windows_at_once_only_one_uses_the_ticket(runtime: AcmeAuthorizing, database_url: str) -> None:
    ticket = (await runtime.prepare((await runtime.session())["session_token"])).json()["ticket"]
    installation = runtime.application.installation
    vault, now = installation.vault, installation.clock()
    state, browser = secret_tokens.make(secret_tokens.STATE), secret_tokens.make(secret_tokens.BROWSER)
    with psycopg.connect(database_url, autocommit=True) as observer:
        async with installation.database.write() as tx:
            first = await authorization_attempts.start(tx, vault, ticket, state, browser, now)
            second = asyncio.create_task(runtime.start(ticket))
            await eventually(lambda: observer.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall())
        refused = await second
    assert first is not None
    assert (refused.status_code, "set-cookie" in refused.headers) == (409, False)


async def test_an_outcome_is_for_the_session_of_the_attempt_and_kept_for_an_hour(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session(expires_in=3600))["session_token"]
    attempt = await runtime.authorize(token)
    other = (await runtime.session("mallory"))["session_token"]
    refused = await runtime.client.popup("/outcome", other, {"authorization_id": attempt.authorization_id})
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    runtime.application.clock.advance(minutes=11, seconds=KEPT.total_seconds())
    purge = partial(account_selection.purge_due, runtime.application.installation)
    assert (await purge(), await purge()) == (2, 0)
    async with runtime.application.installation.database.read() as tx:
        assert await tx.all(consents.select()) == []


@pytest.mark.parametrize(
    "fields, missing",
    [
        ({"refresh_token": "canary-refresh", "expires_at": "2099-01-01T00:00:00Z"}, []),
        ({"expires_at": "2099-01-01T00:00:00Z"}, ["offline_access"]),
        ({}, []),
    ],
    ids=["refresh token", "no refresh token", "token that never expires"],
)
async def test_offline_access_without_a_refresh_token_is_missing(
    runtime: AcmeAuthorizing, fields: dict[str, str], missing: list[str]
) -> None:
    credentials = {"access_token": "canary-access", "scope": "account:read offline_access", **fields}
    body = {"end_user_id": "user_1", "integration_slug": "acme", "auth_type": "oauth2", "credentials": credentials}
    answer = await runtime.client.post("/v1/connections", {**body, "check": False})
    assert answer.status_code == 201, answer.text
    assert answer.json()["missing_scopes"] == missing
