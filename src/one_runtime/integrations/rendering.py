"""Render integrations as JSON fragments, from which the lists of integrations are joined."""

import json
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import CustomIntegration, Integration
from one_runtime.integrations.availability import Unavailability

Logo: TypeAlias = Literal["inline", "url", "none"]
Status: TypeAlias = Literal["connected", "not_connected"]

SEPARATOR: Final = b", "
END: Final = b"]}"

_MAX_CACHED_SLUGS: Final = 10

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


class Options(NamedTuple):
    """Filters and format of a list. A filter that is None selects all integrations. `search` also sorts them.

    `include_unavailable`: True to list also the integrations that the end user cannot connect.
    """

    slugs: frozenset[str] | None = None
    category: str | None = None
    search: str | None = None
    status: Status | None = None
    logo: Logo = "inline"
    include_unavailable: bool = False

    @property
    def selects(self) -> bool:
        """Return True if the options filter or sort the integrations."""
        return self != Options(logo=self.logo, include_unavailable=self.include_unavailable)

    @property
    def is_cacheable(self) -> bool:
        """Return True if a cache can store the list: the options contain no free text, and few slugs."""
        return self.search is None and (self.slugs is None or len(self.slugs) <= _MAX_CACHED_SLUGS)

    def matching(self, integrations: Iterable[Integration]) -> list[Integration]:
        """Return the integrations with one of the slugs and the category."""
        return [
            integration
            for integration in integrations
            if (self.slugs is None or integration.slug in self.slugs)
            and (self.category is None or integration.category == self.category)
        ]

    def known(self, catalog: Catalog) -> "Options":
        """Return the options without the slugs that the catalog does not contain.

        The result contains the strings of the catalog instead of the caller's strings. So a cache of lists keeps no
        text of a caller in memory.
        """
        if self.slugs is None:
            return self
        integrations = [catalog.get(slug) for slug in self.slugs]
        return self._replace(slugs=frozenset([integration.slug for integration in integrations if integration]))


@dataclass(frozen=True, slots=True)
class Listed:
    """A rendered list. All end users with the same connections share a list.

    `etag`: the weak entity tag (RFC 9110 section 8.8.3) of all data in the response except the end user's identifier.
    `parts`: JSON fragments that several lists share.
    """

    etag: bytes
    parts: tuple[bytes | memoryview, ...]

    def after(self, head: bytes) -> bytes:
        """Return the response body: `head`, followed by the parts."""
        return b"".join((head, *self.parts))

    def joined(self) -> bytes:
        """Return the joined parts. Python does not copy a single part."""
        return b"".join(self.parts)


class Fragments(NamedTuple):
    """JSON fragments of one integration, for an end user without and with an active connection."""

    not_connected: bytes
    connected: bytes


class IntegrationRenderer:
    """Renders single integrations as JSON."""

    def __init__(self, catalog: Catalog, public_url: str) -> None:
        self._catalog, self.public_url = catalog, public_url
        # The cache has room for each built-in integration in three logo formats, with one to three sets of auth types,
        # without auth types, and with each reason why it is unavailable.
        self._fragments = lru_cache(maxsize=16_384)(self._render)

    def fragments(
        self,
        integration: Integration,
        logo: Logo,
        auth_types: tuple[str, ...],
        unavailability: Unavailability | None = None,
    ) -> Fragments:
        """Return the integration's fragments. With `unavailability`, the fragments contain this reason.

        Custom integrations are rare, so they are not cached.
        """
        if isinstance(integration, CustomIntegration):
            return self._render_integration(integration, logo, auth_types, unavailability)
        return self._fragments(integration.slug, logo, auth_types, unavailability)

    def _render(
        self, slug: str, logo: Logo, auth_types: tuple[str, ...], unavailability: Unavailability | None
    ) -> Fragments:
        integration = self._catalog.get(slug)
        assert integration is not None  # noqa: S101 - every catalog contains the built-in integrations
        return self._render_integration(integration, logo, auth_types, unavailability)

    def _render_integration(
        self,
        integration: Integration,
        logo: Logo,
        auth_types: tuple[str, ...],
        unavailability: Unavailability | None,
    ) -> Fragments:
        description = self.describe(integration, logo)
        more = {} if unavailability is None else {"unavailable": unavailability._asdict()}
        statuses: tuple[Status, ...] = ("not_connected", "connected")
        return Fragments(
            *(
                SEPARATOR
                + _encode({**description, "status": status, "supported_auth_types": auth_types, **more}).encode()
                for status in statuses
            )
        )

    def describe(self, integration: Integration, logo: Logo) -> dict[str, str | None]:
        """Return the fields of an integration that do not depend on the organization or the end user."""
        return {
            "id": integration.id,
            "slug": integration.slug,
            "name": integration.name,
            "description": integration.description,
            "logo_url": self.logo_url(integration, logo),
            "category": integration.category,
        }

    def logo_url(self, integration: Integration, logo: Logo) -> str | None:
        """Return the logo as a data URI, as an immutable URL of this server, or None."""
        if logo == "none":
            return None
        slug = integration.slug
        if isinstance(integration, CustomIntegration):
            digest, svg = integration.logo_hash, integration.logo.encode()
        else:
            digest, svg = self._catalog.logo_hash(slug), self._catalog.logo(slug)
        if logo == "url":
            return f"{self.public_url}/logos/{digest}/{slug}.svg"
        return "data:image/svg+xml;base64," + b64encode(svg).decode()
