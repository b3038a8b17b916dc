"""Receivers of webhooks: both clients, the programs of the documentation, and libraries of other projects."""

import importlib.util
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias, get_args

import httpx2
import pytest
import standardwebhooks
import svix.webhooks
from django.urls import path  # type: ignore[import-untyped]
from starlette.datastructures import Headers
from starlette.responses import Response
from werkzeug.datastructures import Headers as WerkzeugHeaders

from one_runtime.settings import Settings
from one_runtime.tenancy.event_types import TYPES
from one_runtime.webhooks.signatures import new_secret, signed_headers
from one_runtime_client import OneRuntimeError, WebhookVerificationError, webhooks
from tests.application import Client
from tests.clients.django_site import django_site
from tests.clients.javascript import PACKAGE
from tests.clients.webhook_cases import BODY, EVENT, SECRET, Case, cases, headers_of
from tests.documentation import page
from tests.foreign.process import NODE, ROOT, running
from tests.webhooks.conftest import subscribe, wait_for_deliveries
from tests.webhooks.receiver import Message, Receiver

pytestmark = [pytest.mark.only_database("sqlite"), pytest.mark.worker]

SNIPPETS: Final = ROOT / "docs" / "snippets"
PATH: Final = "/hooks/one-runtime"
Post: TypeAlias = Callable[[bytes, Mapping[str, str]], Awaitable[tuple[int, str]]]
"""Sends a message to a receiver. Returns the status and the body of its answer."""


@pytest.fixture
def settings(settings_with_receiver: Settings) -> Settings:
    return settings_with_receiver


# The clients


def outcome(case: Case) -> tuple[str, str]:
    try:
        webhooks.verify(case.secret, case.headers, case.body)
    except WebhookVerificationError as error:
        return "refused", f"{error!r}{error}"
    except (TypeError, ValueError) as error:
        return "misused", f"{error!r}{error}"
    return "verified", ""


def test_python_client_verifies_and_refuses_messages() -> None:
    for case in cases():
        result, text = outcome(case)
        assert (result, case.text in text) == (case.result, True), (case.name, result, text)
        assert ("webhook_not_verified" in text) == (result == "refused"), case.name
        assert_hidden(case, text)


def assert_hidden(case: Case, text: str) -> None:
    """Assert that an error does not contain a secret."""
    secrets = case.secret if isinstance(case.secret, list) else [case.secret]
    assert not any(secret.removeprefix("whsec_") in text for secret in secrets if secret and len(secret) > 6), case.name


def test_python_client_returns_the_fields_of_an_event() -> None:
    headers = headers_of()
    for kind in (dict, Headers, WerkzeugHeaders):  # the last one is no Mapping
        event = webhooks.verify(SECRET, kind(headers), bytearray(BODY))
        assert (event.id, event.type, event.data) == (EVENT["id"], "connection.needs_reauth", EVENT["data"])
        assert event.timestamp == datetime(2026, 11, 27, 13, 52, 10, 215_000, UTC)
        assert (event.end_user_id, event.connection_id) == ("user_é", EVENT["data"]["connection_id"])
        assert event.connection is None
    test = {**EVENT, "type": "later.type", "data": {"connection": {"id": "1"}}, "later": 1}
    event = webhooks.verify(SECRET, headers_of(body := json.dumps(test).encode()), body)
    assert (event.type, event.end_user_id, event.connection_id) == ("later.type", None, None)
    with pytest.raises(OneRuntimeError, match="documented form"):
        _ = event.connection


def test_both_clients_list_the_event_types() -> None:
    types = [*TYPES, "webhook.test"]
    assert list(get_args(webhooks.EventType)) == types
    source = (PACKAGE / "src" / "resources" / "event-types.ts").read_text("utf-8")
    listed = source.partition("export type EventType =")[2].partition(";")[0]
    assert [line.strip('| "') for line in listed.split()[1::2]] == types


