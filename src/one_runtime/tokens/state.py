"""The state of stored credentials: what a request needs, what can renew them, and when that is due."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.oauth2 import ClientCredentialsAuth, OAuth2Auth
from one_runtime.catalog.request import Values
from one_runtime.catalog.templates import names_in
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import ConnectionKey, StoredCredential
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.oauth.grants import ClientCredentials, RefreshToken
from one_runtime.oauth.token_response import Tokens
from one_runtime.tokens.endpoint import TokenAuth

Renewal: TypeAlias = RefreshToken | ClientCredentials
"""The grant that renews tokens."""

_MARGIN: Final = timedelta(minutes=5)
_SHORT_LIFE_DIVISOR: Final = 5
"""Tokens are renewed in the last fifth of a life that is shorter than five margins."""


@dataclass(frozen=True, slots=True)
class UsableCredential:
    """A connection with the values that authenticate a request to its provider.

    `version` identifies the credentials when the provider refuses them. `integration` and `auth` are those that the
    credentials were given for: the credentials go nowhere else, even if the entry changes a moment later (P7).
    """

    connection: Connection
    values: Values
    version: int
    integration: Integration | None
    auth: Auth | None


@dataclass(frozen=True, slots=True)
class CredentialState:
    """A connection, its stored credential, its catalog entry, and the OAuth client where it is loaded."""

    connection: Connection
    stored: StoredCredential
    integration: Integration | None
    auth: Auth | None
    client: OAuthClient | None = None

    @classmethod
    def of(cls, connection: Connection, stored: StoredCredential, integration: Integration | None) -> "CredentialState":
        """Return the state without an OAuth client. `integration` is None where the catalog lost it."""
        auth = integration.auth_of(connection.auth_type) if integration is not None else None
        return cls(connection, stored, integration, auth)

    @property
    def integration_name(self) -> str:
        """The name for messages to people."""
        return self.integration.name if self.integration is not None else self.connection.integration_slug

    @property
    def usable(self) -> UsableCredential:
        """The credentials for requests: the refresh token is left out, the OAuth client's fields are added."""
        client_fields: dict[str, str] = {}
        if self.client is not None and isinstance(self.auth, OAuth2Auth):
            client_fields = {"client_id": self.client.client.client_id, **self.client.fields_of(self.auth)}
        secrets = {name: value for name, value in self.stored.secrets.items() if name != "refresh_token"}
        values = Values(dict(self.connection.params), {**client_fields, **secrets})
        return UsableCredential(self.connection, values, self.stored.version, self.integration, self.auth)

    @property
    def renewal(self) -> Renewal | None:
        """The grant to present for new tokens; None where the entry or the tokens allow none."""
        secrets = self.stored.secrets
        if isinstance(self.auth, ClientCredentialsAuth):
            fields = {name: value for name, value in secrets.items() if name != "access_token"}
            return ClientCredentials(fields, self.connection.scopes or None)
        if not isinstance(self.auth, OAuth2Auth) or not is_renewable(self.auth, secrets):
            return None
        return RefreshToken(secrets.get("refresh_token"), secrets["access_token"])

    @property
    def audience_changed(self) -> bool:
        """True if the organization's integration sends credentials elsewhere than these were given for (P7)."""
        auth_type = self.connection.auth_type
        metadata = self.stored.token_metadata
        return self.integration is not None and metadata.audience != self.integration.audience(auth_type)

    @property
    def is_refused(self) -> bool:
        """True if the provider refused the grant: only a person's request asks the provider again."""
        return self.connection.status == "needs_reauth" and self.stored.token_metadata.refresh_due_at is None

    def is_unexpired(self, now: datetime) -> bool:
        """True if there is an access token that has not expired."""
        expires_at = self.connection.expires_at
        return "access_token" in self.stored.secrets and (expires_at is None or now < expires_at)

    def is_stale(self, now: datetime, rejected: int | None) -> bool:
        """True if tokens expired, are due for renewal, or are of the version that the provider rejected."""
        if not isinstance(self.auth, OAuth2Auth | ClientCredentialsAuth):
            return False
        due_at = self.stored.token_metadata.refresh_due_at
        is_due = due_at is not None and due_at <= now
        return not self.is_unexpired(now) or self.stored.version == rejected or is_due


