"""Requests to the token endpoint."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.catalog.auth_types.client_credentials import ClientCredentialsAuth
from one_runtime.catalog.grants import AuthorizationCode, ClientCredentials, RefreshToken, ShortLivedToken
from one_runtime.errors import InvalidInput
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.token_request import token_request
from tests.catalog.example import OAUTH2, SUBDOMAIN, entry_of, oauth2
from tests.oauth.answers import CLIENT, CODE, REFRESH, form_of, query_of, with_token

BASIC = ClientIdentity("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw")
HEADER = ("Authorization", "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3")


def machine(**changes: Any) -> ClientCredentialsAuth:
    """Return an entry with client credentials of the customer."""
    fields = [{"name": name, "label": name, "where": "There."} for name in ("client_id", "client_secret", "account")]
    auth = entry_of(
        {
            "type": "client_credentials",
            "fields": fields,
            "token": {"url": "https://login.example.com/token", "params": {"account": "{account}"}},
            "base_url": "https://api.example.com",
            "verified": {"how": "unverified"},
            **changes,
        }
    ).auth[0]
    assert isinstance(auth, ClientCredentialsAuth)
    return auth


def test_code_exchange_follows_rfc_6749_4_1_3() -> None:
    grant = AuthorizationCode("SplxlOBeZQQYbYS6WxSbIA", "https://client.example.com/cb")
    request = token_request(with_token(auth="basic"), BASIC, grant, {})
    assert (request.method, request.url) == ("POST", "https://login.example.com/token")
    assert request.body == (
        b"grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA&redirect_uri=https%3A%2F%2Fclient.example.com%2Fcb"
    )
    assert request.headers == (
        ("Accept", "application/json"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        HEADER,
    )


def test_verifier_is_sent_if_a_challenge_was_sent() -> None:
    assert form_of(token_request(oauth2(), CLIENT, CODE, {}))["code_verifier"] == CODE.verifier


def test_refresh_follows_rfc_6749_6() -> None:
    request = token_request(with_token(auth="basic"), BASIC, RefreshToken("tGzv3JOkF0XG5Qx2TlKWIA", "a"), {})
    assert request.body == b"grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA"
    assert HEADER in request.headers


def test_client_credentials_request_follows_rfc_6749_4_4_2() -> None:
    request = token_request(machine(token={"url": "https://login.example.com/token"}, fields=machine().fields[:2]),
                            BASIC, ClientCredentials(), {})  # fmt: skip
    assert request.body == b"grant_type=client_credentials"
    assert HEADER in request.headers


def test_client_credentials_request_has_scopes_and_the_entrys_parameters() -> None:
    auth = machine(scopes={"separator": ",", "always": ["a"], "default": ["b"]})
    fields = {"client_id": "x", "client_secret": "y", "account": "42"}
    asked = form_of(token_request(auth, CLIENT, ClientCredentials(fields), {}))
    assert asked == {"grant_type": "client_credentials", "scope": "a,b", "account": "42"}
    assert form_of(token_request(auth, CLIENT, ClientCredentials(fields, ("c",)), {}))["scope"] == "a,c"


def test_entry_may_name_another_grant_type() -> None:
    auth = machine(token={"url": "https://z.example.com/token", "params": {"grant_type": "account_credentials"}},
                   fields=machine().fields[:2])  # fmt: skip
    assert form_of(token_request(auth, CLIENT, ClientCredentials(), {}))["grant_type"] == "account_credentials"


def test_refresh_may_have_its_own_url_and_parameters() -> None:
    auth = with_token(
        refresh_url="https://login.example.com/refresh",
        params={"only": "for codes"},
        refresh_params={"grant_type": "ig_refresh_token", "access_token": "{access_token}"},
    )
    request = token_request(auth, CLIENT, RefreshToken(None, "the-access-token"), {})
    assert request.url == "https://login.example.com/refresh"
    assert form_of(request) == {
        "grant_type": "ig_refresh_token",
        "access_token": "the-access-token",
        "client_id": CLIENT.client_id,
        "client_secret": CLIENT.client_secret,
    }
    assert form_of(token_request(auth, CLIENT, CODE, {}))["only"] == "for codes"


def test_refresh_may_have_its_own_query() -> None:
    auth = with_token(query={"every": "call"}, refresh_query={"refresh": ""})
    refresh = token_request(auth, CLIENT, RefreshToken("the-refresh-token", "the-access-token"), {})
    assert refresh.url.partition("?")[2] == "every=call&refresh="
    assert token_request(auth, CLIENT, CODE, {}).url.partition("?")[2] == "every=call"


def test_refresh_may_be_a_get_without_client_authentication() -> None:
    """Instagram: an address is no place for a secret."""
    auth = with_token(
        refresh_url="https://login.example.com/refresh",
        refresh_method="GET",
        refresh_params={"grant_type": "ig_refresh_token", "access_token": "{access_token}"},
    )
    request = token_request(auth, CLIENT, RefreshToken(None, "the-access-token"), {})
    assert (request.method, request.body) == ("GET", None)
    assert query_of(request.url) == {"grant_type": "ig_refresh_token", "access_token": "the-access-token"}
    assert not any(name == "Authorization" for name, _ in request.headers)


def test_json_body_has_the_same_parameters() -> None:
    request = token_request(with_token(body="json"), CLIENT, CODE, {})
    form = form_of(token_request(oauth2(), CLIENT, CODE, {}))
    assert json.loads(request.body or b"") == form
    assert dict(request.headers)["Content-Type"] == "application/json"


def test_entry_sets_query_headers_and_parameter_names() -> None:
    auth = oauth2(
        params=[SUBDOMAIN],
        token={
            "url": "https://{subdomain}.example.com/token",
            "auth": "post",
            "query": {"request": "token"},
            "params": {"tenant": "{subdomain}"},
            "headers": {"accept": "text/plain", "X-App": "{client_id}"},
            "client_id_param": "app_id",
            "client_secret_param": "app_key",
            "code_param": "auth_code",
        },
    )
    request = token_request(auth, CLIENT, CODE, {"subdomain": "acme"})
    assert request.url == "https://acme.example.com/token?request=token"
    assert [value for name, value in request.headers if name.lower() == "accept"] == ["text/plain"]
    assert ("X-App", CLIENT.client_id) in request.headers
    form = form_of(request)
    assert (form["auth_code"], form["tenant"]) == (CODE.code, "acme")
    assert (form["app_id"], form["app_key"]) == (CLIENT.client_id, CLIENT.client_secret)
    assert not {"code", "client_id", "client_secret"} & set(form)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_short_lived_token_is_exchanged_with_client_authentication(method: str) -> None:
    exchange = {
        "url": "https://login.example.com/swap",
        "method": method,
        "params": {"grant_type": "fb_exchange_token", "fb_exchange_token": "{access_token}"},
    }
    request = token_request(with_token(exchange=exchange), CLIENT, ShortLivedToken("short"), {})
    assert (request.method, request.url.partition("?")[0]) == (method, "https://login.example.com/swap")
    assert (request.body is None) == (method == "GET")
    assert (query_of(request.url) if method == "GET" else form_of(request)) == {
        "grant_type": "fb_exchange_token",
        "fb_exchange_token": "short",
        "client_id": CLIENT.client_id,
        "client_secret": CLIENT.client_secret,
    }


def test_entry_without_an_exchange_gets_none() -> None:
    with pytest.raises(ValueError, match="exchange"):
        token_request(oauth2(), CLIENT, ShortLivedToken("short"), {})


@pytest.mark.promise("P7")
def test_parameter_value_cannot_send_the_secret_to_another_host() -> None:
    auth = oauth2(params=[SUBDOMAIN], token={**OAUTH2["token"], "url": "https://{subdomain}.example.com/token"})
    for value in ("evil.com/", "evil.com#", "a@evil.com", "evil.com?", "evil.com\\", "evil.com\n", ""):
        with pytest.raises(InvalidInput):
            token_request(auth, CLIENT, CODE, {"subdomain": value})
    with pytest.raises(InvalidInput, match="missing"):
        token_request(auth, CLIENT, CODE, {})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\x00", "é"])
def test_parameter_value_cannot_break_out_of_a_header(value: str) -> None:
    auth = oauth2(
        params=[{**SUBDOMAIN, "pattern": ".+", "suffix": None}],
        token={**OAUTH2["token"], "headers": {"X-Tenant": "{subdomain}"}},
    )
    with pytest.raises(InvalidInput, match="X-Tenant"):
        token_request(auth, CLIENT, CODE, {"subdomain": value})


@pytest.mark.promise("P11")
def test_repr_hides_secrets() -> None:
    grants = (CODE, REFRESH, ShortLivedToken("a-short-lived-token"), ClientCredentials({"client_secret": "top-secret"}))
    shown = repr([*grants, token_request(oauth2(), CLIENT, CODE, {}), token_request(oauth2(), CLIENT, REFRESH, {})])
    for grant in grants:
        assert all(secret not in shown for secret in grant.secrets)
    assert CLIENT.client_secret is not None
    assert CLIENT.client_secret not in shown


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1), st.sampled_from(["form", "json"]))
def test_code_and_secret_are_sent_unchanged(code: str, secret: str, body: str) -> None:
    request = token_request(
        with_token(body=body), ClientIdentity("c", secret), AuthorizationCode(code, "https://us.example"), {}
    )
    sent = form_of(request) if body == "form" else json.loads(request.body or b"")
    assert (sent["code"], sent["client_secret"]) == (code, secret)
