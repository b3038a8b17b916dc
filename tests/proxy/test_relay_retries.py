"""Calls that fail: whose failure it is, what is tried again, and what is never sent twice (P12)."""

import asyncio
import json
from typing import Final

import pytest

from one_runtime.settings import Settings
from one_runtime.tenancy import api_keys
from tests.application import RunningAcme
from tests.database import ANY_DATABASE
from tests.proxy.relay import KEY, OK, Arrived, Relay, read_body, relaying
from tests.waiting import eventually

BUSY: Final = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
@ANY_DATABASE
async def test_an_idempotent_call_is_made_again_where_that_is_asked_for(relay: Relay, method: str) -> None:
    relay.upstream.answers = [b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"] * 2
    relay.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    answer = await relay.call(method, "/x", "One-Runtime-Retry: idempotent")
    assert (answer.status, answer.named(b"one-runtime-attempts")) == (200, [b"3"])


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@ANY_DATABASE
async def test_what_is_not_idempotent_is_never_sent_twice(relay: Relay, method: str) -> None:
    relay.upstream.answer = BUSY
    answer = await relay.call(method, "/x", "One-Runtime-Retry: idempotent", body=b"{}")
    assert (answer.status, len(relay.upstream.arrived)) == (503, 1)


@ANY_DATABASE
async def test_nothing_is_sent_twice_where_nobody_asks(relay: Relay) -> None:
    relay.upstream.answer = BUSY
    answer = await relay.call("GET")
    assert (answer.status, answer.body, answer.named(b"retry-after")) == (503, b"busy", [b"0"])
    assert len(relay.upstream.arrived) == 1


@ANY_DATABASE
async def test_three_times_is_the_most(relay: Relay) -> None:
    relay.upstream.answer = BUSY
    answer = await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")
    assert (answer.status, len(relay.upstream.arrived)) == (503, 3)


@pytest.mark.parametrize(
    "header",
    ["Retry-After: 3600", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT", "X-RateLimit-Reset: 99999999999",
     "RateLimit-Reset: 120"],
)  # fmt: skip
@ANY_DATABASE
async def test_a_provider_that_asks_for_a_long_pause_is_left_alone(relay: Relay, header: str) -> None:
    relay.upstream.answer = f"HTTP/1.1 429 Slow\r\n{header}\r\nContent-Length: 0\r\n\r\n".encode()
    answer = await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")
    assert (answer.status, len(relay.upstream.arrived)) == (429, 1)


@ANY_DATABASE
@pytest.mark.slow
async def test_a_provider_that_does_not_answer_is_told_from_one_that_refuses(relay: Relay) -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: Arrived) -> None:
        await reader.read()

    relay.upstream.handler = hang
    slow = await relay.call("GET", "/x", "One-Runtime-Timeout: 0.2")
    assert (slow.status, slow.problem) == (504, "upstream_timeout")
    assert "sent nothing for 0.2 seconds" in json.loads(slow.body)["detail"]
    await eventually(relay.upstream.closed.is_set)

    async def drop(_: asyncio.StreamReader, __: asyncio.StreamWriter, ___: Arrived) -> None:
        return

    relay.upstream.handler = drop
    gone = await relay.call("GET")
    assert (gone.status, gone.problem) == (502, "upstream_unreachable")
    again = await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")
    assert (again.status, again.problem) == (502, "upstream_unreachable")
    relay.upstream.handler = None
    relay.upstream.answer = b"what is this\r\n\r\n"
    odd = await relay.call("GET")
    assert (odd.status, odd.problem) == (502, "upstream_protocol_error")


@pytest.mark.parametrize(
    "header",
    ["One-Runtime-Timeout: 0", "One-Runtime-Timeout: 601", "One-Runtime-Timeout: x", "One-Runtime-Connect-Timeout: -1",
     "One-Runtime-Retry: always", "One-Runtime-Trace: yes"],
)  # fmt: skip
@ANY_DATABASE
async def test_what_a_header_cannot_say_is_told(relay: Relay, header: str) -> None:
    answer = await relay.call("GET", "/x", header)
    assert (answer.status, answer.problem) == (422, "invalid_input")
    assert json.loads(answer.body)["errors"][0]["field"] == header.partition(":")[0].lower()
    assert relay.upstream.arrived == []


