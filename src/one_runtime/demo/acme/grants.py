"""Grants of Acme accounts to apps: codes, access tokens and refresh tokens, each of them part of a grant.

A grant is the family of all tokens that came of one consent. It ends as a whole where a code or a refresh token is
used twice: one of the two users is a thief, and nobody knows which (RFC 6749, 4.1.2; RFC 9700, 4.14.2).
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from one_runtime.clock import Clock

ACCESS_TOKEN: Final = "acmeat_"
REFRESH_TOKEN: Final = "acmert_"
CODE: Final = "acmeac_"

_CODE_LASTS: Final = timedelta(seconds=60)


class GrantRefused(Exception):
    """`invalid_grant` (RFC 6749, 5.2): a code or refresh token is good for nothing, or not for this."""


class ScopeRefused(Exception):
    """`invalid_scope` (RFC 6749, 5.2): more is asked for than was granted."""


@dataclass(slots=True, eq=False)
class Grant:
    """Permission of an account for an app."""

    account_id: str
    client_id: str
    scopes: tuple[str, ...]
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Consent:
    """Data of a code: account, app, scopes, and the values that its redemption must repeat."""

    account_id: str
    client_id: str
    scopes: tuple[str, ...]
    redirect_uri: str
    challenge: str


@dataclass(slots=True, eq=False)
class _Code:
    consent: Consent
    expires_at: datetime
    used: bool = False
    grant: Grant | None = None


@dataclass(slots=True, eq=False)
class AccessToken:
    """A token of a grant; it may be for fewer scopes."""

    grant: Grant
    scopes: tuple[str, ...]
    expires_at: datetime
    revoked: bool = False

    @property
    def is_revoked(self) -> bool:
        """Return true if the token or its grant was revoked."""
        return self.revoked or self.grant.revoked


@dataclass(slots=True, eq=False)
class _RefreshToken:
    grant: Grant
    used: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """A pair of tokens."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    scopes: tuple[str, ...]


class Grants:
    """Every grant since the start."""

    def __init__(self, clock: Clock, access_token_seconds: int) -> None:
        self._clock, self._lasts = clock, access_token_seconds
        self._codes: dict[str, _Code] = {}
        self._access_tokens: dict[str, AccessToken] = {}
        self._refresh_tokens: dict[str, _RefreshToken] = {}

    def make_code(self, consent: Consent) -> str:
        """A code for a consent, to be redeemed within a minute."""
        value = CODE + secrets.token_urlsafe(32)
        self._codes[value] = _Code(consent, self._clock() + _CODE_LASTS)
        return value

    def redeem(self, value: str, client_id: str, redirect_uri: str, verifier: str) -> Issued:
        """The tokens for a code. Its first use spends it, right or wrong; its second ends what came of the first.

        Raises: GrantRefused.
        """
        code = self._codes.get(value)
        if code is None or code.consent.client_id != client_id:
            raise GrantRefused("There is no such code for this client.")
        if code.used:
            if code.grant is not None:
                code.grant.revoked = True
            raise GrantRefused("This code was used before. Whatever came of it is revoked.")
        code.used = True
        if self._clock() >= code.expires_at:
            raise GrantRefused("This code has expired.")
        if code.consent.redirect_uri != redirect_uri:
            raise GrantRefused("The redirect_uri is not the one of the authorization request.")
        if not secrets.compare_digest(_challenge(verifier), code.consent.challenge.encode()):
            raise GrantRefused("The code_verifier does not fit the code_challenge.")
        code.grant = Grant(code.consent.account_id, client_id, code.consent.scopes)
        return self._issue(code.grant, code.grant.scopes)

    def refresh(self, value: str, client_id: str, scopes: tuple[str, ...] | None) -> Issued:
        """New tokens for a refresh token, which is good for nothing from then on. `scopes`: fewer for the access token.

        Raises: GrantRefused; ScopeRefused.
        """
        token = self._refresh_tokens.get(value)
        if token is None or token.grant.client_id != client_id:
            raise GrantRefused("There is no such refresh token for this client.")
        if token.used:
            token.grant.revoked = True
            raise GrantRefused("This refresh token was used before. Its whole family is revoked.")
        if token.grant.revoked:
            raise GrantRefused("This refresh token was revoked.")
        if scopes is not None and not set(scopes) <= set(token.grant.scopes):
            raise ScopeRefused("More is asked for than was granted.")
        token.used = True
        return self._issue(token.grant, scopes or token.grant.scopes)

    def start(self, account_id: str, client_id: str, scopes: tuple[str, ...]) -> Issued:
        """Tokens without a consent page."""
        return self._issue(Grant(account_id, client_id, scopes), scopes)

    def revoke(self, value: str, client_id: str) -> None:
        """A refresh token ends its grant, an access token itself alone (RFC 7009, 2.1). Nothing happens to what is
        unknown, or another client's."""
        if (refresh_token := self._refresh_tokens.get(value)) is not None:
            if refresh_token.grant.client_id == client_id:
                refresh_token.grant.revoked = True
        elif (access_token := self._access_tokens.get(value)) is not None and (
            access_token.grant.client_id == client_id
        ):
            access_token.revoked = True

    def revoke_account(self, account_id: str) -> int:
        """End every grant of an account; how many were in force."""
        ending = self._in_force(account_id)
        for grant in ending:
            grant.revoked = True
        return len(ending)

    def count(self, account_id: str) -> int:
        """Return the number of active grants of an account."""
        return len(self._in_force(account_id))

    def find_access_token(self, value: str) -> AccessToken | None:
        """An access token, in force or not."""
        return self._access_tokens.get(value)

    def is_over(self, token: AccessToken) -> bool:
        """Return true if it has expired."""
        return self._clock() >= token.expires_at

    def _in_force(self, account_id: str) -> set[Grant]:
        grants = {token.grant for token in self._refresh_tokens.values()}
        return {grant for grant in grants if grant.account_id == account_id and not grant.revoked}

    def _issue(self, grant: Grant, scopes: tuple[str, ...]) -> Issued:
        access_token, refresh_token = (kind + secrets.token_urlsafe(32) for kind in (ACCESS_TOKEN, REFRESH_TOKEN))
        expires_at = self._clock() + timedelta(seconds=self._lasts)
        self._access_tokens[access_token] = AccessToken(grant, scopes, expires_at)
        self._refresh_tokens[refresh_token] = _RefreshToken(grant)
        return Issued(access_token, refresh_token, self._lasts, scopes)


def _challenge(verifier: str) -> bytes:
    """S256 (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
