"""Register an organization's own integrations, and see to what is connected by them already (P1, P7).

Where an entry sends credentials elsewhere than before, what was given for the old place goes nowhere: its connections
have to be made again, and its OAuth client registered again.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, get_args

from one_runtime.auth_types import oauth2_of
from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.model import AuthType, CustomIntegration
from one_runtime.catalog.organization_catalogs import StoredIntegration
from one_runtime.connections import connections
from one_runtime.connections.connections import AudienceChange
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import Conflict, NotFound
from one_runtime.integrations import oauth_clients
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.tenancy import events, organizations
from one_runtime.tenancy.events import Actor, EventType, Subject

RETENTION: Final = timedelta(days=30)
"""How long the definition of a deleted integration is stored: longer than a pending revocation may need it."""

_BATCH: Final = 200


class IntegrationExists(Conflict):
    """The organization has an integration of that slug already."""

    code = "integration_exists"


class IntegrationInUse(Conflict):
    """The integration has connections, which would be of no use without it."""

    code = "integration_in_use"


@dataclass(frozen=True, slots=True)
class NewCustomIntegration:
    """What somebody registers: an entry that was checked in full, and its logo, an SVG that was cleaned."""

    integration: CustomIntegration
    logo: str


@dataclass(frozen=True, slots=True)
class CustomIntegrationResult:
    """How it went. `enabled`: whether the organization offers it; `moved`: connections that have to be made again;
    `client_retired`: whether its OAuth client has to be registered again."""

    registered: StoredIntegration
    enabled: bool
    created: bool = False
    moved: int = 0
    client_retired: bool = False


async def list_all(installation: Installation, organization_id: str) -> list[CustomIntegrationResult]:
    """An organization's own integrations, by slug."""
    async with installation.database.read() as tx:
        organization = await organizations.get(tx, organization_id)
        found = await organization_catalogs.list_own(tx, organization_id)
    return [CustomIntegrationResult(one, organization.offers(one.integration.slug)) for one in found]


async def get(installation: Installation, organization_id: str, slug: str) -> CustomIntegrationResult:
    """One of them. Raises: NotFound."""
    async with installation.database.read() as tx:
        organization = await organizations.get(tx, organization_id)
        found = await organization_catalogs.get(tx, organization_id, slug)
    return CustomIntegrationResult(found, organization.offers(slug))


async def create(installation: Installation, actor: Actor, entry: NewCustomIntegration) -> CustomIntegrationResult:
    """Register a new one. Raises: IntegrationExists; Conflict where there are as many as may be."""
    async with installation.database.write() as tx:
        await organization_catalogs.lock(tx, actor.organization_id)
        if await _find(tx, actor, entry.integration.slug) is not None:
            raise IntegrationExists(
                f"There is an integration {entry.integration.slug!r} already. "
                f"PUT /v1/custom-integrations/{entry.integration.slug} replaces it."
            )
        return await _create(tx, installation, actor, entry)


async def put(installation: Installation, actor: Actor, entry: NewCustomIntegration) -> CustomIntegrationResult:
    """Register one, in place of the one before if there is one."""
    slug = entry.integration.slug
    async with installation.database.write() as tx:
        await organization_catalogs.lock(tx, actor.organization_id)
        present = await _find(tx, actor, slug)
        if present is None:
            return await _create(tx, installation, actor, entry)
        now = installation.clock()
        saved = await organization_catalogs.replace(
            tx, actor.organization_id, present, entry.integration, entry.logo, now
        )
        retired = await _retire_client(tx, installation, actor, saved.integration)
        await _record(tx, installation, actor, "custom_integration.updated", slug)
        organization = await organizations.get(tx, actor.organization_id)
    moved = await _move(installation, actor, saved.integration)
    return CustomIntegrationResult(saved, organization.offers(slug), moved=moved, client_retired=retired)


