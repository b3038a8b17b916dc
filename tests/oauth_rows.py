"""OAuth rows that tests insert without a provider: clients, authorization attempts, pending revocations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import system_clock
from one_runtime.connecting import authorization_attempts
from one_runtime.connecting.authorization_attempts import AttemptDetails, AttemptSecret, AuthorizationAttempt
from one_runtime.connections.credentials import TokenMetadata
from one_runtime.connections.pending_revocations import RevocableTokens, queue_revocation
from one_runtime.db.engine import Database
from one_runtime.db.ids import new_id
from one_runtime.encryption.vault import Vault
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import NewOAuthClient, OAuthClient

NOT_REVOCABLE: Final = "airtable"
"""An integration with `oauth2` that has no revocation endpoint. So a disconnect sends no request."""
_CATALOG: Final = load_catalog()
CATALOGS: Final = OrganizationCatalogs(_CATALOG)
SLUG: Final = "github"
"""An integration with `oauth2`. Its OAuth client needs only an id and a secret."""


@dataclass(frozen=True, slots=True)
class Place:
    """The database, vault and organization of the rows."""

    database: Database
    vault: Vault
    organization_id: str


async def client(place: Place, client_id: str, client_secret: str, slug: str = SLUG) -> OAuthClient:
    integration = _CATALOG.get(slug)
    assert integration is not None
    new = NewOAuthClient(client_id, client_secret)
    async with place.database.write() as tx:
        return await oauth_clients.put(tx, place.vault, place.organization_id, integration, new, system_clock())


async def consent(place: Place, session_id: str, made_with: OAuthClient, secret: AttemptSecret) -> str:
    """Insert an authorization attempt and return its ticket."""
    now = system_clock()
    attempt = AuthorizationAttempt(
        id=new_id(),
        session_id=session_id,
        organization_id=place.organization_id,
        integration_slug=SLUG,
        oauth_client_id=made_with.id,
        status="prepared",
        issuer=None,
        details=AttemptDetails({}),
        created_at=now,
        expires_at=now + authorization_attempts.TICKET_LIFE,
    )
    async with place.database.write() as tx:
        return (await authorization_attempts.create(tx, place.vault, attempt, secret)).secret


async def pending_revocation(place: Place, made_with: OAuthClient, secrets: Mapping[str, str]) -> str:
    """Insert a pending revocation and return the row's id."""
    metadata, now = TokenMetadata(made_with.id), system_clock()
    tokens = RevocableTokens(place.organization_id, "user_123", SLUG, "oauth2", metadata, {}, secrets)
    async with place.database.write() as tx:
        pending = await queue_revocation(tx, place.vault, CATALOGS, tokens, "disconnected", now)
    assert pending is not None
    return pending.id
