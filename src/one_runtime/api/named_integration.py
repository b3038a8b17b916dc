"""Explain invalid fields whose valid values depend on the integration that the request body names."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from one_runtime.api.routing import PRINCIPAL
from one_runtime.api.services import services_of
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import Group, fields_sentence
from one_runtime.connecting.token_import import field_names
from one_runtime.errors import Unavailable
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.availability import Availability
from one_runtime.validation.descriptions import describe, one_of

_GROUPS: Final[Mapping[tuple[str, ...], Group]] = {("params",): "params", ("credentials",): "credentials"}
_PLACES: Final = frozenset({*_GROUPS, ("auth_type",)})


@dataclass(frozen=True, slots=True)
class NamedIntegration:
    """The integration that a request body names. `auth_type`: the value in the body, which can be invalid.

    `availability`: with the OAuth clients of the organization and the operator.
    """

    integration: Integration
    availability: Availability
    auth_type: object

    def explain(self, detail: Mapping[str, Any]) -> str | None:
        """Return the message for a validation error. Return None if the error does not depend on the integration."""
        place = detail["loc"][1:]
        if place == ("auth_type",):
            return self._explain_auth_type(detail)
        auth = next((auth for auth in self.integration.auth if auth.type == self.auth_type), None)
        if auth is None or place not in _GROUPS or detail["type"] != "dict_type":
            return None
        names = field_names(auth, _GROUPS[place])
        return f"{describe(detail)}. {fields_sentence(_GROUPS[place], names)}"  # type: ignore[arg-type] # as in invalid_requests

    def _explain_auth_type(self, detail: Mapping[str, Any]) -> str | None:
        available = self.availability.working(self.integration)
        if detail["type"] == "missing" and available:
            return f"is required. Available auth types: {', '.join(available)}"
        if isinstance(self.auth_type, str):
            return self.availability.explain_auth_type(self.integration, self.auth_type)
        return one_of(available) if available else None


async def find_named_integration(request: Request, error: RequestValidationError) -> NamedIntegration | None:
    """Return the integration that the request body names. Return None if no error depends on the integration."""
    principal, body = request.scope.get(PRINCIPAL), error.body
    if principal is None or not isinstance(body, dict) or not isinstance(body.get("integration_slug"), str):
        return None
    if not any(detail["loc"][1:] in _PLACES for detail in error.errors()):
        return None
    slug, installation = body["integration_slug"].strip().lower(), services_of(request.scope).installation
    with suppress(Unavailable):  # the caller then receives a less exact message
        async with installation.database.read() as tx:
            integration = await installation.catalogs.get(tx, principal.organization_id, slug)
            clients = await oauth_clients.list_slugs(tx, principal.organization_id)
        if integration is not None:
            return NamedIntegration(integration, Availability(clients=clients), body.get("auth_type"))
    return None
