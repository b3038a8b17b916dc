"""Register, replace and delete custom integrations, which an organization defines itself.

An entry is the definition of an integration. The entry's audience (`AuthBase.audience`) describes the places to which
One Runtime sends credentials. One Runtime never sends existing credentials to a new audience. So after a change of the
audience, the end users must connect again. If the entry sends the OAuth client's secret or fields to a new host, the
organization must register the client again. docs/security.md describes these rules as promises P1 and P7.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.auth_types import AUTH_TYPES
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.model import CustomIntegration
from one_runtime.catalog.organization_catalogs import StoredIntegration
from one_runtime.connections import audience_change, connections
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.precondition import Precondition
from one_runtime.errors import Conflict, NotFound
from one_runtime.integrations import oauth_clients
from one_runtime.tenancy import events, organizations
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject

if TYPE_CHECKING:  # the module imports the YAML parser
    from one_runtime.catalog.custom import CustomEntry

RETENTION: Final = timedelta(days=30)
"""Time for which One Runtime keeps a deleted integration's definition.

A pending revocation of tokens needs the definition for up to a day.
"""

_BATCH: Final = 200


class IntegrationExists(Conflict):
    """The organization already has an integration with this slug."""

    code = "integration_exists"
    documentation = (
        "Your organization already has a custom integration with this slug.",
        "`PUT` replaces the integration.",
    )


class IntegrationInUse(Conflict):
    """The integration still has connections."""

    code = "integration_in_use"
    documentation = (
        "The integration has connections.",
        "Delete these connections first, or send `delete_connections`.",
    )


@dataclass(frozen=True, slots=True)
class CustomIntegrationResult:
    """A registered custom integration.

    `enabled`: True if the organization has enabled the integration. `created`: True if the integration is new.
    `invalidated`: number of connections for which end users must connect again. `client_retired`: True if One
    Runtime retired the OAuth client. New connections cannot use a retired client.
    """

    registered: StoredIntegration
    enabled: bool
    created: bool = False
    invalidated: int = 0
    client_retired: bool = False


async def list_all(tx: Transaction, organization_id: str) -> list[CustomIntegrationResult]:
    """Return an organization's custom integrations, ordered by slug. Raises: NotFound for an unknown organization."""
    organization = await organizations.get(tx, organization_id)
    stored = await organization_catalogs.list_own(tx, organization_id)
    return [CustomIntegrationResult(custom, organization.offers(custom.integration.slug)) for custom in stored]


async def get(tx: Transaction, organization_id: str, slug: str) -> CustomIntegrationResult:
    """Return a custom integration. Raises: NotFound."""
    organization = await organizations.get(tx, organization_id)
    stored = await organization_catalogs.get(tx, organization_id, slug)
    return CustomIntegrationResult(stored, organization.offers(slug))


async def create(
    tx: Transaction, installation: Installation, actor: Actor, entry: "CustomEntry"
) -> CustomIntegrationResult:
    """Register a new custom integration. The caller has validated `entry`.

    Raises: IntegrationExists; Conflict if the organization has the maximum number of custom integrations.
    """
    await organization_catalogs.lock(tx, actor.organization_id)
    slug = entry.integration.slug
    if await _find(tx, actor, slug) is not None:
        raise IntegrationExists(
            f"The integration {slug!r} exists already. PUT /v1/custom-integrations/{slug} replaces it."
        )
    return await _create(tx, installation, actor, entry)


async def put(
    installation: Installation,
    actor: Actor,
    entry: "CustomEntry",
    condition: "Precondition[CustomIntegrationResult] | None" = None,
) -> CustomIntegrationResult:
    """Register a custom integration, or replace an existing definition. `create` explains the arguments.

    If the definition, the logo and the operations are the present ones, store nothing, and write no event.

    Raises: Conflict; PreconditionFailed.
    """
    async with installation.database.write() as tx:
        await organization_catalogs.lock(tx, actor.organization_id)
        slug = entry.integration.slug
        present = await _find(tx, actor, slug)
        organization = await organizations.get(tx, actor.organization_id)
        enabled = organization.offers(slug)
        if condition is not None:
            await condition(tx, None if present is None else CustomIntegrationResult(present, enabled))
        if present is None:
            return await _create(tx, installation, actor, entry)
        if await organization_catalogs.is_same(tx, actor.organization_id, present, entry):
            return CustomIntegrationResult(present, enabled)
        now = installation.clock()
        saved = await organization_catalogs.replace(tx, actor.organization_id, present, entry, now)
        auth = saved.integration.oauth2
        retired = await _retire_client(tx, installation, actor, slug, auth)
        await _record(tx, installation, actor, EventType.CUSTOM_INTEGRATION_UPDATED, slug)
    invalidated = await _invalidate_connections(installation, actor, saved.integration)
    return CustomIntegrationResult(saved, enabled, invalidated=invalidated, client_retired=retired)


