"""List the integrations of an organization, with the status of an end user's connections.

A request runs one SQL statement, which returns one row. The response consists of cached JSON fragments.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import Text, bindparam, cast, func, literal_column, select

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import CustomIntegration, Integration
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.catalog.search import search
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import api_keys as keys
from one_runtime.db.schema import connections, oauth_clients, organizations
from one_runtime.integrations.availability import Availability, availability_of
from one_runtime.integrations.content_coding import FAST, Coding, Compressor
from one_runtime.integrations.oauth_clients import INSTANCE
from one_runtime.tenancy.authentication import KEY_COLUMNS, KEY_MATCHES, ApiKeyRow, PresentedKey, Principal

Logo: TypeAlias = Literal["inline", "url", "none"]
Status: TypeAlias = Literal["connected", "not_connected"]

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode

# The statement contains its constants as SQL literals, so that a request sends fewer parameters to the database.
_PAIR = connections.c.integration_slug + literal_column("':'") + connections.c.status
_CONNECTIONS = (
    select(func.aggregate_strings(_PAIR, literal_column("','")))  # type: ignore[arg-type] # typed for a parameter
    .where(connections.c.organization_id == keys.c.organization_id, connections.c.end_user_id == bindparam("end_user"))
    .scalar_subquery()
)
_CLIENTS = (
    select(func.aggregate_strings(oauth_clients.c.integration_slug, literal_column("','")))  # type: ignore[arg-type]
    .where(
        oauth_clients.c.retired_at.is_(None),
        (oauth_clients.c.organization_id == keys.c.organization_id)
        | (oauth_clients.c.organization_id == literal_column(f"'{INSTANCE}'")),
    )
    .scalar_subquery()
)
_STATE = (
    select(
        *KEY_COLUMNS,
        organizations.c.custom_revision,
        organizations.c.integrations_mode,
        cast(organizations.c.integrations_slugs, Text).label("integrations_slugs"),
        func.coalesce(_CONNECTIONS, literal_column("''")).label("connections"),
        func.coalesce(_CLIENTS, literal_column("''")).label("clients"),
    )
    .select_from(keys.join(organizations, organizations.c.id == keys.c.organization_id))
    .where(KEY_MATCHES)
)


class _ListRow(NamedTuple):
    key_hash: bytes
    key_revoked_at: datetime | None
    key_id: str
    key_organization_id: str
    key_scopes: str
    custom_revision: str | None
    integrations_mode: str
    integrations_slugs: str
    connections: str
    clients: str


_SEPARATOR: Final = b", "
_END: Final = b"]}"
_BLOCK: Final = 16
"""Number of integrations in a block of joined JSON fragments.

