"""Read callbacks: the authorization responses that the end user's browser sends to One Runtime (RFC 6749, 4.1.2).

Callbacks are untrusted, because an attacker can also send a callback.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.response import UnexpectedValue
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.error_response import normalize_code
from one_runtime.oauth.errors import (
    AccessDenied,
    AuthorizationRefused,
    CallbackRefused,
    IssuerMismatch,
    OAuthErrorResponse,
)

CALLBACK_PATH: Final = "/connect/callback/"
MAX_QUERY: Final = 16_384
_MAX_PARAMETERS: Final = 100
_CODE: Final = re.compile(r"[\x20-\x7e]{1,8192}")  # RFC 6749, A.11

# Error codes for a denied consent, in the spelling that `normalize_code` returns.
DENIED: Final = frozenset(
    {
        "access_denied",  # RFC 6749, 4.1.2.1; Salesforce writes access-denied (help.salesforce.com, OAuth 2.0 errors)
        "user_denied",  # Pipedrive: https://pipedrive.readme.io/docs/marketplace-oauth-authorization
        # LinkedIn, Apple: https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow
        "user_cancelled_authorize",
        "user_cancelled_login",
    }
)


def callback_url(public_url: str, slug: str) -> str:
    """Return the redirect URI of an integration (RFC 6749, section 3.1.2)."""
    return f"{public_url}{CALLBACK_PATH}{slug}"


@dataclass(frozen=True, slots=True)
class CallbackQuery:
    """The query of a callback, without duplicate parameters.

    The repr hides the query, because the query contains the authorization code.
    """

    values: Mapping[str, str] = field(repr=False)

    @property
    def state(self) -> str | None:
        """Return the state, or None.

        The state identifies a stored authorization attempt. The caller must find the attempt before the caller uses
        another parameter.
        """
        return self.get("state")

    def get(self, name: str) -> str | None:
        """Return a parameter, or None. An empty parameter counts as omitted (RFC 6749, 3.1)."""
        return self.values.get(name) or None


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """The authorization code, and the callback's values for the templates of later requests."""

    code: str = field(repr=False)
    received: dict[str, str]


def parse_callback(query: bytes) -> CallbackQuery:
    """Parse the query of a callback (RFC 6749, 4.1.2).

    Raises:
        CallbackRefused: the query is not form-encoded, is too large, or contains a parameter twice (RFC 6749, 3.1).
    """
    if len(query) > MAX_QUERY:
        raise CallbackRefused("The callback is too long.")
    try:
        pairs = parse_qsl(
            query.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError as error:
        raise CallbackRefused("The callback cannot be read.") from error
    values = dict(pairs)
    if len(values) != len(pairs):
        raise CallbackRefused("The callback contains a parameter twice.")
    return CallbackQuery(values)


def read_callback(
    auth: OAuth2Auth, query: CallbackQuery, client: ClientIdentity, issuer: str | None
) -> AuthorizationResponse:
    """Return the authorization response of a callback (RFC 6749, 4.1.2, 4.1.2.1; RFC 9207, 2.4).

    The caller reads `client` and `issuer` from the authorization attempt of the state.

    Raises:
        AccessDenied: the end user or an administrator denied the consent.
        AuthorizationRefused: the provider returned another error.
        IssuerMismatch: the response comes from another authorization server.
        CallbackRefused: the code is missing, the signature is wrong, or the catalog does not allow a value.
    """
    if auth.authorization.callback_signature == "hmac_sha256":
        _check_signature(query, client)
    _check_issuer(auth, query, issuer)
    _raise_error(query, client)
    code = query.get(auth.authorization.code_param)
    if code is None or _CODE.fullmatch(code) is None:
        raise CallbackRefused("The callback has no authorization code.")
    try:
        received = auth.read_received("callback", query.values)
    except UnexpectedValue as error:
        raise CallbackRefused(f"The callback contains a value that is not allowed: {error}.") from error
    return AuthorizationResponse(code, received)


def _check_issuer(auth: OAuth2Auth, query: CallbackQuery, issuer: str | None) -> None:
    """Compare the issuers (RFC 9207, 2.4). Raises: IssuerMismatch.

    The RFC requires simple string comparison. If the provider announces `iss`, a missing `iss` is an error too, because
    an attacker can omit it. Without the announcement, an honest provider may omit `iss`.
    """
    iss = query.get("iss")
    may_be_missing = iss is None and auth.authorization.iss == "optional"
    if issuer is not None and iss != issuer and not may_be_missing:
        raise IssuerMismatch("The callback does not come from the provider's authorization server.")


def _check_signature(query: CallbackQuery, client: ClientIdentity) -> None:
    """Check Shopify's signature. The client secret is the key.

    The signature is the HMAC-SHA256 of all parameters except `hmac` and `signature`, in sorted order. In the signed
    text, `%` and `&` are percent-encoded. In names, `=` is percent-encoded too. See "verification requests" at
    https://shopify.dev/docs/apps/build/authentication-authorization.
    """
    signed = [(name, value) for name, value in query.values.items() if name not in {"hmac", "signature"}]
    message = "&".join(sorted(f"{_escaped(name).replace('=', '%3D')}={_escaped(value)}" for name, value in signed))
    expected = hmac.new((client.client_secret or "").encode(), message.encode(), hashlib.sha256).hexdigest()
    signature = (query.get("hmac") or "").lower()
    if client.client_secret is None or not hmac.compare_digest(expected.encode(), signature.encode()):
        raise CallbackRefused("The callback does not have a valid signature of the provider.")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("&", "%26")


def _raise_error(query: CallbackQuery, client: ClientIdentity) -> None:
    error = query.get("error")
    if error is None:
        return
    description = query.get("error_description") or query.get("error_message")
    secrets = (*client.secrets, *([query.state] if query.state is not None else []))
    error_response = OAuthErrorResponse.redacted(error, description, query.get("error_uri"), secrets)
    # Meta also sends `error_reason=user_denied`.
    if normalize_code(error) in DENIED or normalize_code(query.get("error_reason") or "") in DENIED:
        raise AccessDenied("The end user or an administrator denied the access.", error_response)
    raise AuthorizationRefused("The provider did not grant the authorization.", error_response)
