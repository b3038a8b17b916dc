"""Receivers that redirect, flood, echo or lie, and URLs that point to the operator's network."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

import pytest
import pytest_asyncio
from starlette.responses import Response

from one_runtime.clock import system_clock
from one_runtime.db.ids import new_id
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import TargetRefused
from one_runtime.webhooks import attempts, endpoints
from one_runtime.webhooks.attempts import AttemptResult, post
from one_runtime.webhooks.signatures import new_secret
from tests.application import Application, Client
from tests.egress.network import PUBLIC, LoopbackNetwork
from tests.egress.upstream import Answer, Upstream, answer, redirect, running_upstream
from tests.webhooks.conftest import subscribe, wait_for_deliveries
from tests.webhooks.receiver import Message, Receiver

pytestmark = pytest.mark.slow

METADATA: Final = "http://169.254.169.254/latest/meta-data/"
SECRET: Final = new_secret()


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


async def send(upstream: Upstream) -> AttemptResult:
    async with Egress(allow=frozenset({("127.0.0.1", upstream.port)})) as egress:
        return await post(egress.for_tenant("org"), upstream.url, [SECRET], new_id(), b"{}", system_clock)


async def flood(writer: asyncio.StreamWriter, head: bytes, piece: bytes) -> None:
    """Write without an end."""
    writer.write(head)
    with suppress(ConnectionError):
        while True:
            writer.write(piece)
            await writer.drain()


async def endless_body(writer: asyncio.StreamWriter) -> None:
    await flood(writer, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"endless " * 8192)


async def slow_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nslow")
    await writer.drain()
    await asyncio.Event().wait()


async def endless_informational(writer: asyncio.StreamWriter) -> None:
    await flood(writer, b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" * 100)


async def endless_header(writer: asyncio.StreamWriter) -> None:
    await flood(writer, b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 4096)


ZEROS: Final = gzip.compress(bytes(20_000_000))
HINTS: Final = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100


@pytest.mark.parametrize(
    "name, reply, status, error, excerpt",
    [
        ("redirect", redirect(METADATA, 307), 307, None, None),
        ("gzip bomb", answer(200, [("Content-Encoding", "gzip")], ZEROS), 200, None, ...),
        ("body without an end", endless_body, 200, None, ...),
        ("slow body", slow_body, 200, None, "slow"),
        ("informational responses", HINTS + answer(204), 204, None, None),
        ("informational responses without an end", endless_informational, None, "upstream_protocol_error", None),
        ("header without an end", endless_header, None, "upstream_protocol_error", None),
        ("wait without an end", answer(503, [("Retry-After", "9" * 16)]), 503, None, None),
        ("status 999", answer(999), None, "upstream_protocol_error", None),
        ("other protocol", b"SSH-2.0-OpenSSH_9.9\r\n", None, "upstream_protocol_error", None),
        ("switch of the protocol", b"HTTP/1.1 101 Switching\r\n\r\n", None, "upstream_protocol_error", None),
        ("control characters", answer(500, body=b"a\x00b\xff\xfe\x1b[31m\r\nc"), 500, None, "a b\ufffd\ufffd [31m c"),
    ],
)
async def test_a_hostile_receiver_costs_little_and_stores_little(
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reply: Answer,
    status: int | None,
    error: str | None,
    excerpt: object,
) -> None:
    monkeypatch.setattr(attempts, "LIMITS", replace(attempts.LIMITS, total=2.0))
    upstream.anything = reply
    async with asyncio.timeout(10):
        result = await send(upstream)
    made = result.attempt
    assert (made.response_status, made.error) == (status, error), name
    assert made.duration_ms < 1900
    assert len(upstream.requests) == 1
    if excerpt is not ...:
        assert made.excerpt == excerpt
    assert len(made.excerpt or "") <= 300
    assert (made.excerpt or "x").isprintable()


async def test_an_excerpt_contains_no_secret_and_no_signature(client: Client, receiver: Receiver) -> None:
    secret = ""

    def echo(message: Message) -> Response:
        lines = [f"{name}: {value}" for name, value in message.headers.items() if name.startswith("webhook-")]
        return Response("\n".join([*lines, secret, "the token is s3cr3t-of-the-url\x00, the pin is pin4567"]), 500)

    receiver.answers["/hook"] = echo
    endpoint = await subscribe(client, receiver.url("/hook?token=s3cr3t-of-the-url&pin=pin4567"), "connection.created")
    secret = endpoint["secret"]
    await client.connect()
    await wait_for_deliveries(client, endpoint, failed_attempts=1)
    message = receiver.messages[0]
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    shown = (await client.get(f"{path}/deliveries/{message.id}")).json()["attempts"][0]["response_excerpt"]
    tested = (await client.post(f"{path}/test")).json()["response_excerpt"]
    for excerpt, signature in zip(
        (shown, tested), (each.headers["webhook-signature"] for each in receiver.messages), strict=True
    ):
        assert "webhook-timestamp: " in excerpt
        for hidden in (secret, secret.removeprefix("whsec_"), signature, signature.removeprefix("v1,")):
            assert hidden not in excerpt
        assert "s3cr3t-of-the-url" not in excerpt
        assert "pin4567" not in excerpt


@pytest.mark.promise("P7")
async def test_a_name_that_later_has_a_private_address_receives_nothing(upstream: Upstream) -> None:
    network = LoopbackNetwork(upstream.port, {"hook.example": [[PUBLIC], ["169.254.169.254"]]})
    async with Egress(network=network) as egress:
        await egress.require_allowed("https://hook.example/")
        result = await post(egress.for_tenant("org"), "https://hook.example/", [SECRET], new_id(), b"{}", system_clock)
    assert result.attempt.error == TargetRefused.code
    assert (network.dialled, upstream.connections) == ([], 0)


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "url",
    [
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://example.com\\@169.254.169.254/",
        "https://user@example.com/",
        "https://:secret@example.com/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://example.com:port/",
        "https://example.com/\r\nX-Injected: yes",
        "https://example.com/a b",
        "https://exam%70le.com/",
        "https:///hook",
        "https://",
        "//example.com/hook",
        "javascript:alert(1)",
        "file:///etc/passwd",
        f"https://example.com/{'x' * 5000}",
    ],
)
async def test_a_dangerous_url_is_refused(client: Client, url: str) -> None:
    answered = await client.post("/v1/webhook-endpoints", {"url": url, "event_types": ["*"]})
    assert answered.status_code == 422, answered.text
    assert [error["field"] for error in answered.json()["errors"]] == ["url"]
    assert "X-Injected" not in answered.text


async def test_names_in_other_scripts_and_other_ports_are_accepted(client: Client) -> None:
    for url in ("https://bücher.example/hook", "https://example.com:8443/hook?a=1&b=%C3%BC", "https://EXAMPLE.com"):
        endpoint = await subscribe(client, url)
        assert endpoint["url"] == url


async def test_endpoints_with_the_same_url_each_receive_an_event(client: Client, receiver: Receiver) -> None:
    first, second = [await subscribe(client, receiver.url(), "connection.created") for _ in range(2)]
    await client.connect()
    await receiver.wait_for("connection.created", count=2)
    for endpoint in (first, second):
        await wait_for_deliveries(client, endpoint, status="delivered")
    assert len({message.id for message in receiver.messages}) == 1
    assert len({message.headers["webhook-signature"] for message in receiver.messages}) == 2


async def test_an_organization_has_a_limited_number_of_endpoints_and_types(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 2)
    body = {"kind": "pull", "event_types": ["*"]}
    answers = await asyncio.gather(*(client.post("/v1/webhook-endpoints", body) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [201, 201, 409, 409]
    refused = next(each for each in answers if each.status_code == 409)
    assert "2 webhook endpoints, which is the maximum. Delete an endpoint first." in refused.json()["detail"]
    many = await client.post("/v1/webhook-endpoints", body | {"event_types": ["connection.created"] * 101})
    assert (many.status_code, many.json()["errors"][0]["field"]) == (422, "event_types")


async def test_foreign_and_unknown_events_change_nothing(application: Application, client: Client) -> None:
    other = application.client(await application.key(await application.organization("Other")))
    mine, theirs = [await subscribe(each, None, "connection.created") for each in (client, other)]
    await other.connect()
    event = (await other.get("/v1/events", type="connection.created")).json()["events"][0]["id"]
    path = f"/v1/webhook-endpoints/{mine['id']}"
    for event_id in (event, new_id()):
        assert (await client.post(f"{path}/deliveries/{event_id}/retry")).status_code == 404
        assert (await client.get(f"{path}/deliveries/{event_id}")).status_code == 404
    acknowledged = await client.post(f"{path}/acknowledge", {"event_ids": [event, new_id()]})
    assert acknowledged.json() == {"acknowledged": 0}
    replayed = await client.post(f"{path}/replay", {"since": "2020-01-01T00:00:00Z", "status": "all"})
    assert replayed.json() == {"queued_deliveries": 0}
    assert (await client.get(f"{path}/pending")).json() == {"messages": []}
    assert (await other.get(f"/v1/webhook-endpoints/{theirs['id']}")).json()["pending_deliveries"] == 1
    too_many = await client.post(f"{path}/acknowledge", {"event_ids": [new_id() for _ in range(1001)]})
    assert too_many.status_code == 422


async def test_events_arrive_after_a_clock_was_set_back(
    application: Application, client: Client, receiver: Receiver
) -> None:
    endpoint = await subscribe(client, receiver.url(), "connection.created")
    await client.connect("user_1")
    await receiver.wait_for("connection.created")
    await wait_for_deliveries(client, endpoint, status="delivered")
    application.clock.advance(hours=-2)
    await client.connect("user_2")
    await receiver.wait_for("connection.created", count=2)
