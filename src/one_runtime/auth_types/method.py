"""The interfaces that auth types implement."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Protocol, TypeAlias

from one_runtime.catalog.model import AuthType
from one_runtime.catalog.oauth2 import TokenAuth
from one_runtime.catalog.request import ConnectionValues
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.grants import ClientCredentials, RefreshToken
from one_runtime.oauth.token_response import TokenSet

RefreshGrant: TypeAlias = RefreshToken | ClientCredentials


class TokenMethod(Protocol):
    """An auth type whose credential is a token that the provider issues and that expires."""

    @property
    def auth(self) -> TokenAuth:
        """Return the auth of the entry."""

    def first_grant(self, values: ConnectionValues, /) -> tuple[ClientIdentity, ClientCredentials] | None:
        """Return the client and grant of the entered values. Return None if the end user authorizes at the provider."""

    def refresh_grant(self, secrets: Mapping[str, str], scopes: tuple[str, ...], /) -> RefreshGrant | None:
        """Return the grant for new tokens; None if One Runtime cannot refresh these tokens."""

    def refresh_due_at(self, secrets: Mapping[str, str], tokens: TokenSet, now: datetime, /) -> datetime | None:
        """Return the time to refresh tokens that were issued now; None for never.

        Tokens that cannot be refreshed are due at their expiry: the end user then has to connect again.
        """

    def client_values(self, client_id: str, fields: Mapping[str, str], /) -> dict[str, str]:
        """Return the values of a registered OAuth client that templates may use, without the client's secret."""


class AuthMethod(Protocol):
    """One way to connect, as an entry defines it."""

    name: ClassVar[AuthType]

    @property
    def tokens(self) -> TokenMethod | None:
        """Return the token method; None for a credential that One Runtime sends as the end user typed it."""

    @property
    def needs_registered_client(self) -> bool:
        """Return True if connecting needs an OAuth client of the organization or the operator."""

    @property
    def can_be_revoked(self) -> bool:
        """Return True if the provider revokes tokens on request."""

    @property
    def sends_client(self) -> bool:
        """Return True if requests to the API carry a value of the OAuth client, such as a developer token."""

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return the credentials that an API caller needs to call the provider directly."""
