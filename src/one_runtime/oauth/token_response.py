"""Read successful responses of the token endpoint (RFC 6749, 5.1)."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.grants import TokenGrant
from one_runtime.catalog.oauth2 import TokenResponsePaths
from one_runtime.catalog.response import look_up
from one_runtime.egress.response import Response
from one_runtime.egress.retry_after import parse_date
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.error_response import token_error
from one_runtime.oauth.errors import MalformedTokenResponse
from one_runtime.oauth.response import parse_body, parse_number
from one_runtime.oauth.scopes import parse_granted_scopes

MAX_TOKEN: Final = 16_384
"""Maximum number of characters of a token.

Common servers accept a header of this size. The longest known tokens are JWTs of about 10,000 characters.
"""

# The syntax of RFC 6749, A.12 and A.17, without spaces at the start or end of a token. HTTP removes such spaces from a
# header.
_TOKEN: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
# An expiry below `_EPOCH` counts seconds from now. An expiry of `_EPOCH_MILLISECONDS` or more counts milliseconds since
# 1970. Between the two limits, an expiry counts seconds since 1970.
_EPOCH: Final = 1e9
_EPOCH_MILLISECONDS: Final = 1e11


@dataclass(frozen=True, slots=True)
class TokenSet:
    """The tokens of a response. The repr hides the tokens.

    `scopes`: None if the response names no scopes. The provider then granted all requested scopes. `expires_at` and
    `refresh_expires_at`: None for a token that never expires, or whose expiry is unknown. `document`: the parsed
    response.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: dt.datetime | None
    scopes: tuple[str, ...] | None
    refresh_expires_at: dt.datetime | None = None
    document: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def lacks_refresh_token(self) -> bool:
        """Return True if the access token expires, and there is no refresh token."""
        return self.refresh_token is None and self.expires_at is not None


def read_token_response(
    auth: TokenAuth,
    client: ClientIdentity,
    grant: TokenGrant,
    response: Response,
    now: dt.datetime,
) -> TokenSet:
    """Return the tokens of a response to `token_request` (RFC 6749, 5.1).

    If a refresh returns no refresh token, return the old refresh token. The old token remains valid (RFC 6749, 6).
    Ignore `token_type`, because the catalog defines how One Runtime sends a token.

    Raises:
        InvalidGrant: the provider refused the authorization code or the refresh token.
        InvalidClient, TokenRequestRefused, TemporaryFailure, MalformedTokenResponse: see `oauth/errors.py`.
    """
    where, document = auth.token.response, parse_body(response.body)
    holder, access_token = _find_access_token(where, document) if 200 <= response.status < 300 else ({}, None)
    # Slack sends an error as `ok: false` with HTTP 200.
    if document is None or access_token is None or document.get("ok") is False:
        raise token_error(auth.token, response, document, (*client.secrets, *grant.secrets), now)
    refresh_token = _token(look_up(holder, where.refresh_token))
    if refresh_token is None:
        refresh_token = grant.refresh_token
    expires_at = _moment(look_up(holder, where.expires_at), now) if where.expires_at is not None else None
    expires_at = expires_at or _moment(look_up(holder, where.expires_in), now)
    return TokenSet(
        access_token=access_token,
        refresh_token=refresh_token,
        expires_at=expires_at or _after(now, auth.lifetimes.access),
        scopes=parse_granted_scopes(look_up(holder, where.scope)),
        refresh_expires_at=_moment(look_up(holder, where.refresh_token_expires_in), now),
        document=document,
    )


def is_token(text: str) -> bool:
    """Return True if the text is a token that a header can carry (RFC 6749, A.12)."""
    return len(text) <= MAX_TOKEN and _TOKEN.fullmatch(text) is not None


def _find_access_token(
    where: TokenResponsePaths, document: dict[str, object] | None
) -> tuple[dict[str, object], str | None]:
    """Return the object that contains the access token, and the access token.

    The object is the document, or an object inside the document. If there is no access token, return `({}, None)`.
    """
    for holder in (document, *(look_up(document, path) for path in where.within)):
        if isinstance(holder, dict) and (token := _token(look_up(holder, where.access_token))) is not None:
            return holder, token
    return {}, None


def _token(value: object) -> str | None:
    """Return the value if the value is a token. Return None if the value is empty or not a text.

    Raises:
        MalformedTokenResponse: the value cannot be sent in a header.
    """
    if not isinstance(value, str) or not value:
        return None
    if not is_token(value):
        raise MalformedTokenResponse("The provider's response has a token that cannot be sent in a header.")
    return value


def _moment(value: object, now: dt.datetime) -> dt.datetime | None:
    """Return the expiry of a token. Return None if the token never expires (Mailchimp sends 0) or the value is invalid.

    The value can be seconds from now, seconds since 1970, milliseconds since 1970, or a date.
    """
    count = parse_number(value)
    if count is None:
        return parse_date(value) if isinstance(value, str) else None
    if count <= 0:
        return None
    if count < _EPOCH:
        return _after(now, count)
    try:
        return dt.datetime.fromtimestamp(count / 1000 if count >= _EPOCH_MILLISECONDS else count, dt.UTC)
    except (ValueError, OverflowError):
        return None


def _after(now: dt.datetime, seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else now + dt.timedelta(seconds=seconds)