# Real deliveries


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message that One Runtime has sent, and the secret of its endpoint."""

    message: Message
    secret: str

    def tampered(self) -> dict[str, tuple[str, bytes, dict[str, str]]]:
        """Return messages that a receiver has to refuse: the receiver's secret, the body and the headers."""
        body, headers = self.message.raw, {name: self.message.headers[name] for name in headers_of()}
        then = datetime.now(UTC) - timedelta(seconds=310)
        old = signed_headers([self.secret], self.message.id, then, body)
        changed = body.replace(b"connection.created", b"connection.creates")
        return {
            "changed byte": (self.secret, changed, headers),
            "old timestamp": (self.secret, body, old),
            "other secret": (new_secret(), body, headers),
        }


async def deliver(client: Client, receiver: Receiver) -> Delivered:
    endpoint = await subscribe(client, receiver.url(), "connection.*", include=["connection"])
    await client.connect("user_é")
    return Delivered(await receiver.wait_for("connection.created"), endpoint["secret"])


PYTHON_RECEIVERS: Final[dict[str, tuple[Callable[[str, dict[str, str], bytes], Any], type[Exception]]]] = {
    "standardwebhooks": (
        lambda secret, headers, body: standardwebhooks.Webhook(secret).verify(body, headers),
        standardwebhooks.WebhookVerificationError,
    ),
    "svix": (
        lambda secret, headers, body: svix.webhooks.Webhook(secret).verify(body, headers),
        svix.webhooks.WebhookVerificationError,
    ),
    "one_runtime_client": (webhooks.verify, WebhookVerificationError),
}


async def test_python_receivers_verify_a_delivery_and_refuse_others(client: Client, receiver: Receiver) -> None:
    delivered = await deliver(client, receiver)
    for verify, refusal in PYTHON_RECEIVERS.values():
        verify(delivered.secret, dict(delivered.message.headers), delivered.message.raw)
        for secret, body, headers in delivered.tampered().values():
            with pytest.raises(refusal):
                verify(secret, headers, body)
    event = webhooks.verify(delivered.secret, delivered.message.headers, delivered.message.raw)
    assert event.connection is not None
    assert (event.connection.id, event.connection.end_user_id) == (event.connection_id, "user_é")


def fastapi_receiver() -> Post:
    transport = httpx2.ASGITransport(snippet("webhooks_fastapi").app)
    return partial(post_to, httpx2.AsyncClient(transport=transport, base_url="http://app.example.com"))


def django_receiver() -> Post:
    site = django_site([path(PATH.removeprefix("/"), snippet("webhooks_django").receive)])
    return partial(post_to, httpx2.AsyncClient(transport=httpx2.ASGITransport(site), base_url="http://app.example.com"))