async def test_who_may_not_call_is_told_so_by_us(relay: Relay) -> None:
    relay.key, right = "oru_junk", relay.key
    assert (await relay.call("GET")).status == 401
    relay.key = await relay.application.key(relay.organization, "read", "connect")
    refused = await relay.call("GET")
    assert (refused.status, refused.problem) == (403, "insufficient_scope")
    relay.key = right
    for slug, user, status, code in (
        ("nothing", "user_123", 404, "not_found"),
        ("x-nothing", "user_123", 404, "not_found"),
        ("granted", "user_123", 409, "connect_required"),
        ("raw", "nobody", 409, "connect_required"),
        ("raw", None, 422, "invalid_input"),
    ):
        answer = await relay.call("GET", slug=slug, user=user)
        assert (answer.status, answer.problem) == (status, code), slug
    assert relay.upstream.arrived == []


@pytest.mark.promise("P1")
async def test_a_connection_of_another_organization_is_none(relay: Relay) -> None:
    (mine, *_) = (await relay.client.get("/v1/connections", integration_slug="raw")).json()["connections"]
    relay.key = await relay.application.key(await relay.application.organization("Southwind"))
    for user, header in (("user_123", "X: 1"), (None, f"One-Runtime-Connection: {mine['id']}")):
        answer = await relay.call("GET", "/x", header, user=user)
        assert (answer.status, answer.problem) == (409, "connect_required")
    assert relay.upstream.arrived == []


async def test_of_several_the_newest_active_one_is_used_unless_one_is_named(relay: Relay) -> None:
    client = relay.client
    body = {"integration_slug": "raw", "end_user_id": "user_123", "auth_type": "api_key", "check": False}
    second = (
        await client.post("/v1/connections", {**body, "credentials": {"api_key": "second"}, "multiple": True})
    ).json()
    answer = await relay.call("GET")
    assert answer.named(b"one-runtime-connection") == [second["id"].encode()]
    assert relay.last.named(b"x-key") == [b"second"]
    listed = (await client.get("/v1/connections", integration_slug="raw")).json()["connections"]
    first = next(one["id"] for one in listed if one["id"] != second["id"])
    for user in ("user_123", None):
        named = await relay.call("GET", "/x", f"One-Runtime-Connection: {first}", user=user)
        assert named.named(b"one-runtime-connection") == [first.encode()]
        assert relay.last.named(b"x-key") == [KEY.encode()]
    for header in (f"One-Runtime-Connection: {first}", "One-Runtime-Connection: none"):
        wrong = await relay.call("GET", "/x", header, user="somebody")
        assert (wrong.status, wrong.problem) == (409, "connect_required")


@pytest.mark.promise("P2")
async def test_a_revoked_key_calls_nobody(relay: Relay) -> None:
    assert (await relay.call("GET")).status == 200
    async with relay.application.installation.database.write() as tx:
        await api_keys.revoke(tx, "_".join(relay.key.split("_")[:2]), relay.application.clock())
    assert (await relay.call("GET")).status == 401
    assert len(relay.upstream.arrived) == 1


@ANY_DATABASE
async def test_an_organization_has_so_many_calls_under_way_and_half_of_them_to_one_integration(
    settings: Settings, acme: RunningAcme
) -> None:
    async with relaying(settings.model_copy(update={"proxy_calls": 4}), acme) as relay:
        free = asyncio.Event()

        async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
            await free.wait()
            writer.write(OK)
            await writer.drain()

        relay.upstream.handler = wait
        calls = [asyncio.ensure_future(relay.call("GET")) for _ in range(2)]
        await eventually(lambda: len(relay.upstream.arrived) == 2)
        more = await relay.call("GET")
        assert (more.status, more.problem, more.named(b"retry-after")) == (429, "too_many_calls", [b"1"])
        assert "2 calls to raw in progress, the limit for one integration" in json.loads(more.body)["detail"]
        calls += [asyncio.ensure_future(relay.call("GET", slug="known")) for _ in range(2)]
        await eventually(lambda: len(relay.upstream.arrived) == 4)
        of_all = await relay.call("GET", slug="asked")
        assert (of_all.status, of_all.problem) == (429, "too_many_calls")
        assert "4 calls in progress, the limit" in json.loads(of_all.body)["detail"]
        free.set()
        assert [one.status for one in await asyncio.gather(*calls)] == [200] * 4
        assert (await relay.call("GET")).status == 200


