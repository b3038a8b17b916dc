"""Revoking tokens at the provider."""

import json
from typing import Any

import pytest

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import RefreshToken
from one_runtime.errors import InvalidInput
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.revocation import RevocationFailure, read_revocation, revocation_requests
from tests.catalog.example import SUBDOMAIN, oauth2
from tests.oauth.answers import CLIENT, NOW, PAGE, ProviderResponse, form_of, query_of, response_with

HELD = RefreshToken("45ghiukldjahdnhzdauz", "the-access-token")
URL = "https://server.example.com/revoke"


def revocable(**changes: Any) -> OAuth2Auth:
    return oauth2(revocation={"url": URL, **changes})


def read(answer: ProviderResponse, **changes: Any) -> RevocationFailure | None:
    revocation = revocable(**changes).revocation
    assert revocation is not None
    return read_revocation(revocation, CLIENT, HELD, answer, NOW)


BEARER = {"auth": "bearer", "body": "none", "token_param": None, "tokens": ["access_token"]}


def test_revocation_request_follows_rfc_7009_2_1() -> None:
    auth = revocable(auth="basic", tokens=["refresh_token"])
    ((kind, request),) = revocation_requests(auth, ClientIdentity("s6BhdRkqt3", "gX1fBat3bV"), HELD, {})
    assert (kind, request.method, request.url) == ("refresh_token", "POST", URL)
    assert request.body == b"token=45ghiukldjahdnhzdauz"
    assert ("Authorization", "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW") in request.headers


def test_each_token_that_the_entry_names_is_revoked_in_order() -> None:
    sent = revocation_requests(revocable(), CLIENT, HELD, {})
    assert [(kind, form_of(request)["token"]) for kind, request in sent] == [
        ("refresh_token", HELD.refresh_token),
        ("access_token", HELD.access_token),
    ]
    assert all(form_of(request)["client_secret"] == CLIENT.client_secret for _, request in sent)
    only = revocation_requests(revocable(tokens=["access_token", "refresh_token"]), CLIENT, RefreshToken(None, "a"), {})
    assert [kind for kind, _ in only] == ["access_token"]


def test_provider_without_revocation_gets_no_request() -> None:
    assert revocation_requests(oauth2(), CLIENT, HELD, {}) == ()


def test_token_may_authenticate_its_own_revocation() -> None:
    ((kind, request),) = revocation_requests(revocable(**BEARER), CLIENT, HELD, {})
    assert (kind, request.body) == ("access_token", b"")
    assert ("Authorization", "Bearer the-access-token") in request.headers
    assert not any(name == "Content-Type" for name, _ in request.headers)


def test_client_secret_may_take_the_place_of_the_token() -> None:
    """Stripe's deauthorize."""
    auth = revocable(auth="secret", token_param=None, tokens=["access_token"], params={"client_id": "{client_id}"})
    ((_, request),) = revocation_requests(auth, CLIENT, HELD, {})
    assert ("Authorization", f"Bearer {CLIENT.client_secret}") in request.headers
    assert form_of(request) == {"client_id": CLIENT.client_id}


def test_token_is_sent_in_json_in_the_query_or_in_a_template() -> None:
    as_json = revocable(method="DELETE", auth="basic", body="json", token_param="access_token", tokens=["access_token"])
    ((_, request),) = revocation_requests(as_json, CLIENT, HELD, {})
    assert (request.method, json.loads(request.body or b"")) == ("DELETE", {"access_token": "the-access-token"})
    in_query = revocable(method="DELETE", body="query", token_param="access_token", tokens=["access_token"])
    ((_, request),) = revocation_requests(in_query, CLIENT, HELD, {})
    assert request.body is None
    assert query_of(request.url) == {
        "access_token": "the-access-token",
        "client_id": CLIENT.client_id,
        "client_secret": CLIENT.client_secret,
    }
    template = revocable(auth="none", token_param=None, params={"t": "{access_token}"}, headers={"X-C": "{client_id}"})
    (_, (_, request)) = revocation_requests(template, CLIENT, HELD, {})
    assert form_of(request) == {"t": "the-access-token"}, "none: the request has no client authentication"
    assert ("X-C", CLIENT.client_id) in request.headers


