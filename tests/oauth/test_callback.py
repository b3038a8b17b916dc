"""Parsing of callbacks, which a browser may bring from the provider or from an attacker."""

import hashlib
import hmac
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.oauth.callback import AuthorizationResponse, parse_callback, read_callback
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import AccessDenied, AuthorizationRefused, CallbackRefused, IssuerMismatch, OAuthError
from tests.catalog.example import OAUTH2, oauth2
from tests.oauth.answers import CLIENT

ISSUER = "https://login.example.com"


def read(
    auth: OAuth2Auth | None = None, issuer: str | None = None, client: ClientIdentity = CLIENT, **query: str
) -> AuthorizationResponse:
    return read_callback(auth or oauth2(), parse_callback(urlencode(query).encode()), client, issuer)


def refused_by(kind: type[OAuthError], /, *arguments: Any, **query: Any) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        read(*arguments, **query)
    assert type(caught.value) is kind
    return caught.value


def test_granted_authorization_has_a_code_and_its_state() -> None:
    query = parse_callback(b"code=SplxlOBeZQQYbYS6WxSbIA&state=xyz")
    assert query.state == "xyz"
    callback = read_callback(oauth2(), query, CLIENT, None)
    assert callback == AuthorizationResponse("SplxlOBeZQQYbYS6WxSbIA", {})
    assert "Splx" not in repr((query, callback))


def test_code_is_read_from_the_parameter_that_the_entry_names() -> None:
    auth = oauth2(authorization={**OAUTH2["authorization"], "code_param": "auth_code"})
    assert read(auth, auth_code="c", code="another").code == "c"
    refused_by(CallbackRefused, auth, code="c")


@pytest.mark.parametrize("query", ["code=a&code=b", "code=a&state=x&state=x", "code=a&x=1&x=1", "code=a&code="])
def test_repeated_parameter_is_refused(query: str) -> None:
    with pytest.raises(CallbackRefused, match="twice"):
        parse_callback(query.encode())


@pytest.mark.parametrize(
    "query", [b"code=%ff%fe", b"code=\xff", b"&".join(b"p%d=1" % n for n in range(101)), b"code=" + b"a" * 20_000]
)
def test_malformed_query_is_refused(query: bytes) -> None:
    with pytest.raises(CallbackRefused):
        parse_callback(query)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_every_query_is_parsed_or_refused(query: bytes) -> None:
    with suppress(OAuthError):
        assert read_callback(oauth2(), parse_callback(query), CLIENT, None).code


@pytest.mark.parametrize("code", ["", "a\nb", "a\x00", "é", "a" * 8193])
def test_code_that_cannot_be_sent_is_refused(code: str) -> None:
    refused_by(CallbackRefused, code=code, state="s")


def test_callback_without_code_and_error_is_refused() -> None:
    refused_by(CallbackRefused, state="s")
    assert parse_callback(b"").state is None
    assert parse_callback(b"state=").state is None


@pytest.mark.parametrize(
    "query",
    [
        {"error": "access_denied"},
        {"error": "access_denied", "code": "c"},
        {"error": "access-denied"},
        {"error": "ACCESS_DENIED"},
        {"error": "user_denied"},
        {"error": "user_cancelled_login"},
        {"error": "user_cancelled_authorize"},
        {"error": "OAuthException", "error_reason": "user_denied"},
    ],
)
def test_denial_is_recognized_in_every_spelling(query: dict[str, str]) -> None:
    assert refused_by(AccessDenied, **query).response.error == query["error"]


@pytest.mark.parametrize(
    "error", ["invalid_scope", "unauthorized_client", "server_error", "redirect_uri_mismatch", "denied", "x"]
)
def test_other_errors_are_not_denials(error: str) -> None:
    refusal = refused_by(
        AuthorizationRefused, error=error, error_description="No  such\nscope", error_uri="https://e.x/1"
    )
    assert (refusal.response.error, refusal.reason, refusal.response.uri) == (error, "No such scope", "https://e.x/1")


@pytest.mark.promise("P11")
def test_error_does_not_repeat_state_or_secret() -> None:
    words = f"<b>{CLIENT.client_secret}</b> for the-state-of-this-flow " + "x" * 400
    refusal = refused_by(AuthorizationRefused, error="x", error_description=words, state="the-state-of-this-flow")
    assert refusal.reason is not None
    assert len(refusal.reason) <= 300
    assert "the-state" not in refusal.reason
    assert "secret" not in refusal.reason


def test_issuer_must_be_that_of_the_authorization_request() -> None:
    assert read(issuer=ISSUER, code="c", iss=ISSUER).code == "c"
    for iss in (ISSUER + "/", ISSUER.upper(), "https://login.example.com.evil.com", "https://evil.com", " " + ISSUER):
        refused_by(IssuerMismatch, issuer=ISSUER, code="c", iss=iss)


