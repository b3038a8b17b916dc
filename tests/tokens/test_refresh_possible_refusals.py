"""P8: a token endpoint that refuses without an error code. Repeated refusals count, an outage never does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import pytest_asyncio

from one_runtime.connections.credentials import ConnectionKey, ProviderUnavailable
from one_runtime.context import Timing
from one_runtime.lifecycle.recheck import recheck, recheck_queued
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.refresh import fresh_credentials
from one_runtime.tokens.refresh_due import refresh_due
from tests.application import RunningAcme
from tests.database import ANY_DATABASE
from tests.tokens.answering import AnsweringApplication, Scripted, answering_application
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.promise("P8")]

WITHOUT_CODE = ("empty", "text", "HTML", "JSON")
GONE = Scripted(400)


@pytest.fixture
def entry_changes() -> dict[str, str]:
    """Changes to the entry, for tests that need another provider."""
    return {}


@pytest_asyncio.fixture
async def app(
    database_url: str, acme: RunningAcme, entry_changes: dict[str, str]
) -> AsyncIterator[AnsweringApplication]:
    """The application with the answering provider."""
    async with answering_application(database_url, acme, entry_changes) as app:
        yield app


async def expired(app: AnsweringApplication, token: Scripted = GONE, api: Scripted | None = None) -> str:
    """Return a connection whose tokens have expired, and whose refresh token is dead."""
    connection = await app.connect()
    app.provider.revoke()
    app.provider.behave(token, api)
    app.application.clock.advance(hours=2)
    return connection


async def revoked(app: AnsweringApplication, token: Scripted = GONE) -> str:
    """Return a connection whose tokens have not expired. The provider no longer accepts the tokens."""
    connection = await app.connect()
    app.provider.revoke()
    app.provider.behave(token)
    return connection


async def check(app: AnsweringApplication, connection: str) -> dict[str, Any]:
    """Check the connection over the API, as a person does."""
    answer = await app.client.post(f"/v1/connections/{connection}/check")
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def work(app: AnsweringApplication, seconds: float = 0.0) -> None:
    """Run the worker's tasks after some seconds, as a new process does."""
    app.application.clock.advance(seconds=seconds)
    process = app.another_process
    await refresh_due(process)
    await recheck_queued(process)


async def presumed_refused(app: AnsweringApplication) -> tuple[str, set[str]]:
    """Return a connection after a day of refusals without an error code, and the revoked refresh tokens."""
    connection = await app.connect()
    tokens = set(app.provider.refresh)
    app.provider.revoke()
    app.provider.behave(GONE)
    app.application.clock.advance(hours=2)
    await work(app)
    await work(app, 86_400)
    return connection, tokens


async def status(app: AnsweringApplication, connection: str) -> str:
    return str((await app.look(connection))["status"])


async def events(app: AnsweringApplication, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await app.client.get("/v1/events", type=f"connection.{kind}")).json()["events"]
    return found


async def test_repeated_refusals_and_a_refused_check_need_the_end_user(app: AnsweringApplication) -> None:
    connection = await revoked(app)
    assert (await app.call(connection)).status_code == 401
    assert (await check(app, connection))["connection"]["status"] == "active", "one refusal is not repeated"
    app.application.clock.advance(seconds=61)
    assert (await check(app, connection))["working"] is False
    shown = await app.look(connection)
    assert (shown["status"], shown["error"]["code"]) == ("needs_reauth", "credentials_refused")
    called = await app.call(connection)
    assert (called.status_code, called.json()["code"]) == (409, "connect_required")
    (event,) = await events(app, "needs_reauth")
    assert event["data"]["reason"] == "credentials_refused"


@ANY_DATABASE
async def test_one_refusal_after_an_outage_is_not_repeated(app: AnsweringApplication) -> None:
    """After the outage, the pause before the next refresh is ten minutes."""
    connection = await revoked(app, Scripted(503))
    for failures in range(7):
        assert (await app.call(connection)).status_code == 401
        app.application.clock.advance(seconds=10 * 2**failures + 1)  # the longest pause
    app.provider.behave(GONE)
    assert (await app.call(connection)).status_code == 401
    assert app.provider.requests.count("/token") == 8
    app.application.clock.advance(seconds=61)
    assert (await check(app, connection))["connection"]["status"] == "active"
    assert app.provider.requests.count("/token") == 8
    app.application.clock.advance(minutes=10)
    assert (await check(app, connection))["connection"]["status"] == "needs_reauth"


