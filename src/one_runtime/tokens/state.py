"""Tokens as they are held: whether they are fresh, what could be presented for new ones, and when that is due."""

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

TokenAuth: TypeAlias = OAuth2Auth | ClientCredentialsAuth
Renewal: TypeAlias = RefreshToken | ClientCredentials

_MARGIN: Final = timedelta(minutes=5)
_PART: Final = 5  # of a short life, this part is the margin


@dataclass(frozen=True, slots=True)
class UsableCredential:
    """A connection, and what makes a request to its provider an authenticated one. `version` names the credentials, for
    whoever learns that the provider does not take them. `integration` and `auth` are what the credentials were given
    for: they go nowhere else, whatever the entry says a moment later (P7)."""

    connection: Connection
    values: Values
    version: int
    integration: Integration | None
    auth: Auth | None


@dataclass(frozen=True, slots=True)
class CredentialState:
    """A connection with its credentials: all that decides what to do with them."""

    connection: Connection
    stored: StoredCredential
    integration: Integration | None
    auth: Auth | None
    client: OAuthClient | None

    @property
    def usable(self) -> UsableCredential:
        """As it is."""
        given: dict[str, str] = {}
        if self.client is not None and isinstance(self.auth, OAuth2Auth):
            given = {"client_id": self.client.client.client_id, **self.client.fields_of(self.auth)}
        secrets = {name: value for name, value in self.stored.secrets.items() if name != "refresh_token"}
        values = Values(dict(self.connection.params), {**given, **secrets})
        return UsableCredential(self.connection, values, self.stored.version, self.integration, self.auth)

    @property
    def renewal(self) -> Renewal | None:
        """What would be presented; None where there is no way to renew."""
        secrets = self.stored.secrets
        if isinstance(self.auth, ClientCredentialsAuth):
            fields = {name: value for name, value in secrets.items() if name != "access_token"}
            return ClientCredentials(fields, self.connection.scopes or None)
        if not isinstance(self.auth, OAuth2Auth) or not is_renewable(self.auth, secrets):
            return None
        return RefreshToken(secrets.get("refresh_token"), secrets["access_token"])

    @property
    def moved(self) -> bool:
        """Whether the organization has changed where its integration sends credentials since these were given: they
        are for nobody there."""
        kind = self.connection.auth_type
        return self.integration is not None and self.stored.token_metadata.audience != self.integration.audience(kind)

    @property
    def given_up(self) -> bool:
        """Whether the provider has refused these for good: who merely wants to use them does not ask it again."""
        return self.connection.status == "needs_reauth" and self.stored.token_metadata.refresh_due_at is None

    def lives(self, now: datetime) -> bool:
        """Whether there is a token that has not died of age."""
        expires_at = self.connection.expires_at
        return "access_token" in self.stored.secrets and (expires_at is None or now < expires_at)

    def is_stale(self, now: datetime, rejected: int | None) -> bool:
        """Whether to renew: it is time, or the provider no longer takes these."""
        if not isinstance(self.auth, OAuth2Auth | ClientCredentialsAuth):
            return False
        due_at = self.stored.token_metadata.refresh_due_at
        return not self.lives(now) or self.stored.version == rejected or (due_at is not None and due_at <= now)


def is_renewable(auth: OAuth2Auth, secrets: Mapping[str, str]) -> bool:
    """Whether these tokens can be renewed: by a refresh token, or where the provider does it by the access token."""
    return auth.refresh != "none" and ("refresh_token" in secrets or bool(auth.token.refresh_params))


def refresh_due_at(auth: TokenAuth, secrets: Mapping[str, str], tokens: Tokens, now: datetime) -> datetime | None:
    """When to renew tokens that were given now: ahead of their end, and before a refresh token dies of disuse. Where
    there is no way to renew: their end, when somebody has to connect again. None: never."""
    renewable = not isinstance(auth, OAuth2Auth) or is_renewable(auth, secrets)
    if not renewable:
        return tokens.expires_at
    unused = auth.lifetimes.refresh
    dies_at = [tokens.refresh_expires_at, now + timedelta(seconds=unused) if unused is not None else None]
    wanted = [_ahead(tokens.expires_at, now), *(_halfway(moment, now) for moment in dies_at)]
    return min((moment for moment in wanted if moment is not None), default=None)


def _ahead(expires_at: datetime | None, now: datetime) -> datetime | None:
    return None if expires_at is None else expires_at - min(_MARGIN, (expires_at - now) / _PART)


def _halfway(moment: datetime | None, now: datetime) -> datetime | None:
    """A refresh token is used long before it dies: a provider, or we, may be away for days."""
    return None if moment is None else now + (moment - now) / 2


def merge_tokens(before: Mapping[str, str], tokens: Tokens) -> dict[str, str]:
    """What is held, with the new tokens in it."""
    secrets = {**before, "access_token": tokens.access_token}
    if tokens.refresh_token is not None:
        secrets["refresh_token"] = tokens.refresh_token
    return secrets


def holds_presented(held: Renewal | None, presented: Renewal) -> bool:
    """Whether the refresh token that was presented is the one that is held: whoever was granted another for it has the
    only one that works, whatever else changed."""
    if isinstance(held, RefreshToken) and isinstance(presented, RefreshToken) and presented.refresh_token is not None:
        return held.refresh_token == presented.refresh_token
    return held == presented


async def load_state(installation: Installation, key: ConnectionKey) -> CredentialState:
    """What is held at this moment. Raises: NotFound; SealBroken."""
    async with installation.database.read() as tx:
        return await read_state(tx, installation, key)


async def read_state(
    tx: Transaction, installation: Installation, key: ConnectionKey, *, lock: bool = False
) -> CredentialState:
    """The same in a transaction; `lock`: nobody else changes it until it ends. The OAuth client only where it is needed
    to use the tokens, or to renew them now."""
    connection, held = await connections.get_with_credential(tx, installation.vault, key, lock=lock)
    integration = await installation.catalogs.get(tx, key.organization_id, connection.integration_slug)
    auth = integration.auth_of(connection.auth_type) if integration is not None else None
    state = CredentialState(connection, held, integration, auth, None)
    client_id = held.token_metadata.oauth_client_id
    if lock or client_id is None or not (state.is_stale(installation.clock(), None) or sends_client_fields(auth)):
        return state
    return await with_oauth_client(tx, installation, state)


async def with_oauth_client(tx: Transaction, installation: Installation, state: CredentialState) -> CredentialState:
    """With the OAuth client that the tokens were given to. Raises: OAuthClientMissing."""
    client_id = state.stored.token_metadata.oauth_client_id
    if client_id is None or state.client is not None:
        return state
    organization_id = state.connection.organization_id
    client = await oauth_clients.get(tx, installation.vault, organization_id, client_id)
    return replace(state, client=client)


def sends_client_fields(auth: Auth | None) -> bool:
    """Whether requests to the provider hold something of the OAuth client, as a developer token."""
    if not isinstance(auth, OAuth2Auth):
        return False
    own = {"client_id", *(part.name for part in auth.client.fields)}
    templates = [*auth.send.templates(), *(auth.check.templates() if auth.check is not None else ())]
    return any(name in own for template in templates for name in names_in(template))
