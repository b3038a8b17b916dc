"""Read the stored credentials of a connection, with the data for a decision about a refresh."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.auth_types import Auth, oauth2_of
from one_runtime.catalog.grants import TokenGrant
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import ConnectionValues
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import ConnectionKey, StoredCredential
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.oauth.token_response import TokenSet


@dataclass(frozen=True, slots=True)
class UsableCredential:
    """A connection with the values that authenticate a request to its provider.

    `version`: the version of the credentials. If the provider refuses the credentials, the caller passes this version
    to `refresh.ensure_fresh` as `rejected`.

    `integration` and `auth`: the catalog entry (the integration's definition) of the connection. One Runtime has
    checked that the credentials are for the hosts of this entry (promise P7 of docs/security.md). Callers build
    requests from this entry, even if the catalog changes later.
    """

    connection: Connection
    values: ConnectionValues
    version: int
    integration: Integration | None
    auth: Auth | None


@dataclass(frozen=True, slots=True)
class CredentialState:
    """A connection with its stored credential, catalog entry and OAuth client.

    `integration`, `auth`: None if the catalog no longer has the entry. `client`: None if the client is not loaded.
    """

    connection: Connection
    stored: StoredCredential
    integration: Integration | None
    auth: Auth | None
    client: OAuthClient | None = None

    @classmethod
    def of(cls, connection: Connection, stored: StoredCredential, integration: Integration | None) -> "CredentialState":
        """Return the state without an OAuth client. `integration`: None if the catalog no longer has the entry."""
        auth = integration.auth_of(connection.auth_type) if integration is not None else None
        return cls(connection, stored, integration, auth)

    @property
    def token_auth(self) -> TokenAuth | None:
        """Return the auth type if it has tokens. Return None for keys, for passwords and without an entry."""
        return self.auth.token_auth if self.auth is not None else None

    @property
    def integration_name(self) -> str:
        """Return the name of the integration for messages."""
        return self.integration.name if self.integration is not None else self.connection.integration_slug

    @property
    def usable(self) -> UsableCredential:
        """Return the credentials for requests. Add the OAuth client's fields, and omit the refresh token.

        Raises: HostNotRegistered if a host of the API must not receive the client's fields (promise P7).
        """
        params = self.auth.complete(self.connection.params) if self.auth is not None else dict(self.connection.params)
        client_fields: dict[str, str] = {}
        if self.client is not None and self.token_auth is not None:
            client_fields = self.token_auth.client_values(self.client.client.client_id, self.client.fields)
            oauth2 = oauth2_of(self.auth)
            if oauth2 is not None:
                oauth_clients.require_field_hosts(self.client, self.integration_name, oauth2, params)
        secrets = {name: value for name, value in self.stored.secrets.items() if name != "refresh_token"}
        values = ConnectionValues(params, {**client_fields, **secrets})
        return UsableCredential(self.connection, values, self.stored.version, self.integration, self.auth)

    @property
    def needs_client(self) -> bool:
        """Return True if the state needs the OAuth client, for API requests or for `is_paused`."""
        return (self.auth is not None and self.auth.sends_client) or self.stored.refused_client_version is not None

    @property
    def refresh_grant(self) -> TokenGrant | None:
        """Return the grant that a refresh sends, such as a refresh token. Return None if no refresh is possible."""
        if self.token_auth is None:
            return None
        return self.token_auth.refresh_grant(self.stored.secrets, self.connection.scopes)

    @property
    def audience_changed(self) -> bool:
        """Return True if the audience of the custom integration has changed since the credentials were stored (P7).

        The audience says where and how One Runtime may send the credentials.
        """
        auth_type = self.connection.auth_type
        metadata = self.stored.token_metadata
        return self.integration is not None and metadata.audience != self.integration.audience(auth_type)

    @property
    def is_refused(self) -> bool:
        """Return True if the provider has refused the grant.

        One Runtime sends a refused grant again only for a check of the connection, or for an explicit refresh.
        """
        return self.connection.status == "needs_reauth" and self.stored.token_metadata.refresh_due_at is None

    @property
    def is_presumed(self) -> bool:
        """Return True if the end user has to connect again, but One Runtime still tries to refresh the tokens."""
        return self.connection.status == "needs_reauth" and self.stored.token_metadata.refresh_due_at is not None

    def is_paused(self, now: datetime) -> bool:
        """Return True if One Runtime must not send a refresh request yet, after a failure.

        If the provider refused the OAuth client, the pause ends when the client is updated. The caller must have loaded
        the client.
        """
        retry_at, refused = self.stored.retry_at, self.stored.refused_client_version
        if retry_at is None or retry_at <= now:
            return False
        return refused is None or self.client is None or self.client.version == refused

    def is_unexpired(self, now: datetime) -> bool:
        """Return True if there is an access token that has not expired."""
        expires_at = self.connection.expires_at
        return "access_token" in self.stored.secrets and (expires_at is None or now < expires_at)

    def is_stale(self, now: datetime, rejected: int | None) -> bool:
        """Return True if the tokens have expired, are due for a refresh, or have the version `rejected`.

        Return False for keys and passwords.
        """
        if self.token_auth is None:
            return False
        due_at = self.stored.token_metadata.refresh_due_at
        is_due = due_at is not None and due_at <= now
        return not self.is_unexpired(now) or self.stored.version == rejected or is_due


def merge_tokens(secrets: Mapping[str, str], tokens: TokenSet) -> dict[str, str]:
    """Replace the tokens in the stored secrets. Keep the old refresh token if the response has no refresh token."""
    merged = {**secrets, "access_token": tokens.access_token}
    if tokens.refresh_token is not None:
        merged["refresh_token"] = tokens.refresh_token
    return merged


def holds_presented(current: TokenGrant | None, presented: TokenGrant) -> bool:
    """Return True if the row's grant (`current`) has the refresh token that One Runtime sent (`presented`).

    The caller then stores the new tokens, even if the row's access token has changed. The provider has possibly
    invalidated the old refresh token, so that only the new tokens work (promise P8 of docs/security.md).
    """
    if current is not None and presented.refresh_token is not None:
        return current.refresh_token == presented.refresh_token
    return current == presented


async def load_state(installation: Installation, key: ConnectionKey) -> CredentialState:
    """Read the state in a new transaction. Raises: NotFound; SealBroken; OAuthClientMissing; IntegrationDisabled."""
    async with installation.database.read() as tx:
        state = await read_state(tx, installation, key)
        installation.disabled.require_enabled(state.connection.integration_slug)
        return await with_oauth_client(tx, installation, state) if state.needs_client else state


async def read_state(
    tx: Transaction,
    installation: Installation,
    key: ConnectionKey,
    *,
    lock: bool = False,
    known: StoredCredential | None = None,
) -> CredentialState:
    """Read the state without the OAuth client. With `lock`, lock the credentials until `tx` ends.

    `known`: see `credentials.decrypt`.

    Raises: NotFound; SealBroken.
    """
    connection, stored = await connections.get_with_credential(tx, installation.vault, key, lock=lock, known=known)
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