For 614 integrations, joining blocks is ten times as fast as joining the fragments of single integrations.
"""


@dataclass(frozen=True, slots=True)
class ListState:
    """The caller, the integrations that the caller's organization enabled, and the end user's connections.

    `connections`: a text such as `hubspot:active,slack:needs_reauth`. `own`: the catalog with the organization's custom
    integrations, or None if the organization has no custom integrations.
    """

    principal: Principal
    availability: Availability
    connections: str
    own: Catalog | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """Filters and format of a list. An empty filter selects all integrations. `search` also sorts the integrations."""

    slugs: frozenset[str] = frozenset()
    category: str | None = None
    search: str | None = None
    status: Status | None = None
    logo: Logo = "inline"

    @property
    def selects(self) -> bool:
        """Return True if the options filter or sort the integrations."""
        return bool(self.slugs or self.category or self.search is not None or self.status)

    @property
    def selection(self) -> tuple[object, ...]:
        """Return the options that filter or sort. Equal selections have equal values."""
        return sorted(self.slugs), self.category, self.search, self.status


async def load_state(tx: Transaction, catalogs: OrganizationCatalogs, key: PresentedKey, end_user_id: str) -> ListState:
    """Authenticate the key and read all data for the list, in one statement. Raises: Unauthenticated."""
    row = await tx.one(_STATE, _ListRow, key_hash=key.hash, end_user=end_user_id)
    principal = key.verify(ApiKeyRow(*row[:5]) if row is not None else None)
    assert row is not None  # noqa: S101 - `verify` refuses a missing row
    availability = availability_of(row.integrations_mode, row.integrations_slugs, row.clients)
    own = await catalogs.own(tx, principal.organization_id, row.custom_revision) if row.custom_revision else None
    return ListState(principal, availability, row.connections, own)


def connected_slugs(connections: str) -> Mapping[str, bool]:
    """Parse a text such as `hubspot:active,slack:needs_reauth`. Map each slug to True if a connection is active."""
    pairs = [pair.split(":") for pair in connections.split(",") if pair]
    active = {slug for slug, status in pairs if status == "active"}
    return {slug: slug in active for slug, _ in pairs}


@dataclass(frozen=True, slots=True)
class Listed:
    """A rendered list, the same for all end users with the same connections.

    `etag`: the weak entity tag (RFC 9110 section 8.8.3) of all data in the response except the end user's identifier.
    `parts`: JSON fragments that several lists share.
    """

    etag: bytes
    parts: tuple[bytes | memoryview, ...]

    def after(self, head: bytes) -> bytes:
        """Return the response body: `head`, followed by the parts."""
        return b"".join((head, *self.parts))


class _Fragments(NamedTuple):
    """JSON fragments of one integration for its four states: available or not, connected or not."""

    not_connected: bytes
    connected: bytes
    unavailable_not_connected: bytes
    unavailable_connected: bytes


class _Unconnected(NamedTuple):
    """The list for end users without connections. An unavailable integration has an empty text in `fragments`."""

    fragments: dict[str, bytes]
    blocks: list[bytes]
    digest: "hashlib.blake2b"


class IntegrationRenderer:
    """Renders single integrations as JSON."""

    def __init__(self, catalog: Catalog, public_url: str) -> None:
        self._catalog, self.public_url = catalog, public_url
        # The cache has room for each built-in integration in three logo formats, with one to three sets of auth types.
        self._fragments = lru_cache(maxsize=16_384)(self._render)

    def fragments(self, integration: Integration, logo: Logo, auth_types: tuple[str, ...]) -> _Fragments:
        """Return the integration's fragments for its four states.

        Custom integrations are rare, so they are not cached.
        """
        if isinstance(integration, CustomIntegration):
            return self._render_integration(integration, logo, auth_types)
        return self._fragments(integration.slug, logo, auth_types)

    def _render(self, slug: str, logo: Logo, auth_types: tuple[str, ...]) -> _Fragments:
        integration = self._catalog.get(slug)
        assert integration is not None  # noqa: S101 - every catalog contains the built-in integrations
        return self._render_integration(integration, logo, auth_types)

    def _render_integration(self, integration: Integration, logo: Logo, auth_types: tuple[str, ...]) -> _Fragments:
        description = self.describe(integration, logo)
        states = (("not_connected", auth_types), ("connected", auth_types), ("not_connected", ()), ("connected", ()))
        return _Fragments(
            *(
                _SEPARATOR + _encode({**description, "status": status, "supported_auth_types": supported}).encode()
                for status, supported in states
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


class _CatalogLists:
    """The lists of one catalog."""

    def __init__(self, catalog: Catalog, renderer: IntegrationRenderer, *, most: int) -> None:
        self._catalog, self._renderer = catalog, renderer
        slugs = [integration.slug for integration in catalog.integrations]
        self._blocks = [slugs[start : start + _BLOCK] for start in range(0, len(slugs), _BLOCK)]
        # Lists for end users without connections: one list for each availability and logo format.
        self._unconnected = lru_cache(maxsize=max(most // 16, 8))(self._render_unconnected)
        # Lists by availability, connections and options: end users with the same connections share a list.
        self.listed = lru_cache(maxsize=most)(self._render)

    def _render(self, availability: Availability, connections: str, options: Options) -> Listed:
        unconnected = self._unconnected(availability, options.logo)
        # A list shows an available integration as `not_connected` if its connection needs reauthorization.
        connected = {
            slug: active
            for slug, active in connected_slugs(connections).items()
            if slug in unconnected.fragments and (active or not unconnected.fragments[slug])
        }
        if options.selects:
            selected = self._select(availability, connected, options)
            statuses = {integration.slug: connected.get(integration.slug, False) for integration in selected}
            parts = [*self._fragments(availability, statuses, options.logo).values()]
        else:
            parts = self._join(unconnected, self._fragments(availability, connected, options.logo))
        digest = unconnected.digest.copy()
        digest.update(repr((sorted(connected.items()), options.selection)).encode())
        # The view drops the first separator without a copy of the shared block.
        first = [memoryview(part)[len(_SEPARATOR) :] for part in parts[:1]]
        return Listed(b'W/"%b"' % digest.hexdigest().encode(), (*first, *parts[1:], _END))

    def _join(self, unconnected: _Unconnected, connected: Mapping[str, bytes]) -> list[bytes]:
        """Return the shared blocks. For a block with a connected integration, return single fragments instead."""
        parts = list[bytes]()
        for slugs, block in zip(self._blocks, unconnected.blocks, strict=True):
            if connected.keys().isdisjoint(slugs):
                parts.append(block)
            else:
                parts += [connected.get(slug, unconnected.fragments[slug]) for slug in slugs]
        return [part for part in parts if part]

    def _select(self, availability: Availability, connected: Mapping[str, bool], options: Options) -> list[Integration]:
        """Return the available or connected integrations that match the options."""
        selected = [
            integration
            for integration in self._catalog.integrations
            if integration.slug in connected or (integration.slug in availability and availability.working(integration))
        ]
        if options.slugs:
            selected = [integration for integration in selected if integration.slug in options.slugs]
        if options.category:
            selected = [integration for integration in selected if integration.category == options.category]
        if options.status:
            active = options.status == "connected"
            selected = [integration for integration in selected if connected.get(integration.slug, False) is active]
        return search(selected, options.search) if options.search is not None else selected

    def _render_unconnected(self, availability: Availability, logo: Logo) -> _Unconnected:
        available = dict[str, bytes]()
        for integration in self._catalog.integrations:
            auth_types = availability.working(integration) if integration.slug in availability else ()
            fragments = self._renderer.fragments(integration, logo, auth_types) if auth_types else None
            available[integration.slug] = fragments.not_connected if fragments else b""
        blocks = [b"".join([available[slug] for slug in slugs]) for slugs in self._blocks]
        decisive = repr((self._catalog.revision, self._renderer.public_url, logo, availability.sorted))
        return _Unconnected(available, blocks, hashlib.blake2b(decisive.encode(), digest_size=16))

    def _fragments(self, availability: Availability, statuses: Mapping[str, bool], logo: Logo) -> dict[str, bytes]:
        rendered = dict[str, bytes]()
        for slug, active in statuses.items():
            integration = self._catalog.get(slug)
            assert integration is not None  # noqa: S101 - slugs of the catalog
            fragments = self._renderer.fragments(integration, logo, availability.working(integration))
            if slug in availability:
                rendered[slug] = fragments.connected if active else fragments.not_connected
            else:
                rendered[slug] = fragments.unavailable_connected if active else fragments.unavailable_not_connected
        return rendered


class IntegrationList:
    """Lists of the built-in catalog, and of catalogs with an organization's custom integrations."""

    def __init__(self, catalog: Catalog, public_url: str) -> None:
        self.renderer = IntegrationRenderer(catalog, public_url)
        self._built_in = _CatalogLists(catalog, self.renderer, most=4096)
        # An organization with custom integrations has few lists, and shares its lists with no other organization.
        self._custom = lru_cache(maxsize=64)(partial(_CatalogLists, renderer=self.renderer, most=128))
        # The cache has room for about 6,000 lists of 60 integrations with `logo=url`.
        self._compressor = Compressor(FAST, capacity=32 * 1024 * 1024)

    def listed(self, state: ListState, options: Options) -> Listed:
        """Return the rendered list for this state and these options."""
        lists = self._built_in if state.own is None else self._custom(state.own)
        return lists.listed(state.availability, state.connections, options)

    def body(self, listed: Listed, end_user_id: str) -> bytes:
        """Return the response body for an end user, as JSON."""
        return listed.after(b'{"end_user_id": %b, "integrations": [' % _encode(end_user_id).encode())

    async def compressed(self, listed: Listed, end_user_id: str, body: bytes, coding: Coding) -> bytes:
        """Return the compressed body. The cache saves work if the same list is requested again for an end user."""
        return await self._compressor.compress((listed.etag, end_user_id), body, coding)
