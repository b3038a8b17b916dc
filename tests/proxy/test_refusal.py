"""Responses to proxy calls that can mean a refused credential, and the checks that follow."""

import gzip
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from one_runtime.egress.response import StreamedResponse
from one_runtime.proxy.refusal import MAX_BODY, watch
from tests.database import ANY_DATABASE
from tests.proxy.relay import Relay, entry, granted, json_response
from tests.waiting import async_attempts

REVOKED: Final = b'{"error": "token_revoked"}'
GZIPPED: Final = gzip.compress(REVOKED, mtime=0)
GZIPPED_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(GZIPPED), GZIPPED)
)  # fmt: skip
DEAD: Final = json_response(401, error="Unknown key.")


async def connection_of(relay: Relay, connection_id: str) -> dict[str, Any]:
    connection: dict[str, Any] = (await relay.client.get(f"/v1/connections/{connection_id}")).json()
    return connection


async def error_after_call(relay: Relay, slug: str) -> tuple[str, str]:
    """Send a call, and wait until the connection has an error. Return the connection's status and the error's code."""
    called = await relay.call("GET", slug=slug)
    connection_id = called.named(b"one-runtime-connection")[0].decode()
    connection = await connection_of(relay, connection_id)
    async for _ in async_attempts():
        connection = await connection_of(relay, connection_id)
        if connection["error"] is not None:
            break
    return connection["status"], connection["error"]["code"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "slug, used",
    [
        ("raw", json_response(403)),
        ("coded", json_response(404)),
        ("coded", json_response(200, error="token_revoked")),
        ("coded", GZIPPED_ANSWER),
    ],
    ids=["403", "a status of the entry", "a code of the entry", "a compressed code"],
)
@ANY_DATABASE
async def test_refused_call_leads_to_a_check_that_finds_the_dead_key(relay: Relay, slug: str, used: bytes) -> None:
    relay.upstream.pages = {"GET /api/x": used, "GET /api/me": DEAD}
    assert await error_after_call(relay, slug) == ("needs_reauth", "credentials_refused")
    again = await relay.call("GET", slug=slug)
    assert (again.status, again.problem) == (409, "connect_required")


@pytest.mark.slow
async def test_key_that_lacks_a_permission_stays_active_and_the_caller_gets_the_providers_answer(relay: Relay) -> None:
    relay.upstream.pages = {"GET /api/x": json_response(403), "GET /api/me": json_response(403)}
    assert await error_after_call(relay, "raw") == ("active", "permission_missing")
    assert (await relay.call("GET")).status == 403


@pytest.mark.slow
async def test_dead_token_at_a_provider_that_answers_403_needs_reauth(relay: Relay) -> None:
    await granted(relay)
    relay.upstream.pages = {
        "GET /api/x": json_response(403),
        "GET /api/me": json_response(403),
        "POST /token": json_response(400, error="invalid_grant"),
    }
    assert await error_after_call(relay, "granted") == ("needs_reauth", "invalid_grant")


async def test_missing_permission_causes_one_refresh_and_not_a_refresh_with_each_check(relay: Relay) -> None:
    connection = await granted(relay)
    tokens = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt-1"}
    relay.upstream.pages = {"GET /api/me": json_response(403), "POST /token": json_response(200, **tokens)}
    for _ in range(3):
        checked = (await relay.client.post(f"/v1/connections/{connection}/check")).json()
        assert (checked["outcome"], checked["connection"]["status"]) == ("permission_missing", "active")
    assert relay.upstream.lines.count("POST /token") == 1


async def count_reports(auth: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> int:
    """Return the number of reports of a refusal, after the caller has received the unchanged body."""
    reports: list[None] = []

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    watched = watch(auth, StreamedResponse(status, headers, pieces()), lambda: reports.append(None))
    assert b"".join([piece async for piece in watched]) == body
    return len(reports)


@pytest.mark.parametrize(
    "status, body, headers, reports",
    [
        (200, REVOKED, (), 1),
        (400, REVOKED, (), 1),
        (200, GZIPPED, ((b"Content-Encoding", b"gzip"),), 1),
        (401, b"", (), 1),
        (403, b"<html>", (), 1),
        (404, REVOKED, (), 1),
        (200, b'{"error": "not_found"}', (), 0),
        (200, REVOKED[:-1], (), 0),
        (200, b"", (), 0),
        (500, b"down", (), 0),
        (200, GZIPPED, (), 0),
        (200, GZIPPED[:-4], ((b"Content-Encoding", b"gzip"),), 0),
        (200, REVOKED, ((b"Content-Encoding", b"br"),), 0),
        (200, REVOKED + b" " * MAX_BODY, (), 0),
        (200, gzip.compress(REVOKED + b" " * MAX_BODY, mtime=0), ((b"Content-Encoding", b"gzip"),), 0),
    ],
)
async def test_refusal_is_reported_by_status_or_by_code(
    status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...], reports: int
) -> None:
    refused = {"status": [401, 404], "json": [{"path": "error", "equals": "token_revoked"}]}
    auth = entry("coded", 9, check={"path": "/me", "refused": refused}).auth[0]
    assert await count_reports(auth, status, body, *headers) == reports


async def test_entry_without_codes_reports_only_401_and_403() -> None:
    plain = entry("raw", 9).auth[0]
    unchecked = entry("unchecked", 9, check=None, check_missing="It has none.").auth[0]
    for auth in (plain, unchecked):
        assert [await count_reports(auth, status, REVOKED) for status in (200, 401, 403, 404)] == [0, 1, 1, 0]
