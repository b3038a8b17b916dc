"""Revocation of tokens (RFC 7009), by the RFC or in the provider's own way."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from one_runtime.catalog.oauth2 import OAuth2Auth, RevocationEndpointSpec, TokenKind
from one_runtime.catalog.outbound import OutboundRequest, RequestDraft, build_request, fill_templates
from one_runtime.catalog.request import is_expected, is_refused, resolve_url
from one_runtime.oauth.client import ClientAuthentication, ClientIdentity, authenticate_client
from one_runtime.oauth.error_response import ERROR_KINDS, normalize_code, read_error_response
from one_runtime.oauth.grants import RefreshToken
from one_runtime.oauth.response import EndpointResponse, is_temporary_failure, parse_body, retry_after

# Codes for an unknown token, for which RFC 7009, 2.2 requires status 200.
_GONE: Final = frozenset({"invalid_token", "invalid_grant", "token_revoked", "token_expired"})


@dataclass(frozen=True, slots=True)
class Revoked:
    """The token is no longer valid: the provider revoked it now, or does not know it any more."""


@dataclass(frozen=True, slots=True)
class NotRevoked:
    """The token may still be valid. `reason` is the provider's message or ours. With `may_pass`, a retry may succeed,
    after `retry_after` seconds if the provider asks for them."""

    reason: str
    may_pass: bool
    retry_after: int | None = None


def revocation_requests(
    auth: OAuth2Auth, client: ClientIdentity, held: RefreshToken, known: Mapping[str, str]
) -> tuple[tuple[TokenKind, OutboundRequest], ...]:
    """Return a request for each stored token that the entry revokes, in its order (RFC 7009, 2.1); none if the entry
    has no revocation. `known`: the end user's params and received values.

    No `token_type_hint` is sent: servers must work without it, and some providers refuse it.

    Raises:
        InvalidInput: a value is missing, would leave the provider's host or cannot be sent.
    """
    revocation = auth.revocation
    if revocation is None:
        return ()
    tokens: dict[TokenKind, str | None] = {"refresh_token": held.refresh_token, "access_token": held.access_token}
    known = {**known, "client_id": client.client_id, "access_token": held.access_token}
    return tuple(
        (kind, _request(auth, revocation, client, token, known))
        for kind in revocation.tokens
        if (token := tokens[kind]) is not None
    )


def read_revocation(
    auth: OAuth2Auth, client: ClientIdentity, held: RefreshToken, answer: EndpointResponse, now: dt.datetime
) -> Revoked | NotRevoked:
    """Return whether the token is revoked (RFC 7009, 2.2, 2.2.1). A token that the provider does not know is.

    Raises:
        ValueError: the entry has no revocation.
    """
    if auth.revocation is None:
        raise ValueError("this entry has no revocation")
    document = parse_body(answer.body)
    words = read_error_response(document, (*client.secrets, *held.secrets))
    code = normalize_code(words.error or "")
    if is_temporary_failure(answer.status) or ERROR_KINDS.get(code) == "temporary":
        reason = words.description or words.error or f"HTTP {answer.status}"
        return NotRevoked(reason, may_pass=True, retry_after=retry_after(answer.headers, now))
    if is_refused(auth.revocation.gone, answer.status, document) or code in _GONE or _is_dead(auth, answer.status):
        return Revoked()
    if is_expected(auth.revocation.expect, answer.status, document) and not _says_no(document):
        return Revoked()
    # Without an error code, the response may be a firewall's or an error page.
    said = words.description or words.error
    return NotRevoked(said or f"HTTP {answer.status}", may_pass=said is None)


def _request(
    auth: OAuth2Auth, revocation: RevocationEndpointSpec, client: ClientIdentity, token: str, known: Mapping[str, str]
) -> OutboundRequest:
    proof = _proof(auth, revocation, client, token)
    params = fill_templates(revocation.params, known)
    if revocation.token_param is not None:
        params[revocation.token_param] = token
    draft = RequestDraft(
        method=revocation.method,
        url=resolve_url(revocation.url, known),
        carrier=revocation.body,
        params={**params, **proof.params},
        headers=[*fill_templates(revocation.headers, known).items(), *proof.headers.items()],
    )
    return build_request(draft)


def _proof(
    auth: OAuth2Auth, revocation: RevocationEndpointSpec, client: ClientIdentity, token: str
) -> ClientAuthentication:
    """`none` sends no client authentication: such an endpoint reads only the token (Salesforce)."""
    if revocation.auth == "bearer":
        return ClientAuthentication({"Authorization": f"Bearer {token}"}, {})
    if revocation.auth == "secret":
        return ClientAuthentication({"Authorization": f"Bearer {client.client_secret or ''}"}, {})
    if revocation.auth == "none":
        return ClientAuthentication({}, {})
    return authenticate_client(revocation.auth, client, auth.token)


def _is_dead(auth: OAuth2Auth, status: int) -> bool:
    """True if the token was the credential of the request and got a 401: it is not valid (RFC 6750, 3.1)."""
    return status == 401 and auth.revocation is not None and auth.revocation.auth == "bearer"


def _says_no(document: dict[str, object] | None) -> bool:
    """Refusals with HTTP 200: Slack's `ok` and `revoked`, Meta's `success`, an `error`."""
    if document is None:
        return False
    return any(document.get(name) is False for name in ("ok", "revoked", "success")) or bool(document.get("error"))
