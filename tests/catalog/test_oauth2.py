"""Validation of an entry's OAuth 2.0, and received values."""

from typing import Any

import pytest
from pydantic import ValidationError

from one_runtime.catalog.auth_types.client_credentials import ClientCredentialsAuth
from one_runtime.catalog.model import Integration, dump
from one_runtime.catalog.parts import TokenRefusal
from one_runtime.catalog.request import ConnectionValues, clean_values, inject
from one_runtime.catalog.response import UnexpectedValue, is_expected, is_refused, read_check
from tests.catalog.example import API_KEY, OAUTH2, SUBDOMAIN, entry_of, oauth2

HOST = {"name": "shop", "source": "token_response", "path": "api.url", "extract": r"https://([a-z0-9]+)\.example\.com"}
AT_SHOP = {"received": [HOST], "base_url": "https://{shop}.example.com"}
DOMAIN = {**SUBDOMAIN, "name": "domain", "pattern": "[a-z0-9]+(?:\\.[a-z0-9]+){1,5}", "suffix": None}
CLIENT_CREDENTIALS: dict[str, Any] = {
    "type": "client_credentials",
    "fields": [{"name": name, "label": name, "where": "There."} for name in ("client_id", "client_secret")],
    "token": {"url": "https://login.example.com/token"},
    "base_url": "https://api.example.com",
    "verified": {"how": "unverified"},
}


def refused(match: str, **changes: Any) -> None:
    with pytest.raises(ValidationError, match=match):
        oauth2(**changes)


def token(**changes: Any) -> dict[str, Any]:
    return {"token": {**OAUTH2["token"], **changes}}


def authorization(**changes: Any) -> dict[str, Any]:
    return {"authorization": {**OAUTH2["authorization"], **changes}}


def test_the_example_with_a_second_auth_type_survives_a_round_trip() -> None:
    entry = entry_of(API_KEY, OAUTH2)
    assert entry.auth_types == ("api_key", "oauth2")
    assert Integration.model_validate(dump(entry)) == entry


def test_defaults_follow_the_rfc() -> None:
    auth = oauth2(token={"url": "https://login.example.com/token"}, scopes={})
    assert (auth.token.auth, auth.token.body, auth.scopes.param, auth.scopes.separator) == (
        "basic",
        "form",
        "scope",
        " ",
    )
    assert inject(auth, ConnectionValues({}, {"access_token": "t"})).headers == (("Authorization", "Bearer t"),)
    assert auth.refresh == "rotates", "where it is not known, a token is never presented twice"


def test_oauth2_allows_params_and_no_fields() -> None:
    auth = oauth2(params=[SUBDOMAIN], base_url="https://{subdomain}.example.com")
    assert clean_values(auth, {"subdomain": "Acme"}, {}) == ConnectionValues({"subdomain": "acme"}, {})
    refused("must be empty for oauth2", fields=API_KEY["fields"], send=API_KEY["send"])


def test_parameters_that_the_flow_sets_are_refused() -> None:
    for name in ("state", "code_challenge", "code_challenge_method", "redirect_uri", "scope", "response_type"):
        refused("is a reserved parameter", **authorization(params={name: "x"}))
    for name in ("client_secret", "code_verifier", "refresh_token", "redirect_uri"):
        refused("is a reserved parameter", **token(params={name: "x"}))
        refused("is a reserved parameter", **token(refresh_params={name: "x"}))
        refused("is a reserved parameter", **token(query={name: "x"}))


def test_a_nonce_has_a_parameter_of_its_own() -> None:
    oauth2(**authorization(nonce_param="nonce", params={"prompt": "consent"}))
    for name in ("state", "scope", "client_id"):
        refused("nonce_param: .* is a reserved parameter; write", **authorization(nonce_param=name))
    refused("reserved parameter; write", **authorization(nonce_param="app", client_id_param="app"))
    refused("so remove nonce from params", **authorization(nonce_param="nonce", params={"nonce": "x"}))
    for scopes in ("scopes", "more_scopes"):
        refused("must differ", **authorization(nonce_param="user_scope"), **{scopes: {"param": "user_scope"}})


def test_iss_without_the_issuer_that_it_must_have_is_refused() -> None:
    refused("iss: needs issuer", **authorization(iss="optional"))
    assert oauth2(**authorization(issuer="https://example.com", iss="optional")).authorization.iss == "optional"
    assert oauth2(**authorization(issuer="https://example.com")).authorization.iss == "required"