def is_renewable(auth: OAuth2Auth, secrets: Mapping[str, str]) -> bool:
    """True if a refresh token is stored, or the provider renews by the access token."""
    return auth.refresh != "none" and ("refresh_token" in secrets or bool(auth.token.refresh_params))


def refresh_due_at(auth: TokenAuth, secrets: Mapping[str, str], tokens: Tokens, now: datetime) -> datetime | None:
    """Return when to renew tokens that were issued at `now`; None for never.

    That is some time before they expire, and before an unused refresh token expires. Tokens that cannot be renewed are
    due when they expire, since the end user has to connect again then.
    """
    renewable = not isinstance(auth, OAuth2Auth) or is_renewable(auth, secrets)
    if not renewable:
        return tokens.expires_at
    unused = auth.lifetimes.refresh
    refresh_expiries = [tokens.refresh_expires_at, now + timedelta(seconds=unused) if unused is not None else None]
    moments = [_before_expiry(tokens.expires_at, now), *(_halfway(moment, now) for moment in refresh_expiries)]
    return min((moment for moment in moments if moment is not None), default=None)


def _before_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    return None if expires_at is None else expires_at - min(_MARGIN, (expires_at - now) / _SHORT_LIFE_DIVISOR)


def _halfway(moment: datetime | None, now: datetime) -> datetime | None:
    """Half of the life is left as a reserve: the provider or this installation may be down for days."""
    return None if moment is None else now + (moment - now) / 2


def merge_tokens(secrets: Mapping[str, str], tokens: Tokens) -> dict[str, str]:
    """Return the secrets with the new tokens. The old refresh token stays where the response has none."""
    merged = {**secrets, "access_token": tokens.access_token}
    if tokens.refresh_token is not None:
        merged["refresh_token"] = tokens.refresh_token
    return merged


def holds_presented(current: Renewal | None, presented: Renewal) -> bool:
    """True if the row still holds the refresh token that was presented.

    Then the response belongs to the row, whatever else changed: the presented token may be spent, and the response has
    the only one that works (P8).
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
        return await read_state(tx, installation, key)


async def read_state(
    tx: Transaction, installation: Installation, key: ConnectionKey, *, lock: bool = False
) -> CredentialState:
    """Read the state; `lock` keeps others from changing the credentials until the transaction ends.

    The OAuth client is loaded where the request needs its fields or a renewal is due, and never under the lock.

    Raises: NotFound; SealBroken; OAuthClientMissing.
    """
    connection, stored = await connections.get_with_credential(tx, installation.vault, key, lock=lock)
    integration = await installation.catalogs.get(tx, key.organization_id, connection.integration_slug)
    state = CredentialState.of(connection, stored, integration)
    if lock or not (state.is_stale(installation.clock(), None) or sends_client_fields(state.auth)):
        return state
    return await with_oauth_client(tx, installation, state)


async def with_oauth_client(tx: Transaction, installation: Installation, state: CredentialState) -> CredentialState:
    """Add the OAuth client that the tokens were issued to, if it is a registered one. Raises: OAuthClientMissing."""
    client_id = state.stored.token_metadata.oauth_client_id
    if client_id is None or state.client is not None:
        return state
    organization_id = state.connection.organization_id
    client = await oauth_clients.get(tx, installation.vault, organization_id, client_id)
    return replace(state, client=client)


def sends_client_fields(auth: Auth | None) -> bool:
    """True if requests to the provider contain fields of the OAuth client, such as a developer token."""
    if not isinstance(auth, OAuth2Auth):
        return False
    fields = {"client_id", *(part.name for part in auth.client.fields)}
    templates = [*auth.send.templates(), *(auth.check.templates() if auth.check is not None else ())]
    return any(name in fields for template in templates for name in names_in(template))
