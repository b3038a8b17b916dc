"""Convert a provider's error responses to exceptions, by the error code in the response (RFC 6749, 5.2).

The HTTP status alone does not show that the provider refused a grant, such as a refresh token. An outage, a firewall or
a wrong OAuth client can cause the same HTTP status as a refused grant. These causes must not set a connection to
`needs_reauth` (promise P8 of docs/security.md). Only a status that the catalog entry lists in `token.refused` shows a
refused grant. `tokens/decision.py` decides about repeated responses without an error code.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal, TypeAlias

from one_runtime.catalog.oauth2 import TokenEndpointSpec
from one_runtime.catalog.response import is_firewall_page, look_up, text_of
from one_runtime.egress.response import Response
from one_runtime.oauth.errors import (
    InvalidClient,
    InvalidGrant,
    MalformedTokenResponse,
    OAuthError,
    OAuthErrorResponse,
    TemporaryFailure,
    TokenRequestRefused,
)
from one_runtime.oauth.response import is_possible_refusal, is_temporary_failure, retry_after

Kind: TypeAlias = Literal["grant", "client", "temporary"]

# Error codes, in the spelling that `normalize_code` returns. If a provider sends other codes for a refused grant, the
# catalog entry lists the codes in `token.refused`.
ERROR_KINDS: Final[dict[str, Kind]] = {
    # RFC 6749, 5.2 and 4.1.2.1
    "invalid_grant": "grant",
    "invalid_client": "client",
    "unauthorized_client": "client",
    "server_error": "temporary",
    "temporarily_unavailable": "temporary",
    # RFC 8628, 3.5
    "slow_down": "temporary",
    # GitHub's codes for an authorization code: see "Troubleshooting OAuth app access token request errors" in
    # https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps
    # GitHub's codes for a refresh: https://github.com/orgs/community/discussions/24745
    "bad_verification_code": "grant",
    "bad_refresh_token": "grant",
    "incorrect_client_credentials": "client",
    # HubSpot sends its code in capitals, in the field `status`:
    # https://www.nango.dev/blog/hubspot-oauth-bad-refresh-token
    "bad_auth_code": "grant",
    "bad_client_id": "client",
    "bad_client_secret": "client",
    # Slack: https://docs.slack.dev/reference/methods/oauth.v2.access
    "invalid_code": "grant",
    "code_already_used": "grant",
    "invalid_refresh_token": "grant",
    "token_expired": "grant",
    "token_revoked": "grant",
    "invalid_client_id": "client",
    "ratelimited": "temporary",
    "internal_error": "temporary",
    "fatal_error": "temporary",
    "service_unavailable": "temporary",
    "request_timeout": "temporary",
    # Salesforce sends `unknown_error` with the text "retry your request". For too many logins, Salesforce sends
    # `rate_limit_exceeded`:
    # https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_flow_errors.htm
    "unknown_error": "temporary",
    "rate_limit_exceeded": "temporary",
}
# Codes that say that the request itself is wrong (RFC 6749, 5.2). Some providers send such a code for a dead grant.
_REQUEST_CODES: Final = frozenset({"invalid_request", "invalid_scope", "unsupported_grant_type"})
# Error codes with a description that changes the meaning of the code. Atlassian sends the pair below
# with HTTP 403 for an expired refresh token:
# https://github.com/raycast/extensions/issues/11836
_BY_DESCRIPTION: Final[dict[tuple[str, str], Kind]] = {("unauthorized_client", "refresh_token is invalid"): "grant"}

# Fields that can contain the code: `error` (RFC 6749), fields of an object `error` (Google, Meta), `status` (HubSpot).
# `_kind` also reads `message`, because Pipedrive's messages begin with the code:
# https://pipedrive.readme.io/docs/marketplace-oauth-and-api-proxy-status-codes
_CODES: Final = ("error", "error.code", "error.type", "error.status", "code", "errorCode", "status", "category")
_DESCRIPTIONS: Final = (
    "error_description", "error.message", "error.error_description", "error_message", "message", "errors.0.message",
    "detail", "reason", "error_summary",
)  # fmt: skip


def normalize_code(code: str) -> str:
    """Return a code in the spelling of `ERROR_KINDS`.

    Providers send other spellings, such as `BAD_REFRESH_TOKEN`, `access-denied` or `Invalid grant: it expired`.
    """
    return code.partition(":")[0].strip().lower().replace(" ", "_").replace("-", "_")


def token_error(
    token: TokenEndpointSpec,
    response: Response,
    document: dict[str, object] | None,
    secrets: Iterable[str],
    now: dt.datetime,
) -> OAuthError:
    """Return the exception for an error response of the token endpoint (RFC 6749, 5.2). `document`: the parsed body."""
    texts = read_error_response(document, secrets, token.response.error, token.response.error_description)
    kind = _kind(token, document)
    firewall_page = is_firewall_page(response.status, response.headers)
    if kind is None and texts.error is None and not firewall_page and response.status in token.refused.status:
        kind = "grant"
    wait = retry_after(response.headers, now)
    error_response = replace(
        texts,
        status=response.status,
        firewall_page=firewall_page,
        possible_refusal=kind is None and wait is None and is_possible_refusal(response.status),
        request_refused=normalize_code(texts.error or "") in _REQUEST_CODES,
    )
    if is_temporary_failure(response.status) or kind == "temporary":
        return TemporaryFailure(
            f"The provider is temporarily unavailable (HTTP {response.status}).", error_response, wait
        )
    if kind == "grant":
        return InvalidGrant("The provider no longer accepts this authorization.", error_response)
    if kind == "client":
        return InvalidClient("The provider does not accept the OAuth client.", error_response)
    if 200 <= response.status < 300 and not _reports_error(token, document):
        return MalformedTokenResponse("The provider's response has no access token.")
    if error_response.reason is not None:
        return TokenRequestRefused(f"The provider refused the request (HTTP {response.status}).", error_response)
    return TemporaryFailure(f"The provider sent an unreadable response (HTTP {response.status}).", error_response, wait)


def read_error_response(
    document: dict[str, object] | None,
    secrets: Iterable[str],
    error: str = "error",
    description: str = "error_description",
) -> OAuthErrorResponse:
    """Return the provider's error code, description and link.

    `error` and `description`: the fields to read first. If a field has no text, read the usual fields.
    """
    return OAuthErrorResponse.redacted(
        _first(document, (error, *_CODES)),
        _first(document, (description, *_DESCRIPTIONS)),
        _first(document, ("error_uri",)),
        secrets,
    )


def _kind(token: TokenEndpointSpec, document: dict[str, object] | None) -> Kind | None:
    description = _first(document, (token.response.error_description, *_DESCRIPTIONS)) or ""
    own = {normalize_code(code) for code in token.refused.codes}
    for path in (token.response.error, *_CODES, "message"):
        code = normalize_code(_first(document, (path,)) or "")
        if code in own:
            return "grant"
        kind = _BY_DESCRIPTION.get((code, description.strip().rstrip(".").lower())) or ERROR_KINDS.get(code)
        if kind is not None:
            return kind
    return None


def _reports_error(token: TokenEndpointSpec, document: dict[str, object] | None) -> bool:
    """Return True if a response with a success status reports an error."""
    if document is None:
        return False
    return document.get("ok") is False or bool(document.get("error")) or bool(_first(document, (token.response.error,)))


def _first(document: dict[str, object] | None, paths: Iterable[str]) -> str | None:
    return next((text for path in paths if (text := text_of(look_up(document, path)))), None)
