"""Credentials that the provider refuses: refreshes, resent calls, returned errors, and connections that need reauth."""

import asyncio
from typing import Any, Final

import pytest

from one_runtime.jobs.recheck_queue import MAX_PER_INTEGRATION, RecheckQueue, RecheckRequest
from one_runtime.lifecycle.recheck import recheck_queued
from tests.database import ANY_DATABASE
from tests.proxy.relay import OK, Answer, Arrived, Relay, granted, json_response
from tests.waiting import async_attempts, eventually

NO: Final = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
BIG: Final = b"x" * 300_000


TOKENS: Final = json_response(200, access_token="at-1", token_type="Bearer", expires_in=3600, refresh_token="rt-1")


async def test_refused_token_is_refreshed_once_and_the_call_resent(relay: Relay) -> None:
    await granted(relay)
    relay.upstream.answers = [NO, TOKENS, OK]
    answer = await relay.call("GET", "/x", slug="granted")
    assert (answer.status, answer.body, answer.named(b"one-runtime-attempts")) == (200, b"ok", [b"2"])
    assert relay.upstream.lines == ["GET /api/x", "POST /token", "GET /api/x"]
    assert [request.named(b"authorization") for request in relay.upstream.arrived] == [
        [b"Bearer at-0"],
        [],
        [b"Bearer at-1"],
    ]


@ANY_DATABASE
async def test_small_body_is_resent_after_a_refused_token(relay: Relay) -> None:
    await granted(relay)
    relay.upstream.answers = [NO, TOKENS, OK]
    assert (await relay.call("POST", "/x", body=b'{"a": 1}', slug="granted")).status == 200
    assert [request.body for request in relay.upstream.arrived if b"/x" in request.line] == [b'{"a": 1}'] * 2


@ANY_DATABASE
async def test_streamed_body_has_to_be_resent_by_the_caller(relay: Relay) -> None:
    await granted(relay)
    relay.upstream.answers = [NO, TOKENS, OK]
    answer = await relay.call("POST", "/x", body=BIG, slug="granted")
    assert (answer.status, answer.problem) == (409, "credentials_refreshed_retry")
    assert (await relay.call("POST", "/x", body=BIG, slug="granted")).status == 200
    assert relay.upstream.lines == ["POST /api/x", "POST /token", "POST /api/x"]


@ANY_DATABASE
async def test_second_401_is_returned_to_the_caller(relay: Relay) -> None:
    await granted(relay)
    relay.upstream.answers = [NO, TOKENS, NO, OK]
    answer = await relay.call("GET", "/x", slug="granted")
    assert (answer.status, answer.body) == (401, b"no")
    assert answer.named(b"one-runtime-error") == []
    assert len(relay.upstream.arrived) == 3


async def test_dead_grant_answers_connect_required(relay: Relay) -> None:
    connection = await granted(relay)
    relay.upstream.answers = [NO, json_response(400, error="invalid_grant")]
    answer = await relay.call("GET", "/x", slug="granted")
    assert (answer.status, answer.problem) == (409, "connect_required")
    stored = (await relay.client.get(f"/v1/connections/{connection}")).json()
    assert stored["status"] == "needs_reauth"
    again = await relay.call("GET", "/x", slug="granted")
    assert (again.status, again.problem) == (409, "connect_required")
    assert len(relay.upstream.arrived) == 2


@ANY_DATABASE
async def test_401_is_returned_while_the_token_endpoint_is_down(relay: Relay) -> None:
    await granted(relay)
    relay.upstream.answers = [NO, json_response(503)]
    answer = await relay.call("GET", "/x", slug="granted")
    assert (answer.status, answer.body) == (401, b"no")


@ANY_DATABASE
async def test_expired_token_is_refreshed_before_the_call(relay: Relay) -> None:
    await granted(relay, expires_at="2020-01-01T00:00:00Z")
    relay.upstream.answers = [TOKENS, OK]
    assert (await relay.call("GET", "/x", slug="granted")).status == 200
    assert relay.upstream.lines == ["POST /token", "GET /api/x"]


@ANY_DATABASE
async def test_401_for_an_api_key_is_returned_to_the_caller(relay: Relay) -> None:
    relay.upstream.answer = NO
    answer = await relay.call("GET")
    assert (answer.status, answer.body, len(relay.upstream.arrived)) == (401, b"no", 1)


async def connection_of(relay: Relay, answer: Answer) -> dict[str, Any]:
    stored: dict[str, Any] = (
        await relay.client.get(f"/v1/connections/{answer.named(b'one-runtime-connection')[0].decode()}")
    ).json()
    return stored


