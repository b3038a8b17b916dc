"""Register, read and delete OAuth clients for the API and the command line, with an event in the owner's audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.model import Integration
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.precondition import Precondition
from one_runtime.encryption.vault import Vault
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import NewOAuthClient, OAuthClient
from one_runtime.oauth.callback import callback_url
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.installation_events import InstallationEventType, record_for_installation
from one_runtime.tenancy.organizations import INSTANCE

ClientEventType: TypeAlias = Literal[EventType.OAUTH_CLIENT_UPDATED, EventType.OAUTH_CLIENT_DELETED]

_OF_INSTALLATION: Final[Mapping[ClientEventType, InstallationEventType]] = {
    EventType.OAUTH_CLIENT_UPDATED: InstallationEventType.OAUTH_CLIENT_UPDATED,
    EventType.OAUTH_CLIENT_DELETED: InstallationEventType.OAUTH_CLIENT_DELETED,
}


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """An OAuth client with the redirect URL to register with the provider."""

    client: OAuthClient
    redirect_url: str


async def list_registered(
    tx: Transaction, vault: Vault, public_url: str, organization_id: str
) -> list[RegisteredClient]:
    """Return the active OAuth clients of an organization or of the operator, ordered by integration."""
    clients_of_owner = await oauth_clients.list_own(tx, vault, organization_id)
    return [_registered(public_url, client) for client in clients_of_owner]


async def get_registered(installation: Installation, organization_id: str, slug: str) -> RegisteredClient:
    """Return the OAuth client that an organization or the operator has for an integration. Raises: NotFound."""
    async with installation.database.read() as tx:
        await _integration(tx, installation, organization_id, slug)
        client = await oauth_clients.find_own(tx, installation.vault, organization_id, slug)
    if client is None:
        raise oauth_clients.not_registered(slug)
    return _registered(installation.settings.public_url, client)


async def register(
    installation: Installation,
    actor: Actor,
    slug: str,
    new: NewOAuthClient,
    condition: Precondition[RegisteredClient] | None = None,
) -> RegisteredClient:
    """Register an OAuth client, or replace the present client. Record the event of a change.

    Raises: NotFound; InvalidInput; PreconditionFailed.
    """
    organization_id, vault = actor.organization_id, installation.vault
    async with installation.database.write() as tx:
        await organization_catalogs.lock(tx, organization_id)
        integration = await _integration(tx, installation, organization_id, slug)
        present = await oauth_clients.find_own(tx, vault, organization_id, slug)
        if condition is not None:
            await condition(tx, None if present is None else _registered(installation.settings.public_url, present))
        client = await oauth_clients.put(tx, vault, organization_id, integration, new, installation.clock())
        if client != present:
            await _record(tx, installation, actor, EventType.OAUTH_CLIENT_UPDATED, slug)
    return _registered(installation.settings.public_url, client)


async def unregister(
    installation: Installation, actor: Actor, slug: str, condition: Precondition[RegisteredClient] | None = None
) -> RegisteredClient:
    """Retire an OAuth client, record the event, and return the client. New connections cannot use the client.

    Raises: NotFound; PreconditionFailed.
    """
    async with installation.database.write() as tx:
        await organization_catalogs.lock(tx, actor.organization_id)
        if not await installation.catalogs.contains(tx, actor.organization_id, slug):
            raise unknown(slug, await installation.catalogs.of(tx, actor.organization_id))
        client = await oauth_clients.find_to_retire(tx, installation.vault, actor.organization_id, slug)
        present = None if client is None else _registered(installation.settings.public_url, client)
        if condition is not None:
            await condition(tx, present)
        if present is None:
            raise oauth_clients.not_registered(slug)
        await oauth_clients.retire(tx, actor.organization_id, slug, installation.clock())
        await _record(tx, installation, actor, EventType.OAUTH_CLIENT_DELETED, slug)
    return present


async def _record(tx: Transaction, installation: Installation, actor: Actor, kind: ClientEventType, slug: str) -> None:
    of_operator = actor.organization_id == INSTANCE
    await record_client_event(tx, actor, kind, slug, installation.clock(), of_operator=of_operator)


async def _integration(tx: Transaction, installation: Installation, organization_id: str, slug: str) -> Integration:
    """Return an integration of the organization's catalog. For the operator, return only a built-in integration.

    The operator's secret must not go to a custom integration, because an organization can change the hosts of its
    custom integration. Raises: NotFound.
    """
    return await installation.catalogs.require(tx, organization_id, slug)


def _registered(public_url: str, client: OAuthClient) -> RegisteredClient:
    return RegisteredClient(client, callback_url(public_url, client.integration_slug))


async def record_client_event(
    tx: Transaction, actor: Actor, kind: ClientEventType, slug: str, now: datetime, *, of_operator: bool
) -> None:
    """Write the event. `of_operator`: True if the operator owns the client. `slug`: the slug of the integration."""
    data = {"integration_slug": slug}
    if of_operator:
        await record_for_installation(tx, actor.id or actor.type, _OF_INSTALLATION[kind], now, data)
    else:
        await events.record(tx, actor, kind, now, Subject(data=data))
