"""Register OAuth clients, for an organization or for the instance: what the API and the command line do, on record."""

from dataclasses import dataclass

from one_runtime.catalog.model import Integration
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import INSTANCE, NewOAuthClient, OAuthClient
from one_runtime.oauth.callback import callback_url
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor, EventType, Subject


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client, and the redirect address that the provider has to know."""

    client: OAuthClient
    redirect_url: str


async def list_all(installation: Installation, organization_id: str) -> list[RegisteredClient]:
    """The clients of an organization (or of the instance), by integration."""
    async with installation.database.read() as tx:
        found = await oauth_clients.list_own(tx, installation.vault, organization_id)
    return [_registered(installation, one) for one in found]


async def get(installation: Installation, organization_id: str, slug: str) -> RegisteredClient:
    """The client for an integration. Raises: NotFound."""
    async with installation.database.read() as tx:
        await _integration(tx, installation, organization_id, slug)
        found = await oauth_clients.find_own(tx, installation.vault, organization_id, slug)
    if found is None:
        raise NotFound(f"There is no OAuth client of your own for {slug[:64]!r}.")
    return _registered(installation, found)


async def put(installation: Installation, actor: Actor, slug: str, new: NewOAuthClient) -> RegisteredClient:
    """Register one, in place of the one before. Raises: NotFound for an unknown integration; InvalidInput."""
    now = installation.clock()
    async with installation.database.write() as tx:
        integration = await _integration(tx, installation, actor.organization_id, slug)
        client = await oauth_clients.put(tx, installation.vault, actor.organization_id, integration, new, now)
        await _record(tx, installation, actor, "oauth_client.updated", slug)
    return _registered(installation, client)


async def delete(installation: Installation, actor: Actor, slug: str) -> None:
    """Use it for no new connection. Raises: NotFound."""
    async with installation.database.write() as tx:
        await _integration(tx, installation, actor.organization_id, slug)
        await oauth_clients.retire(tx, actor.organization_id, slug, installation.clock())
        await _record(tx, installation, actor, "oauth_client.deleted", slug)


async def _record(tx: Transaction, installation: Installation, actor: Actor, kind: EventType, slug: str) -> None:
    """Events are organizations': what the operator does for the instance stands in none of theirs."""
    if actor.organization_id != INSTANCE:
        subject = Subject(data={"integration_slug": slug})
        await events.record(tx, actor, kind, installation.clock(), subject)


async def _integration(tx: Transaction, installation: Installation, organization_id: str, slug: str) -> Integration:
    """An integration that the organization knows. The instance knows the built-in ones: what an organization made, and
    may change, never gets a secret of the operator's."""
    found = await installation.catalogs.get(tx, organization_id, slug)
    if found is None:
        raise unknown(slug)
    return found


def _registered(installation: Installation, client: OAuthClient) -> RegisteredClient:
    return RegisteredClient(client, callback_url(installation.settings.public_url, client.integration_slug))
