"""Requests to the token endpoint (RFC 6749, 3.2): a code, a refresh token, the client itself, a short-lived token."""

from collections.abc import Mapping

from one_runtime.catalog.oauth2 import TokenAuth
from one_runtime.catalog.outbound import OutboundRequest, RequestDraft, build_request, fill_templates
from one_runtime.catalog.request import resolve_url
from one_runtime.oauth.client import ClientIdentity, authenticate_client
from one_runtime.oauth.grants import AuthorizationCode, ClientCredentials, Grant, RefreshToken, ShortLivedToken
from one_runtime.oauth.scopes import requested_scopes


def token_request(auth: TokenAuth, client: ClientIdentity, grant: Grant, known: Mapping[str, str]) -> OutboundRequest:
    """Build the request for the tokens of a grant (RFC 6749, 4.1.3, 4.4.2, 6; RFC 7636, 4.5), with the client
    authentication of the entry. `known`: the end user's params and received values.

    Raises:
        InvalidInput: a value is missing, would leave the provider's host or cannot be sent.
        ValueError: the entry has no exchange, and the grant is for one.
    """
    known = {**known, "client_id": client.client_id}
    match grant:
        case AuthorizationCode():
            return _token_call(auth, client, _of_code(auth, grant), known)
        case ClientCredentials():
            return _token_call(auth, client, _of_client(auth, grant, known), {**grant.fields, **known})
        case RefreshToken():
            return _refresh(auth, client, grant, {**known, "access_token": grant.access_token})
        case ShortLivedToken():
            return _exchange(auth, client, {**known, "access_token": grant.access_token})


def _of_code(auth: TokenAuth, grant: AuthorizationCode) -> dict[str, str]:
    verifier = {} if grant.verifier is None else {"code_verifier": grant.verifier}
    return {
        "grant_type": "authorization_code",
        auth.token.code_param: grant.code,
        "redirect_uri": grant.redirect_uri,
        **verifier,
    }


def _of_client(auth: TokenAuth, grant: ClientCredentials, known: Mapping[str, str]) -> dict[str, str]:
    asked = requested_scopes(auth.scopes, grant.scopes, known)
    scopes = {auth.scopes.param: auth.scopes.separator.join(asked)} if asked else {}
    return {"grant_type": "client_credentials", **scopes}


def _token_call(
    auth: TokenAuth, client: ClientIdentity, own: dict[str, str], known: Mapping[str, str]
) -> OutboundRequest:
    return _call(auth, client, auth.token.url, {**own, **fill_templates(auth.token.params, known)}, known)


def _refresh(auth: TokenAuth, client: ClientIdentity, grant: RefreshToken, known: Mapping[str, str]) -> OutboundRequest:
    """Without a scope: as wide as before (RFC 6749, 6)."""
    own = {"grant_type": "refresh_token"}
    if grant.refresh_token is not None:
        own["refresh_token"] = grant.refresh_token
    params = {**own, **fill_templates(auth.token.refresh_params, known)}
    url = auth.token.refresh_url or auth.token.url
    if auth.token.refresh_method == "GET":  # the token proves itself, and an address is no place for a secret
        query = {**params, **fill_templates(auth.token.query, known)}
        headers = fill_templates(auth.token.headers, known).items()
        return build_request(
            RequestDraft(method="GET", url=resolve_url(url, known), carrier="query", params=query, headers=headers)
        )
    return _call(auth, client, url, params, known)


def _exchange(auth: TokenAuth, client: ClientIdentity, known: Mapping[str, str]) -> OutboundRequest:
    exchange = auth.token.exchange
    if exchange is None:
        raise ValueError("this entry has no token.exchange")
    return _call(auth, client, exchange.url, fill_templates(exchange.params, known), known, method=exchange.method)


def _call(
    auth: TokenAuth,
    client: ClientIdentity,
    url: str,
    params: dict[str, str],
    known: Mapping[str, str],
    *,
    method: str = "POST",
) -> OutboundRequest:
    token = auth.token
    proof = authenticate_client(token.auth, client, token)
    draft = RequestDraft(
        method=method,
        url=resolve_url(url, known),
        carrier="query" if method == "GET" else token.body,
        params={**params, **proof.params},
        query=fill_templates(token.query, known),
        headers=[*fill_templates(token.headers, known).items(), *proof.headers.items()],
    )
    return build_request(draft)