async def delete(
    installation: Installation,
    actor: Actor,
    slug: str,
    condition: "Precondition[CustomIntegrationResult] | None" = None,
) -> CustomIntegrationResult:
    """Delete a custom integration, and return it as it was.

    Raises: NotFound; PreconditionFailed; IntegrationInUse if the integration still has connections.
    """
    async with installation.database.write() as tx:
        await organization_catalogs.lock(tx, actor.organization_id)
        present = await get(tx, actor.organization_id, slug)
        if condition is not None:
            await condition(tx, present)
        count = await connections.count_at_integration(tx, actor.organization_id, slug)
        if count:
            connected = f"{count} connections use" if count > 1 else "1 connection uses"
            raise IntegrationInUse(
                f"{connected} {slug}. Delete the connections first, or add ?delete_connections=true."
            )
        await organization_catalogs.remove(tx, actor.organization_id, slug, installation.clock())
        await _retire_client(tx, installation, actor, slug, None)
        await _remove_from_enabled(tx, installation, actor, slug)
        await _record(tx, installation, actor, EventType.CUSTOM_INTEGRATION_DELETED, slug)
    return present


async def _find(tx: Transaction, actor: Actor, slug: str) -> StoredIntegration | None:
    try:
        return await organization_catalogs.get(tx, actor.organization_id, slug)
    except NotFound:
        return None


async def _create(
    tx: Transaction, installation: Installation, actor: Actor, entry: "CustomEntry"
) -> CustomIntegrationResult:
    slug = entry.integration.slug
    saved = await organization_catalogs.create(tx, actor.organization_id, entry, installation.clock())
    await _record(tx, installation, actor, EventType.CUSTOM_INTEGRATION_CREATED, slug)
    organization = await organizations.get(tx, actor.organization_id)
    return CustomIntegrationResult(saved, organization.offers(slug), created=True)


async def _retire_client(
    tx: Transaction, installation: Installation, actor: Actor, slug: str, auth: OAuth2Auth | None
) -> bool:
    """Retire the organization's OAuth client if the client does not fit the entry (`oauth_clients.still_fits`).

    `auth`: None if the entry has no auth type `oauth2`. Return True if the function retired the client.
    """
    client = await oauth_clients.find_own(tx, installation.vault, actor.organization_id, slug)
    if client is None or (auth is not None and oauth_clients.still_fits(client, auth)):
        return False
    await oauth_clients.retire(tx, actor.organization_id, slug, installation.clock())
    await _record(tx, installation, actor, EventType.OAUTH_CLIENT_DELETED, slug)
    return True


async def _invalidate_connections(installation: Installation, actor: Actor, integration: CustomIntegration) -> int:
    """Invalidate the connections with credentials for an old audience. Return the number of these connections.

    One Runtime also compares the audiences before each call to the provider. So no call sends old credentials to the
    new audience before this function is finished.
    """
    count = 0
    for auth_type in AUTH_TYPES:
        invalidated = _BATCH
        while invalidated == _BATCH:
            now = installation.clock()
            async with installation.database.write() as tx:
                invalidated = await audience_change.invalidate_all(
                    tx, actor.organization_id, integration, auth_type, now, limit=_BATCH
                )
            count += invalidated
    return count


async def _remove_from_enabled(tx: Transaction, installation: Installation, actor: Actor, slug: str) -> None:
    """Remove a deleted integration from the setting that lists enabled or disabled integrations."""
    organization = await organizations.get(tx, actor.organization_id)
    if slug in organization.integrations_slugs:
        remaining = tuple(listed for listed in organization.integrations_slugs if listed != slug)
        await organizations.save(tx, actor, replace(organization, integrations_slugs=remaining), installation.clock())


async def _record(tx: Transaction, installation: Installation, actor: Actor, kind: EventType, slug: str) -> None:
    await events.record(tx, actor, kind, installation.clock(), Subject(data={"integration_slug": slug}))


async def purge(installation: Installation) -> int:
    """Erase integrations that were deleted more than `RETENTION` ago. Return the number of these integrations."""
    return await organization_catalogs.purge(installation.database, installation.clock() - RETENTION)