def test_a_template_with_a_value_of_a_later_step_is_refused() -> None:
    account = {"name": "account", "source": "callback", "pattern": "[a-z]+"}
    later = {"name": "site", "source": "lookup", "pattern": "[a-z]+"}
    lookup = {"url": "https://api.example.com/sites"}
    refused("authorization: {access_token} is not known", **authorization(params={"hint": "{access_token}"}))
    refused("authorization: {account} is not known", received=[account], **authorization(params={"a": "{account}"}))
    refused("token: {access_token} is not known", **token(params={"t": "{access_token}"}))
    refused(
        "lookup: {site} is not known",
        received=[later],
        lookup={"path": "/s"},
        base_url="https://api.example.com/{site}",
    )
    refused("{client_secret} is used, so it must be declared", **token(params={"s": "{client_secret}"}))
    oauth2(received=[account], **token(params={"a": "{account}"}))
    oauth2(received=[later], lookup=lookup, base_url="https://api.example.com/{site}")
    oauth2(**token(refresh_params={"grant_type": "ig_refresh_token", "access_token": "{access_token}"}))


def test_an_unused_received_value_is_refused() -> None:
    refused("shop is declared but not used", received=[HOST])
    oauth2(received=[HOST], identity={"id": "params.shop"})
    refused("must be declared", identity={"id": "{params.shop}"})
    refused("access_token is predefined", received=[{**HOST, "name": "access_token"}])
    refused("must declare each name only once", params=[{**SUBDOMAIN, "name": "shop"}], **AT_SHOP)


def test_a_received_value_without_a_pattern_or_options_is_refused() -> None:
    bare = {"name": "shop", "source": "callback"}
    refused("a pattern, extract or options are required", received=[bare])
    refused("use either", received=[{**HOST, "pattern": "[a-z]+"}])
    refused("exactly one", received=[{**HOST, "extract": "https://[a-z]+"}])
    refused("must match the pattern", received=[{**HOST, "default": "A B"}], base_url=AT_SHOP["base_url"])
    refused("must be one of the options", received=[{**bare, "options": ["us"], "default": "eu"}])


@pytest.mark.promise("P7")
@pytest.mark.parametrize("extract", [r"https://([^/]+)\.example\.com", r"https://(.+)\.example\.com", r"https://(\S*)"])
def test_a_loose_pattern_of_a_received_host_is_refused(extract: str) -> None:
    refused("letters, digits|must not accept", received=[{**HOST, "extract": extract}], base_url=AT_SHOP["base_url"])


@pytest.mark.promise("P7")
def test_a_host_that_ends_in_a_received_value_is_refused() -> None:
    whole = {**HOST, "extract": r"https://([a-z0-9]+(?:\.[a-z0-9]+){1,3})"}
    for where in ({"base_url": "https://{shop}"}, token(refresh_url="https://{shop}/token")):
        refused("the host must end in a domain", received=[whole], quirks=["self_hosted"], **where)
    choice = {**HOST, "extract": r"https://([a-z.]+)", "options": ["example.com", "example.eu"]}
    oauth2(received=[choice], base_url="https://api.{shop}")
    refused(
        "must be valid in a host name",
        received=[{**choice, "options": ["example.com/x"], "extract": None}],
        base_url="https://{shop}",
    )


@pytest.mark.promise("P7")
def test_every_address_of_the_flow_is_guarded() -> None:
    loose = {**SUBDOMAIN, "pattern": "[^/]+"}
    url = "https://{subdomain}.example.com/x"
    for where in (
        authorization(url=url),
        token(url=url),
        token(refresh_url=url),
        token(exchange={"url": url, "params": {}}),
        {"revocation": {"url": url}},
        {"lookup": {"url": url}, "received": [{"name": "site", "source": "lookup", "pattern": "[a-z]+"}],
         "identity": {"id": "params.site"}},
    ):  # fmt: skip
        refused("letters, digits|must not accept", params=[loose], **where)
        oauth2(params=[SUBDOMAIN], **where)
        plain = {
            key: value for key, value in where.items() if key in ("authorization", "token", "revocation", "lookup")
        }
        assert plain


@pytest.mark.parametrize(
    "url", ["http://login.example.com/x", "https://login.example.com/x?a=b", "https://a@example.com"]
)
def test_addresses_are_https_without_a_query(url: str) -> None:
    for where in (authorization(url=url), token(url=url), token(refresh_url=url), {"revocation": {"url": url}}):
        refused("url", **where)


