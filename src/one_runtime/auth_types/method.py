"""Define the interfaces `AuthMethod` and `TokenMethod`, which the classes of auth types implement."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Protocol, TypeAlias

from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.auth_types import AuthType
from one_runtime.catalog.grants import ClientCredentials, RefreshToken
from one_runtime.catalog.request import ConnectionValues
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.token_response import TokenSet

RefreshGrant: TypeAlias = RefreshToken | ClientCredentials


class TokenMethod(Protocol):
    """An auth type with tokens. The provider issues the tokens, and the tokens can expire."""

    @property
    def auth(self) -> TokenAuth:
        """Return the definition of the auth type in the catalog."""

    def first_grant(self, values: ConnectionValues, /) -> tuple[ClientIdentity, ClientCredentials] | None:
        """Return the OAuth client and the grant for the values that the end user entered.

        Return None if the end user authorizes the access on the provider's page.
        """

    def refresh_grant(self, secrets: Mapping[str, str], scopes: tuple[str, ...], /) -> RefreshGrant | None:
        """Return the grant for a refresh. Return None if One Runtime cannot refresh the tokens."""

    def refresh_due_at(self, secrets: Mapping[str, str], tokens: TokenSet, now: datetime, /) -> datetime | None:
        """Return the time of the next refresh for tokens that were issued at `now`.

        Return None if no refresh is necessary. If One Runtime cannot refresh the tokens, return the time at which the
        tokens expire. The end user then has to connect again.
        """

    def client_values(self, client_id: str, fields: Mapping[str, str], /) -> dict[str, str]:
        """Return the values of a registered OAuth client for use in templates. Omit the client's secret."""


class AuthMethod(Protocol):
    """One way to connect, defined in a catalog entry."""

    name: ClassVar[AuthType]

    @property
    def tokens(self) -> TokenMethod | None:
        """Return the token method. Return None for a credential without tokens, such as an API key."""

    @property
    def needs_registered_client(self) -> bool:
        """Return True if a connection needs a registered OAuth client of the organization or the operator."""

    @property
    def can_be_revoked(self) -> bool:
        """Return True if the provider revokes tokens on request."""

    @property
    def sends_client(self) -> bool:
        """Return True if API requests contain a value of the OAuth client, such as a developer token."""

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return the credentials that an API caller needs to call the provider directly."""
