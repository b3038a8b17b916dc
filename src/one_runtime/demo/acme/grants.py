"""Hold Acme's grants: the access that an account gave to an app, with the codes and tokens for this access.

A grant has all tokens that Acme issues after one consent of the user. A second use of a code or refresh token revokes
the whole grant (RFC 6749, 4.1.2; RFC 9700, 4.14.2). The first or the second sender can be an attacker. Acme cannot
distinguish the attacker from the app, so neither sender keeps access.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from one_runtime.clock import Clock
from one_runtime.demo.acme.errors import OAuthRefused

ACCESS_TOKEN: Final = "acmeat_"
REFRESH_TOKEN: Final = "acmert_"
CODE: Final = "acmeac_"

_CODE_LASTS: Final = timedelta(seconds=60)


@dataclass(slots=True, eq=False)
class Grant:
    """The access that an account granted to an app."""

    account_id: str
    client_id: str
    scopes: tuple[str, ...]
    revoked: bool = False


@dataclass(slots=True, eq=False)
class _Code:
    """A code. To get tokens, the app sends the code, the same `redirect_uri`, and the PKCE verifier of `challenge`."""

    grant: Grant
    redirect_uri: str
    challenge: str
    expires_at: datetime
    used: bool = False


@dataclass(slots=True, eq=False)
class AccessToken:
    """An access token of a grant, possibly with fewer scopes than the grant."""

    grant: Grant
    scopes: tuple[str, ...]
    expires_at: datetime
    revoked: bool = False

    @property
    def is_revoked(self) -> bool:
        """Return True if the token or its grant is revoked."""
        return self.revoked or self.grant.revoked


@dataclass(slots=True, eq=False)
class _RefreshToken:
    grant: Grant
    used: bool = False


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """An access token and a refresh token."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    scopes: tuple[str, ...]


class Grants:
    """All grants since the start of Acme."""

    def __init__(self, clock: Clock, access_token_seconds: int) -> None:
        self._clock, self._lasts = clock, access_token_seconds
        self._codes: dict[str, _Code] = {}
        self._access_tokens: dict[str, AccessToken] = {}
        self._refresh_tokens: dict[str, _RefreshToken] = {}

    def create_code(self, grant: Grant, redirect_uri: str, challenge: str) -> str:
        """Create a code for a new grant. The code is valid for one minute."""
        value = CODE + secrets.token_urlsafe(32)
        self._codes[value] = _Code(grant, redirect_uri, challenge, self._clock() + _CODE_LASTS)
        return value

    def redeem(self, value: str, client_id: str, redirect_uri: str, verifier: str) -> IssuedTokens:
        """Return the tokens for a code.

        The first request of the code's client consumes the code, even if Acme refuses the request. A second request of
        this client revokes the grant.

        Raises: OAuthRefused.
        """
        code = self._codes.get(value)
        if code is None or code.grant.client_id != client_id:
            raise OAuthRefused("invalid_grant", "There is no such code for this client.")
        if code.used:
            code.grant.revoked = True
            raise OAuthRefused("invalid_grant", "This code was used before, so Acme CRM revoked the grant.")
        code.used = True
        if self._clock() >= code.expires_at:
            raise OAuthRefused("invalid_grant", "This code has expired.")
        if code.redirect_uri != redirect_uri:
            raise OAuthRefused(
                "invalid_grant", "The redirect_uri must equal the redirect_uri of the authorization request."
            )
        if not secrets.compare_digest(_challenge(verifier), code.challenge.encode()):
            raise OAuthRefused("invalid_grant", "The code_verifier does not match the code_challenge.")
        return self._issue(code.grant, code.grant.scopes)

    def refresh(self, value: str, client_id: str, scopes: tuple[str, ...] | None) -> IssuedTokens:
        """Return new tokens for a refresh token, and invalidate this refresh token.

        `scopes` contains the requested scopes. If `scopes` is None or empty, the request is for all granted scopes.

        Raises: OAuthRefused.
        """
        token = self._refresh_tokens.get(value)
        if token is None or token.grant.client_id != client_id:
            raise OAuthRefused("invalid_grant", "There is no such refresh token for this client.")
        if token.used:
            token.grant.revoked = True
            raise OAuthRefused("invalid_grant", "This refresh token was used before, so Acme CRM revoked the grant.")
        if token.grant.revoked:
            raise OAuthRefused("invalid_grant", "This refresh token was revoked.")
        if scopes is not None and not set(scopes) <= set(token.grant.scopes):
            raise OAuthRefused("invalid_scope", "The request exceeds the granted scopes.")
        token.used = True
        return self._issue(token.grant, scopes or token.grant.scopes)

    def start(self, account_id: str, client_id: str, scopes: tuple[str, ...]) -> IssuedTokens:
        """Create a grant without a consent page, and return its tokens."""
        return self._issue(Grant(account_id, client_id, scopes), scopes)

    def revoke(self, value: str, client_id: str) -> None:
        """Revoke a token (RFC 7009, 2.1). With a refresh token, revoke the whole grant of the token.

        For an unknown token, or for a token of another client, do nothing.
        """
        if (refresh_token := self._refresh_tokens.get(value)) is not None:
            if refresh_token.grant.client_id == client_id:
                refresh_token.grant.revoked = True
        elif (access_token := self._access_tokens.get(value)) is not None and (
            access_token.grant.client_id == client_id
        ):
            access_token.revoked = True

    def revoke_account(self, account_id: str) -> int:
        """Revoke an account's grants that have a refresh token. Return the number of grants that were valid before."""
        ending = self._in_force(account_id)
        for grant in ending:
            grant.revoked = True
        return len(ending)

    def count(self, account_id: str) -> int:
        """Return the number of an account's valid grants."""
        return len(self._in_force(account_id))

    def find_access_token(self, value: str) -> AccessToken | None:
        """Return an access token, even an expired or revoked token. Return None for an unknown token."""
        return self._access_tokens.get(value)

    def is_over(self, token: AccessToken) -> bool:
        """Return True if the token has expired."""
        return self._clock() >= token.expires_at

    def _in_force(self, account_id: str) -> set[Grant]:
        grants = {token.grant for token in self._refresh_tokens.values()}
        return {grant for grant in grants if grant.account_id == account_id and not grant.revoked}

    def _issue(self, grant: Grant, scopes: tuple[str, ...]) -> IssuedTokens:
        access_token, refresh_token = (kind + secrets.token_urlsafe(32) for kind in (ACCESS_TOKEN, REFRESH_TOKEN))
        expires_at = self._clock() + timedelta(seconds=self._lasts)
        self._access_tokens[access_token] = AccessToken(grant, scopes, expires_at)
        self._refresh_tokens[refresh_token] = _RefreshToken(grant)
        return IssuedTokens(access_token, refresh_token, self._lasts, scopes)


def _challenge(verifier: str) -> bytes:
    """Return the S256 challenge of a verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
