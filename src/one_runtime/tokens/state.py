"""The state of stored credentials: the values for requests, the grant for a refresh, and the time of the refresh."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from one_runtime.auth_types import RefreshGrant, TokenMethod, auth_method
from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.request import ConnectionValues
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import ConnectionKey, StoredCredential
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.oauth.grants import RefreshToken
from one_runtime.oauth.token_response import TokenSet


@dataclass(frozen=True, slots=True)
class UsableCredential:
    """A connection with the values that authenticate a request to its provider.

    If the provider refuses the credentials, the caller reports their `version`. `integration` and `auth` match the
    audience of the credentials. So One Runtime sends the credentials to no other host if the entry changes later (P7).
    """

    connection: Connection
    values: ConnectionValues
    version: int
    integration: Integration | None
    auth: Auth | None


@dataclass(frozen=True, slots=True)
class CredentialState:
    """A connection, its stored credential, its catalog entry, and its OAuth client if the client is loaded.

    `token_method`: the entry's way to issue and refresh tokens; None for keys and passwords, or without an entry.
    `sends_client`: requests to the provider contain fields of the OAuth client, such as a developer token.
    """

    connection: Connection
    stored: StoredCredential
    integration: Integration | None
    auth: Auth | None
    token_method: TokenMethod | None
    sends_client: bool
    client: OAuthClient | None = None

    @classmethod
    def of(cls, connection: Connection, stored: StoredCredential, integration: Integration | None) -> "CredentialState":
        """Return the state without an OAuth client. `integration`: None if the catalog no longer has the entry."""
        auth = integration.auth_of(connection.auth_type) if integration is not None else None
        if auth is None:
            return cls(connection, stored, integration, None, None, sends_client=False)
        method = auth_method(auth)
        return cls(connection, stored, integration, auth, method.tokens, method.sends_client)

    @property
    def integration_name(self) -> str:
        """Return the integration's name for messages to people."""
        return self.integration.name if self.integration is not None else self.connection.integration_slug

    @property
    def usable(self) -> UsableCredential:
        """Return the credentials for requests: without the refresh token, with the OAuth client's fields."""
        client_fields: dict[str, str] = {}
        if self.client is not None and self.token_method is not None:
            client_fields = self.token_method.client_values(self.client.client.client_id, self.client.fields)
        secrets = {name: value for name, value in self.stored.secrets.items() if name != "refresh_token"}
        values = ConnectionValues(dict(self.connection.params), {**client_fields, **secrets})
        return UsableCredential(self.connection, values, self.stored.version, self.integration, self.auth)

    @property
    def refresh_grant(self) -> RefreshGrant | None:
        """Return the grant for a refresh; None if the entry or the tokens allow no refresh."""
        if self.token_method is None:
            return None
        return self.token_method.refresh_grant(self.stored.secrets, self.connection.scopes)

    @property
    def audience_changed(self) -> bool:
        """Return True if the audience of the organization's custom integration has changed (P7)."""
        auth_type = self.connection.auth_type
        metadata = self.stored.token_metadata
        return self.integration is not None and metadata.audience != self.integration.audience(auth_type)

    @property
    def is_refused(self) -> bool:
        """Return True for a refused grant. One Runtime sends the grant again only at a person's request."""
        return self.connection.status == "needs_reauth" and self.stored.token_metadata.refresh_due_at is None

    def is_unexpired(self, now: datetime) -> bool:
        """Return True if there is an access token that has not expired."""
        expires_at = self.connection.expires_at
        return "access_token" in self.stored.secrets and (expires_at is None or now < expires_at)

    def is_stale(self, now: datetime, rejected: int | None) -> bool:
        """Return True if the tokens have expired, are due for a refresh, or have the version `rejected`."""
        if self.token_method is None:
            return False
        due_at = self.stored.token_metadata.refresh_due_at
        is_due = due_at is not None and due_at <= now
        return not self.is_unexpired(now) or self.stored.version == rejected or is_due


def merge_tokens(secrets: Mapping[str, str], tokens: TokenSet) -> dict[str, str]:
    """Return the secrets with the new tokens. Keep the old refresh token if the response has none."""
    merged = {**secrets, "access_token": tokens.access_token}
    if tokens.refresh_token is not None:
        merged["refresh_token"] = tokens.refresh_token
    return merged


def holds_presented(current: RefreshGrant | None, presented: RefreshGrant) -> bool:
    """Return True if the row still holds the refresh token that One Runtime sent (`presented`).

    If so, the caller stores the new tokens in the row, even if other columns have changed. The provider may have
    invalidated the old refresh token, so that only the new tokens work (P8).
    """
    if (
        isinstance(current, RefreshToken)
        and isinstance(presented, RefreshToken)
        and presented.refresh_token is not None
    ):
        return current.refresh_token == presented.refresh_token
    return current == presented


async def load_state(installation: Installation, key: ConnectionKey) -> CredentialState:
    """Read the state in a transaction of its own. Raises: NotFound; SealBroken; OAuthClientMissing."""
    async with installation.database.read() as tx:
        state = await read_state(tx, installation, key)
        return await with_oauth_client(tx, installation, state) if state.sends_client else state


async def read_state(
    tx: Transaction, installation: Installation, key: ConnectionKey, *, lock: bool = False
) -> CredentialState:
    """Read the state without the OAuth client. With `lock`, no other transaction can change the credentials.

    Raises: NotFound; SealBroken.
    """
    connection, stored = await connections.get_with_credential(tx, installation.vault, key, lock=lock)
    integration = await installation.catalogs.get(tx, key.organization_id, connection.integration_slug)
    return CredentialState.of(connection, stored, integration)


async def with_oauth_client(tx: Transaction, installation: Installation, state: CredentialState) -> CredentialState:
    """Return the state with the registered OAuth client of the tokens, if any. Raises: OAuthClientMissing."""
    client_id = state.stored.token_metadata.oauth_client_id
    if client_id is None or state.client is not None:
        return state
    organization_id = state.connection.organization_id
    client = await oauth_clients.get(tx, installation.vault, organization_id, client_id)
    return replace(state, client=client)
