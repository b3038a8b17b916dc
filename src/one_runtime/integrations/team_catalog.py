"""Read the catalog of an organization for the organization's team, and filter the catalog.

The API's list contains the integrations that an end user can connect. The team also sees all other integrations, with
the reason why an end user cannot connect them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, ScalarSelect, Text, bindparam, cast, func, literal_column, select

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import CUSTOM, Integration
from one_runtime.catalog.search import search
from one_runtime.connections.integration_counts import IntegrationCount
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import oauth_clients, organizations
from one_runtime.errors import NotFound
from one_runtime.integrations.availability import Availability, availability_of
from one_runtime.tenancy.organizations import INSTANCE, IntegrationsMode

ClientOwner: TypeAlias = Literal["organization", "operator"]
Show: TypeAlias = Literal["all", "ready", "enabled", "connected", "client_missing"]
"""A filter of the list.

- `ready`: integrations that end users can connect now.
- `client_missing`: integrations that need an OAuth client, and have none.
"""


def _client_slugs(owner: ColumnElement[str]) -> ScalarSelect[str]:
    """Return the slugs of the owner's active OAuth clients, joined by commas."""
    slugs = select(func.aggregate_strings(oauth_clients.c.integration_slug, literal_column("','")))  # type: ignore[arg-type] # typed for a parameter
    of_owner = slugs.where(oauth_clients.c.retired_at.is_(None), oauth_clients.c.organization_id == owner)
    return of_owner.scalar_subquery()


_NONE: Final[ColumnElement[str]] = literal_column("''")
_SELECT: Final = select(
    organizations.c.custom_revision,
    organizations.c.integrations_mode,
    cast(organizations.c.integrations_slugs, Text).label("integrations_slugs"),
    func.coalesce(_client_slugs(organizations.c.id), _NONE).label("own_clients"),
    func.coalesce(_client_slugs(literal_column(f"'{INSTANCE}'")), _NONE).label("operator_clients"),
).where(organizations.c.id == bindparam("organization"))


class _TeamCatalogRow(NamedTuple):
    custom_revision: str | None
    integrations_mode: IntegrationsMode
    integrations_slugs: str
    own_clients: str
    operator_clients: str


@dataclass(frozen=True, slots=True)
class TeamCatalog:
    """The catalog of an organization, and the data that decide what end users can connect.

    `slugs`: in the mode `listed`, the enabled integrations. In the mode `all_but`, the disabled integrations.
    `own_clients`, `operator_clients`: the integrations with an OAuth client of the organization or the operator.
    """

    catalog: Catalog
    availability: Availability
    mode: IntegrationsMode
    slugs: tuple[str, ...]
    own_clients: frozenset[str]
    operator_clients: frozenset[str]

    def get(self, slug: str) -> Integration:
        """Return an integration. Raises: NotFound."""
        integration = self.catalog.get(slug)
        if integration is None:
            raise NotFound(f"There is no integration {slug[:64]!r} in the catalog of your organization.")
        return integration

    def client_owner(self, slug: str) -> ClientOwner | None:
        """Return the owner of the OAuth client for new connections, or None if there is no client."""
        if slug in self.own_clients:
            return "organization"
        return "operator" if slug in self.operator_clients else None

    def lacks_client(self, integration: Integration) -> bool:
        """Return True if an auth type needs an OAuth client, and no client is registered."""
        return needs_client(integration) and self.client_owner(integration.slug) is None


@dataclass(frozen=True, slots=True)
class CatalogFilter:
    """Filters of the list. An empty text matches every integration."""

    search: str = ""
    category: str = ""
    show: Show = "all"

    def select(self, team: TeamCatalog, counts: Mapping[str, IntegrationCount]) -> list[Integration]:
        """Return the matching integrations.

        The order is the rank of the search. Without a search, the first integrations are custom, connected, or have an
        OAuth client.
        """
        matching = [each for each in team.catalog.integrations if self._matches(team, each, counts)]
        if self.search:
            return search(matching, self.search)
        first = counts.keys() | team.own_clients | team.operator_clients
        return sorted(matching, key=lambda each: not (each.slug in first or each.slug.startswith(CUSTOM)))

    def _matches(self, team: TeamCatalog, integration: Integration, counts: Mapping[str, IntegrationCount]) -> bool:
        if self.category and integration.category != self.category:
            return False
        if self.show == "ready":
            return bool(team.availability.auth_types(integration))
        if self.show == "enabled":
            return integration.slug in team.availability
        if self.show == "connected":
            return integration.slug in counts
        return self.show == "all" or team.lacks_client(integration)


def needs_client(integration: Integration) -> bool:
    """Return True if an auth type of the integration needs an OAuth client."""
    return any(auth.needs_registered_client for auth in integration.auth)


async def load_team_catalog(tx: Transaction, installation: Installation, organization_id: str) -> TeamCatalog:
    """Read the catalog of an organization, in one statement if the process caches its custom integrations."""
    row = await tx.one(_SELECT, _TeamCatalogRow, organization=organization_id)
    if row is None:
        raise NotFound(f"There is no organization {organization_id}.")
    own = await installation.catalogs.own(tx, organization_id, row.custom_revision)
    clients = ",".join(filter(None, (row.own_clients, row.operator_clients)))
    return TeamCatalog(
        catalog=installation.catalog if own is None else own,
        availability=availability_of(
            row.integrations_mode, row.integrations_slugs, clients, installation.disabled.slugs
        ),
        mode=row.integrations_mode,
        slugs=tuple(json.loads(row.integrations_slugs)),
        own_clients=frozenset(filter(None, row.own_clients.split(","))),
        operator_clients=frozenset(filter(None, row.operator_clients.split(","))),
    )
