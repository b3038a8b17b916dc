"""Define the operations for your organization's own integrations, with arguments and results."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from one_runtime_client.arguments import Arguments
from one_runtime_client.operations import Operation, Resource, TransportT
from one_runtime_client.parsing import answer, list_of, no_answer
from one_runtime_client.resources.catalog import CatalogIntegration

__all__ = ["CustomIntegration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomIntegration(CatalogIntegration):
    """One of your organization's own integrations.

    `invalidated_connections`: number of connections that end users have to make again, because the new definition
    sends the credentials to another host or in another way.
    """

    enabled: bool
    definition: Mapping[str, Any]
    warnings: tuple[str, ...]
    invalidated_connections: int
    created_at: datetime
    updated_at: datetime


def list_custom_integrations() -> Arguments:
    """List your organization's own integrations."""
    return Arguments()


def create_custom_integration(definition: Mapping[str, Any] | str) -> Arguments:
    """Create an integration of your own.

    `definition`: an entry in the catalog's format or an OpenAPI document, as a mapping or as text in YAML or JSON.
    """
    return _definition(definition)


def get_custom_integration(slug: str) -> Arguments:
    """Return one of your organization's own integrations."""
    return Arguments(path={"slug": slug})


def replace_custom_integration(slug: str, definition: Mapping[str, Any] | str) -> Arguments:
    """Create or replace an integration of your own. `definition` does not need a `slug`."""
    return _definition(definition, slug=slug)


def delete_custom_integration(slug: str, *, delete_connections: bool = False) -> Arguments:
    """Delete an integration of your own. If the integration has connections, `delete_connections` has to be True."""
    return Arguments(path={"slug": slug}, query={"delete_connections": delete_connections or None})


def _definition(definition: Mapping[str, Any] | str, **path: str) -> Arguments:
    text = definition if isinstance(definition, str) else json.dumps(definition, ensure_ascii=False)
    syntax: Literal["json", "yaml"] = "json" if text.lstrip().startswith("{") else "yaml"
    return Arguments(path=path, body=text, media_type=f"application/{syntax}")


_CUSTOM_INTEGRATION: Final = "/v1/custom-integrations/{slug}"
_custom_integration: Final = answer(CustomIntegration)


class CustomIntegrations(Resource[TransportT]):
    """Your organization's own integrations."""

    list = Operation(
        "GET /v1/custom-integrations",
        list_custom_integrations,
        list_of(CustomIntegration, under="custom_integrations"),
    )
    create = Operation("POST /v1/custom-integrations", create_custom_integration, _custom_integration, creates=True)
    get = Operation(f"GET {_CUSTOM_INTEGRATION}", get_custom_integration, _custom_integration)
    replace = Operation(f"PUT {_CUSTOM_INTEGRATION}", replace_custom_integration, _custom_integration)
    delete = Operation(f"DELETE {_CUSTOM_INTEGRATION}", delete_custom_integration, no_answer)
