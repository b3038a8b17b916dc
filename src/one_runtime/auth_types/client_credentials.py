"""The customer's own OAuth client buys tokens by itself, without consent (RFC 6749, section 4.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from one_runtime.auth_types.lifetime import renewal_due_at
from one_runtime.catalog.model import AuthType
from one_runtime.catalog.oauth2 import ClientCredentialsAuth
from one_runtime.catalog.request import ConnectionValues
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.grants import ClientCredentials
from one_runtime.oauth.token_response import TokenSet


@dataclass(frozen=True, slots=True)
class ClientCredentialsMethod:
    """A client id and a client secret that the end user types."""

    name: ClassVar[AuthType] = "client_credentials"
    needs_registered_client: ClassVar[bool] = False
    sends_client: ClassVar[bool] = False
    can_be_revoked: ClassVar[bool] = False

    auth: ClientCredentialsAuth

    @property
    def tokens(self) -> "ClientCredentialsMethod":
        """This object: the credential is a token."""
        return self

    def first_grant(self, values: ConnectionValues, /) -> tuple[ClientIdentity, ClientCredentials]:
        """Return the typed client, and the grant that it is."""
        credentials = values.credentials
        client = ClientIdentity(credentials["client_id"], credentials["client_secret"])
        return client, ClientCredentials(credentials)

    def renewal(self, secrets: Mapping[str, str], scopes: tuple[str, ...], /) -> ClientCredentials:
        """Return the client again, for the scopes that were granted."""
        fields = {name: value for name, value in secrets.items() if name != "access_token"}
        return ClientCredentials(fields, scopes or None)

    def refresh_due_at(self, _: Mapping[str, str], tokens: TokenSet, now: datetime, /) -> datetime | None:
        """Return when to fetch the next token."""
        return renewal_due_at(self.auth.lifetimes, tokens, now)

    def client_values(self, _: str, __: Mapping[str, str], /) -> dict[str, str]:
        """Return nothing: the client is among the connection's own credentials."""
        return {}

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return the access token: the client secret is of use to this server only."""
        return {"access_token": credentials["access_token"]}
