"""Decide which integrations and auth types the end users of an organization can use now."""

import json
import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from one_runtime.catalog.model import Integration
from one_runtime.integrations.byte_cache import ByteCache
from one_runtime.tenancy.organizations import IntegrationsMode, Organization, is_offered

_AUTH_TYPE: Final = re.compile(r"[a-z0-9_]{1,20}")
"""A value that a message can repeat. Another text can be a secret in the wrong field."""

NO_CLIENTS: Final[frozenset[str]] = frozenset()


class Unavailability(NamedTuple):
    """The reason why no end user can connect an integration. `action`: what the developer or the operator has to do."""

    code: Literal["disabled_by_operator", "not_offered", "oauth_client_missing"]
    action: str


@dataclass(frozen=True, slots=True)
class Availability:
    """The integrations that the end users of an organization can connect.

    `mode`, `slugs`: the organization's setting, see `is_offered`. `clients`: the integrations with an OAuth client of
    the organization or the operator. `disabled`: the integrations that the operator disabled.
    """

    mode: IntegrationsMode = "all"
    slugs: frozenset[str] = frozenset()
    clients: frozenset[str] = NO_CLIENTS
    disabled: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, organization: Organization, disabled: frozenset[str], clients: frozenset[str] = NO_CLIENTS
    ) -> "Availability":
        """Return the availability for an organization. Without `clients`, only its membership test is right."""
        return cls(organization.integrations_mode, frozenset(organization.integrations_slugs), clients, disabled)

    def offers(self, slug: str) -> bool:
        """Return True if the organization has enabled the integration. The operator can have disabled it for all."""
        return is_offered(slug, self.mode, self.slugs)

    def __contains__(self, slug: str) -> bool:
        return slug not in self.disabled and self.offers(slug)

    def auth_types(self, integration: Integration) -> tuple[str, ...]:
        """Return the auth types by which an end user can connect now."""
        return self.working(integration) if integration.slug in self else ()

    def working(self, integration: Integration) -> tuple[str, ...]:
        """Return the auth types that have all they need, also those of an integration that is not enabled."""
        has_client = integration.slug in self.clients
        return tuple(auth.type for auth in integration.auth if has_client or not auth.needs_registered_client)

    def unavailability(self, integration: Integration) -> Unavailability | None:
        """Return the first reason why no end user can connect. Return None if an end user can connect."""
        slug = integration.slug
        if slug in self.disabled:
            return Unavailability(
                "disabled_by_operator",
                f"Ask the operator of this server to run `one-runtime integrations enable {slug}`.",
            )
        if not self.offers(slug):
            step = f"Add {slug} to" if self.mode == "listed" else f"Remove {slug} from"
            return Unavailability(
                "not_offered", f"{step} `integrations.slugs` of your organization (/v1/organization)."
            )
        if not self.working(integration):
            return Unavailability("oauth_client_missing", _register_client(slug))
        return None

    def explain_auth_type(self, integration: Integration, auth_type: str | None) -> str | None:
        """Return the reason and the remedy if the auth type does not work. Return None if it works.

        `auth_type`: the auth type to use, known or unknown; None for any auth type.
        """
        working = self.working(integration)
        if auth_type in working or (auth_type is None and working):
            return None
        if auth_type is not None and auth_type not in integration.auth_types:
            named = f"no auth type {auth_type!r}" if _AUTH_TYPE.fullmatch(auth_type) else "no such auth type"
            reason = f"{integration.name} has {named}."
            if not working:
                return f"{reason} Its auth types are: {', '.join(integration.auth_types)}."
        else:
            reason = f"{integration.name} needs an OAuth client for OAuth 2.0. {_register_client(integration.slug)}"
            return f"{reason} Available without an OAuth client: {', '.join(working)}." if working else reason
        return f"{reason} Available auth types: {', '.join(working)}."

    @property
    def key(self) -> tuple[str, frozenset[str], frozenset[str], frozenset[str]]:
        """Return the fields as a key for caches. Python hashes a tuple faster than a dataclass."""
        return self.mode, self.slugs, self.clients, self.disabled

    @property
    def sorted(self) -> tuple[str, list[str], list[str], list[str]]:
        """Return the fields with sorted lists. Equal availabilities have equal lists."""
        return self.mode, sorted(self.slugs), sorted(self.clients), sorted(self.disabled)


_cached: Final[ByteCache[tuple[str, str, str, frozenset[str]], Availability]] = ByteCache(16 * 1024 * 1024)
_SIZE_PER_CHARACTER: Final = 20
"""Approximate memory in bytes of an availability, for each character in its database columns."""


def availability_of(mode: IntegrationsMode, slugs: str, clients: str, disabled: frozenset[str]) -> Availability:
    """Return the availability for the values of three database columns.

    `slugs`: a JSON list. `clients`: a text with slugs, separated by commas. `disabled`: the integrations that the
    operator disabled.
    """
    key = (mode, slugs, clients, disabled)
    availability = _cached.get(key)
    if availability is None:
        configured = frozenset(clients.split(",")) if clients else NO_CLIENTS
        availability = Availability(mode, frozenset[str](json.loads(slugs)), configured, disabled)
        _cached.put(key, availability, _SIZE_PER_CHARACTER * (len(slugs) + len(clients) + 4 * len(disabled)))
    return availability


def _register_client(slug: str) -> str:
    return f"Register a client with PUT /v1/integrations/{slug}/oauth-client."
