"""Decide which integrations and auth types the end users of an organization can use now."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from one_runtime.catalog.model import Integration
from one_runtime.integrations.byte_cache import ByteCache

_AUTH_TYPE: Final = re.compile(r"[a-z0-9_]{1,20}")
"""A value that a message can repeat. Another text can be a secret in the wrong field."""

NO_CLIENTS: Final[frozenset[str]] = frozenset()


class Unavailability(NamedTuple):
    """The reason why no end user can connect an integration. `action`: what the developer or the operator has to do."""

    code: Literal["disabled_by_operator", "not_offered", "oauth_client_missing"]
    action: str


@dataclass(frozen=True, slots=True)
class Availability:
    """The integrations that an organization has enabled.

    `slugs`: the enabled integrations; None enables all integrations except `hidden`. `hidden`: the
    integrations that the organization or the operator disabled. `clients`: the integrations with an OAuth client of the
    organization or the operator.
    """

    slugs: frozenset[str] | None = None
    clients: frozenset[str] = NO_CLIENTS
    hidden: frozenset[str] = frozenset()

    def __contains__(self, slug: str) -> bool:
        return slug not in self.hidden and (self.slugs is None or slug in self.slugs)

    def working(self, integration: Integration) -> tuple[str, ...]:
        """Return the auth types by which an end user can connect now."""
        return available_auth_types(integration, self.clients)

    def unavailability(self, integration: Integration, disabled: frozenset[str]) -> Unavailability | None:
        """Return the first reason why no end user can connect. Return None if an end user can connect.

        `disabled`: the integrations that the operator disabled.
        """
        slug = integration.slug
        if slug in disabled:
            return Unavailability(
                "disabled_by_operator",
                f"Ask the operator of this server to run `one-runtime integrations enable {slug}`.",
            )
        if slug not in self:
            step = f"Remove {slug} from" if self.slugs is None else f"Add {slug} to"
            return Unavailability(
                "not_offered", f"{step} `integrations.slugs` of your organization (/v1/organization)."
            )
        if not self.working(integration):
            return Unavailability("oauth_client_missing", _register_client(slug))
        return None

    @property
    def key(self) -> tuple[frozenset[str] | None, frozenset[str], frozenset[str]]:
        """Return the three sets as a key for caches. Python hashes a tuple faster than a dataclass."""
        return self.slugs, self.clients, self.hidden

    @property
    def sorted(self) -> tuple[list[str] | None, list[str], list[str]]:
        """Return the three sets as sorted lists. Equal availabilities have equal lists."""
        return None if self.slugs is None else sorted(self.slugs), sorted(self.clients), sorted(self.hidden)


_cached: Final[ByteCache[tuple[str, str, str, frozenset[str]], Availability]] = ByteCache(16 * 1024 * 1024)
_SIZE_PER_CHARACTER: Final = 20
"""Approximate memory in bytes of an availability, for each character in its database columns."""


def availability_of(mode: str, slugs: str, clients: str, disabled: frozenset[str] = frozenset()) -> Availability:
    """Return the availability for the values of three database columns.

    `mode`: `all`, `listed` or `all_but`. `slugs`: a JSON list. `clients`: a text with slugs, separated by commas.
    `disabled`: the integrations that the operator disabled.
    """
    key = (mode, slugs, clients, disabled)
    availability = _cached.get(key)
    if availability is None:
        availability = _parse(mode, slugs, clients, disabled)
        _cached.put(key, availability, _SIZE_PER_CHARACTER * (len(slugs) + len(clients) + 4 * len(disabled)))
    return availability


def _parse(mode: str, slugs: str, clients: str, disabled: frozenset[str]) -> Availability:
    configured = frozenset(clients.split(",")) if clients else NO_CLIENTS
    named = frozenset[str](json.loads(slugs)) if mode != "all" else frozenset[str]()
    hidden = disabled | named if mode == "all_but" else disabled
    return Availability(named if mode == "listed" else None, configured, hidden)


def available_auth_types(integration: Integration, clients: Collection[str]) -> tuple[str, ...]:
    """Return the auth types by which an end user can connect now.

    `clients`: the integrations with an OAuth client of the organization or the operator.
    """
    has_client = integration.slug in clients
    return tuple(auth.type for auth in integration.auth if has_client or not auth.needs_registered_client)


def _register_client(slug: str) -> str:
    return f"Register a client with PUT /v1/integrations/{slug}/oauth-client."


def unavailable_reason(integration: Integration, clients: Collection[str], auth_type: str | None = None) -> str | None:
    """Return the reason and the remedy if an end user cannot connect. Return None if an end user can connect.

    `auth_type`: the auth type to use, known or unknown; None for any auth type. `clients`: the integrations with an
    OAuth client of the organization or the operator.
    """
    available = available_auth_types(integration, clients)
    if auth_type in available or (auth_type is None and available):
        return None
    if auth_type is not None and auth_type not in integration.auth_types:
        named = f"no auth type {auth_type!r}" if _AUTH_TYPE.fullmatch(auth_type) else "no such auth type"
        reason = f"{integration.name} has {named}."
        if not available:
            return f"{reason} Its auth types are: {', '.join(integration.auth_types)}."
    else:
        reason = f"{integration.name} needs an OAuth client for OAuth 2.0. {_register_client(integration.slug)}"
        return f"{reason} Available without an OAuth client: {', '.join(available)}." if available else reason
    return f"{reason} Available auth types: {', '.join(available)}."
