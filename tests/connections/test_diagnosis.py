"""The reason in words why a connection does not work, the time of the next retry, and the advice."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from one_runtime.catalog.disabled_integrations import DisabledIntegration
from one_runtime.clock import system_clock
from one_runtime.connections.connections import Connection
from one_runtime.connections.diagnosis import Diagnosis, RefreshState, diagnose
from one_runtime.explanations.stored_errors import error_note
from one_runtime.tenancy.organizations import INSTANCE

NOW: Final = system_clock()
HOUR: Final = timedelta(hours=1)
CONNECTION: Final = Connection(
    "c1", "o1", "ada", "hubspot", "HubSpot", "oauth2", "active", None, None, None, {}, (), (), {}, NOW, NOW, None, None
)
GOOD: Final = RefreshState(None, NOW + HOUR, None, 0, None, None, None, None, None)
DOWN: Final = GOOD._replace(refresh_due_at=NOW - HOUR, retry_at=NOW + HOUR, failures=3)


def test_working_connection_has_no_reason() -> None:
    assert diagnose(CONNECTION, GOOD, NOW) == Diagnosis(None, None, None, None, None)
    left_by_an_older_version = GOOD._replace(refusals="single", refused_since=NOW)
    assert diagnose(CONNECTION, left_by_an_older_version, NOW) == Diagnosis(None, None, None, None, None)


def test_outage_of_the_provider_has_its_start_and_the_next_retry() -> None:
    diagnosis = diagnose(CONNECTION, DOWN, NOW)
    assert (diagnosis.code, diagnosis.reason) == (
        "provider_trouble",
        "The refresh of the tokens failed 3 times in a row.",
    )
    assert (diagnosis.since, diagnosis.next_retry_at) == (NOW - HOUR, NOW + HOUR)
    assert "POST /v1/connections/c1/refresh" in str(diagnosis.advice)


def test_refresh_that_failed_before_its_due_time_has_no_start() -> None:
    early = DOWN._replace(refresh_due_at=NOW + HOUR, failures=1)
    assert diagnose(CONNECTION, early, NOW).since is None
    assert diagnose(CONNECTION, early, NOW + HOUR).since == NOW + HOUR


def test_refusals_without_an_error_code_have_their_first_time() -> None:
    diagnosis = diagnose(CONNECTION, DOWN._replace(failures=1, refusals="single", refused_since=NOW), NOW)
    assert (diagnosis.code, diagnosis.since, diagnosis.next_retry_at) == ("request_refused", NOW, NOW + HOUR)
    assert "1 time in a row" in str(diagnosis.reason)


@pytest.mark.parametrize(
    "code, advice",
    [
        ("client_refused", "one-runtime oauth-clients set hubspot"),
        ("target_refused", "ONE_RUNTIME_EGRESS_ALLOW"),
        ("permission_missing", "adds the permission"),
    ],
)
def test_error_of_an_active_connection_has_its_message_and_advice(code: str, advice: str) -> None:
    diagnosis = diagnose(replace(CONNECTION, error=error_note(code, "The words.", NOW)), DOWN, NOW)
    assert (diagnosis.code, diagnosis.reason, diagnosis.since) == (code, "The words.", NOW)
    assert advice in str(diagnosis.advice)


@pytest.mark.parametrize(
    "client_id, owner, options",
    [
        ("our-id", INSTANCE, "--client-id our-id"),
        ("our-id", "o1", "--client-id our-id --organization o1"),
        ("our id; rm {slug}", "o1", "--client-id 'our id; rm {slug}' --organization o1"),
    ],
)
def test_advice_about_a_refused_client_names_the_client_and_its_owner(client_id: str, owner: str, options: str) -> None:
    refused = replace(CONNECTION, error=error_note("client_refused", "x", NOW))
    diagnosis = diagnose(refused, DOWN._replace(client_id=client_id, client_owner=owner), NOW)
    assert f"`one-runtime oauth-clients set hubspot {options}`" in str(diagnosis.advice)


def test_disabled_integration_is_the_first_reason() -> None:
    disabled = DisabledIntegration("hubspot", "breach", NOW, "ada")
    diagnosis = diagnose(replace(CONNECTION, error=error_note("target_refused", "x", NOW)), DOWN, NOW, disabled)
    assert (diagnosis.code, diagnosis.since) == ("integration_disabled", NOW)
    assert diagnosis.reason == "The operator ada disabled the integration. Reason: breach"
    assert "one-runtime integrations enable hubspot" in str(diagnosis.advice)


@pytest.mark.parametrize("code", ["client_refused", "invalid_grant", "credentials_refused", "required_by_operator"])
def test_needs_reauth_asks_for_a_new_connection(code: str) -> None:
    broken = replace(CONNECTION, status="needs_reauth", error=error_note(code, "Dead.", NOW))
    stopped = GOOD._replace(refresh_due_at=None)
    diagnosis = diagnose(broken, stopped, NOW)
    assert (diagnosis.code, diagnosis.next_retry_at) == (code, None)
    assert "has to connect again" in str(diagnosis.advice)
    assert diagnose(broken, DOWN, NOW).next_retry_at == NOW + HOUR
