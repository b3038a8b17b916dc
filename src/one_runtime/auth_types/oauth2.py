"""Implement OAuth 2.0: the end user authorizes access on the provider's page (RFC 6749, section 4.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from one_runtime.auth_types.lifetime import next_refresh_at
from one_runtime.catalog.auth_types import AuthType
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import RefreshToken
from one_runtime.catalog.request import ConnectionValues
from one_runtime.oauth.token_response import TokenSet


@dataclass(frozen=True, slots=True)
class OAuth2Method:
    """OAuth 2.0 with an authorization code."""

    name: ClassVar[AuthType] = "oauth2"

    auth: OAuth2Auth

    @property
    def tokens(self) -> "OAuth2Method":
        """Return this object, which is also the token method."""
        return self

    @property
    def needs_registered_client(self) -> bool:
        """Return False if each end user enters their own OAuth client, and True otherwise."""
        return self.auth.client.owner != "customer"

    @property
    def can_be_revoked(self) -> bool:
        """Return True if the provider revokes tokens on request (RFC 7009)."""
        return self.auth.revocation is not None

    @property
    def sends_client(self) -> bool:
        """Return True if API requests contain a value of the OAuth client, such as a developer token."""
        return self.auth.sends_client

    def first_grant(self, _: ConnectionValues, /) -> None:
        """Return None, because the end user has not authorized the access yet."""

    def refresh_grant(self, secrets: Mapping[str, str], _: tuple[str, ...], /) -> RefreshToken | None:
        """Return the grant for a refresh. Return None if One Runtime cannot refresh the tokens.

        The grant also contains the access token, because some providers require the access token for a refresh.
        """
        if not self._can_be_refreshed(secrets):
            return None
        return RefreshToken(secrets.get("refresh_token"), secrets["access_token"])

    def refresh_due_at(self, secrets: Mapping[str, str], tokens: TokenSet, now: datetime, /) -> datetime | None:
        """Return the time of the next refresh for tokens that were issued at `now`.

        If One Runtime cannot refresh the tokens, return the time at which the tokens expire.
        """
        if not self._can_be_refreshed(secrets):
            return tokens.expires_at
        return next_refresh_at(self.auth.lifetimes, tokens, now)

    def client_values(self, client_id: str, fields: Mapping[str, str], /) -> dict[str, str]:
        """Return the client id, and the stored client fields that the entry declares."""
        return {"client_id": client_id, **self.auth.client_fields(fields)}

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return the access token. Omit the refresh token and the client secret, which only One Runtime needs."""
        return {"access_token": credentials["access_token"]}

    def _can_be_refreshed(self, secrets: Mapping[str, str]) -> bool:
        return self.auth.refresh != "none" and ("refresh_token" in secrets or bool(self.auth.token.refresh_params))