def flask_receiver() -> Post:
    http = snippet("webhooks_flask").app.test_client()

    async def post(body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        answer = http.post(PATH, data=body, headers=dict(headers))
        return answer.status_code, answer.text

    return post


async def post_to(
    http: httpx2.AsyncClient, body: bytes, headers: Mapping[str, str], path: str = PATH
) -> tuple[int, str]:
    answer = await http.post(path, content=body, headers=dict(headers))
    return answer.status_code, answer.text


def snippet(name: str) -> ModuleType:
    """Import a program of the documentation."""
    spec = importlib.util.spec_from_file_location(name, SNIPPETS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def check_program(client: Client, receiver: Receiver, post: Post, set_secret: Callable[[str], Any]) -> None:
    """Let One Runtime deliver an event to a program of the documentation. Then send messages that it has to refuse."""

    async def relay(message: Message) -> Response:
        status, text = await post(message.raw, message.headers)
        return Response(text, status)

    receiver.answers["/hook"] = relay
    endpoint = await subscribe(client, receiver.url(), "connection.created")
    set_secret(endpoint["secret"])
    await client.connect("user_é")
    (delivery,) = await wait_for_deliveries(client, endpoint, status="delivered")
    assert delivery["http_status"] == 204
    delivered = Delivered(receiver.messages[-1], endpoint["secret"])
    for name, (secret, body, headers) in delivered.tampered().items():
        set_secret(secret)
        status, text = await post(body, {**headers, "content-type": "application/json"})
        assert (status, "of the message" in text) == (400, True), (name, text)


@pytest.mark.parametrize("program", [fastapi_receiver, flask_receiver, django_receiver])
async def test_python_programs_of_the_documentation_receive_deliveries(
    client: Client,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: Callable[[], Post],
) -> None:
    await check_program(client, receiver, program(), partial(monkeypatch.setenv, "WEBHOOK_SECRET"))
    assert capsys.readouterr().out.splitlines() == ["connection.created user_é"]


@pytest.mark.docs
def test_page_of_webhooks_shows_the_programs() -> None:
    text = page("docs/webhooks.md").text
    programs = sorted(SNIPPETS.glob("webhooks_*"))
    assert len(programs) == 5
    for program in programs:
        assert program.read_text("utf-8").partition("\n\n")[2].strip() in text, program.name


# Node.js


@pytest.fixture(scope="module")
def node_receivers(installed_packages: Path) -> Iterator[httpx2.Client]:
    """The receivers in Node.js: the client, libraries, and the programs of the documentation, in one process."""
    program = Path(__file__).with_name("webhook_receivers.mjs")
    for file in (program, *SNIPPETS.glob("webhooks_*.mjs")):
        shutil.copy(file, installed_packages)
    with (
        running([NODE, installed_packages / program.name], installed_packages) as process,
        httpx2.Client(base_url=process.announcement["url"]) as http,
    ):
        yield http


def outcomes(node: httpx2.Client, verifier: str, messages: list[Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = node.post(f"/verify/{verifier}", json=messages).raise_for_status().json()
    return listed


@pytest.mark.foreign
@pytest.mark.parametrize("module", ["esm", "commonjs"])
def test_javascript_client_verifies_and_refuses_messages(node_receivers: httpx2.Client, module: str) -> None:
    table = cases()
    errors = {"refused": "WebhookVerificationError", "misused": "TypeError", "verified": None}
    results = outcomes(node_receivers, module, [case.as_json() for case in table])
    for case, result in zip(table, results, strict=True):
        assert result.get("error") == errors[case.result], (case.name, result)
        assert case.text in result.get("text", ""), (case.name, result)
        assert_hidden(case, json.dumps(result))
        if case.result == "refused":
            assert (result["code"], result["ours"]) == ("webhook_not_verified", True)
    data = EVENT["data"]
    expected = {"endUserId": data["end_user_id"], "connectionId": data["connection_id"]}
    camel = {**expected, "reason": "invalid_grant", "reconnect": {"integrationSlug": "hubspot", "endUserId": "user_é"}}
    assert results[0]["event"] == {**EVENT, "data": camel, **expected, "connection": None}


@pytest.mark.foreign
async def test_javascript_receivers_verify_a_delivery_and_refuse_others(
    client: Client, receiver: Receiver, node_receivers: httpx2.Client
) -> None:
    delivered = await deliver(client, receiver)
    sent = (delivered.secret, delivered.message.raw, dict(delivered.message.headers))
    messages = [
        Case("", "verified", "", secret, headers, body).as_json()
        for secret, body, headers in (sent, *delivered.tampered().values())
    ]
    events: list[Any] = []
    for verifier in ("standardwebhooks", "svix", "esm", "commonjs"):
        verified, *refused = outcomes(node_receivers, verifier, messages)
        assert "error" not in verified, (verifier, verified)
        events.append(verified.get("event"))
        assert [result.get("error") for result in refused] == ["WebhookVerificationError"] * 3, (verifier, refused)
    event = events[-1]
    assert (event["connection"]["id"], event["connection"]["endUserId"]) == (event["connectionId"], "user_é")


@pytest.mark.foreign
@pytest.mark.parametrize("path", [PATH, "/next"], ids=["express", "next"])
async def test_javascript_programs_of_the_documentation_receive_deliveries(
    client: Client, receiver: Receiver, node_receivers: httpx2.Client, path: str
) -> None:
    def set_secret(secret: str) -> list[str]:
        lines: list[str] = node_receivers.put("/secret", json={"secret": secret}).raise_for_status().json()
        return lines

    async with httpx2.AsyncClient(base_url=node_receivers.base_url) as http:
        post = partial(post_to, http, path=path)
        set_secret(SECRET)
        seen: list[str] = []
        await check_program(client, receiver, post, lambda secret: seen.extend(set_secret(secret)))
        assert seen == ["connection.created user_é"]
