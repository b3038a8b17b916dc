"""The request log: integration, path, status and error of proxy calls, without their contents."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from one_runtime.db.ids import new_id
from one_runtime.db.scanning import SCANNED_ROWS
from one_runtime.errors import Unavailable
from one_runtime.proxy import request_log
from one_runtime.proxy.request_log import LoggedRequest, RequestLog
from one_runtime.settings import Settings
from one_runtime.telemetry import metrics
from tests.application import RunningAcme
from tests.promises.stores import query
from tests.proxy.relay import KEY, Arrived, Relay, relaying
from tests.purging import purge
from tests.waiting import async_attempts, eventually

WAITING = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""


async def listed(relay: Relay, **options: Any) -> list[dict[str, Any]]:
    log: RequestLog = relay.application.app.services.request_log
    await log.flush()
    answer = await relay.client.get("/v1/proxy-requests", **options)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["proxy_requests"]
    return entries


def logged(relay: Relay, answer: dict[str, Any]) -> LoggedRequest:
    """Return the stored entry of a listed call."""
    renamed = {"created_at": "at", "http_status": "status", "error_code": "error"}
    values = {renamed.get(name, name): value for name, value in answer.items()}
    at = datetime.fromisoformat(answer["created_at"])
    return LoggedRequest(**{**values, "organization_id": relay.organization, "at": at})


@pytest.mark.promise("P11")
async def test_call_is_logged_without_query_headers_and_bodies(relay: Relay) -> None:
    relay.upstream.answer = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n12345"
    await relay.call("POST", "/contacts/7?token=s3cret&a=b", "X-Mine: hidden", body=b"a body")
    (entry,) = await listed(relay)
    connection = (await relay.client.get(f"/v1/connections/{entry['connection_id']}")).json()
    assert {name: entry[name] for name in entry if not name.endswith(("_ms", "id", "_at"))} == {
        "integration_slug": "raw",
        "method": "POST",
        "path": "/contacts/7",
        "http_status": 201,
        "error_code": None,
        "attempts": 1,
        "request_bytes": 6,
        "response_bytes": 5,
    }
    assert (entry["end_user_id"], connection["last_used_at"]) == ("user_123", entry["created_at"])
    assert 0 <= entry["upstream_ms"] <= entry["duration_ms"]
    created = (await relay.client.get("/v1/events", type="api_key.created")).json()["events"]
    assert entry["api_key_id"] == created[0]["data"]["api_key_id"]
    for secret in ("s3cret", "hidden", "a body", "12345", KEY, relay.key):
        assert secret not in str(entry)


async def test_failed_call_is_logged_with_its_error_code(relay: Relay) -> None:
    relay.upstream.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    await relay.call("GET", "/theirs")
    relay.upstream.answer = b"what is this\r\n\r\n"
    await relay.call("GET", "/ours")

    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        await writer.drain()

    relay.upstream.handler = break_off
    await relay.call("GET", "/broken")
    entries = [
        (entry["path"], entry["http_status"], entry["error_code"], entry["response_bytes"])
        for entry in await listed(relay)
    ]
    assert entries == [
        ("/broken", 200, "upstream_protocol_error", 9),
        ("/ours", 502, "upstream_protocol_error", 0),
        ("/theirs", 500, None, 0),
    ]


async def test_call_of_a_disconnected_caller_is_logged(relay: Relay) -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: Arrived) -> None:
        await reader.read()

    relay.upstream.handler = hang
    _, writer = await relay.opened(relay.head("GET", "/hang"))
    await eventually(lambda: bool(relay.upstream.arrived))
    writer.close()
    await eventually(relay.upstream.closed.is_set)
    assert [(entry["path"], entry["http_status"]) for entry in await listed(relay)] == [("/hang", 0)]


async def test_log_is_filtered_and_paged(relay: Relay) -> None:
    for number in range(3):
        await relay.call("GET", f"/{number}")
    await relay.call("GET", "/x", slug="known")
    everything = await listed(relay)
    assert [entry["path"] for entry in everything] == ["/x", "/2", "/1", "/0"]
    assert [entry["path"] for entry in await listed(relay, integration_slug="known")] == ["/x"]
    assert len(await listed(relay, connection_id=everything[-1]["connection_id"])) == 3
    assert await listed(relay, end_user_id="nobody") == []
    assert len(await listed(relay, http_status=200)) == 4
    (key,) = {entry["api_key_id"] for entry in everything}
    assert await listed(relay, api_key_id=new_id()) == []
    assert len(await listed(relay, api_key_id=key)) == 4
    past, future = "2020-01-01T00:00:00Z", "2120-01-01T00:00:00+01:00"
    assert [len(await listed(relay, **{name: past})) for name in ("since", "until")] == [4, 0]
    assert [len(await listed(relay, **{name: future})) for name in ("since", "until")] == [0, 4]
    first = (await relay.client.get("/v1/proxy-requests", limit=3)).json()
    second = (await relay.client.get("/v1/proxy-requests", limit=3, cursor=first["next_cursor"])).json()
    assert first["proxy_requests"] + second["proxy_requests"] == everything
    assert second["next_cursor"] is None


async def test_request_id_of_a_response_finds_the_call(relay: Relay) -> None:
    await relay.call("GET", "/before")
    relay.upstream.answers = [b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"]
    answer = await relay.call("GET", "/refused", slug="known")
    (request_id,) = [value.decode() for value in answer.named(b"request-id")]
    (entry,) = await listed(relay, request_id=request_id)
    assert (entry["path"], entry["request_id"]) == ("/refused", request_id)
    assert await listed(relay, request_id=request_id, http_status=200) == []
    assert await listed(relay, request_id=new_id()) == []
    assert [call["path"] for call in await listed(relay, http_status=[200, 401])] == ["/refused", "/before"]
    connection_ids = [call["connection_id"] for call in await listed(relay)]
    assert len(set(connection_ids)) == 2
    both = await listed(relay, connection_id=connection_ids, end_user_id=["user_123", "nobody"])
    assert [call["path"] for call in both] == ["/refused", "/before"]


@pytest.mark.promise("P1")
async def test_another_organization_cannot_read_the_log(relay: Relay) -> None:
    await relay.call("GET")
    await listed(relay)
    other = relay.application.client(await relay.application.key(await relay.application.organization("Southwind")))
    assert (await other.get("/v1/proxy-requests")).json() == {"proxy_requests": [], "next_cursor": None}


@pytest.mark.parametrize("written", [True, False])
async def test_deleted_end_user_is_removed_from_the_log(relay: Relay, written: bool) -> None:
    await relay.call("GET")
    if written:
        await listed(relay)
    assert (await relay.client.send("DELETE", "/v1/end-users/user_123")).status_code == 200
    assert [entry["end_user_id"] for entry in await listed(relay)] == [None]


async def test_entry_of_a_deleted_organization_does_not_prevent_the_other_entries(relay: Relay) -> None:
    await relay.call("GET", "/before")
    (answer,) = await listed(relay)
    entry, log = logged(relay, answer), relay.application.app.services.request_log
    for path, organization_id in (("/mine", entry.organization_id), ("/deleted", new_id())):
        log.note(replace(entry, id=new_id(), path=path, organization_id=organization_id))
    assert [entry["path"] for entry in await listed(relay)] == ["/mine", "/before"]


@pytest.mark.only_database("postgresql")
async def test_deletion_waits_for_entries_that_are_being_written(relay: Relay) -> None:
    await relay.call("GET")
    (entry,) = [logged(relay, answer) for answer in await listed(relay)]
    log: RequestLog = relay.application.app.services.request_log
    database = relay.application.installation.database
    async with database.write() as tx:
        await log.write(tx, [replace(entry, id=new_id(), connection_id=new_id())])  # of a connection that is gone
        deleting = asyncio.create_task(relay.client.send("DELETE", "/v1/end-users/user_123"))
        await eventually(lambda: deleting.done() or query(relay.application.installation, WAITING) != [(0,)])
        assert not deleting.done()
    assert (await deleting).status_code == 200
    assert [entry["end_user_id"] for entry in await listed(relay)] == [None, None]


async def test_old_entries_are_purged(relay: Relay) -> None:
    await relay.call("GET")
    await listed(relay)
    installation = relay.application.installation
    await purge(installation)
    assert len(await listed(relay)) == 1
    installation.clock.advance(days=8)  # type: ignore[attr-defined] # a clock that is set
    await purge(installation)
    assert await listed(relay) == []


async def test_retention_of_zero_days_logs_nothing(settings: Settings, acme: RunningAcme) -> None:
    async with relaying(settings.model_copy(update={"request_retention_days": 0}), acme) as relay:
        await relay.call("GET")
        assert await listed(relay) == []
        (connection,) = (await relay.client.get("/v1/connections", integration_slug="raw")).json()["connections"]
        assert connection["last_used_at"] is not None


@pytest.mark.slow
async def test_entry_is_written_within_about_a_second(relay: Relay) -> None:
    await relay.call("GET")

    async for _ in async_attempts():
        if (await relay.client.get("/v1/proxy-requests")).json()["proxy_requests"]:
            break


async def test_entries_are_held_while_the_database_is_unavailable_and_the_oldest_dropped(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: RequestLog = relay.application.app.services.request_log
    await relay.call("GET", "/0")

    async def unavailable(*_: object) -> None:
        raise Unavailable("The database is unavailable.")

    with monkeypatch.context() as patched:
        patched.setattr(log, "write", unavailable)
        patched.setattr(request_log, "_MAX_PENDING", 2)
        await log.flush()
        for number in range(1, 4):
            await relay.call("GET", f"/{number}")
        await log.flush()
    assert [entry["path"] for entry in await listed(relay)] == ["/3", "/2"]


@pytest.mark.slow
async def test_filtered_page_scans_a_limited_number_of_entries(relay: Relay) -> None:
    await relay.call("GET", "/first", slug="known")
    (entry,) = await listed(relay, integration_slug="known")
    call = logged(relay, entry)
    many = [replace(call, id=new_id(), integration_slug="raw", status=200) for _ in range(SCANNED_ROWS)]
    log: RequestLog = relay.application.app.services.request_log
    for logged_request in many:
        log.note(logged_request)
    await log.flush()
    page = (await relay.client.get("/v1/proxy-requests", integration_slug="known")).json()
    assert (page["proxy_requests"], page["next_cursor"]) == ([], many[0].id)
    page = (await relay.client.get("/v1/proxy-requests", integration_slug="known", cursor=page["next_cursor"])).json()
    assert ([entry["path"] for entry in page["proxy_requests"]], page["next_cursor"]) == (["/first"], None)


@pytest.mark.slow
async def test_entry_that_cannot_be_written_does_not_block_later_ones(relay: Relay) -> None:
    log: RequestLog = relay.application.app.services.request_log
    await relay.call("GET", "/first")
    (entry,) = await listed(relay)
    call = logged(relay, entry)
    lost = metrics.requests_unlogged._value.get()
    log.note(replace(call, id=new_id(), attempts=1 << 70))
    await eventually(lambda: metrics.requests_unlogged._value.get() == lost + 1)
    log.note(replace(call, id=new_id(), path="/second"))
    async for _ in async_attempts():
        paths = [entry["path"] for entry in (await relay.client.get("/v1/proxy-requests")).json()["proxy_requests"]]
        if paths == ["/second", "/first"]:
            break
