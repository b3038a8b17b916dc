"""What a token is asked for with (RFC 6749, 1.3): each grant holds the secrets that go to the provider with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """The code of a callback (4.1.3). `redirect_uri` is the one of the authorization request; `verifier` is there where
    a challenge went along (RFC 7636, 4.5)."""

    code: str = field(repr=False)
    redirect_uri: str
    verifier: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated."""
        return (self.code,) if self.verifier is None else (self.code, self.verifier)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token (6), and the access token it belongs to: some providers refresh by that one."""

    refresh_token: str | None = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated."""
        return tuple(token for token in (self.refresh_token, self.access_token) if token is not None)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client itself (4.4.2). `fields`: the credential as it was asked for; some entries want more of it than the
    client. Scopes that are None are the entry's default."""

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    scopes: tuple[str, ...] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated."""
        return tuple(value for name, value in self.fields.items() if name != "client_id")


@dataclass(frozen=True, slots=True)
class ShortLivedToken:
    """An access token that is swapped for one that lasts (the entry's `token.exchange`; no RFC has it)."""

    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated."""
        return (self.access_token,)


Grant: TypeAlias = AuthorizationCode | RefreshToken | ClientCredentials | ShortLivedToken