@ANY_DATABASE
@pytest.mark.parametrize("answer", [Scripted(404), Scripted(400, "JSON"), Scripted(403, "HTML")])
async def test_a_wrong_token_endpoint_for_some_minutes_disconnects_no_expired_token(
    app: AnsweringApplication, answer: Scripted
) -> None:
    connection = await app.connect()
    app.provider.behave(answer, always=True)
    app.application.clock.advance(hours=2)
    app.provider.access.clear()
    for _ in range(3):
        assert (await app.call(connection)).status_code == 502
        await work(app, 70)
    assert await status(app, connection) == "active"
    app.provider.behave()
    await work(app, 600)
    assert (await app.call(connection)).status_code == 200


@ANY_DATABASE
@pytest.mark.parametrize("answer", [Scripted(403, "HTML"), Scripted(400, "JSON with `invalid_request`")])
async def test_one_refusal_with_another_likely_cause_delays_the_judgement(
    app: AnsweringApplication, answer: Scripted
) -> None:
    connection = await revoked(app, answer)
    await app.call(connection)
    app.provider.behave(GONE)
    for _ in range(3):
        app.application.clock.advance(seconds=70)
        assert (await check(app, connection))["connection"]["status"] == "active"
    app.application.clock.advance(days=1)
    assert (await check(app, connection))["connection"]["status"] == "needs_reauth"


@ANY_DATABASE
@pytest.mark.parametrize(
    "answer", [*map(Scripted, (408, 425, 429, 500, 503)), Scripted(403, headers={"retry-after": "60"})]
)
async def test_an_outage_never_needs_the_end_user(app: AnsweringApplication, answer: Scripted) -> None:
    connection = await expired(app, answer)
    for _ in range(12):
        await work(app, 400)
    assert await status(app, connection) == "active"


@ANY_DATABASE
async def test_an_outage_between_two_refusals_starts_the_minute_again(app: AnsweringApplication) -> None:
    connection = await expired(app)
    await work(app)
    for answer in (Scripted(500), GONE):
        app.provider.behave(answer)
        await work(app, 601)
    assert await status(app, connection) == "active"


@ANY_DATABASE
async def test_refusals_before_new_tokens_of_an_older_version_do_not_count(app: AnsweringApplication) -> None:
    connection = await expired(app)
    await work(app)
    await app.reset_failures()
    app.application.clock.advance(days=5)
    await work(app)
    assert await status(app, connection) == "active"


@ANY_DATABASE
async def test_an_access_token_that_the_check_accepts_keeps_the_connection(app: AnsweringApplication) -> None:
    connection = await app.connect()
    app.provider.behave(GONE, always=True)
    app.application.clock.advance(minutes=56)
    for _ in range(3):
        assert (await app.call(connection)).status_code == 200
        await work(app, 70)
    assert await status(app, connection) == "active"


@ANY_DATABASE
async def test_the_entry_can_say_that_a_status_is_a_refusal(database_url: str, acme: RunningAcme) -> None:
    changes = {
        "      url: '{url}/token'\n": "      url: '{url}/token'\n      refused: {status: [400, 403], codes: [E4711]}\n"
    }
    async with answering_application(database_url, acme, changes) as app:
        answers = [*product((400, 403), (*WITHOUT_CODE, "JSON with an unknown code"))]
        answers.remove((403, "HTML"))
        for code, body in answers:
            connection = await expired(app, Scripted(code, body))
            called = await app.call(connection)
            assert (called.status_code, called.json()["code"]) == (409, "connect_required"), (code, body)
            assert (await app.look(connection))["error"]["code"] == "invalid_grant"
        for answer in (Scripted(401), Scripted(403, "HTML")):
            connection = await expired(app, answer)
            assert (await app.call(connection)).status_code == 502, "a firewall can send a page with the status 403"
        connection = await expired(app, Scripted(400, "JSON with `temporarily_unavailable`"))
        assert (await app.call(connection)).status_code == 502


