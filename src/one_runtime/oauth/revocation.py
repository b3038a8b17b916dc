"""Build requests to revoke tokens, and read the responses, by RFC 7009 or in the provider's own way."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import RefreshToken
from one_runtime.catalog.oauth2 import RevocationEndpointSpec, TokenEndpointSpec, TokenKind
from one_runtime.catalog.request import OutboundRequest, assemble_request, fill_templates, resolve_url
from one_runtime.catalog.response import is_expected, is_refused
from one_runtime.egress.response import Response
from one_runtime.oauth.client import ClientAuthentication, ClientIdentity, authenticate_client
from one_runtime.oauth.error_response import ERROR_KINDS, normalize_code, read_error_response
from one_runtime.oauth.response import is_temporary_failure, parse_body, retry_after

# Error codes for a token that is already invalid. RFC 7009, 2.2 requires status 200 instead of an error.
_GONE: Final = frozenset({"invalid_token", "invalid_grant", "token_revoked", "token_expired"})


@dataclass(frozen=True, slots=True)
class RevocationFailure:
    """A failed revocation. The token can still be valid.

    `reason`: a text of the provider or of One Runtime. `may_pass`: True if a retry can succeed. `retry_after`: seconds
    to wait, if the provider names a time.
    """

    reason: str
    may_pass: bool
    retry_after: int | None = None


def revocation_requests(
    auth: OAuth2Auth, client: ClientIdentity, held: RefreshToken, known: Mapping[str, str]
) -> tuple[tuple[TokenKind, OutboundRequest], ...]:
    """Return a request for each token to revoke, in the order of `revocation.tokens` (RFC 7009, 2.1).

    If the provider has no revocation endpoint, return no request.

    `known`: values of the end user and of the provider. The requests omit the optional `token_type_hint`, because some
    providers refuse the hint.

    Raises:
        InvalidInput: a value is missing, a value would change the provider's host, or a value cannot be sent.
    """
    revocation = auth.revocation
    if revocation is None:
        return ()
    tokens: dict[TokenKind, str | None] = {"refresh_token": held.refresh_token, "access_token": held.access_token}
    known = {**known, "client_id": client.client_id, "access_token": held.access_token}
    return tuple(
        (kind, _request(auth.token, revocation, client, token, known))
        for kind in revocation.tokens
        if (token := tokens[kind]) is not None
    )


def read_revocation(
    revocation: RevocationEndpointSpec,
    client: ClientIdentity,
    held: RefreshToken,
    response: Response,
    now: dt.datetime,
) -> RevocationFailure | None:
    """Return None if the token is revoked or already invalid (RFC 7009, 2.2, 2.2.1). Otherwise, return the failure."""
    document = parse_body(response.body)
    error_response = read_error_response(document, (*client.secrets, *held.secrets))
    reason = error_response.reason
    code = normalize_code(error_response.error or "")
    wait = retry_after(response.headers, now)
    if is_temporary_failure(response.status) or ERROR_KINDS.get(code) == "temporary":
        return RevocationFailure(reason or f"HTTP {response.status}", may_pass=True, retry_after=wait)
    if is_refused(revocation.gone, response.status, document) or code in _GONE:
        return None
    if revocation.auth == "bearer" and response.status == 401:  # RFC 6750, 3.1: the token is invalid
        return None
    if is_expected(revocation.expect, response.status, document) and not _reports_refusal(document):
        return None
    # A response without an error code can be the page of a firewall. So a retry can succeed.
    return RevocationFailure(reason or f"HTTP {response.status}", may_pass=reason is None)


def _request(
    token_endpoint: TokenEndpointSpec,
    revocation: RevocationEndpointSpec,
    client: ClientIdentity,
    token: str,
    known: Mapping[str, str],
) -> OutboundRequest:
    match revocation.auth:
        case "bearer":
            authentication = ClientAuthentication({"Authorization": f"Bearer {token}"}, {})
        case "secret":
            authentication = ClientAuthentication({"Authorization": f"Bearer {client.client_secret or ''}"}, {})
        case "none":  # Salesforce's endpoint reads only the token
            authentication = ClientAuthentication({}, {})
        case method:
            authentication = authenticate_client(method, client, token_endpoint)
    params = fill_templates(revocation.params, known)
    if revocation.token_param is not None:
        params[revocation.token_param] = token
    return assemble_request(
        revocation.method,
        resolve_url(revocation.url, known),
        [*fill_templates(revocation.headers, known).items(), *authentication.headers.items()],
        revocation.body,
        {**params, **authentication.params},
    )


def _reports_refusal(document: dict[str, object] | None) -> bool:
    """Return True if a response with HTTP 200 reports a refusal.

    Slack sends `ok` or `revoked` with the value false. Meta sends `success` with the value false. Other providers
    send a text in the field `error`.
    """
    if document is None:
        return False
    return any(document.get(name) is False for name in ("ok", "revoked", "success")) or bool(document.get("error"))
