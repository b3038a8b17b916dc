"""Define the grants that One Runtime exchanges for tokens, such as an authorization code (RFC 6749, 1.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """The authorization code of a callback (RFC 6749, 4.1.3).

    `redirect_uri`: the same value as in the authorization request. `verifier`: the PKCE code verifier (RFC 7636, 4.5).
    """

    code: str = field(repr=False)
    redirect_uri: str
    verifier: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        return (self.code,) if self.verifier is None else (self.code, self.verifier)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token (RFC 6749, 6) with the current access token.

    Some providers need the access token for a refresh. `refresh_token`: None if the provider issued no refresh token.
    """

    refresh_token: str | None = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        return tuple(token for token in (self.refresh_token, self.access_token) if token is not None)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client's own credentials (RFC 6749, 4.4.2).

    `fields`: all values that the end user entered. Some providers need more values than the client id and the secret.
    `scopes`: the scopes to request, or None for the integration's default scopes.
    """

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    scopes: tuple[str, ...] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        return tuple(value for name, value in self.fields.items() if name != "client_id")


@dataclass(frozen=True, slots=True)
class ShortLivedToken:
    """An access token that the provider exchanges for a long-lived token.

    No RFC defines this grant. The catalog defines the request in `token.exchange`.
    """

    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        return (self.access_token,)


Grant: TypeAlias = AuthorizationCode | RefreshToken | ClientCredentials | ShortLivedToken