async def test_a_presumed_refusal_heals_if_the_provider_accepts_the_refresh_token_later(
    app: AnsweringApplication,
) -> None:
    connection, tokens = await presumed_refused(app)
    assert await status(app, connection) == "needs_reauth"
    app.provider.refresh |= tokens
    asked = app.provider.requests.count("/token")
    await work(app, 600)
    assert app.provider.requests.count("/token") == asked, "the pause is an hour"
    await work(app, 3001)
    assert await status(app, connection) == "active"
    assert (await app.call(connection)).status_code == 200
    assert len(await events(app, "recovered")) == 1


@ANY_DATABASE
async def test_a_presumed_refusal_is_no_longer_tried_after_a_week(app: AnsweringApplication) -> None:
    await expired(app)
    await work(app)
    await work(app, 61)
    for _ in range(2):
        await work(app, 8 * 86_400)
    asked = app.provider.requests.count("/token")
    await work(app, 86_400)
    assert app.provider.requests.count("/token") == asked


@ANY_DATABASE
async def test_outages_do_not_prolong_the_week_of_a_presumed_refusal(app: AnsweringApplication) -> None:
    connection = await expired(app)
    await work(app)
    await work(app, 86_400)
    assert await status(app, connection) == "needs_reauth"
    asked = app.provider.requests.count("/token")
    app.provider.behave(Scripted(503))
    await work(app, 3601)
    await work(app, 3000)
    assert app.provider.requests.count("/token") == asked + 1, "the pause is an hour"
    for days in range(7):
        app.provider.behave(Scripted(503) if days % 2 else GONE)
        await work(app, 86_400)
    asked = app.provider.requests.count("/token")
    await work(app, 86_400)
    assert app.provider.requests.count("/token") == asked


@ANY_DATABASE
async def test_a_check_of_a_presumed_refusal_sends_the_refresh_token_during_the_pause(
    app: AnsweringApplication,
) -> None:
    connection, tokens = await presumed_refused(app)
    asked = app.provider.requests.count("/token")
    assert (await check(app, connection))["working"] is False
    assert app.provider.requests.count("/token") == asked + 1
    app.provider.refresh |= tokens
    checked = await check(app, connection)
    assert (checked["working"], checked["connection"]["status"]) == (True, "active")


@ANY_DATABASE
async def test_a_check_over_the_api_goes_on_if_the_refresh_fails(app: AnsweringApplication) -> None:
    connection = await app.connect()
    route = f"/v1/connections/{connection}/check"
    app.provider.behave(Scripted(500), always=True)
    app.application.clock.advance(hours=2)
    answer = await app.client.post(route)
    assert (answer.status_code, answer.json()["working"]) == (200, True), "the API still accepts the token"
    app.provider.revoke()
    answer = await app.client.post(route)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable"), "an outage proves nothing"
    app.provider.behave(GONE)
    app.application.clock.advance(minutes=10)
    answer = await app.client.post(route)
    assert (answer.status_code, answer.json()["working"]) == (200, False)
    assert answer.json()["connection"]["status"] == "active"
    app.application.clock.advance(days=1)
    answer = await app.client.post(route)
    assert (answer.json()["working"], answer.json()["connection"]["status"]) == (False, "needs_reauth")


@ANY_DATABASE
async def test_a_check_over_the_api_names_a_refused_client(app: AnsweringApplication) -> None:
    connection = await expired(app, Scripted(400, "JSON with `invalid_client`"))
    answer = await app.client.post(f"/v1/connections/{connection}/check")
    assert (answer.status_code, answer.json()["code"]) == (409, "client_refused")
    assert await status(app, connection) == "active"


@ANY_DATABASE
async def test_without_a_check_an_expired_token_counts_as_refused(database_url: str, acme: RunningAcme) -> None:
    check = """    check: &check
      path: /me
      expect:
        json:
          - path: id
            exists: true
      refused:
        status: [401]
"""
    changes = {check: "", "    check: *check\n": ""}
    async with answering_application(database_url, acme, changes) as app:
        connection = await expired(app)
        await work(app)
        assert await status(app, connection) == "active"
        await work(app, 61)
        assert await status(app, connection) == "active"
        await work(app, 86_400)
        shown = await app.look(connection)
        assert (shown["status"], shown["error"]["code"]) == ("needs_reauth", "token_expired")


