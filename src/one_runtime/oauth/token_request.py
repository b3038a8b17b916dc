"""Build requests to the token endpoint (RFC 6749, 3.2)."""

from collections.abc import Mapping

from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.grants import TokenGrant
from one_runtime.catalog.request import OutboundRequest, assemble_request, fill_templates, resolve_url, with_query
from one_runtime.oauth.client import ClientAuthentication, ClientIdentity, authenticate_client
from one_runtime.oauth.scopes import scope_param


def token_request(
    auth: TokenAuth, client: ClientIdentity, grant: TokenGrant, known: Mapping[str, str]
) -> OutboundRequest:
    """Build the request for the tokens of a grant (RFC 6749, 3.2).

    `known`: values of the end user and of the provider for the templates of the request.

    Raises:
        InvalidInput: a value is missing, a value would change the provider's host, or a value cannot be sent.
        ValueError: the grant is a short-lived token, but the catalog has no `token.exchange` for the integration.
    """
    token = auth.token
    request = grant.request(token, {**known, "client_id": client.client_id})
    known = request.known
    scopes = scope_param(auth.scopes, request.scopes, known) if request.sends_scopes else {}
    authentication = ClientAuthentication({}, {})
    if request.authenticates_client:
        authentication = authenticate_client(token.auth, client, token)
    return assemble_request(
        request.method,
        with_query(resolve_url(request.url, known), fill_templates(request.query, known)),
        [*fill_templates(token.headers, known).items(), *authentication.headers.items()],
        "query" if request.method == "GET" else token.body,
        {**request.params, **scopes, **fill_templates(request.more_params, known), **authentication.params},
    )
