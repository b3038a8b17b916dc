"""Every entry's OAuth 2.0 comes out as requests that are well formed, complete, and at the provider's own hosts."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import ClientCredentialsAuth, OAuth2Auth
from one_runtime.catalog.request import OutboundRequest, resolve_url
from one_runtime.oauth.authorization import AuthorizationRequest, authorization_url, issuer_of
from one_runtime.oauth.client import Client
from one_runtime.oauth.grants import AuthorizationCode, ClientCredentials, Grant, RefreshToken, ShortLivedToken
from one_runtime.oauth.pkce import challenge, new_verifier, wants_pkce
from one_runtime.oauth.revocation import revocation_requests
from one_runtime.oauth.token import token_request
from tests.catalog.test_oauth2_entries import CLIENT_CREDENTIALS, PAIRS, values_of

CLIENT = Client("client-1", "s3cret+/=:%&~")
STATE = "orcs_state+/=&%"
HELD = RefreshToken("refresh+token/1", "access+token/1")


def redirect_of(entry: Integration) -> str:
    return f"https://us.example/connect/callback/{entry.slug}"


def params_of(request: OutboundRequest) -> dict[str, str]:
    """Every parameter of a request, from the query and the body, none of them twice."""
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
    assert all(value for _, value in pairs)
    return dict(pairs)


def check_form(request: OutboundRequest) -> None:
    """What holds of every request: https, no brace left over, no header twice, none that cannot be sent."""
    assert re.match(r"https://[a-z0-9.-]+(?:/|\Z)", request.url)
    assert not re.search(r"[{}\s#]", request.url)
    text = "".join(f"{name}{value}" for name, value in (*request.headers, *params_of(request).items()))
    assert not re.search(r"[{}]", text)
    names = [name.lower() for name, _ in request.headers]
    assert len(set(names)) == len(names)
    assert all(value.isascii() and value.isprintable() for _, value in request.headers)
    for secret in (*CLIENT.secrets, *HELD.secrets):
        assert secret not in urlsplit(request.url).path


def check_proof(auth: OAuth2Auth | ClientCredentialsAuth, request: OutboundRequest) -> None:
    """The client stands in the request once: in the header, or among the parameters."""
    in_header = any(value.startswith("Basic ") for name, value in request.headers if name == "Authorization")
    in_params = params_of(request).get(auth.token.client_secret_param) == CLIENT.client_secret
    assert (in_header, in_params) == ((True, False) if auth.token.auth in ("basic", "either") else (False, True))


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_the_consent_page_gets_what_it_needs_and_exactly_that(entry: Integration, auth: OAuth2Auth) -> None:
    known = values_of(entry, auth).params
    request = AuthorizationRequest(redirect_of(entry), STATE, challenge(new_verifier()))
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
    assert ("code_challenge" in found, "code_challenge_method" in found) == (wants_pkce(auth), wants_pkce(auth))
    assert set(auth.authorization.params) <= set(found)
    asked = [*auth.scopes.always, *auth.scopes.default]
    assert found.get(auth.scopes.param, "").split(auth.scopes.separator) == (asked or [""])


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_an_issuer_is_an_address(entry: Integration, auth: OAuth2Auth) -> None:
    issuer = issuer_of(auth, values_of(entry, auth).params)
    assert issuer is None or re.fullmatch(r"https://[a-z0-9.-]+(?:/[^{}?#]*)?", issuer)


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_a_code_and_a_refresh_token_arrive_exactly(entry: Integration, auth: OAuth2Auth) -> None:
    known = values_of(entry, auth).params
    verifier = new_verifier()
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
        check_proof(auth, request)
        sent = params_of(request)
        assert request.method == "POST"
        assert {name: sent[name] for name in values} == values
        assert "grant_type" in sent


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_a_token_is_swapped_where_the_entry_says(entry: Integration, auth: OAuth2Auth) -> None:
    grant: Grant = ShortLivedToken(HELD.access_token)
    if auth.token.exchange is None:
        with pytest.raises(ValueError, match="exchange"):
            token_request(auth, CLIENT, grant, {})
        return
    request = token_request(auth, CLIENT, grant, values_of(entry, auth).params)
    check_form(request)
    check_proof(auth, request)
    assert HELD.access_token in params_of(request).values()


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_a_revocation_says_which_token(entry: Integration, auth: OAuth2Auth) -> None:
    requests = revocation_requests(auth, CLIENT, HELD, values_of(entry, auth).params)
    assert [kind for kind, _ in requests] == list(auth.revocation.tokens if auth.revocation is not None else ())
    for kind, request in requests:
        check_form(request)
        assert auth.revocation is not None
        token = HELD.refresh_token if kind == "refresh_token" else HELD.access_token
        said = [*params_of(request).values(), dict(request.headers).get("Authorization", "").removeprefix("Bearer ")]
        assert token in said or set(auth.revocation.params) & set(params_of(request))
        assert "client_secret" not in params_of(request) or auth.revocation.auth == "post"


@pytest.mark.parametrize("entry,auth", CLIENT_CREDENTIALS)
def test_a_client_asks_for_itself(entry: Integration, auth: ClientCredentialsAuth) -> None:
    values = values_of(entry, auth)
    request = token_request(auth, CLIENT, ClientCredentials(values.credentials), values.params)
    check_form(request)
    check_proof(auth, request)
    sent, params = params_of(request), auth.token.params
    assert sent["grant_type"] == params.get("grant_type", "client_credentials")
    assert set(params) <= set(sent)
