"""Error responses of the token endpoint: which party is at fault, and if the grant is dead."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import ClientCredentials, ShortLivedToken, TokenGrant
from one_runtime.oauth.client import authenticate_client
from one_runtime.oauth.error_response import ERROR_KINDS, normalize_code
from one_runtime.oauth.errors import (
    InvalidClient,
    InvalidGrant,
    MalformedTokenResponse,
    OAuthError,
    TemporaryFailure,
    TokenRequestRefused,
)
from one_runtime.oauth.token_response import read_token_response
from tests.catalog.example import oauth2
from tests.oauth.answers import CLIENT, CODE, NOW, PAGE, REFRESH, ProviderResponse, response_with, with_token


def refused(answer: ProviderResponse, auth: OAuth2Auth | None = None, grant: TokenGrant = REFRESH) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        read_token_response(auth or oauth2(), CLIENT, grant, answer, NOW)
    return caught.value


def kind(body: object, status: int = 400, auth: OAuth2Auth | None = None) -> type[OAuthError]:
    return type(refused(response_with(body, status), auth))


def test_error_of_rfc_6749_5_2_is_read() -> None:
    error = refused(
        response_with({"error": "invalid_request", "error_description": "No code", "error_uri": "https://e.x"}, 400)
    )
    assert type(error) is TokenRequestRefused
    assert (error.response.error, error.reason, error.response.uri) == ("invalid_request", "No code", "https://e.x")
    assert error.code == "request_refused"
    assert not error.may_pass


@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_invalid_grant_ends_the_grant(status: int) -> None:
    error = refused(response_with({"error": "invalid_grant", "error_description": "Token has been revoked."}, status))
    assert type(error) is InvalidGrant
    assert (error.code, error.reason) == ("invalid_grant", "Token has been revoked.")


@pytest.mark.parametrize(
    "body,status",
    [
        ({"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect or expired."}, 200),
        (b"error=bad_verification_code&error_description=The+code+passed+is+incorrect+or+expired.", 200),
        ({"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}, 400),
        ({"status": "BAD_AUTH_CODE", "message": "missing or unknown auth code"}, 400),
        ({"ok": False, "error": "invalid_refresh_token"}, 200),
        ({"ok": False, "error": "token_revoked"}, 200),
        ({"ok": False, "error": "invalid_code"}, 200),
        ({"error": "unauthorized_client", "error_description": "refresh_token is invalid"}, 403),
        ({"reason": "Invalid Token!", "error": "invalid_grant"}, 400),
        ({"error": "invalid_grant: Token is expired or invalid."}, 400),
        ({"success": False, "message": "Invalid grant: refresh_token is invalid"}, 400),
        ({"error": {"code": "invalid_grant", "message": "gone"}}, 400),
        ({"error": "Invalid-Grant"}, 401),
    ],
)
def test_invalid_grant_is_recognized_in_providers_spellings(body: object, status: int) -> None:
    assert kind(body, status) is InvalidGrant


def test_entry_may_add_spellings_of_invalid_grant() -> None:
    own = {"error": "grant_gone_fishing"}
    assert kind(own) is TokenRequestRefused
    assert kind(own, auth=with_token(refused=["grant_gone_fishing"])) is InvalidGrant
    elsewhere = with_token(refused=["E42"], response={"error": "fault.id", "error_description": "fault.text"})
    error = refused(response_with({"fault": {"id": "E42", "text": "No more"}}, 400), elsewhere)
    assert (type(error), error.response.error, error.reason) == (InvalidGrant, "E42", "No more")


@pytest.mark.parametrize(
    "code",
    ["invalid_client", "unauthorized_client", "incorrect_client_credentials", "bad_client_secret", "INVALID_CLIENT"],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_client_error_does_not_end_the_grant(code: str, status: int) -> None:
    assert kind({"error": code, "error_description": "invalid_grant? no"}, status) is InvalidClient


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_scope"},
        {"error": "unsupported_grant_type"},
        {"error": "x", "error_description": "invalid_grant"},
        {"message": "the refresh token is invalid"},
        {"error": "not invalid_grant"},
        {"hint": "invalid_grant", "error": "other"},
        {"error": {"type": "OAuthException", "code": 190, "message": "Session has expired"}},
    ],
)
def test_only_the_error_code_decides_not_a_text_that_mentions_it(body: object) -> None:
    assert kind(body) is TokenRequestRefused


@pytest.mark.parametrize("status", [200, 400, 403])
def test_other_error_is_an_error_with_any_status(status: int) -> None:
    assert kind({"error": "invalid_scope"}, status) is TokenRequestRefused
    assert kind({"ok": False, "error": {"message": "No such scope"}}, status) is TokenRequestRefused


@pytest.mark.promise("P12")
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b"", PAGE, {"error": "invalid_grant"}, {"error": "invalid_client"}])
def test_outage_status_is_a_temporary_failure_with_any_body(status: int, body: object) -> None:
    error = refused(response_with(body, status))
    assert type(error) is TemporaryFailure
    assert error.may_pass


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 410])
@pytest.mark.parametrize("body", [b"", PAGE, b"Forbidden", b"null", b'"invalid_grant"', b"[]", {}, b'{"error":'])
def test_unreadable_response_is_a_temporary_failure_and_never_a_refusal(status: int, body: object) -> None:
    assert kind(body, status) is TemporaryFailure


@pytest.mark.parametrize(
    "code", ["server_error", "temporarily_unavailable", "ratelimited", "internal_error", "unknown_error"]
)
@pytest.mark.parametrize("status", [200, 400])
def test_temporary_error_code_is_a_temporary_failure_with_any_status(code: str, status: int) -> None:
    assert kind({"error": code, "error_description": "retry your request"}, status) is TemporaryFailure


@pytest.mark.parametrize(
    "value,seconds",
    [
        ("120", 120),
        (" 7 ", 7),
        ("1.2", 2),
        ("0", 0),
        ("-5", 0),
        ("3600", 3600),
        ("3601", 3600),
        ("999999999", 3600),
        ("Wed, 25 Nov 2026 12:01:30 GMT", 90),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0),
        ("2026-11-25T12:01:30Z", 90),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("Wed, 99 Nov 2026 12:01:30 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 403])
def test_retry_after_is_read_from_seconds_or_a_date(status: int, value: str, seconds: int | None) -> None:
    error = refused(response_with(PAGE, status).with_header("retry-after", value))
    assert isinstance(error, TemporaryFailure)
    assert error.retry_after == seconds


def test_success_without_a_token_is_malformed_and_does_not_end_the_grant() -> None:
    for body in (PAGE, b"", {}, {"status": "success"}):
        error = refused(response_with(body, 200))
        assert type(error) is MalformedTokenResponse
        assert error.may_pass


def test_error_codes_of_the_table_are_normalized() -> None:
    assert {code: normalize_code(code) for code in ERROR_KINDS} == {code: code for code in ERROR_KINDS}


FORMS: list[Callable[[str], str]] = [
    lambda secret: secret,
    lambda secret: secret.upper(),
    lambda secret: quote(secret, safe=""),
    quote_plus,
    lambda secret: base64.b64encode(secret.encode()).decode(),
    lambda secret: secret[:14] + "...",
    "\u200b".join,
]


@pytest.mark.promise("P11")
@pytest.mark.parametrize("form", range(len(FORMS)))
@pytest.mark.parametrize("grant", [CODE, REFRESH])
def test_sent_secrets_are_redacted_in_the_message(grant: Any, form: int) -> None:
    for secret in (*CLIENT.secrets, *grant.secrets):
        echo = FORMS[form](secret)
        said = {
            "error": f"bad {echo}",
            "error_description": f"The token ({echo}) is old",
            "error_uri": f"https://e.x/{echo}",
        }
        error = refused(response_with(said, 400), grant=grant)
        shown = repr((error, error.response, str(error))).replace("\\u200b", "").lower()
        assert secret.lower() not in shown
        assert echo.rstrip(".").lower() not in shown
        assert error.reason is not None
        assert error.reason.startswith("The token (")


def test_each_grant_lists_all_secrets_of_its_request() -> None:
    assert set(CODE.secrets) == {CODE.code, CODE.verifier}
    assert set(REFRESH.secrets) == {REFRESH.refresh_token, REFRESH.access_token}
    assert ShortLivedToken("s").secrets == ("s",)
    assert ClientCredentials({"client_id": "c", "client_secret": "s", "refresh_token": "r"}).secrets == ("s", "r")


@pytest.mark.promise("P11")
def test_authorization_header_is_redacted() -> None:
    header = authenticate_client("basic", CLIENT, oauth2().token).headers["Authorization"]
    error = refused(response_with({"error": "x", "error_description": f"cannot read {header}"}, 400))
    assert header.removeprefix("Basic ") not in str(error.reason)


def test_message_is_short_plain_text() -> None:
    said = {"error": "x", "error_description": "<b>no</b>\r\n\u202e\x1b[31m no" + " no" * 400, "error_uri": 7}
    error = refused(response_with(said, 400))
    assert error.reason is not None
    assert error.reason.startswith("<b>no</b> [31m no no")
    assert len(error.reason) <= 300
    assert error.response.uri == "7"
