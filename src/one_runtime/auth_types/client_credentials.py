"""Implement client credentials: One Runtime gets tokens with an OAuth client of the end user (RFC 6749, 4.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from one_runtime.auth_types.lifetime import next_refresh_at
from one_runtime.catalog.auth_types import AuthType
from one_runtime.catalog.auth_types.client_credentials import ClientCredentialsAuth
from one_runtime.catalog.grants import ClientCredentials
from one_runtime.catalog.request import ConnectionValues
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.token_response import TokenSet


@dataclass(frozen=True, slots=True)
class ClientCredentialsMethod:
    """A client id and a client secret that the end user enters."""

    name: ClassVar[AuthType] = "client_credentials"
    needs_registered_client: ClassVar[bool] = False
    sends_client: ClassVar[bool] = False
    can_be_revoked: ClassVar[bool] = False

    auth: ClientCredentialsAuth

    @property
    def tokens(self) -> "ClientCredentialsMethod":
        """Return this object, which is also the token method."""
        return self

    def first_grant(self, values: ConnectionValues, /) -> tuple[ClientIdentity, ClientCredentials]:
        """Return the OAuth client that the end user entered, and the grant for the first tokens."""
        credentials = values.credentials
        client = ClientIdentity(credentials["client_id"], credentials["client_secret"])
        return client, ClientCredentials(credentials)

    def refresh_grant(self, secrets: Mapping[str, str], scopes: tuple[str, ...], /) -> ClientCredentials:
        """Return the grant for a refresh: the stored values of the client, and the granted scopes."""
        fields = {name: value for name, value in secrets.items() if name != "access_token"}
        return ClientCredentials(fields, scopes or None)

    def refresh_due_at(self, _: Mapping[str, str], tokens: TokenSet, now: datetime, /) -> datetime | None:
        """Return the time of the next refresh. Return None if the token never expires."""
        return next_refresh_at(self.auth.lifetimes, tokens, now)

    def client_values(self, _: str, __: Mapping[str, str], /) -> dict[str, str]:
        """Return no values, because the connection's credentials already contain the client's values."""
        return {}

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return the access token. Omit the client secret, which only One Runtime needs."""
        return {"access_token": credentials["access_token"]}
