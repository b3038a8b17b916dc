"""Define the classes of the answers of `organization`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = [
    "Availability",
    "Organization",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """The integrations that your end users can connect.

    `mode`: `all` enables every integration. `listed` enables only the integrations in `slugs`. `all_but` disables
    the integrations in `slugs`, and enables every other integration.

    Attributes:
        mode: `all`: every integration. `listed`: only `slugs`. `all_but`: every integration except `slugs`.
        slugs: Slugs of integrations. The meaning depends on `mode`.
    """

    mode: Literal["all", "listed", "all_but"] = "all"
    slugs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """Your organization, with all its settings.

    Attributes:
        id: The id. Ids are UUIDs.
        display_name: The name that end users see.
        logo_url: The data URI of your logo, or None.
        privacy_url: The URL of your privacy policy, or None.
        allowed_origins: The origins of pages that can show the popup.
        return_urls: The registered return URLs.
        integrations: The integrations that your end users can connect.
        created_at: The time of the creation, as in RFC 3339.
        updated_at: The time of the last change, as in RFC 3339.
    """

    id: str
    display_name: str
    logo_url: str | None
    privacy_url: str | None
    allowed_origins: tuple[str, ...]
    return_urls: tuple[str, ...]
    integrations: Availability
    created_at: datetime
    updated_at: datetime
