"""Authorization grants (RFC 6749, 1.3), each with the secrets that are sent to the provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """The code of a callback (4.1.3). `redirect_uri` is that of the authorization request; `verifier` belongs to its
    challenge (RFC 7636, 4.5)."""

    code: str = field(repr=False)
    redirect_uri: str
    verifier: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets to redact from provider texts."""
        return (self.code,) if self.verifier is None else (self.code, self.verifier)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token (6) and its access token, by which some providers refresh."""

    refresh_token: str | None = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets to redact from provider texts."""
        return tuple(token for token in (self.refresh_token, self.access_token) if token is not None)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client itself (4.4.2). `fields` are the typed fields, of which some entries send more than id and secret.
    `scopes` of None requests the entry's default."""

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    scopes: tuple[str, ...] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets to redact from provider texts."""
        return tuple(value for name, value in self.fields.items() if name != "client_id")


@dataclass(frozen=True, slots=True)
class ShortLivedToken:
    """An access token to exchange for a long-lived one (`token.exchange` of the entry; not in any RFC)."""

    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets to redact from provider texts."""
        return (self.access_token,)


Grant: TypeAlias = AuthorizationCode | RefreshToken | ClientCredentials | ShortLivedToken
