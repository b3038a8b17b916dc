"""OAuth 2.0 requests of every catalog entry: well formed, complete, and sent to the provider's own hosts."""

import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from one_runtime.catalog.auth_types.client_credentials import ClientCredentialsAuth
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import AuthorizationCode, ClientCredentials, RefreshToken, ShortLivedToken, TokenGrant
from one_runtime.catalog.lint import example_values
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import OutboundRequest, resolve_url
from one_runtime.oauth.authorization import AuthorizationRequest, authorization_url, expected_issuer
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.pkce import code_challenge, new_code_verifier
from one_runtime.oauth.revocation import revocation_requests
from one_runtime.oauth.token_request import token_request
from tests.catalog.entries import ENTRIES
from tests.catalog.stand_in import fill
from tests.catalog.test_stand_in import values_of
from tests.in_one_test import in_one_test

ENTRIES_WITH_OAUTH: Final = [entry for entry in ENTRIES if {"oauth2", "client_credentials"} & set(entry.auth_types)]
CLIENT = ClientIdentity("client-1", "s3cret+/=:%&~")
STATE = "orcs_state+/=&%"
HELD = RefreshToken("refresh+token/1", "access+token/1")


def redirect_of(entry: Integration) -> str:
    return f"https://us.example/connect/callback/{entry.slug}"


def params_of(request: OutboundRequest) -> dict[str, str]:
    """Return every parameter of a request's query and body and check that none appears twice."""
    pairs = parse_qsl(
        urlsplit(request.url).query, keep_blank_values=True, strict_parsing=bool(urlsplit(request.url).query)
    )
    content_type = dict(request.headers).get("Content-Type")
    if content_type == "application/json":
        document = json.loads(request.body or b"")
        assert all(isinstance(value, str) for value in document.values())
        pairs += list(document.items())
    elif request.body:
        assert content_type == "application/x-www-form-urlencoded"
        pairs += parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    assert all(value or name == "refresh" for name, value in pairs)  # Dropbox Sign documents `?refresh` without a value
    return dict(pairs)


def check_form(request: OutboundRequest) -> None:
    """Check that a request uses https, has no brace left over, and that its headers are unique and can be sent."""
    assert re.match(r"https://[a-z0-9.-]+(?:/|\Z)", request.url)
    assert not re.search(r"[{}\s#]", request.url)
    text = "".join(f"{name}{value}" for name, value in (*request.headers, *params_of(request).items()))
    assert not re.search(r"[{}]", text)
    names = [name.lower() for name, _ in request.headers]
    assert len(set(names)) == len(names)
    assert all(value.isascii() and value.isprintable() for _, value in request.headers)
    for secret in (*CLIENT.secrets, *HELD.secrets):
        assert secret not in urlsplit(request.url).path


def check_client_authentication(auth: OAuth2Auth | ClientCredentialsAuth, request: OutboundRequest) -> None:
    """Check that the client authenticates once: in the header or in the parameters."""
    in_header = any(value.startswith("Basic ") for name, value in request.headers if name == "Authorization")
    in_params = params_of(request).get(auth.token.client_secret_param) == CLIENT.client_secret
    assert (in_header, in_params) == (
        (True, False) if auth.token.auth in ("basic", "basic_raw", "either") else (False, True)
    )


def check_authorization_request(entry: Integration, auth: OAuth2Auth) -> None:
    """Check that the authorization request has exactly the parameters it needs."""
    known = values_of(auth)
    request = AuthorizationRequest(redirect_of(entry), STATE, code_challenge(new_code_verifier()))
    split = urlsplit(authorization_url(auth, CLIENT.client_id, request, known))
    meant = urlsplit(resolve_url(auth.authorization.url, {**known, "client_id": CLIENT.client_id}))
    assert (split.scheme, split.netloc, split.path) == ("https", meant.netloc, meant.path)
    route, _, query = split.fragment.partition("?") if auth.authorization.fragment else ("", "", split.query)
    assert route == (auth.authorization.fragment or "")
    assert not re.search(r"[{}\s+]", split.geturl())
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    found = dict(pairs)
    assert len(found) == len(pairs)
    assert all(found.values())
    assert (found["redirect_uri"], found["state"], found["response_type"]) == (redirect_of(entry), STATE, "code")
    assert found[auth.authorization.client_id_param] == CLIENT.client_id
    assert ("code_challenge" in found, "code_challenge_method" in found) == (auth.uses_pkce, auth.uses_pkce)
    assert set(auth.authorization.params) <= set(found)
    asked = [fill(scope, known) for scope in (*auth.scopes.always, *auth.scopes.default)]
    assert found.get(auth.scopes.param, "").split(auth.scopes.separator) == (asked or [""])


def check_issuer(_: Integration, auth: OAuth2Auth) -> None:
    """Check that the issuer is a URL."""
    issuer = expected_issuer(auth, values_of(auth))
    assert issuer is None or re.fullmatch(r"https://[a-z0-9.-]+(?:/[^{}?#]*)?", issuer)


