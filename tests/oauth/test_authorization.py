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


def asked(auth: Any = None, known: dict[str, str] | None = None, **changes: Any) -> str:
    request = AuthorizationRequest(**{"redirect_uri": REDIRECT, "state": "st+/=", "challenge": CHALLENGE, **changes})
    return authorization_url(auth or oauth2(), "client-1", request, known or {})


def test_the_request_is_that_of_rfc_6749_4_1_1_with_pkce() -> None:
    url = asked()
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


def test_a_space_is_read_alike_by_every_decoder() -> None:
    assert "+" not in asked()
    assert "offline%20contacts.read" in asked()


def test_an_entry_that_avoids_pkce_gets_none_even_when_given_one() -> None:
    assert not {"code_challenge", "code_challenge_method"} & set(query_of(asked(oauth2(pkce="avoid"))))


def test_nothing_goes_out_without_a_challenge_where_the_provider_takes_one() -> None:
    for pkce in ("required", "supported", "tolerated", "unknown"):
        with pytest.raises(ValueError, match="PKCE"):
            asked(oauth2(pkce=pkce), challenge=None)
    asked(oauth2(pkce="avoid"), challenge=None)


def test_what_is_wanted_comes_beside_what_the_entry_always_asks_for() -> None:
    assert query_of(asked(scopes=("a", "b", "a", "offline")))["scope"] == "offline a b"
    assert query_of(asked(scopes=()))["scope"] == "offline"
    assert query_of(asked())["scope"] == "offline contacts.read"


def test_without_scopes_the_parameter_stays_away() -> None:
    assert "scope" not in query_of(asked(oauth2(scopes={})))


@pytest.mark.parametrize("separator", [" ", ",", "+"])
def test_scopes_are_joined_by_the_providers_separator(separator: str) -> None:
    auth = oauth2(scopes={"param": "scopes", "separator": separator, "default": ["a:b", "c"]})
    assert query_of(asked(auth))["scopes"] == f"a:b{separator}c"


def test_a_second_list_of_scopes_has_its_own_parameter() -> None:
    auth = oauth2(more_scopes={"param": "user_scope", "separator": ",", "always": ["x"], "default": ["y"]})
    assert query_of(asked(auth))["user_scope"] == "x,y"


@pytest.mark.parametrize("scope", ["", "two words", 'quo"te', "back\\slash", "line\nbreak", "ä", "x" * 201])
def test_what_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(InvalidInput, match="scope"):
        asked(scopes=(scope,))


def test_a_scope_cannot_smuggle_in_another_by_the_separator() -> None:
    with pytest.raises(InvalidInput):
        asked(oauth2(scopes={"separator": ","}), scopes=("read,admin",))


def test_parameters_of_the_entry_come_along_and_never_replace_the_flows_own() -> None:
    entry = {
        **OAUTH2["authorization"],
        "client_id_param": "app",
        "params": {"prompt": "consent", "who": "{subdomain} {client_id}", "app": "another"},
    }
    auth = oauth2(authorization=entry, params=[SUBDOMAIN])
    query = query_of(asked(auth, {"subdomain": "acme"}))
    assert (query["prompt"], query["who"], query["app"]) == ("consent", "acme client-1", "client-1")
    assert "client_id" not in query


def test_a_consent_page_behind_a_fragment_gets_its_query_there() -> None:
    auth = oauth2(authorization={"url": "https://app.example.com/", "fragment": "/oauth/authorize"})
    split = urlsplit(asked(auth))
    assert (split.path, split.query) == ("/", "")
    assert split.fragment.startswith("/oauth/authorize?response_type=code&client_id=client-1&")


@pytest.mark.promise("P7")
def test_a_value_cannot_send_the_browser_to_another_host() -> None:
    auth = oauth2(params=[SUBDOMAIN], authorization={"url": "https://{subdomain}.example.com/authorize"})
    assert urlsplit(asked(auth, {"subdomain": "acme"})).netloc == "acme.example.com"
    for value in ("evil.com/", "evil.com#", "a@evil.com", "evil.com?x=", "evil.com\\", ""):
        with pytest.raises(InvalidInput):
            asked(auth, {"subdomain": value})
    with pytest.raises(InvalidInput, match="missing"):
        asked(auth)


def test_the_issuer_is_the_entrys_with_its_values() -> None:
    named = {**OAUTH2["authorization"], "issuer": "https://{subdomain}.example.com/"}
    assert (
        expected_issuer(oauth2(params=[SUBDOMAIN], authorization=named), {"subdomain": "acme"})
        == "https://acme.example.com/"
    )
    assert expected_issuer(oauth2(), {}) is None


def test_the_repr_does_not_show_the_state() -> None:
    assert "st-1" not in repr(AuthorizationRequest(REDIRECT, "st-1"))


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_redirect_address_and_state_arrive_exactly(redirect_uri: str, state: str) -> None:
    query = query_of(asked(redirect_uri=redirect_uri, state=state))
    assert (query["redirect_uri"], query["state"]) == (redirect_uri, state)
