"""The Python client's retries, and its errors for an unavailable or unexpected server."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from one_runtime_client import (
    ConnectionFailed,
    NotFound,
    OneRuntime,
    OneRuntimeError,
    RateLimited,
    Unavailable,
)
from tests.clients import python_callers
from tests.clients.python_callers import (
    KINDS,
    ORGANIZATION,
    SCHEDULE,
    Faults,
    Kind,
    calling,
    problem,
    serving_northwind,
)

pytestmark = [pytest.mark.slow, pytest.mark.only_database("sqlite")]  # nothing here depends on the database

KEY = "oru_key_0123456789"


@pytest_asyncio.fixture
async def northwind() -> AsyncIterator[tuple[Faults, str]]:
    async with serving_northwind() as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
async def test_client_waits_for_retry_after_and_retries(northwind: tuple[Faults, str], kind: Kind) -> None:
    faults, url = northwind
    faults.answers = [problem(429, "rate_limited", retry_after="7"), problem(503, "unavailable")]
    async with calling(kind, url, KEY) as caller:
        organization = await caller.do("organization.get")
    assert (organization.display_name, caller.waited([7.0, 1.0]), len(faults.seen)) == ("Northwind", True, 3)
    assert {headers["authorization"] for _, _, headers in faults.seen} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("kind", KINDS)
async def test_fields_of_a_later_version_are_ignored(northwind: tuple[Faults, str], kind: Kind) -> None:
    async with calling(kind, northwind[1], KEY) as caller:
        organization = await caller.do("organization.get")
    assert not hasattr(organization, "later")
    assert organization.created_at.isoformat() == "2026-11-25T01:02:03.004000+00:00"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code,status,error", [("rate_limited", 429, RateLimited), ("database_busy", 503, Unavailable)])
async def test_error_is_raised_after_seven_attempts(
    northwind: tuple[Faults, str], kind: Kind, code: str, status: int, error: type[OneRuntimeError]
) -> None:
    faults, url = northwind
    faults.answers = [problem(status, code, retry_after="1")] * 9
    async with calling(kind, url, KEY) as caller:
        with pytest.raises(error) as refused:
            await caller.do("organization.get")
    raised = refused.value
    assert (raised.code, raised.status, raised.request_id, raised.retry_after) == (code, status, "request-1", 1.0)
    assert (caller.waited([1.0] * 6), len(faults.seen)) == (True, 7)


@pytest.mark.parametrize("kind", KINDS)
async def test_client_waits_up_to_30_seconds_in_total(northwind: tuple[Faults, str], kind: Kind) -> None:
    faults = northwind[0]
    for waits, waited in (([31], []), ([12, 18, 1], [12, 18]), ([12, 19], [12])):
        faults.answers, faults.seen = [problem(429, "rate_limited", retry_after=str(wait)) for wait in waits], []
        async with calling(kind, northwind[1], KEY) as caller:
            with pytest.raises(RateLimited):
                await caller.do("organization.get")
        assert (caller.waited(list(map(float, waited))), faults.answers) == (True, [])


@pytest.mark.parametrize("kind", KINDS)
async def test_retries_outlast_a_restart(northwind: tuple[Faults, str], kind: Kind) -> None:
    """A restart of a server with two workers took up to 22 seconds on two busy cores."""
    faults, url = northwind
    faults.answers = [problem(503, "unavailable") for _ in range(6)]
    async with calling(kind, url, KEY) as caller:
        assert (await caller.do("organization.get")).display_name == "Northwind"
    assert (caller.waited(SCHEDULE), sum(caller.slept) > 22) == (True, True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [301, 401, 404, 422, 429, 500, 502, 503])
async def test_error_page_of_another_server_is_unexpected_and_not_retried(
    northwind: tuple[Faults, str], kind: Kind, status: int
) -> None:
    northwind[0].answers = [PlainTextResponse("<h1>Not here</h1>", status)]
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(OneRuntimeError, match="base_url") as refused:
            await caller.do("organization.get")
    assert (refused.value.code, refused.value.status, caller.slept) == ("unexpected_answer", status, [])
    assert type(refused.value) is OneRuntimeError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [200, 301, 404, 502, 503])
async def test_response_of_a_load_balancer_is_not_a_providers_response(
    northwind: tuple[Faults, str], kind: Kind, status: int
) -> None:
    northwind[0].answers = [PlainTextResponse("<h1>Not here</h1>", status)] * 3
    async with calling(kind, northwind[1], KEY) as caller:
        for call in ("proxy.get", "proxy.head"):
            with pytest.raises(OneRuntimeError) as refused:
                await caller.do(call, "acme", "/", end_user_id="u")
            error = refused.value
            assert (type(error), error.code, error.status) == (OneRuntimeError, "unexpected_answer", status)
        with pytest.raises(OneRuntimeError, match="base_url"):
            await caller.streamed("GET", "acme", "/", end_user_id="u")
    assert caller.slept == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "status,code,repeated",
    [(503, "unavailable", False), (503, "database_busy", True), (429, "rate_limited", True)],
)
async def test_request_that_may_have_succeeded_is_not_retried(
    northwind: tuple[Faults, str], kind: Kind, status: int, code: str, repeated: bool
) -> None:
    answers = [problem(status, code, one_runtime_error=code)] * 7
    calls = {
        "disconnect": {"integration_slug": "acme", "end_user_id": "u"},
        "connections.update": {"connection_id": "c", "name": "N"},
        "proxy.post": {"integration_slug": "acme", "path": "/", "end_user_id": "u"},
    }
    async with calling(kind, northwind[1], KEY) as caller:
        for call, arguments in calls.items():
            northwind[0].answers = [*answers]
            with pytest.raises((RateLimited, Unavailable)):
                await caller.do(call, **arguments)
            assert len(northwind[0].answers) == (0 if repeated else 6), call
        northwind[0].answers = [*answers]
        with pytest.raises((RateLimited, Unavailable)):
            await caller.do("connections.delete", "c")
        assert northwind[0].answers == []


@pytest.mark.parametrize("kind", KINDS)
async def test_creation_is_repeated_with_its_key_while_an_earlier_attempt_runs(
    northwind: tuple[Faults, str], kind: Kind
) -> None:
    faults, url = northwind
    created = {"session_token": "t", "connect_url": "https://x", "id": "1", "expires_at": "2026-11-25T01:02:03Z"}
    running = problem(409, "idempotency_key_in_use", retry_after="1")
    faults.answers = [problem(503, "unavailable"), running, JSONResponse(created, 201)]
    async with calling(kind, url, KEY) as caller:
        assert (await caller.do("sessions.create", end_user_id="u")).id == "1"
        assert caller.waited([0.5, 1.0])
    assert len({headers["idempotency-key"] for _, _, headers in faults.seen}) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "body",
    ["<h1>Welcome</h1>", "", "[]", "{}", ORGANIZATION.replace('"1"', "1"), ORGANIZATION.replace("2026-11", "26")],
)
async def test_answer_without_the_documented_form_is_unexpected(
    northwind: tuple[Faults, str], kind: Kind, body: str
) -> None:
    northwind[0].answers = [Response(body, 200, media_type="application/json")]
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(OneRuntimeError, match="base_url") as refused:
            await caller.do("organization.get")
    assert refused.value.code == "unexpected_answer"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", ["", "[]", "{", '{"detail": "Not Found"}', '{"code": 404}'])
async def test_problem_without_a_code_is_unexpected(northwind: tuple[Faults, str], kind: Kind, body: str) -> None:
    northwind[0].answers = [Response(body, 404, media_type="application/problem+json")]
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(OneRuntimeError) as refused:
            await caller.do("organization.get")
    assert (type(refused.value), refused.value.code) == (OneRuntimeError, "unexpected_answer")


@pytest.mark.parametrize("kind", KINDS)
async def test_code_of_a_later_version_has_the_class_of_its_status(northwind: tuple[Faults, str], kind: Kind) -> None:
    body = '{"code": "gone_away", "errors": ["x", {"field": 1}]}'
    northwind[0].answers = [Response(body, 404, media_type="application/problem+json")]
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(NotFound) as refused:
            await caller.do("organization.get")
    assert (refused.value.code, [error.field for error in refused.value.errors]) == ("gone_away", ["", "1"])


@pytest.mark.parametrize("kind", KINDS)
async def test_timeout_and_failed_connection_have_their_own_codes(northwind: tuple[Faults, str], kind: Kind) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    faults, url = northwind
    faults.app = silent
    async with calling(kind, url, KEY, timeout=0.05) as caller:
        with pytest.raises(ConnectionFailed) as failed:
            await caller.do("organization.get")
    assert (failed.value.code, failed.value.status, caller.slept) == ("timeout", None, [])
    faults.app = python_callers.northwind
    async with calling(kind, "http://127.0.0.1:9", KEY) as caller:
        with pytest.raises(ConnectionFailed) as refused:
            await caller.do("organization.get")
    assert (refused.value.code, refused.value.status) == ("connection_failed", None)
    assert KEY not in f"{refused.value!r} {refused.value} {refused.value.__cause__!r}"


@pytest.mark.parametrize("kind", KINDS)
async def test_error_of_an_invalid_header_does_not_quote_it(northwind: tuple[Faults, str], kind: Kind) -> None:
    async with calling(kind, northwind[1], KEY) as caller:
        with pytest.raises(ConnectionFailed) as refused:
            await caller.do("proxy.get", "acme", "/", end_user_id="u", headers={"X-Token": "secret\r\nX: y"})
    assert "secret" not in f"{refused.value!r} {refused.value.__cause__!r}"


@pytest.mark.parametrize(
    "base_url,api_key",
    [
        ("connect.example.com", KEY),
        ("ftp://connect.example.com", KEY),
        ("https://user:secret@connect.example.com", KEY),
        ("https://connect.example.com?secret", KEY),
        ("https://connect.example.com?", KEY),
        ("https://connect.example.com/secret\n", KEY),
        ("https://connect.example.com:secret", KEY),
        ("https://connect.example.com:99999", KEY),
        ("https://256.0.0.1", KEY),
        ("https://connect.example.com", ""),
        ("https://connect.example.com", "oru_secret\n"),
        ("https://connect.example.com", "oru_secret é"),
    ],
)
def test_invalid_address_or_key_is_refused_and_not_quoted(base_url: str, api_key: str) -> None:
    with pytest.raises(ValueError, match=r"base_url|api_key") as refused:
        OneRuntime(base_url, api_key)
    assert "secret" not in str(refused.value)
