"""Build requests to the token endpoint (RFC 6749, 3.2)."""

from collections.abc import Mapping

from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.request import OutboundRequest, assemble_request, fill_templates, resolve_url, with_query
from one_runtime.oauth.client import ClientAuthentication, ClientIdentity, authenticate_client
from one_runtime.oauth.grants import AuthorizationCode, ClientCredentials, Grant, RefreshToken, ShortLivedToken
from one_runtime.oauth.scopes import scope_param


def token_request(auth: TokenAuth, client: ClientIdentity, grant: Grant, known: Mapping[str, str]) -> OutboundRequest:
    """Build the request for the tokens of a grant (RFC 6749, 4.1.3, 4.4.2, 6; RFC 7636, 4.5).

    `known`: values of the end user and of the provider for the templates of the request.

    Raises:
        InvalidInput: a value is missing, a value would change the provider's host, or a value cannot be sent.
        ValueError: the grant is a short-lived token, but the catalog has no `token.exchange` for the integration.
    """
    token, known = auth.token, {**known, "client_id": client.client_id}
    method, url, templates = "POST", token.url, token.params
    authentication = authenticate_client(token.auth, client, token)
    params: dict[str, str] = {}
    query = token.query
    match grant:
        case AuthorizationCode():
            params = {
                "grant_type": "authorization_code",
                token.code_param: grant.code,
                "redirect_uri": grant.redirect_uri,
                **({"code_verifier": grant.verifier} if grant.verifier is not None else {}),
            }
        case ClientCredentials():
            params = {"grant_type": "client_credentials", **scope_param(auth.scopes, grant.scopes, known)}
            known = {**grant.fields, **known}
        case RefreshToken():
            # Without the parameter `scope`, the new token has the same scopes as the old token (RFC 6749, 6).
            params = {"grant_type": "refresh_token"}
            if grant.refresh_token is not None:
                params["refresh_token"] = grant.refresh_token
            known["access_token"] = grant.access_token
            method, url, templates = token.refresh_method, token.refresh_url or token.url, token.refresh_params
            query = {**query, **token.refresh_query}
            if method == "GET":  # keep the client secret out of the URL; the token authenticates the request
                authentication = ClientAuthentication({}, {})
        case ShortLivedToken():
            if token.exchange is None:
                raise ValueError("this entry has no token.exchange")
            known["access_token"] = grant.access_token
            method, url, templates = token.exchange.method, token.exchange.url, token.exchange.params
    return assemble_request(
        method,
        with_query(resolve_url(url, known), fill_templates(query, known)),
        [*fill_templates(token.headers, known).items(), *authentication.headers.items()],
        "query" if method == "GET" else token.body,
        {**params, **fill_templates(templates, known), **authentication.params},
    )