@pytest.mark.promise("P7")
def test_a_client_must_name_its_hosts_if_the_entry_does_not_fix_them() -> None:
    at_domain = {"params": [DOMAIN], "quirks": ["self_hosted"]}
    assert oauth2(**at_domain, **token(url="https://{domain}/token")).names_hosts
    assert oauth2(**at_domain, revocation={"url": "https://{domain}/revoke"}).names_hosts
    assert not oauth2().names_hosts
    assert not oauth2(params=[SUBDOMAIN], **token(url="https://{subdomain}.example.com/token")).names_hosts
    refused("add self_hosted", params=[DOMAIN], **token(url="https://{domain}/token"))


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "changes,hosts",
    [
        ({"token": {**OAUTH2["token"], "params": {"key": "{key}"}}}, []),
        ({"send": {"headers": {"X-Key": "{key}"}}}, ["{domain}", "files.example.com"]),
        ({"check": {"path": "/me", "query": {"key": "{key}"}}}, ["{domain}"]),
        ({"check": {"url": "https://id.example.com/{key}"}}, ["id.example.com"]),
        ({"more_base_urls": ["https://files.example.com/{key}"]}, ["files.example.com"]),
    ],
    ids=["token request", "every request", "check", "URL of the check", "path"],
)
def test_hosts_of_client_fields_count_as_hosts_of_the_client(changes: dict[str, Any], hosts: list[str]) -> None:
    entry = {
        "params": [DOMAIN],
        "quirks": ["self_hosted"],
        "client": {"where": "There.", "fields": [{"name": "key", "label": "Key", "where": "There."}]},
        "base_url": "https://{domain}",
        "more_base_urls": ["https://files.example.com"],
    }
    auth = oauth2(**{**entry, **changes})
    assert [url.authority for url in auth.field_urls] == hosts
    assert auth.names_hosts == ("{domain}" in hosts)


def test_a_lookup_and_values_received_from_it_require_each_other() -> None:
    refused("lookup needs a received value", lookup={"path": "/sites"})
    site = {"name": "site", "source": "lookup", "pattern": "[a-z]+"}
    refused("lookup needs a received value", received=[site], base_url="https://api.example.com/{site}")


def test_pages_of_a_lookup_have_a_list_and_one_place_of_the_next_page() -> None:
    site = {"received": [{"name": "site", "source": "lookup", "pattern": "[a-z]+"}], "identity": {"id": "params.site"}}
    lookup = {"path": "/sites", "choices": {"label": "name"}}
    for pages in ({}, {"next": "paging.next"}, {"next": "cursor", "param": "after"}):
        oauth2(lookup={**lookup, "pages": pages}, **site)
    refused("pages: add choices", lookup={"path": "/sites", "pages": {}}, **site)
    refused("param: add next", lookup={**lookup, "pages": {"param": "after"}}, **site)
    refused("pages: use the method GET", lookup={**lookup, "method": "POST", "pages": {}}, **site)
    after = {"next": "cursor", "param": "after"}
    refused("so remove after from query", lookup={**lookup, "query": {"after": "0"}, "pages": after}, **site)


def test_a_second_list_of_scopes_has_a_parameter_of_its_own() -> None:
    assert oauth2(more_scopes={"param": "user_scope", "separator": ","}).more_scopes is not None
    refused("must differ from scopes.param", more_scopes={"separator": ","})
    refused("scopes", scopes={"default": ["two words"]})


def test_refresh_settings_without_refresh_are_refused() -> None:
    oauth2(refresh="none", lifetimes={"access": 3600})
    for more in ({"lifetimes": {"refresh": 60}}, token(refresh_url="https://login.example.com/refresh")):
        refused("refresh is none", refresh="none", **more)


def test_a_revocation_that_names_no_token_is_refused() -> None:
    url = "https://login.example.com/revoke"
    oauth2(revocation={"url": url})
    oauth2(revocation={"url": url, "auth": "bearer", "body": "none", "token_param": None, "tokens": ["access_token"]})
    refused("the request must contain the token", revocation={"url": url, "token_param": None})
    refused("at least one is required", revocation={"url": url, "tokens": []})
    refused("body: none needs token_param: null", revocation={"url": url, "body": "none"})


def test_a_revocation_distinguishes_success_from_failure() -> None:
    url = "https://login.example.com/revoke"
    plain = oauth2(revocation={"url": url}).revocation
    assert plain is not None
    assert [is_expected(plain.expect, status, {}) for status in (200, 202, 204, 400)] == [True, True, True, False]
    assert not is_refused(plain.gone, 404, {}), "unless the entry says so, that is a failure"


def test_errors_that_end_a_grant_are_named_beside_invalid_grant() -> None:
    for written in (["bad_refresh_token"], {"codes": ["bad_refresh_token"]}):
        assert oauth2(**token(refused=written)).token.refused == TokenRefusal(codes=("bad_refresh_token",))
    response = oauth2(**token(response={"error": "data.code", "error_description": "message"})).token.response
    assert (response.error, response.error_description) == ("data.code", "message")
    refused("token.refused", **token(refused=['a"b']))