@pytest.mark.slow
async def test_key_that_the_check_refuses_needs_reauth(relay: Relay) -> None:
    relay.upstream.pages = {"GET /api/x": NO, "GET /api/me": json_response(401)}
    called = await relay.call("GET")
    assert (called.status, called.body) == (401, b"no")

    async for _ in async_attempts():
        if (await connection_of(relay, called))["status"] == "needs_reauth":
            break
    assert (await connection_of(relay, called))["error"]["code"] == "credentials_refused"
    again = await relay.call("GET")
    assert (again.status, again.problem) == (409, "connect_required")
    event = (await relay.client.get("/v1/events", type="connection.needs_reauth")).json()["events"][0]
    assert event["actor"]["type"] == "system"


@pytest.mark.slow
@pytest.mark.parametrize("check", [json_response(200, id="1"), json_response(503)], ids=["taken", "outage"])
@ANY_DATABASE
async def test_401_with_a_passing_check_leaves_the_connection_active(relay: Relay, check: bytes) -> None:
    relay.upstream.pages = {"GET /api/x": NO, "GET /api/me": check}
    called = await relay.call("GET")
    await eventually(lambda: "GET /api/me" in relay.upstream.lines)
    assert (await relay.call("GET")).status == 401
    assert (await connection_of(relay, called))["status"] == "active"


@pytest.mark.slow
@ANY_DATABASE
async def test_many_refused_calls_cause_one_check(relay: Relay) -> None:
    relay.upstream.pages = {"GET /api/x": NO, "GET /api/me": json_response(200, id="1")}
    await asyncio.gather(*(relay.call("GET") for _ in range(10)))
    await eventually(lambda: "GET /api/me" in relay.upstream.lines)
    assert (await relay.call("GET")).status == 401
    assert await recheck_queued(relay.application.installation) == 0
    assert relay.upstream.lines.count("GET /api/me") == 1


@pytest.mark.slow
@ANY_DATABASE
async def test_slow_provider_does_not_delay_the_recheck_of_another_integration(relay: Relay) -> None:
    given_up = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        if arrived.line.startswith(b"GET /api/me "):
            await reader.read()  # until the recheck gives up
            given_up.set()
        else:
            writer.write(NO)
            await writer.drain()

    relay.upstream.handler = answer
    assert (await relay.call("GET")).status == 401
    await eventually(lambda: "GET /api/me" in relay.upstream.lines)
    assert (await relay.call("GET", slug="pathed")).status == 401
    await eventually(lambda: any(line.endswith("/me") and "/bot" in line for line in relay.upstream.lines))
    assert not given_up.is_set()


@ANY_DATABASE
async def test_token_is_not_refreshed_on_every_401(relay: Relay) -> None:
    await granted(relay)
    relay.upstream.pages = {
        "GET /api/x": NO,
        "POST /api/x": NO,
        "POST /token": TOKENS,
        "GET /api/me": json_response(200, id="1"),
    }
    for _ in range(5):
        assert (await relay.call("GET", slug="granted")).status == 401
    assert (await relay.call("POST", body=BIG, slug="granted")).status == 401, "not for ever: send it again"
    assert relay.upstream.lines.count("POST /token") == 1


@ANY_DATABASE
async def test_two_processes_do_not_refresh_alternately_on_401(relay: Relay) -> None:
    connection = await granted(relay)
    relay.upstream.pages = {"GET /api/x": NO, "POST /token": TOKENS, "GET /api/me": json_response(200, id="1")}
    assert (await relay.call("GET", slug="granted")).status == 401
    assert (await relay.client.post(f"/v1/connections/{connection}/refresh")).status_code == 200  # as another would
    assert (await relay.call("GET", slug="granted")).status == 401
    assert relay.upstream.lines.count("POST /token") == 2


def test_rechecks_run_once_and_a_few_per_integration() -> None:
    queue = RecheckQueue()
    many = [RecheckRequest("northwind", f"hanging-{number}", "hanging") for number in range(20)]
    for request in (*many, RecheckRequest("southwind", "other", "other"), *many):
        queue.enqueue(request)
    first = queue.drain()
    assert first == [*many[:MAX_PER_INTEGRATION], RecheckRequest("southwind", "other", "other")]
    queue.enqueue(many[0])
    assert queue.drain() == [], "the rechecks of this integration have not ended"
    for request in many[:MAX_PER_INTEGRATION]:
        queue.finish(request)
    queue.enqueue(many[0])
    assert queue.drain() == many[MAX_PER_INTEGRATION : 2 * MAX_PER_INTEGRATION], "it was checked a moment ago"
