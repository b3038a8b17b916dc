"""Define the operations for your organization, with arguments and results."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from one_runtime_client.arguments import Arguments, as_list, without_none
from one_runtime_client.operations import Operation, Resource, TransportT
from one_runtime_client.parsing import answer

__all__ = ["Availability", "Organization"]

AvailabilityMode: TypeAlias = Literal["all", "listed", "all_but"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """The integrations that an organization offers: all, only the `slugs`, or all except the `slugs`."""

    mode: AvailabilityMode = "all"
    slugs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """The settings of your organization."""

    id: str
    display_name: str
    logo_url: str | None
    privacy_url: str | None
    allowed_origins: tuple[str, ...]
    return_urls: tuple[str, ...]
    integrations: Availability
    created_at: datetime
    updated_at: datetime


def get_organization() -> Arguments:
    """Return the settings of your organization."""
    return Arguments()


def replace_organization(
    *,
    display_name: str,
    logo_url: str | None = None,
    privacy_url: str | None = None,
    allowed_origins: Iterable[str] = (),
    return_urls: Iterable[str] = (),
    integrations: Availability | None = None,
) -> Arguments:
    """Replace all settings of your organization. **An omitted argument resets its setting to the default.**"""
    availability = integrations or Availability()
    body = {
        "display_name": display_name,
        "logo_url": logo_url,
        "privacy_url": privacy_url,
        "allowed_origins": as_list(allowed_origins),
        "return_urls": as_list(return_urls),
        "integrations": {"mode": availability.mode, "slugs": as_list(availability.slugs)},
    }
    return Arguments(json=without_none(body))


def update_organization(
    *,
    display_name: str | None = None,
    logo_url: str | None = None,
    privacy_url: str | None = None,
    allowed_origins: Iterable[str] | None = None,
    return_urls: Iterable[str] | None = None,
    integrations: Availability | None = None,
) -> Arguments:
    """Change some settings of your organization. An omitted argument keeps its setting.

    A list replaces the old list. An empty `logo_url` or `privacy_url` removes the value.
    """
    availability = integrations and {"mode": integrations.mode, "slugs": as_list(integrations.slugs)}
    body = {
        "display_name": display_name,
        "logo_url": logo_url,
        "privacy_url": privacy_url,
        "allowed_origins": as_list(allowed_origins),
        "return_urls": as_list(return_urls),
        "integrations": availability,
    }
    return Arguments(json=without_none(body))


_organization: Final = answer(Organization)


class Organizations(Resource[TransportT]):
    """Your organization."""

    get = Operation("GET /v1/organization", get_organization, _organization)
    update = Operation("PATCH /v1/organization", update_organization, _organization)
    replace = Operation("PUT /v1/organization", replace_organization, _organization)
