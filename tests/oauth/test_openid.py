"""The configuration of an OpenID provider, and the claims of an account."""

from typing import Any

import pytest

from one_runtime.oauth.authorization import AuthorizationRequest, authorization_url
from one_runtime.oauth.openid import ProviderDocumentInvalid, configuration_url, read_account, read_provider
from tests.oauth.answers import query_of, response_with

ISSUER = "https://login.example.com/tenant"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://login.example.com/authorize?policy=b2c",
    "token_endpoint": "https://login.example.com/token?policy=b2c",
    "jwks_uri": "https://keys.example.com/keys?v=2",
}


def with_changes(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**DOCUMENT, **changes}.items() if value is not None}


def test_configuration_is_below_the_issuer_even_with_a_slash_at_its_end() -> None:
    url = "https://login.example.com/tenant/.well-known/openid-configuration"
    assert {configuration_url(ISSUER), configuration_url(f"{ISSUER}/")} == {url}


def test_provider_is_described_in_the_form_of_a_catalog_entry() -> None:
    provider = read_provider(ISSUER, response_with(with_changes(scopes_supported=["openid", "groups"])))
    assert (provider.jwks_uri, provider.userinfo_endpoint) == ("https://keys.example.com/keys?v=2", None)
    assert (provider.names_issuer, provider.auth.token.auth) == (False, "basic")
    assert provider.auth.token.query == {"policy": "b2c"}
    request = AuthorizationRequest(
        "https://team.example.com/callback", "the-state", "c" * 43, provider.requested_scopes("groups"), "the-nonce"
    )
    url = authorization_url(provider.auth, "dashboard", request, {})
    assert url.startswith("https://login.example.com/authorize?")
    assert query_of(url) == {
        "policy": "b2c",
        "response_type": "code",
        "client_id": "dashboard",
        "redirect_uri": "https://team.example.com/callback",
        "scope": "openid email profile groups",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize(
    "methods, expected",
    [(["client_secret_post", "private_key_jwt"], "post"), (["client_secret_post", "client_secret_basic"], "basic")],
)
def test_client_authenticates_by_a_method_of_the_provider(methods: list[str], expected: str) -> None:
    document = with_changes(token_endpoint_auth_methods_supported=methods)
    assert read_provider(ISSUER, response_with(document)).auth.token.auth == expected


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"issuer": f"{ISSUER}/"}, "Set ONE_RUNTIME_OIDC_ISSUER to exactly this value"),
        ({"issuer": None}, "calls itself"),
        ({"authorization_endpoint": None}, "authorization_endpoint of the OpenID provider must be an https URL"),
        ({"authorization_endpoint": "http://login.example.com/authorize"}, "must be an https URL"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "must be an https URL"),
        ({"authorization_endpoint": "https://login.example.com/{issuer}"}, "endpoints are not usable"),
        ({"authorization_endpoint": "https://a@login.example.com/authorize"}, "endpoints are not usable"),
        ({"authorization_endpoint": "https://login.example.com/authorize?state=1"}, "endpoints are not usable"),
        ({"authorization_endpoint": "https://login.example.com/authorize?nonce=1"}, "endpoints are not usable"),
        ({"token_endpoint": "http://login.example.com/token"}, "must be an https URL"),
        ({"token_endpoint": 5}, "must be an https URL"),
        ({"jwks_uri": "http://login.example.com/keys"}, "jwks_uri of the OpenID provider must be an https URL"),
        ({"userinfo_endpoint": "http://login.example.com/userinfo"}, "must be an https URL"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "no authentication with a client secret"),
        ({"response_types_supported": ["id_token"]}, "does not support code"),
        ({"code_challenge_methods_supported": ["plain"]}, "does not support S256"),
    ],
)
def test_unusable_configuration_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ProviderDocumentInvalid, match=problem):
        read_provider(ISSUER, response_with(with_changes(**changes)))


@pytest.mark.parametrize("body, status", [(b"<html>", 200), ([], 200), (None, 200), (DOCUMENT, 500), (DOCUMENT, 302)])
def test_answer_that_is_no_configuration_is_refused(body: object, status: int) -> None:
    with pytest.raises(ProviderDocumentInvalid):
        read_provider(ISSUER, response_with(body, status))


@pytest.mark.parametrize(
    "groups, expected",
    [(["a", "b", 1], {"a", "b"}), ("a", {"a"}), (None, set()), ({"a": 1}, set()), ([["a"]], set())],
)
def test_groups_are_the_texts_of_the_claim(groups: object, expected: set[str]) -> None:
    assert read_account({"iss": ISSUER, "sub": "1", "teams": groups}, {}, "teams").groups == expected


ADA, EVE = "ada@acme.example", "eve@evil.example"


@pytest.mark.parametrize(
    "claims, userinfo, expected",
    [
        ({"email": ADA, "email_verified": True}, {}, ADA),
        ({"email": ADA, "email_verified": True}, {"email": EVE, "email_verified": True}, ADA),
        ({"email": ADA, "xms_edov": True}, {"email": EVE, "email_verified": False}, ADA),
        ({}, {"email": ADA, "email_verified": True}, ADA),
        ({"email_verified": False}, {"email": ADA, "email_verified": True}, ADA),
        ({"email": ADA}, {"email": EVE, "email_verified": True}, None),
        ({"email": ADA}, {"email_verified": True}, None),
        ({"email": ADA}, {"email": ADA, "email_verified": True}, None),
        ({"email": ADA}, {"xms_edov": True}, None),
        ({"email": ADA, "email_verified": False}, {"email": ADA, "email_verified": True}, None),
        ({"email_verified": True}, {"email": ADA}, None),
        ({"xms_edov": True}, {"email": ADA}, None),
        ({"email_verified": True}, {"email": ADA, "email_verified": False}, None),
        ({"email": None}, {"email": ADA, "email_verified": True}, None),
    ],
)
def test_address_and_its_verification_come_from_the_same_document(
    claims: dict[str, object], userinfo: dict[str, object], expected: str | None
) -> None:
    """Security M2."""
    token = {"iss": ISSUER, "sub": "1", **claims}
    assert read_account(token, {"sub": "1", **userinfo}, "groups").verified_email == expected


def test_groups_that_the_id_token_omits_come_from_the_other_document_and_the_time_does_not() -> None:
    account = read_account({"iss": ISSUER, "sub": "1"}, {"sub": "1", "groups": ["a"], "auth_time": 5}, "groups")
    assert (account.groups, account.authenticated_at) == (frozenset({"a"}), None)
    assert read_account({"iss": ISSUER, "sub": "1", "groups": []}, {"groups": ["a"]}, "groups").groups == set()
