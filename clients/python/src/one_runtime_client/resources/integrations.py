"""Define the operations for the integrations that an end user can connect, with arguments and results."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from one_runtime_client.arguments import Arguments, one_or_more
from one_runtime_client.operations import Operation, Resource, TransportT
from one_runtime_client.parsing import list_of
from one_runtime_client.resources.catalog import CatalogIntegration, Logo
from one_runtime_client.resources.connections import ConnectionSummary

__all__ = ["Integration"]

Expand: TypeAlias = Literal["connections"]

IntegrationStatus: TypeAlias = Literal["connected", "not_connected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(CatalogIntegration):
    """An integration with its status for an end user.

    The status `not_connected` is no reason to delete data. Often, the end user only has to connect again.

    `connections` is None if the list was requested without `expand="connections"`.
    """

    status: IntegrationStatus
    connections: tuple[ConnectionSummary, ...] | None = None


def list_integrations(  # noqa: PLR0913 - by name
    *,
    end_user_id: str,
    slug: str | Iterable[str] = (),
    category: str | None = None,
    search: str | None = None,
    status: IntegrationStatus | None = None,
    logo: Logo = "url",
    expand: Expand | Iterable[Expand] = (),
) -> Arguments:
    """List the integrations that an end user can connect, with their status.

    The status `not_connected` is no reason to delete data. Often, the end user only has to connect again.

    `logo`: by default, each integration contains the URL of its logo. Pass `inline` for the image itself, or `none` for
    no logo. `expand="connections"` adds the end user's connections to each integration.
    """
    filters = {"slug": one_or_more(slug), "category": category, "search": search, "status": status}
    return Arguments(query={"end_user_id": end_user_id, **filters, "logo": logo, "expand": one_or_more(expand)})


class Integrations(Resource[TransportT]):
    """The integrations that an end user can connect."""

    list = Operation("GET /v1/integrations", list_integrations, list_of(Integration, under="integrations"))