def test_statuses_that_end_a_grant_exclude_outages() -> None:
    assert oauth2(**token(refused={"status": [400, 403]})).token.refused.status == (400, 403)
    for status in (200, 302, 408, 425, 429):
        refused("can mean an outage", **token(refused={"status": [status]}))
    refused("token.refused.status", **token(refused={"status": [500]}))


def test_a_token_that_a_provider_returns_is_not_an_identity() -> None:
    auth = oauth2(check={"path": "/me"}, identity={"id": "account.id"})
    body = b'{"account": {"id": "acct-secret-token-1"}}'
    assert read_check(auth, 200, (), body, ConnectionValues({}, {"access_token": "other-token"})).account_id is not None
    assert read_check(auth, 200, (), body, ConnectionValues({}, {"access_token": "secret-token-1"})).account_id is None


def test_an_identity_from_stored_values_needs_no_check() -> None:
    auth = oauth2(check=None, identity={"id": "params.shop"}, **AT_SHOP)
    assert auth.check is None
    refused("so add a check", check=None)


def test_client_credentials_begin_with_the_id_and_the_secret() -> None:
    auth = entry_of(CLIENT_CREDENTIALS).auth[0]
    assert isinstance(auth, ClientCredentialsAuth)
    assert inject(auth, ConnectionValues({}, {"access_token": "t"})).headers == (("Authorization", "Bearer t"),)
    with pytest.raises(ValidationError, match="must begin with client_id"):
        entry_of({**CLIENT_CREDENTIALS, "fields": CLIENT_CREDENTIALS["fields"][::-1]})
    loose = {**SUBDOMAIN, "pattern": "[^/]+"}
    with pytest.raises(ValidationError, match="letters, digits"):
        entry_of({**CLIENT_CREDENTIALS, "params": [loose], "token": {"url": "https://{subdomain}.example.com"}})


def test_client_credentials_may_come_with_a_lasting_refresh_token() -> None:
    lasting = {"name": "refresh_token", "label": "Refresh token", "where": "There."}
    fields = [*CLIENT_CREDENTIALS["fields"], lasting]
    params = {"grant_type": "refresh_token", "refresh_token": "{refresh_token}"}
    url = CLIENT_CREDENTIALS["token"]["url"]
    auth = entry_of({**CLIENT_CREDENTIALS, "fields": fields, "token": {"url": url, "params": params}}).auth[0]
    assert isinstance(auth, ClientCredentialsAuth)
    with pytest.raises(ValidationError, match="is a reserved parameter"):
        entry_of({**CLIENT_CREDENTIALS, "token": {"url": url, "params": {"client_secret": "x"}}})


def test_a_received_value_is_extracted() -> None:
    auth = oauth2(**AT_SHOP)
    params = auth.read_received("token_response", {"api": {"url": "https://acme.example.com"}})
    assert params == {"shop": "acme"}
    assert inject(auth, ConnectionValues(params, {"access_token": "t"})).base_url == "https://acme.example.com"
    assert auth.read_received("callback", {}) == {}


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.com",
        "https://evil.com/.example.com",
        "https://acme.example.com.evil.com",
        "https://acme.example.com@evil.com",
        "https://evil.com#.example.com",
        "https://acme.example.com/",
        "https://a.b.example.com",
        "https://127.0.0.1",
        "http://acme.example.com",
        "https://ACME.example.com",
        "https://acme.example.com\n",
        "https://" + "a" * 300 + ".example.com",
        "",
        None,
        ["https://acme.example.com"],
    ],
)
def test_a_received_host_that_does_not_match_is_refused(url: object) -> None:
    with pytest.raises(UnexpectedValue, match="shop") as error:
        oauth2(**AT_SHOP).read_received("token_response", {"api": {"url": url}})
    assert "evil" not in str(error.value), "what a stranger sent is not repeated"


def test_a_missing_value_gets_its_default_and_a_number_becomes_text() -> None:
    part = {"name": "site", "source": "callback", "pattern": "[0-9a-z]{1,9}", "default": "main"}
    auth = oauth2(received=[part], base_url="https://api.example.com/{site}")
    assert auth.read_received("callback", {}) == {"site": "main"}
    assert auth.read_received("callback", {"site": 42}) == {"site": "42"}
    dots = oauth2(
        received=[{**part, "pattern": r"[.]{1,9}", "default": None}], base_url="https://api.example.com/{site}"
    )
    with pytest.raises(UnexpectedValue):
        dots.read_received("callback", {"site": ".."})
