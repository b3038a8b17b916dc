"""Define the classes of the answers of `integrations`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass
from typing import Literal

from one_runtime_client.models.catalog import CatalogIntegration
from one_runtime_client.models.connections import ConnectionSummary

__all__ = [
    "Integration",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(CatalogIntegration):
    """An integration with the end user's status.

    The status is also `not_connected` if the end user has to connect again. So do not delete the end user's data
    when the status becomes `not_connected`.

    Attributes:
        status: `connected` if the end user has an active connection. Otherwise, or if the end user has to connect
            again, `not_connected`.
        connections: The end user's connections. Absent without `expand=connections`.
    """

    status: Literal["connected", "not_connected"]
    connections: tuple[ConnectionSummary, ...] | None = None
