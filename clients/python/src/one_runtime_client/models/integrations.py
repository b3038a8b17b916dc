"""Define the classes of answers of `integrations`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass
from typing import Literal

from one_runtime_client.models.catalog import CatalogIntegration
from one_runtime_client.models.connections import ConnectionSummary

__all__ = ["Integration", "Unavailability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailability:
    """The reason why no end user of your organization can connect an integration. `action`: what you have to do.

    - `disabled_by_operator`: the operator disabled the integration for all organizations.
    - `not_offered`: your organization does not offer the integration.
    - `oauth_client_missing`: the integration needs an OAuth client, and there is none.

    Attributes:
        code: The reason for programs.
        action: What you have to do, in one sentence.
    """

    code: Literal["disabled_by_operator", "not_offered", "oauth_client_missing"]
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(CatalogIntegration):
    """An integration with the end user's status.

    The status is also `not_connected` if the end user has to connect again. So do not delete the end user's data
    when the status becomes `not_connected`.

    Only an integration that no end user can connect has the field `unavailable`.

    Attributes:
        status: `connected` if the end user has an active connection. Otherwise, or if the end user has to connect
            again, `not_connected`.
        unavailable: The reason why no end user of your organization can connect the integration. Absent if end
            users can connect.
        connections: The end user's connections. Absent without `expand=connections`.
    """

    status: Literal["connected", "not_connected"]
    unavailable: Unavailability | None = None
    connections: tuple[ConnectionSummary, ...] | None = None
