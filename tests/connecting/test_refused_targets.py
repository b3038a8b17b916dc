"""P7: a refused address is an error of its own. The texts for callers name no address, and the log names the cause."""

import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import CapturingLogger

from one_runtime.demo.acme import GLOBEX
from one_runtime.egress import observation
from one_runtime.tokens.refresh_due import refresh_due
from tests.application import ACME_KEYS, Application, Client, RunningAcme, settings_for, started
from tests.connecting.acme import AcmeAuthorizing
from tests.tokens import answering
from tests.tokens.answering import AnsweringApplication, answering_application

pytestmark = pytest.mark.promise("P7")

KEY = ACME_KEYS[GLOBEX]
REFUSED = "http://127.0.0.1:7/token"
MOVED = {"token:\n      url: ": f"token:\n      url: {REFUSED}  # "}
FOR_END_USERS = (
    "We aren’t allowed to contact {} at this address. If you entered the address, check it. Otherwise, the developers "
    "of Northwind have to"
)


@pytest_asyncio.fixture
async def strict(database_url: str, acme: RunningAcme) -> AsyncIterator[Application]:
    """An application that may not call Acme."""
    async with started(settings_for(database_url, acme, egress_allow=frozenset()), acme, worker=False) as application:
        yield application


@pytest_asyncio.fixture
async def client(strict: Application) -> Client:
    return strict.client(await strict.key(await strict.organization()))


def assert_names_no_address(*texts: str) -> None:
    for text in texts:
        assert not re.search(r"127\.0|localhost|loopback|private|:\d{4}", text), text


async def test_a_typed_key_reports_the_refused_target_to_popup_and_backend(
    strict: Application, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await client.session()
    monkeypatch.setattr(observation, "log", log := CapturingLogger())
    answer = await client.type_key(session["session_token"], KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "target_refused")
    read = (await client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()
    assert (read["status"], read["last_error"]["code"]) == ("pending", "target_refused")
    assert read["last_error"]["message"] == answer.json()["detail"]
    assert_names_no_address(answer.json()["detail"])
    assert "Try again" not in answer.json()["detail"]
    (line,) = log.calls
    assert (line.method_name, line.args, line.kwargs["integration"]) == ("warning", ("target_refused",), "acme")
    assert f'add "127.0.0.1:{strict.acme.port}" to ONE_RUNTIME_EGRESS_ALLOW' in line.kwargs["cause"]


async def test_a_refused_target_does_not_count_as_a_failed_attempt(client: Client) -> None:
    session = await client.session()
    codes = {(await client.type_key(session["session_token"], KEY)).json()["code"] for _ in range(12)}
    assert codes == {"target_refused"}


async def test_import_check_and_proxy_call_report_the_refused_target(client: Client) -> None:
    body = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "api_key"}
    imported = await client.post("/v1/connections", {**body, "credentials": {"api_key": KEY}})
    connection = await client.connect(check=False)
    checked = await client.post(f"/v1/connections/{connection['id']}/check")
    relayed = await client.http.get("/v1/proxy/acme/v1/me", headers={"one-runtime-end-user": "user_123"})
    for answer in (imported, checked, relayed):
        assert (answer.status_code, answer.json()["code"]) == (422, "target_refused")
        assert_names_no_address(answer.json()["detail"])
    assert relayed.headers["one-runtime-error"] == "target_refused"
    assert (await client.get(f"/v1/connections/{connection['id']}")).json()["status"] == "active"


async def test_the_page_without_a_frame_shows_a_sentence_for_the_end_user(client: Client) -> None:
    session = await client.session(mode="link", auth_type="api_key")
    headers = {"sec-fetch-dest": "document", "sec-fetch-mode": "navigate", "sec-fetch-site": "same-origin"}
    form = {"session_token": session["session_token"], "auth_type": "api_key", "credentials.api_key": KEY}
    await client.http.post("/connect", data={**form, "step": "confirm"}, headers=headers)
    page = await client.http.post("/connect", data={**form, "step": "connect"}, headers=headers)
    shown = unescape(re.sub(r"<[^>]+>|\s+", " ", page.text))
    assert FOR_END_USERS.format("Acme CRM") in shown
    assert "ONE_RUNTIME" not in shown


@pytest.mark.parametrize("entry_changes", [{"'{acme_url}/oauth/token'": REFUSED}], ids=["private token endpoint"])
async def test_an_authorization_reports_the_refused_target_and_does_not_count(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    assert FOR_END_USERS.format("Acme CRM") in unescape(page.text)
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "target_refused")
    assert outcome["text"] == {"name": "failed.target_refused", "values": {}}
    error = (await runtime.backend_session(session))["last_error"]
    assert error["code"] == "target_refused"
    assert_names_no_address(error["message"])
    assert "127.0.0.1:7" not in page.text
    assert await runtime.failed_checks(session) == 0


@pytest_asyncio.fixture
async def misplaced(database_url: str, acme: RunningAcme) -> AsyncIterator[AnsweringApplication]:
    """An application whose provider has a token endpoint at a refused address."""
    async with answering_application(database_url, acme, MOVED) as app:
        yield app


async def test_client_credentials_report_the_refused_target(misplaced: AnsweringApplication) -> None:
    body = {"integration_slug": answering.SLUG, "end_user_id": "user_123", "auth_type": "client_credentials"}
    credentials = {"client_id": answering.CLIENT_ID, "client_secret": answering.CLIENT_SECRET}
    answer = await misplaced.client.post("/v1/connections", {**body, "credentials": credentials})
    assert (answer.status_code, answer.json()["code"]) == (422, "target_refused")
    assert_names_no_address(answer.json()["detail"])


async def test_a_401_reaches_the_caller_if_the_refresh_has_a_refused_target(misplaced: AnsweringApplication) -> None:
    connection = await misplaced.connect()
    misplaced.provider.revoke()
    for _ in range(2):
        answer = await misplaced.call(connection)
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_token"})
        assert "one-runtime-error" not in answer.headers
    shown = await misplaced.look(connection)
    assert (shown["status"], shown["error"]["code"]) == ("active", "target_refused")


async def test_a_refresh_reports_the_refused_target_until_it_succeeds(misplaced: AnsweringApplication) -> None:
    connection, client = await misplaced.connect(), misplaced.client
    misplaced.application.clock.advance(hours=2)
    assert await refresh_due(misplaced.application.installation) == 1
    shown: dict[str, Any] = (await client.get(f"/v1/connections/{connection}")).json()
    assert (shown["status"], shown["error"]["code"]) == ("active", "target_refused")
    assert_names_no_address(shown["error"]["message"])
    answers = [
        await client.post(f"/v1/connections/{connection}/refresh"),
        await client.get(f"/v1/connections/{connection}/credentials"),
        await client.post(f"/v1/connections/{connection}/check"),
        await client.http.get(f"/v1/proxy/{answering.SLUG}/me", headers={"one-runtime-end-user": "user_123"}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "target_refused")] * 4
    events = (await client.get("/v1/events", type="connection.refresh_failed")).json()["events"]
    assert [event["data"]["reason"] for event in events] == ["target_refused"]
