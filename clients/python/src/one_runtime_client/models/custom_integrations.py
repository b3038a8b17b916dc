"""Define the classes of answers of `custom_integrations`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from one_runtime_client.models.catalog import CatalogIntegration

__all__ = ["CustomIntegration", "DeletedCustomIntegration", "RevocationCounts"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationCounts:
    """The number of tokens with each result of the revocation, of all deleted connections.

    Attributes:
        revoked: Tokens that the provider revoked.
        failed: Tokens that could not be revoked. One Runtime retries for 24 hours.
        not_supported: Credentials that cannot be revoked, such as an API key.
    """

    revoked: int
    failed: int
    not_supported: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedCustomIntegration(CustomIntegration):
    """The deleted custom integration as it last was, and the number of the deleted connections.

    Attributes:
        deleted_connections: The number of deleted connections.
        revocation_counts: The number of tokens with each result of the revocation, of all connections.
    """

    deleted_connections: int
    revocation_counts: RevocationCounts
