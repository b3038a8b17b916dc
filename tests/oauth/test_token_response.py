"""Successful responses of the token endpoint."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import TokenGrant
from one_runtime.oauth.errors import MalformedTokenResponse, OAuthError, TokenRequestRefused
from one_runtime.oauth.token_response import MAX_TOKEN, TokenSet, read_token_response
from tests.catalog.example import oauth2
from tests.oauth.answers import CLIENT, CODE, NOW, PAGE, REFRESH, response_with, with_token

HOUR = dt.timedelta(hours=1)


def read(body: object, auth: OAuth2Auth | None = None, grant: TokenGrant = CODE, **answer: Any) -> TokenSet:
    return read_token_response(auth or oauth2(), CLIENT, grant, response_with(body, **answer), NOW)


def expiry(auth: OAuth2Auth | None = None, **fields: object) -> dt.datetime | None:
    return read({"access_token": "a", **fields}, auth).expires_at


def test_response_of_rfc_6749_5_1_is_read() -> None:
    tokens = read(
        b"""{
       "access_token":"2YotnFZFEjr1zCsicMWpAA",
       "token_type":"example",
       "expires_in":3600,
       "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA",
       "example_parameter":"example_value"
     }"""
    )
    assert (tokens.access_token, tokens.refresh_token) == ("2YotnFZFEjr1zCsicMWpAA", "tGzv3JOkF0XG5Qx2TlKWIA")
    assert (tokens.expires_at, tokens.scopes) == (NOW + HOUR, None)
    assert tokens.document["example_parameter"] == "example_value"


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"]
)
def test_json_is_read_with_any_content_type(content_type: str) -> None:
    assert read({"access_token": "a"}, content_type=content_type).access_token == "a"
    assert read(b"\xef\xbb\xbf" + b' {"access_token": "a"} \n', content_type=content_type).access_token == "a"


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "application/x-www-form-urlencoded"])
def test_form_is_read_with_any_content_type(content_type: str) -> None:
    body = b"access_token=gho_16C7e42F292c69&expires_in=3600&scope=repo%2Cgist+user&token_type=bearer\n"
    tokens = read(body, content_type=content_type)
    assert (tokens.access_token, tokens.expires_at) == ("gho_16C7e42F292c69", NOW + HOUR)
    assert tokens.scopes == ("repo", "gist", "user")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        PAGE,
        b"null",
        b"[]",
        b'["access_token"]',
        b'"access_token=a"',
        b"OK",
        b"{",
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"access_token=a&access_token=b",
        b"access_token=%ff",
        b"access_token=a <b>",
        b"&".join(b"p%d=1" % number for number in range(101)),
        b'{"access_token": "a"}' + b" " * 1024 * 1024,
        {},
        {"status": "success", "message": "done"},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 12345},
        {"access_token": {"value": "a"}},
        {"access_token": ["a"]},
        {"token": "a"},
    ],
    ids=lambda body: repr(body)[:40],
)
def test_success_without_a_token_is_malformed(body: object) -> None:
    with pytest.raises(MalformedTokenResponse):
        read(body)


@pytest.mark.parametrize(
    "token",
    ["hush\n", "hush\r\nX: y", "\x00", "hush é", " hush", "hush ", "hush\x7f", "\u200bhush", "h" * (MAX_TOKEN + 1)],
)
def test_token_that_cannot_be_sent_is_malformed(token: str) -> None:
    for body in ({"access_token": token}, {"access_token": "a", "refresh_token": token}):
        with pytest.raises(MalformedTokenResponse) as caught:
            read(body)
        assert "hush" not in repr(caught.value)


def test_long_token_is_accepted() -> None:
    assert read({"access_token": "a" * MAX_TOKEN, "refresh_token": "b c"}).refresh_token == "b c"


def test_token_type_is_ignored() -> None:
    for kind in ("bearer", "Bearer", "mac", "", 7, None):
        assert read({"access_token": "a", "token_type": kind}).access_token == "a"


@pytest.mark.parametrize(
    "value,seconds",
    [(3600, 3600), ("3600", 3600), (" 3600 ", 3600), (3599.5, 3599.5), ("3600.0", 3600), (315_360_000, 315_360_000)],
)
def test_expiry_in_seconds_is_read(value: object, seconds: float) -> None:
    assert expiry(expires_in=value) == NOW + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        1795611600,
        "1795611600",
        1795611600000,
        "1795611600000",
        1795611600.0,
        "2026-11-25T13:00:00Z",
        "2026-11-25T13:00:00.000Z",
        "2026-11-25T14:00:00+01:00",
        "2026-11-25 13:00:00",
        "Wed, 25 Nov 2026 13:00:00 GMT",
    ],
)
def test_expiry_as_a_date_or_unix_time_is_read(value: object) -> None:
    response = {"response": {"expires_at": "expires_at"}}
    assert expiry(with_token(**response), expires_at=value, expires_in=7) == NOW + HOUR
    assert expiry(expires_in=value) == NOW + HOUR, "some put it where the seconds belong"


@pytest.mark.parametrize(
    "value",
    [None, 0, "0", -1, "-1", "", "never", True, [], {}, 1e300, "1e3", "NaN", "9" * 400, 9_999_999_999_999_999, "1_000"],
)
def test_invalid_expiry_falls_back_to_the_entrys_lifetime(value: object) -> None:
    assert expiry(expires_in=value) is None
    assert expiry(oauth2(lifetimes={"access": 3600}), expires_in=value) == NOW + HOUR


def test_missing_expiry_is_the_entrys_lifetime_or_none() -> None:
    assert expiry() is None
    assert expiry(oauth2(lifetimes={"access": 3600})) == NOW + HOUR
    assert expiry(oauth2(lifetimes={"access": 3600}), expires_in=60) == NOW + dt.timedelta(minutes=1)


def test_non_finite_numbers_are_not_an_expiry() -> None:
    for number in (b"NaN", b"Infinity", b"-Infinity"):
        assert read(b'{"access_token": "a", "expires_in": %s}' % number).expires_at is None


def test_refresh_token_may_have_its_own_lifetime() -> None:
    tokens = read({"access_token": "a", "refresh_token": "r", "refresh_token_expires_in": "3600"})
    assert tokens.refresh_expires_at == NOW + HOUR
    assert read({"access_token": "a"}).refresh_expires_at is None


@pytest.mark.parametrize(
    "value,granted",
    [
        ("a b", ("a", "b")),
        ("a,b", ("a", "b")),
        ("a, b,,a", ("a", "b")),
        (" a\tb\n", ("a", "b")),
        (["a", "b", "a"], ("a", "b")),
        (["a", 1, None], ("a",)),
        ("https://a.example/x y:z", ("https://a.example/x", "y:z")),
        ("", None),
        ([], None),
        (None, None),
        (7, None),
        ({"a": True}, None),
    ],
)
def test_scopes_are_read_with_any_separator_or_as_a_list(value: object, granted: tuple[str, ...] | None) -> None:
    assert read({"access_token": "a", "scope": value}).scopes == granted


def test_refresh_without_a_new_refresh_token_keeps_the_old_token() -> None:
    for body in (
        {"access_token": "n"},
        {"access_token": "n", "refresh_token": None},
        {"access_token": "n", "refresh_token": ""},
    ):
        assert read(body, grant=REFRESH).refresh_token == REFRESH.refresh_token
        assert read(body).refresh_token is None, "a code has no old one"
    assert read({"access_token": "n", "refresh_token": "r2"}, grant=REFRESH).refresh_token == "r2"


def test_tokens_are_read_from_the_entrys_paths() -> None:
    response = {
        "access_token": "data.token",
        "refresh_token": "data.renew",
        "expires_in": "data.ttl",
        "scope": "data.rights",
    }
    body = {"data": {"token": "a", "renew": "r", "ttl": "3600", "rights": ["x"]}, "access_token": "another"}
    tokens = read(body, with_token(response=response))
    assert (tokens.access_token, tokens.refresh_token, tokens.expires_at, tokens.scopes) == (
        "a",
        "r",
        NOW + HOUR,
        ("x",),
    )


def test_token_is_read_from_a_nested_object_if_the_top_level_has_none() -> None:
    auth = with_token(response={"within": ["authed_user", "more.0"]})
    user = {"access_token": "xoxp-1", "refresh_token": "xoxe-1", "expires_in": 43200, "scope": "a,b"}
    tokens = read({"ok": True, "authed_user": user, "expires_in": 1, "refresh_token": "of the bot"}, auth)
    assert (tokens.access_token, tokens.refresh_token, tokens.scopes) == ("xoxp-1", "xoxe-1", ("a", "b"))
    assert tokens.expires_at == NOW + dt.timedelta(hours=12)
    assert read({"access_token": "xoxb-1", "authed_user": user}, auth).access_token == "xoxb-1"
    assert read({"more": [{"access_token": "deep"}]}, auth).access_token == "deep"
    with pytest.raises(MalformedTokenResponse):
        read({"authed_user": {"id": "U1"}}, auth)


def test_response_that_reports_an_error_is_an_error() -> None:
    with pytest.raises(TokenRequestRefused):
        read({"ok": False, "error": "bad_redirect_uri", "access_token": "a"})
    with pytest.raises(OAuthError):
        read({"ok": False, "access_token": "a"})


@pytest.mark.parametrize("status", [199, 300, 302, 400, 401, 500])
def test_token_in_an_error_response_is_ignored(status: int) -> None:
    with pytest.raises(OAuthError):
        read({"access_token": "a"}, status=status)


def test_token_response_values_are_available_to_templates() -> None:
    shop = {"name": "shop", "source": "token_response", "path": "api.url", "extract": r"https://([a-z]+)\.example\.com"}
    auth = oauth2(
        received=[shop],
        base_url="https://{shop}.example.com",
    )
    body = {
        "access_token": "a",
        "api": {"url": "https://acme.example.com"},
    }
    tokens = read(body, auth)
    assert auth.read_received("token_response", tokens.document) == {"shop": "acme"}


@pytest.mark.promise("P11")
def test_repr_hides_tokens() -> None:
    shown = repr(read({"access_token": "top-secret-a", "refresh_token": "top-secret-r", "id_token": "top-secret-i"}))
    assert "top-secret" not in shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
NAMES = [
    "access_token",
    "refresh_token",
    "expires_in",
    "scope",
    "error",
    "error_description",
    "ok",
    "status",
    "message",
]


@pytest.mark.slow
@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), json_values), st.integers(100, 599))
def test_every_json_response_is_parsed_or_refused(body: dict[str, Any], status: int) -> None:
    try:
        tokens = read(body, status=status)
    except OAuthError:
        return
    assert tokens.access_token == body["access_token"]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(OAuthError):
        read(body)
