"""Find the integrations and functions that an agent can use, and describe them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from one_runtime.agents.accounts import account_fields, list_connected
from one_runtime.agents.caller import AgentCaller
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.catalog.search import search
from one_runtime.connections import connections
from one_runtime.context import Installation
from one_runtime.errors import NotAllowed
from one_runtime.tenancy import organizations
from one_runtime.tenancy.organizations import Organization

_USAGE: Final = (
    "This integration has no listed functions. Call its API with call_read, or with call_write to change something. "
    "Send the integration {slug!r} and a path from the documentation."
)


@dataclass(frozen=True, slots=True)
class Offer:
    """The integrations that an agent can use for its end user, and the slugs of those that the end user connected."""

    catalog: Catalog
    organization: Organization
    connected: frozenset[str]
    caller: AgentCaller
    disabled: frozenset[str]

    def __contains__(self, slug: str) -> bool:
        offered = self.organization.offers(slug) or slug in self.connected
        return offered and slug not in self.disabled and self.caller.policy.allows_integration(slug)

    def find(self, slug: str) -> Integration:
        """Return an integration. Raises: NotFound; NotAllowed."""
        integration = self.catalog.get(slug)
        if integration is None:
            raise unknown(slug)
        if slug not in self:
            raise NotAllowed(f"This agent may not use {integration.name}.")
        return integration


async def load_offer(installation: Installation, caller: AgentCaller) -> Offer:
    """Read the integrations that an agent can use."""
    async with installation.database.read() as tx:
        organization = await organizations.get(tx, caller.organization_id)
        connected = await connections.list_connected_slugs(tx, caller.organization_id, caller.end_user_id)
        catalog = await installation.catalogs.of(tx, caller.organization_id)
    return Offer(catalog, organization, connected, caller, installation.disabled.slugs)


def search_integrations(offer: Offer, query: str, slug: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the integrations that match a query, connected integrations first, as `tool_search` lists them."""
    candidates = [entry for entry in offer.catalog.integrations if entry.slug in offer and slug in {None, entry.slug}]
    found = candidates if slug is not None else search(candidates, query)
    found = sorted(found, key=lambda entry: entry.slug not in offer.connected)
    return [_match(offer, integration) for integration in found[:limit]]


def _match(offer: Offer, integration: Integration) -> dict[str, Any]:
    return {
        "integration": integration.slug,
        "name": integration.slug,
        "description": f"{integration.name}: {integration.description} Call its API with call_read and call_write.",
        "source": "http",
        "connected": integration.slug in offer.connected,
    }


async def describe_integration(installation: Installation, offer: Offer, integration: Integration) -> dict[str, Any]:
    """Return the description of an integration, as `tool_help` returns it."""
    slug = integration.slug
    return {
        "integration": slug,
        "name": slug,
        "description": f"{integration.name}: {integration.description}",
        "usage": _USAGE.format(slug=slug),
        "auth_requirement": auth_requirement(integration),
        "parameters": [],
        "base_url": integration.auth[0].base_url,
        "documentation": integration.docs,
        **await describe_accounts(installation, offer.caller, slug),
    }


def auth_requirement(integration: Integration) -> str:
    """Return a sentence that says what the end user has to do once."""
    return f"The end user connects {integration.name} once ({' or '.join(integration.auth_types)})."


async def describe_accounts(installation: Installation, caller: AgentCaller, slug: str) -> Mapping[str, Any]:
    """Return the accounts that the end user has connected at an integration."""
    async with installation.database.read() as tx:
        connected = {entry.slug: entry for entry in await list_connected(tx, installation, caller)}
    entry = connected.get(slug)
    return {
        "connected": entry is not None and entry.status == "connected",
        "accounts": [account_fields(account) for account in entry.accounts] if entry is not None else [],
    }