@ANY_DATABASE
async def test_bodies_have_the_size_that_the_operator_allows(settings: Settings, acme: RunningAcme) -> None:
    async with relaying(settings.model_copy(update={"proxy_max_bytes": 1000}), acme) as relay:
        large = await relay.call("POST", "/x", body=b"x" * 1001)
        assert (large.status, large.problem) == (413, "too_large")
        assert (await relay.call("POST", "/x", body=b"x" * 1000)).status == 200
        relay.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001
        answer = await relay.call("GET")
        assert (answer.status, answer.broken) == (200, True)


@pytest.mark.promise("P12")
@ANY_DATABASE
async def test_one_provider_that_hangs_keeps_no_other_waiting(relay: Relay) -> None:
    async def by_path(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
        if b"/hang" in arrived.line:
            await reader.read()
            return
        await read_body(reader, arrived)
        writer.write(OK)
        await writer.drain()

    relay.upstream.handler = by_path
    hanging = [asyncio.ensure_future(relay.call("GET", "/hang")) for _ in range(50)]
    await eventually(lambda: len(relay.upstream.arrived) == 50)
    assert (await relay.call("GET", "/x")).status == 200
    for one in hanging:
        one.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.promise("P11")
@ANY_DATABASE
async def test_no_problem_tells_the_key(relay: Relay) -> None:
    relay.upstream.answer = b"what is this\r\n\r\n"
    for slug in ("raw", "asked", "known", "pathed"):
        for header in ("X-Nothing: special", "One-Runtime-Base-Url: http://127.0.0.1/other"):
            answer = await relay.call("GET", "/x?a=b", header, slug=slug)
            assert answer.status in {502, 422}
            assert KEY.encode() not in answer.body
            assert b"a=b" not in answer.body


@ANY_DATABASE
async def test_what_the_provider_did_not_answer_is_not_sent_again_unasked(relay: Relay) -> None:
    """Not even what is idempotent: whoever deletes twice hears the second time that there is nothing."""

    async def drop(_: asyncio.StreamReader, __: asyncio.StreamWriter, ___: Arrived) -> None:
        return

    relay.upstream.handler = drop
    for number, method in enumerate(("GET", "PUT", "DELETE", "POST"), start=1):
        answer = await relay.call(method, "/x")
        assert (answer.status, answer.problem, len(relay.upstream.arrived)) == (502, "upstream_unreachable", number)


@pytest.mark.parametrize("method, status", [("GET", 200), ("HEAD", 200), ("DELETE", 502), ("POST", 502)])
@ANY_DATABASE
async def test_what_changes_nothing_is_sent_again_where_a_kept_connection_was_just_being_closed(
    relay: Relay, method: str, status: int
) -> None:
    connections: list[int] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: Arrived) -> None:
        connections.append(1)
        writer.write(OK if len(connections) == 1 else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")  # the next one, and the connection ends

    relay.upstream.handler = answer_once
    assert (await relay.call("GET")).status == 200
    assert (await relay.call(method)).status == status
    assert len(connections) == (2 if status == 200 else 1)


@ANY_DATABASE
async def test_a_header_of_ours_that_comes_twice_is_refused(relay: Relay) -> None:
    """Whoever adds one to a request that a browser made would not know which of the two counts."""
    for header in ("One-Runtime-End-User: somebody_else", "Authorization: Bearer other"):
        answer = await relay.call("GET", "/x", header)
        assert (answer.status, answer.problem) == (422, "invalid_input")
        assert "may be given once" in answer.body.decode()
    assert relay.upstream.arrived == []


@pytest.mark.slow
@pytest.mark.parametrize("wait", ["Mon, 01 Jan 99999999999999 00:00:00 GMT", "soon", "-1", "1e999"])
@ANY_DATABASE
async def test_a_pause_that_is_none_is_no_failure(relay: Relay, wait: str) -> None:
    relay.upstream.answers = [f"HTTP/1.1 503 Busy\r\nRetry-After: {wait}\r\nContent-Length: 0\r\n\r\n".encode(), OK]
    assert (await relay.call("GET", "/x", "One-Runtime-Retry: idempotent")).status == 200