@ANY_DATABASE
@pytest.mark.parametrize("answer", [Scripted(403), Scripted(403, "HTML"), Scripted(404, "JSON"), Scripted(302)])
async def test_without_a_clear_check_the_connection_needs_the_end_user_after_a_day(
    app: AnsweringApplication, answer: Scripted
) -> None:
    connection = await expired(app, api=answer)
    await work(app)
    for _ in range(3):
        await work(app, 6 * 3600)
    assert await status(app, connection) == "active"
    await work(app, 6 * 3600 + 1)
    shown = await app.look(connection)
    assert (shown["status"], shown["error"]["code"]) == ("needs_reauth", "token_expired")


@ANY_DATABASE
async def test_an_expired_token_that_the_check_accepts_is_not_reported_as_broken(app: AnsweringApplication) -> None:
    """One Runtime never uses an expired token, so the calls would fail for ever without the end user."""
    connection = await app.connect()
    app.provider.behave(GONE, always=True)
    app.application.clock.advance(hours=2)
    checked = await check(app, connection)
    assert (checked["working"], checked["connection"]["status"]) == (True, "active")
    app.application.clock.advance(days=1)
    checked = await check(app, connection)
    message = "Answering refuses to refresh the access token, and the access token has expired."
    assert checked["connection"]["status"] == "needs_reauth"
    assert (checked["reason"], checked["connection"]["error"]["message"]) == (message, message)


@ANY_DATABASE
async def test_during_an_outage_of_the_api_the_connection_stays_active(app: AnsweringApplication) -> None:
    connection = await expired(app, api=Scripted(503))
    for _ in range(6):
        await work(app, 86_400)
    assert await status(app, connection) == "active"


@pytest.mark.parametrize("body", ["empty", "JSON with `invalid_grant`"])
async def test_an_old_token_refused_after_another_process_stored_the_new_one_changes_nothing(
    app: AnsweringApplication, body: str
) -> None:
    connection = await app.connect()
    app.provider.behave(Scripted(400, body))
    app.provider.hold = hold = asyncio.Event()
    app.application.clock.advance(hours=2)
    installation = app.application.installation
    key = ConnectionKey(await app.organization_id(), connection)
    flight = asyncio.create_task(fresh_credentials(installation, key))
    await eventually(lambda: app.provider.waiting)
    app.application.clock.advance(seconds=61)  # the lease of the first process ends
    renewed = await fresh_credentials(app.another_process, key)
    hold.set()
    (answer,) = await asyncio.gather(flight, return_exceptions=True)
    assert isinstance(answer, ProviderUnavailable) or getattr(answer, "version", None) == renewed.version
    await recheck_queued(installation)
    shown = await app.look(connection)
    assert (shown["status"], shown["error"]) == ("active", None)
    assert (await app.call(connection)).status_code == 200


async def test_a_check_of_an_old_token_does_not_judge_the_new_token(app: AnsweringApplication) -> None:
    """Another process stores new tokens while the check with the old token runs."""
    connection = await expired(app)
    await work(app)
    app.application.clock.advance(days=1)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(app.another_process, ConnectionKey(await app.organization_id(), connection))
    tokens = app.provider.issue()
    app.provider.before_answer = lambda: app.store(tokens)
    answer = await app.client.post(f"/v1/connections/{connection}/check")
    assert (answer.status_code, answer.json()["working"]) == (200, True), answer.text
    assert answer.json()["connection"]["status"] == "active"


async def test_a_check_during_a_refresh_of_another_process_judges_nothing(app: AnsweringApplication) -> None:
    """The refresh that is running can still succeed."""
    connection = await app.connect()
    tokens = set(app.provider.refresh)
    app.provider.revoke()
    app.provider.behave(GONE)
    app.application.clock.advance(hours=2)
    await work(app)
    app.application.clock.advance(days=1)
    await refresh_due(app.another_process)
    app.application.clock.advance(minutes=11)
    app.provider.refresh |= tokens
    app.provider.hold = hold = asyncio.Event()
    flight = asyncio.create_task(app.call(connection))
    await eventually(lambda: app.provider.waiting)
    hasty = replace(app.another_process, timing=Timing(patience=0.0))
    checked = await recheck(hasty, Actor(await app.organization_id(), "system"), connection)
    assert (checked.outcome, checked.connection.status) == ("refused", "active")
    hold.set()
    assert (await flight).status_code == 200
    assert (await app.look(connection))["status"] == "active"
    assert await events(app, "needs_reauth") == []