def test_missing_issuer_is_a_mismatch() -> None:
    refused_by(IssuerMismatch, issuer=ISSUER, code="c")
    refused_by(IssuerMismatch, issuer=ISSUER, code="c", iss="")


def test_missing_issuer_is_accepted_only_if_the_entry_says_that_it_is_optional() -> None:
    """RFC 9207, 2.4: many servers publish an issuer, and do not announce `iss`. Another issuer is never accepted."""
    auth = oauth2(authorization={**OAUTH2["authorization"], "issuer": ISSUER, "iss": "optional"})
    assert read(auth, ISSUER, code="c").code == "c"
    assert read(auth, ISSUER, code="c", iss=ISSUER).code == "c"
    refused_by(IssuerMismatch, auth, ISSUER, code="c", iss="https://evil.com")
    refused_by(IssuerMismatch, auth, ISSUER, error="access_denied", iss="https://evil.com")
    announced = oauth2(authorization={**OAUTH2["authorization"], "issuer": ISSUER})
    refused_by(IssuerMismatch, announced, ISSUER, code="c")


def test_error_of_another_issuer_is_refused() -> None:
    refused_by(IssuerMismatch, issuer=ISSUER, error="access_denied", iss="https://evil.com")
    refused_by(AccessDenied, issuer=ISSUER, error="access_denied", iss=ISSUER)


def test_issuer_is_not_compared_if_the_entry_has_none() -> None:
    assert read(code="c", iss="https://anybody.example").code == "c"


SIGNED = {"authorization": {**OAUTH2["authorization"], "callback_signature": "hmac_sha256"}}
SHOPIFY = {
    "code": "0907a61c0c8d55e99db179b68161bc00",
    "shop": "some-shop.myshopify.com",
    "state": "0.6784241404160823",
    "timestamp": "1337178173",
    "hmac": "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf",
}


def test_signature_of_shopifys_published_example_is_valid() -> None:
    assert read(oauth2(**SIGNED), client=ClientIdentity("c", "hush"), **SHOPIFY).code == SHOPIFY["code"]
    assert (
        read(oauth2(**SIGNED), client=ClientIdentity("c", "hush"), **SHOPIFY, signature="old").code == SHOPIFY["code"]
    )


@pytest.mark.parametrize(
    "change",
    [{"shop": "other.myshopify.com"}, {"code": "1"}, {"extra": "1"}, {"hmac": ""}, {"hmac": "0" * 64}, {"hmac": "é"}],
)
def test_signature_of_a_changed_callback_is_invalid(change: dict[str, str]) -> None:
    refused_by(CallbackRefused, oauth2(**SIGNED), client=ClientIdentity("c", "hush"), **{**SHOPIFY, **change})


@pytest.mark.parametrize("secret", ["hush2", None])
def test_signature_without_the_clients_secret_is_invalid(secret: str | None) -> None:
    unsigned = {**SHOPIFY, "hmac": hmac.new(b"", b"", hashlib.sha256).hexdigest()}
    for query in (SHOPIFY, unsigned):
        refused_by(CallbackRefused, oauth2(**SIGNED), client=ClientIdentity("c", secret), **query)


def test_public_client_has_no_valid_signature() -> None:
    message = "&".join(f"{name}={value}" for name, value in sorted(SHOPIFY.items()) if name != "hmac")
    forged = hmac.new(b"", message.encode(), hashlib.sha256).hexdigest()
    refused_by(CallbackRefused, oauth2(**SIGNED), client=ClientIdentity("c"), **{**SHOPIFY, "hmac": forged})


def test_signature_separates_names_and_values() -> None:
    query = {"a=b": "c&d%", "code": "x"}
    signature = hmac.new(b"hush", b"a%3Db=c%26d%25&code=x", hashlib.sha256).hexdigest()
    assert read(oauth2(**SIGNED), client=ClientIdentity("c", "hush"), **query, hmac=signature).code == "x"


def test_callback_values_are_validated_and_stored() -> None:
    site = {"name": "site", "source": "callback", "path": "domain", "options": ["us.example.com", "eu.example.com"]}
    auth = oauth2(
        received=[site],
        base_url="https://api.{site}",
        token={**OAUTH2["token"], "url": "https://api.{site}/token"},
    )
    assert read(auth, code="c", domain="eu.example.com", other="x").received == {"site": "eu.example.com"}
    for domain in ("evil.com", ""):
        refused_by(CallbackRefused, auth, code="c", domain=domain)
    assert "evil" not in str(refused_by(CallbackRefused, auth, code="c", domain="evil.com"))
