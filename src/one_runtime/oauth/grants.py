"""Authorization grants (RFC 6749, 1.3), each with the secrets that One Runtime sends to the provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """The code of a callback (4.1.3).

    `redirect_uri`: as in the authorization request. `verifier`: the PKCE code verifier (RFC 7636, 4.5).
    """

    code: str = field(repr=False)
    redirect_uri: str
    verifier: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to redact from provider texts."""
        return (self.code,) if self.verifier is None else (self.code, self.verifier)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token (section 6) with its access token. Some providers need the access token for a refresh."""

    refresh_token: str | None = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to redact from provider texts."""
        return tuple(token for token in (self.refresh_token, self.access_token) if token is not None)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client's own credentials (4.4.2).

    `fields`: all values that the end user entered, since some entries send more than id and secret. `scopes`: None
    requests the entry's default.
    """

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    scopes: tuple[str, ...] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to redact from provider texts."""
        return tuple(value for name, value in self.fields.items() if name != "client_id")


@dataclass(frozen=True, slots=True)
class ShortLivedToken:
    """An access token to exchange for a long-lived token. No RFC has this grant; see `token.exchange` in the entry."""

    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to redact from provider texts."""
        return (self.access_token,)


Grant: TypeAlias = AuthorizationCode | RefreshToken | ClientCredentials | ShortLivedToken
