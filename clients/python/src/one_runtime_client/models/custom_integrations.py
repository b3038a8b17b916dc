"""Define the classes of answers of `custom_integrations`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from one_runtime_client.models.catalog import CatalogIntegration

__all__ = [
    "CustomIntegration",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomIntegration(CatalogIntegration):
    """A custom integration.

    Attributes:
        enabled: True if your organization has enabled the integration.
        definition: The definition in the catalog's format.
        warnings: Texts with steps that you have to take, and with ignored parts of your document.
        invalidated_connections: The number of connections that became `needs_reauth`.
        created_at: The time of the creation, as in RFC 3339.
        updated_at: The time of the last change, as in RFC 3339.
    """

    enabled: bool
    definition: Mapping[str, Any]
    warnings: tuple[str, ...]
    invalidated_connections: int
    created_at: datetime
    updated_at: datetime