@pytest.mark.promise("P7")
def test_parameter_value_cannot_send_a_token_to_another_host() -> None:
    auth = oauth2(params=[SUBDOMAIN], revocation={"url": "https://{subdomain}.example.com/revoke"})
    assert revocation_requests(auth, CLIENT, HELD, {"subdomain": "acme"})[0][1].url == "https://acme.example.com/revoke"
    for value in ("evil.com/", "a@evil.com", "evil.com#", ""):
        with pytest.raises(InvalidInput):
            revocation_requests(auth, CLIENT, HELD, {"subdomain": value})


def test_token_with_characters_invalid_in_a_header_is_not_sent() -> None:
    with pytest.raises(InvalidInput):
        revocation_requests(revocable(**BEARER), CLIENT, RefreshToken(None, "a\r\nX: y"), {})


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("body", [b"", {}, {"revoked": True}, {"ok": True}, {"success": True}, b"OK", PAGE])
def test_success_status_means_revoked_with_any_body(status: int, body: object) -> None:
    assert read(response_with(body, status)) is None


@pytest.mark.parametrize(
    "body", [{"error": "invalid_token"}, {"error": "invalid_grant"}, {"ok": False, "error": "token_revoked"}]
)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_token_unknown_to_the_provider_counts_as_revoked(status: int, body: object) -> None:
    result = read(response_with(body, status))
    assert result is None


def test_entry_may_name_other_responses_that_mean_revoked() -> None:
    gone = {"status": [404], "json": [{"path": "error", "one_of": ["account_inactive"]}]}
    assert read(response_with(b"", 404), gone=gone) is None
    assert read(response_with({"ok": False, "error": "account_inactive"}), gone=gone) is None
    expect = {"json": [{"path": "ok", "equals": True}]}
    assert isinstance(read(response_with({}), expect=expect), RevocationFailure)
    assert read(response_with({"ok": True}), expect=expect) is None


def test_refused_token_counts_as_revoked_and_a_refused_client_does_not() -> None:
    assert read(response_with(b"", 401), **BEARER) is None
    assert isinstance(read(response_with(b"", 401)), RevocationFailure)


@pytest.mark.parametrize(
    "body,status,reason",
    [
        ({"error": "invalid_client", "error_description": "Who?"}, 401, "Who?"),
        ({"error": "unsupported_token_type"}, 400, "unsupported_token_type"),
        ({"ok": False, "error": "not_allowed_token_type"}, 200, "not_allowed_token_type"),
        ({"error": {"message": "No", "code": 100}}, 400, "No"),
    ],
)
def test_error_is_a_permanent_failure(body: object, status: int, reason: str) -> None:
    result = read(response_with(body, status))
    assert result == RevocationFailure(reason, may_pass=False)


@pytest.mark.parametrize("body", [{"ok": True, "revoked": False}, {"success": False}])
def test_success_status_with_an_error_body_is_a_failure(body: object) -> None:
    assert read(response_with(body)) == RevocationFailure("HTTP 200", may_pass=True)


@pytest.mark.promise("P12")
@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize("body", [PAGE, {"error": "invalid_token"}, b""])
@pytest.mark.parametrize("way", [{}, BEARER])
def test_outage_is_retried_after_the_providers_retry_after(status: int, body: object, way: dict[str, Any]) -> None:
    result = read(response_with(body, status).with_header("Retry-After", "30"), **way)
    assert isinstance(result, RevocationFailure)
    assert (result.may_pass, result.retry_after) == (True, 30)


@pytest.mark.parametrize("status", [302, 400, 403, 404])
def test_html_page_is_retried(status: int) -> None:
    assert read(response_with(PAGE, status)) == RevocationFailure(f"HTTP {status}", may_pass=True)


@pytest.mark.promise("P11")
def test_reason_does_not_repeat_a_token() -> None:
    words = f"{HELD.refresh_token} and {HELD.access_token} of {CLIENT.client_secret}"
    result = read(response_with({"error": "x", "error_description": words}, 400))
    assert isinstance(result, RevocationFailure)
    assert result.reason == "\u2026 and \u2026 of \u2026"
