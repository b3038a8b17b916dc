"""A provider that cannot be reached: the log and the API name the reason, and end users read a sentence without it."""

import pytest
from structlog.testing import CapturingLogger

from one_runtime.connecting import provider_request
from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS
from tests.connecting.acme import CLOSED_PORT, AcmeAuthorizing

SENTENCE = "Acme CRM cannot be reached at the moment. Nothing was stored; try again."
NAME = "no-such-name.invalid"


def moved(url: str) -> dict[str, str]:
    """Return changes to Acme's entry for an API at another address."""
    return {"base_url: '{acme_url}'": f"base_url: {url}"}


unreachable = pytest.mark.parametrize(
    "entry_changes, reason",
    [
        (moved(f"http://127.0.0.1:{CLOSED_PORT}"), f"127.0.0.1:{CLOSED_PORT} refuses connections."),
        (moved(f"https://{NAME}"), f"The name {NAME} "),
    ],
    ids=["closed port", "unknown name"],
)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    log = CapturingLogger()
    monkeypatch.setattr(provider_request, "log", log)
    return log


def causes(log: CapturingLogger) -> list[str]:
    """Return the causes in the log, and check the other fields."""
    for line in log.calls:
        assert (line.method_name, line.args) == ("warning", ("provider_unreachable",))
        assert (line.kwargs["integration"], line.kwargs["code"]) == ("acme", "upstream_unreachable")
    return [line.kwargs["cause"] for line in log.calls]


@unreachable
async def test_typed_key_shows_a_sentence_without_code_and_the_log_names_the_cause(
    runtime: AcmeAuthorizing, log: CapturingLogger, reason: str
) -> None:
    session = await runtime.session()
    answer = await runtime.client.type_key(session["session_token"], ACME_KEYS[GLOBEX])
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable")
    assert answer.json()["detail"] == SENTENCE
    assert (await runtime.backend_session(session))["last_error"]["message"] == SENTENCE
    (cause,) = causes(log)
    assert cause.startswith(reason)


@unreachable
async def test_import_names_the_reason_for_the_developer(
    runtime: AcmeAuthorizing, log: CapturingLogger, reason: str
) -> None:
    body = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "api_key"}
    answer = await runtime.client.post("/v1/connections", {**body, "credentials": {"api_key": ACME_KEYS[GLOBEX]}})
    assert answer.status_code == 502
    assert answer.json()["detail"].startswith(f"{SENTENCE} The reason: {reason}")
    assert len(causes(log)) == 1


@unreachable
async def test_check_names_the_reason_for_the_developer(
    runtime: AcmeAuthorizing, log: CapturingLogger, reason: str
) -> None:
    body = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "api_key", "check": False}
    stored = await runtime.client.post("/v1/connections", {**body, "credentials": {"api_key": ACME_KEYS[GLOBEX]}})
    assert stored.status_code == 201, stored.text
    answer = await runtime.client.post(f"/v1/connections/{stored.json()['id']}/check")
    assert answer.status_code == 502
    assert f"The reason: {reason}" in answer.json()["detail"]
    assert len(causes(log)) == 1
