"""Verdicts and account identities from a provider's answers."""

import json
from typing import Any

import pytest

from one_runtime.catalog.request import ConnectionValues
from one_runtime.catalog.response import read_check
from tests.catalog.example import api_key

SECRET = "s3cr3t-Value"
EXAMPLE_VALUES = ConnectionValues({}, {"api_key": SECRET})


def answer(auth: Any, status: int, body: object, values: ConnectionValues = EXAMPLE_VALUES) -> Any:
    return read_check(auth, status, (), json.dumps(body).encode(), values)


def test_the_values_of_the_end_user_are_redacted_from_the_reason() -> None:
    values = ConnectionValues({}, {"api_key": SECRET})
    body = {"error": {"message": f"Key {SECRET.upper()} (or {SECRET}) is unknown."}}
    assert answer(api_key(), 401, body, values).reason == "Key … (or …) is unknown."


def test_a_reason_is_plain_text_of_at_most_300_characters() -> None:
    body = {"error": {"message": "No\r\n\u202e\x00entry " + "x" * 400}}
    reason = answer(api_key(), 401, body).reason
    assert reason.startswith("No entry xx")
    assert len(reason) == 300


@pytest.mark.parametrize("message", [None, {"a": 1}, [], True, ""])
def test_a_reason_that_is_not_text_is_ignored(message: object) -> None:
    assert answer(api_key(), 401, {"error": {"message": message}}).reason is None


def test_an_incomplete_identity_is_none() -> None:
    auth = api_key(identity={"id": "{team.id}:{user.id}", "label": "{team.name}"})
    assert answer(auth, 200, {"team": {"id": 1, "name": ""}}).account_id is None
    whole = answer(auth, 200, {"team": {"id": 1, "name": "T"}, "user": {"id": "u"}})
    assert (whole.account_id, whole.account_label) == ("1:u", "T")


def test_conditions_compare_as_json_does() -> None:
    auth = api_key(check={"path": "/me", "expect": {"json": [{"path": "ok", "equals": True}]}})
    assert answer(auth, 200, {"ok": True}).ok
    for other in (1, "true", None):
        assert not answer(auth, 200, {"ok": other}).ok


def test_a_null_answer_differs_from_a_missing_one() -> None:
    auth = api_key(check={"path": "/me", "refused": {"json": [{"path": "user.id", "equals": None}]}})
    assert answer(auth, 200, {"user": {"id": None}}).refused
    assert not answer(auth, 200, {"user": {}}).refused


def test_redirects_and_client_errors_are_refusals_only_if_the_entry_defines_them() -> None:
    for status in (301, 302, 400, 404, 408, 418):
        assert not answer(api_key(), status, {}).refused
    assert answer(api_key(check={"path": "/me", "refused": {"status": [404]}}), 404, {}).refused


@pytest.mark.parametrize("status, refused", [(401, True), (403, False)])
def test_an_html_page_with_403_is_not_a_refusal(status: int, refused: bool) -> None:
    page, html = b"<html>Checking your browser</html>", ("Content-Type", "text/html; charset=UTF-8")
    verdict = read_check(api_key(), status, (html,), page, EXAMPLE_VALUES)
    assert (verdict.ok, verdict.refused) == (False, refused)
    assert verdict.outcome == ("refused" if refused else "unclear")


@pytest.mark.parametrize("headers, body", [((("Content-Type", "application/json"),), b"{}"), ((), b"Forbidden")])
def test_403_means_a_missing_permission_unless_the_entry_lists_403_as_a_refusal(headers: Any, body: bytes) -> None:
    assert read_check(api_key(), 403, headers, body, EXAMPLE_VALUES).outcome == "permission_missing"
    unnamed = api_key(check={"path": "/me", "permission_missing": {"status": []}})
    assert read_check(unnamed, 403, headers, body, EXAMPLE_VALUES).outcome == "unclear"
    listed = api_key(check={"path": "/me", "refused": {"status": [401, 403]}})
    assert read_check(listed, 403, headers, body, EXAMPLE_VALUES).outcome == "refused"


@pytest.mark.parametrize(
    "status, code, outcome",
    [
        (401, "other", "refused"),
        (401, "scope", "permission_missing"),
        (403, "other", "refused"),
        (403, "scope", "permission_missing"),
        (403, "revoked", "refused"),
        (400, "revoked", "refused"),
        (400, "scope", "permission_missing"),
        (400, "other", "unclear"),
        (200, "scope", "permission_missing"),
        (200, "other", "accepted"),
    ],
)
def test_a_code_in_the_body_decides_before_the_status(status: int, code: str, outcome: str) -> None:
    check = {
        "path": "/me",
        "refused": {"status": [401, 403], "json": [{"path": "code", "equals": "revoked"}]},
        "permission_missing": {"json": [{"path": "code", "equals": "scope"}]},
    }
    assert answer(api_key(check=check), status, {"code": code}).outcome == outcome


def test_a_condition_can_search_a_text() -> None:
    check = {"path": "/me", "permission_missing": {"status": [], "json": [{"path": "err", "contains": "scope"}]}}
    assert answer(api_key(check=check), 403, {"err": "Invalid scope(s): x."}).outcome == "permission_missing"
    for other in ({"err": "Invalid token"}, {"err": ["scope"]}, {}):
        assert answer(api_key(check=check), 403, other).outcome == "unclear"