def check_grants(entry: Integration, auth: OAuth2Auth) -> None:
    """Check that a code and a refresh token are sent unchanged."""
    known = values_of(auth)
    verifier = new_code_verifier()
    code = AuthorizationCode("c0de+/=&%", redirect_of(entry), verifier)
    wanted: dict[Any, dict[str, str]] = {
        code: {auth.token.code_param: code.code, "redirect_uri": redirect_of(entry), "code_verifier": verifier},
        HELD: {"refresh_token": HELD.refresh_token or ""},
    }
    for grant, values in wanted.items():
        if grant is HELD and auth.refresh == "none":
            continue
        request = token_request(auth, CLIENT, grant, known)
        check_form(request)
        by_get = grant is HELD and auth.token.refresh_method == "GET"
        if not by_get:
            check_client_authentication(auth, request)
        sent = params_of(request)
        assert request.method == ("GET" if by_get else "POST")
        assert {name: sent[name] for name in values} == values
        assert "grant_type" in sent


def check_exchange(_: Integration, auth: OAuth2Auth) -> None:
    """Check that a token is exchanged only if the entry says so."""
    grant: TokenGrant = ShortLivedToken(HELD.access_token)
    if auth.token.exchange is None:
        with pytest.raises(ValueError, match="exchange"):
            token_request(auth, CLIENT, grant, {})
        return
    request = token_request(auth, CLIENT, grant, values_of(auth))
    check_form(request)
    check_client_authentication(auth, request)
    assert HELD.access_token in params_of(request).values()


def check_revocation(_: Integration, auth: OAuth2Auth) -> None:
    """Check that a revocation request contains the token."""
    requests = revocation_requests(auth, CLIENT, HELD, values_of(auth))
    assert [kind for kind, _ in requests] == list(auth.revocation.tokens if auth.revocation is not None else ())
    for kind, request in requests:
        check_form(request)
        assert auth.revocation is not None
        token = HELD.refresh_token if kind == "refresh_token" else HELD.access_token
        said = [*params_of(request).values(), dict(request.headers).get("Authorization", "").removeprefix("Bearer ")]
        assert token in said or set(auth.revocation.params) & set(params_of(request))
        assert "client_secret" not in params_of(request) or auth.revocation.auth == "post"


def check_client_credentials(auth: ClientCredentialsAuth) -> None:
    """Check the client credentials request."""
    values = example_values(auth)
    request = token_request(auth, CLIENT, ClientCredentials(values.credentials), values.params)
    check_form(request)
    check_client_authentication(auth, request)
    sent, params = params_of(request), auth.token.params
    assert sent["grant_type"] == params.get("grant_type", "client_credentials")
    assert set(params) <= set(sent)


@in_one_test(ENTRIES_WITH_OAUTH, name=lambda entry: entry.slug)
def test_every_request_of_an_entry_is_well_formed(entry: Integration) -> None:
    for auth in entry.auth:
        if isinstance(auth, OAuth2Auth):
            for check in (check_authorization_request, check_issuer, check_grants, check_exchange, check_revocation):
                check(entry, auth)
        elif isinstance(auth, ClientCredentialsAuth):
            check_client_credentials(auth)


@pytest.mark.parametrize("access, scope", [("write", "read write"), ("read", "read")])
def test_zendesk_gets_a_token_with_the_customers_client_and_the_selected_access(access: str, scope: str) -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "zendesk").auth_of("client_credentials")
    assert isinstance(auth, ClientCredentialsAuth)
    values = {"subdomain": "acme", "access": access}
    credentials = {"client_id": "one_runtime", "client_secret": "af3t24tfj34h43saf3t24tfj34h43s"}
    for granted in (None, ("read",)):
        request = token_request(auth, CLIENT, ClientCredentials(credentials, granted), values)
        assert request.url == "https://acme.zendesk.com/oauth/tokens"
        assert params_of(request) == {
            "grant_type": "client_credentials",
            "client_id": CLIENT.client_id,
            "client_secret": CLIENT.client_secret,
            "scope": scope,
        }


@pytest.mark.parametrize("region", ["api", "eu-api", "ap-api", "me-api", "eu-ln-api", "ap-sy-api", "ca-api"])
def test_surveysparrow_gets_tokens_from_the_accounts_data_center(region: str) -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "surveysparrow").oauth2
    assert auth is not None
    code = AuthorizationCode("code-1", "https://us.example/connect/callback/surveysparrow", None)
    request = token_request(auth, CLIENT, code, {"region": region})
    assert request.url == f"https://{region}.surveysparrow.com/o/oauth/token"
    assert resolve_url(auth.base_url, {"region": region}) == f"https://{region}.surveysparrow.com/v3"


def test_wistia_revokes_both_tokens_and_uses_pkce() -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "wistia").oauth2
    assert auth is not None
    assert auth.pkce == "supported"
    requests = revocation_requests(auth, CLIENT, HELD, {})
    assert [kind for kind, _ in requests] == ["refresh_token", "access_token"]
    assert {request.url for _, request in requests} == {"https://api.wistia.com/oauth/revoke"}
