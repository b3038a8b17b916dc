"""Enable and disable integrations for the end users of an organization.

The operator can disable an integration for all organizations (`disabling.py`). An organization decides for itself.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, get_args

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.context import Installation
from one_runtime.errors import InvalidInput
from one_runtime.tenancy import organizations
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import IntegrationsMode, Organization

MODES: Final[tuple[IntegrationsMode, ...]] = get_args(IntegrationsMode)

MAX_SLUGS: Final = 2000
"""Maximum number of enabled or disabled integrations that an organization lists."""


async def set_enabled(installation: Installation, actor: Actor, slug: str, *, enabled: bool) -> Organization:
    """Enable or disable one integration. In the mode `all`, the mode becomes `all_but`.

    Raises: NotFound for an unknown integration.
    """
    async with installation.database.write() as tx:
        organization = await organizations.get(tx, actor.organization_id, lock=True)
        if not await installation.catalogs.contains(tx, organization.id, slug):
            raise unknown(slug, await installation.catalogs.of(tx, organization.id))
        changed = _with(organization, slug) if enabled else _without(organization, slug)
        return await organizations.save(tx, actor, changed, installation.clock())


async def set_mode(
    installation: Installation, actor: Actor, mode: IntegrationsMode, slugs: Iterable[str]
) -> Organization:
    """Replace the mode and the list of integrations. Raises: InvalidInput."""
    listed = () if mode == "all" else tuple(dict.fromkeys(slugs))
    if len(listed) > MAX_SLUGS:
        raise InvalidInput.of("slugs", f"must have at most {MAX_SLUGS} slugs")
    async with installation.database.write() as tx:
        organization = await organizations.get(tx, actor.organization_id, lock=True)
        require_known(await installation.catalogs.of(tx, organization.id), organization, listed, "slugs")
        changed = replace(organization, integrations_mode=mode, integrations_slugs=listed)
        return await organizations.save(tx, actor, changed, installation.clock())


def require_known(catalog: Catalog, organization: Organization, slugs: Iterable[str], field: str) -> None:
    """Refuse unknown slugs. The organization can keep slugs that have become unknown. Raises: InvalidInput."""
    for slug in slugs:
        if slug not in organization.integrations_slugs and catalog.get(slug) is None:
            raise InvalidInput.of(field, unknown(slug, catalog).detail)


def _with(organization: Organization, slug: str) -> Organization:
    """Return the organization with the integration enabled."""
    if organization.offers(slug):
        return organization
    if organization.integrations_mode == "listed":
        return replace(organization, integrations_slugs=(*organization.integrations_slugs, slug))
    return _remove(organization, slug)


def _without(organization: Organization, slug: str) -> Organization:
    """Return the organization with the integration disabled."""
    if not organization.offers(slug):
        return organization
    if organization.integrations_mode == "listed":
        return _remove(organization, slug)
    disabled = organization.integrations_slugs if organization.integrations_mode == "all_but" else ()
    return replace(organization, integrations_mode="all_but", integrations_slugs=(*disabled, slug))


def _remove(organization: Organization, slug: str) -> Organization:
    remaining = tuple(each for each in organization.integrations_slugs if each != slug)
    return replace(organization, integrations_slugs=remaining)
