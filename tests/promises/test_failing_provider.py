"""P12: a provider's failure ends in time, affects no other provider, and reveals no key."""

import asyncio

import pytest

from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS
from tests.egress.upstream import Answer, answer, hang
from tests.promises.hostile import JSON, QUICK, Hostile, accepted
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P12")

KEY = ACME_KEYS[GLOBEX]


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send an endless body slowly."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    never = asyncio.Event()
    while True:
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        try:
            await asyncio.wait_for(never.wait(), 0.05)
        except TimeoutError:
            continue


async def flood(writer: asyncio.StreamWriter) -> None:
    """Send an endless body as fast as possible."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        await writer.drain()


TROUBLE: dict[str, Answer] = {
    "hangs": hang,
    "drips": drip,
    "floods": flood,
    "is too large": answer(200, JSON, b'{"account": {"id": "' + b"x" * QUICK.body + b'"}}'),
    "is no HTTP": b"220 smtp.example.com ESMTP\r\n\r\n",
    "is no JSON": answer(200, JSON, b"<html>Welcome to our hotel's network</html>"),
    "is nested deeply": answer(200, JSON, b"[" * 30_000),
    "is another shape": answer(200, JSON, b'{"account": "yes"}'),
    "is empty": answer(200, JSON),
    "redirects inside": answer(302, [("Location", "http://169.254.169.254/latest/meta-data")]),
    "is overloaded": answer(429, [("Retry-After", "3600")]),
    "is broken": answer(500, JSON, b'{"error": {"message": "stack trace"}}'),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", TROUBLE)
async def test_provider_failure_is_a_502_and_the_session_stays_open(hostile: Hostile, how: str) -> None:
    session = await hostile.client.session()
    hostile.answers(TROUBLE[how])
    refused = await hostile.client.type_key(session["session_token"], KEY)
    assert (refused.status_code, refused.json()["code"]) == (502, "provider_unavailable")
    assert KEY not in refused.text
    known = (await hostile.client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()
    assert (known["status"], known["last_error"]["code"]) == ("pending", "provider_unavailable")
    hostile.answers(accepted())
    assert (await hostile.client.type_key(session["session_token"], KEY)).status_code == 200


@pytest.mark.slow
async def test_hanging_provider_delays_no_other_request(hostile: Hostile) -> None:
    client = hostile.client
    tokens = [(await client.session(f"user_{number}"))["session_token"] for number in range(20)]
    hostile.answers(hang)
    waiting = [asyncio.ensure_future(client.type_key(token, KEY)) for token in tokens]
    await eventually(lambda: len(hostile.provider.requests) == len(tokens))
    # One Runtime can still read and write, because no transaction is open during the request to the provider.
    assert (await client.integrations())["acme"]["status"] == "not_connected"
    session = await client.session("user_123")
    assert (await client.popup("/cancel", session["session_token"])).status_code == 204
    assert not any(task.done() for task in waiting)
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {502}


@pytest.mark.slow
async def test_failed_import_and_check_change_nothing(hostile: Hostile) -> None:
    hostile.answers(accepted())
    connection = await hostile.client.connect(key=KEY)
    hostile.answers(hang)
    body = {"integration_slug": "acme", "end_user_id": "user_456", "auth_type": "api_key"}
    imported = await hostile.client.post("/v1/connections", {**body, "credentials": {"api_key": KEY}})
    checked = await hostile.client.post(f"/v1/connections/{connection['id']}/check")
    assert [answer.json()["code"] for answer in (imported, checked)] == ["provider_unavailable"] * 2
    assert (await hostile.client.get("/v1/connections")).json()["connections"] == [connection]