async def delete(installation: Installation, actor: Actor, slug: str) -> None:
    """Forget one that nothing is connected by. Raises: NotFound; IntegrationInUse."""
    async with installation.database.write() as tx:
        await organization_catalogs.lock(tx, actor.organization_id)
        await organization_catalogs.get(tx, actor.organization_id, slug)
        count = await connections.count_at_integration(tx, actor.organization_id, slug)
        if count:
            made = f"{count} connections were" if count > 1 else "1 connection was"
            raise IntegrationInUse(
                f"{made} made with {slug}. Delete what was connected first, or with it: ?delete_connections=true."
            )
        await organization_catalogs.remove(tx, actor.organization_id, slug, installation.clock())
        if await oauth_clients.find_own(tx, installation.vault, actor.organization_id, slug) is not None:
            await oauth_clients.retire(tx, actor.organization_id, slug, installation.clock())
            await _record(tx, installation, actor, "oauth_client.deleted", slug)
        await _unlist(tx, installation, actor, slug)
        await _record(tx, installation, actor, "custom_integration.deleted", slug)


async def _find(tx: Transaction, actor: Actor, slug: str) -> StoredIntegration | None:
    try:
        return await organization_catalogs.get(tx, actor.organization_id, slug)
    except NotFound:
        return None


async def _create(
    tx: Transaction, installation: Installation, actor: Actor, entry: NewCustomIntegration
) -> CustomIntegrationResult:
    now = installation.clock()
    saved = await organization_catalogs.create(tx, actor.organization_id, entry.integration, entry.logo, now)
    await _record(tx, installation, actor, "custom_integration.created", saved.integration.slug)
    organization = await organizations.get(tx, actor.organization_id)
    return CustomIntegrationResult(saved, organization.offers(saved.integration.slug), created=True)


async def _retire_client(
    tx: Transaction, installation: Installation, actor: Actor, integration: CustomIntegration
) -> bool:
    """A client whose secret would go to a host that it was not registered for serves no longer; whether that was so."""
    slug, auth = integration.slug, oauth2_of(integration.auth_of("oauth2"))
    client = await oauth_clients.find_own(tx, installation.vault, actor.organization_id, slug)
    if client is None or (auth is not None and oauth_clients.still_fits(client, auth)):
        return False
    await oauth_clients.retire(tx, actor.organization_id, slug, installation.clock())
    await _record(tx, installation, actor, "oauth_client.deleted", slug)
    return True


async def _move(installation: Installation, actor: Actor, integration: CustomIntegration) -> int:
    """Tell connections that were made for another place; how many. Until it is told, whoever uses one finds out."""
    count, message = 0, f"Where {integration.name} sends credentials was changed."
    for auth_type in get_args(AuthType):
        moved = AudienceChange(integration.slug, auth_type, integration.audience(auth_type), message)
        found = _BATCH
        while found == _BATCH:
            now = installation.clock()
            async with installation.database.write() as tx:
                found = await connections.invalidate_all_for_audience_change(
                    tx, actor.organization_id, moved, now, limit=_BATCH
                )
            count += found
    return count


async def _unlist(tx: Transaction, installation: Installation, actor: Actor, slug: str) -> None:
    """What the organization offers names no integration that there is not."""
    organization = await organizations.get(tx, actor.organization_id)
    if slug in organization.integrations_slugs:
        left = tuple(one for one in organization.integrations_slugs if one != slug)
        await organizations.save(tx, actor, replace(organization, integrations_slugs=left), installation.clock())


async def _record(tx: Transaction, installation: Installation, actor: Actor, kind: EventType, slug: str) -> None:
    await events.record(tx, actor, kind, installation.clock(), Subject(data={"integration_slug": slug}))


async def purge(installation: Installation) -> int:
    """Delete the definitions of integrations that were deleted `RETENTION` ago; return their number."""
    return await organization_catalogs.purge(installation.database, installation.clock() - RETENTION)


PURGE_CUSTOM_INTEGRATIONS: Final[PeriodicTask[Installation]] = PeriodicTask("purge_custom_integrations", 3600.0, purge)
