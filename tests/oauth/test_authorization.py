"""The authorization request."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.errors import InvalidInput
from one_runtime.oauth.authorization import AuthorizationRequest, authorization_url, expected_issuer
from one_runtime.oauth.pkce import code_challenge
from tests.catalog.example import OAUTH2, SUBDOMAIN, oauth2
from tests.oauth.answers import query_of

REDIRECT = "https://us.example/connect/callback/example"
CHALLENGE = code_challenge("v" * 43)


def authorization_params(auth: Any = None, known: dict[str, str] | None = None, **changes: Any) -> str:
    request = AuthorizationRequest(**{"redirect_uri": REDIRECT, "state": "st+/=", "challenge": CHALLENGE, **changes})
    return authorization_url(auth or oauth2(), "client-1", request, known or {})


def test_request_follows_rfc_6749_4_1_1_with_pkce() -> None:
    url = authorization_params()
    assert url.startswith("https://login.example.com/authorize?response_type=code&client_id=client-1&")
    assert query_of(url) == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": REDIRECT,
        "scope": "offline contacts.read",
        "state": "st+/=",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }


def test_every_decoder_reads_a_space_the_same_way() -> None:
    assert "+" not in authorization_params()
    assert "offline%20contacts.read" in authorization_params()


def test_entry_without_pkce_ignores_a_challenge() -> None:
    assert not {"code_challenge", "code_challenge_method"} & set(query_of(authorization_params(oauth2(pkce="avoid"))))


def test_request_without_a_challenge_is_refused_if_the_provider_supports_pkce() -> None:
    for pkce in ("required", "supported", "tolerated", "unknown"):
        with pytest.raises(ValueError, match="PKCE"):
            authorization_params(oauth2(pkce=pkce), challenge=None)
    authorization_params(oauth2(pkce="avoid"), challenge=None)


def test_requested_scopes_are_added_to_the_entrys_required_scopes() -> None:
    assert query_of(authorization_params(scopes=("a", "b", "a", "offline")))["scope"] == "offline a b"
    assert query_of(authorization_params(scopes=()))["scope"] == "offline"
    assert query_of(authorization_params())["scope"] == "offline contacts.read"


def test_scope_parameter_is_omitted_without_scopes() -> None:
    assert "scope" not in query_of(authorization_params(oauth2(scopes={})))


@pytest.mark.parametrize("separator", [" ", ",", "+"])
def test_scopes_are_joined_by_the_providers_separator(separator: str) -> None:
    auth = oauth2(scopes={"param": "scopes", "separator": separator, "default": ["a:b", "c"]})
    assert query_of(authorization_params(auth))["scopes"] == f"a:b{separator}c"


def test_second_list_of_scopes_has_its_own_parameter() -> None:
    auth = oauth2(more_scopes={"param": "user_scope", "separator": ",", "always": ["x"], "default": ["y"]})
    assert query_of(authorization_params(auth))["user_scope"] == "x,y"


@pytest.mark.parametrize("scope", ["", "two words", 'quo"te', "back\\slash", "line\nbreak", "ä", "x" * 201])
def test_invalid_scope_is_refused(scope: str) -> None:
    with pytest.raises(InvalidInput, match="scope"):
        authorization_params(scopes=(scope,))


def test_scope_that_contains_the_separator_is_refused() -> None:
    with pytest.raises(InvalidInput):
        authorization_params(oauth2(scopes={"separator": ","}), scopes=("read,admin",))


def test_entry_parameters_are_added_and_never_replace_protocol_parameters() -> None:
    entry = {
        **OAUTH2["authorization"],
        "client_id_param": "app",
        "params": {"prompt": "consent", "who": "{subdomain} {client_id}", "app": "another"},
    }
    auth = oauth2(authorization=entry, params=[SUBDOMAIN])
    query = query_of(authorization_params(auth, {"subdomain": "acme"}))
    assert (query["prompt"], query["who"], query["app"]) == ("consent", "acme client-1", "client-1")
    assert "client_id" not in query


def test_nonce_is_a_new_random_value_in_the_entrys_parameter() -> None:
    auth = oauth2(authorization={**OAUTH2["authorization"], "nonce_param": "n"})
    nonces = {query_of(authorization_params(auth))["n"] for _ in range(10)}
    assert len(nonces) == 10
    assert min(map(len, nonces)) == 43
    assert "n" not in query_of(authorization_params())


def test_query_is_put_into_the_fragment_if_the_authorization_page_is_there() -> None:
    auth = oauth2(authorization={"url": "https://app.example.com/", "fragment": "/oauth/authorize"})
    split = urlsplit(authorization_params(auth))
    assert (split.path, split.query) == ("/", "")
    assert split.fragment.startswith("/oauth/authorize?response_type=code&client_id=client-1&")


@pytest.mark.promise("P7")
def test_parameter_value_cannot_change_the_host() -> None:
    auth = oauth2(params=[SUBDOMAIN], authorization={"url": "https://{subdomain}.example.com/authorize"})
    assert urlsplit(authorization_params(auth, {"subdomain": "acme"})).netloc == "acme.example.com"
    for value in ("evil.com/", "evil.com#", "a@evil.com", "evil.com?x=", "evil.com\\", ""):
        with pytest.raises(InvalidInput):
            authorization_params(auth, {"subdomain": value})
    with pytest.raises(InvalidInput, match="missing"):
        authorization_params(auth)


def test_issuer_is_the_entrys_template_with_its_values() -> None:
    named = {**OAUTH2["authorization"], "issuer": "https://{subdomain}.example.com/"}
    assert (
        expected_issuer(oauth2(params=[SUBDOMAIN], authorization=named), {"subdomain": "acme"})
        == "https://acme.example.com/"
    )
    assert expected_issuer(oauth2(), {}) is None


def test_repr_hides_the_state() -> None:
    assert "st-1" not in repr(AuthorizationRequest(REDIRECT, "st-1"))


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_redirect_uri_and_state_are_sent_unchanged(redirect_uri: str, state: str) -> None:
    query = query_of(authorization_params(redirect_uri=redirect_uri, state=state))
    assert (query["redirect_uri"], query["state"]) == (redirect_uri, state)
