"""List the integrations of an organization, with the status of an end user's connections.

A request runs one SQL statement, which returns one row. The response consists of cached JSON fragments.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Text, bindparam, cast, func, literal_column, select

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import CUSTOM, Integration
from one_runtime.catalog.search import search
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import api_keys as keys
from one_runtime.db.schema import connections, oauth_clients, organizations
from one_runtime.integrations.availability import Availability, availability_of
from one_runtime.integrations.byte_cache import ByteCache
from one_runtime.integrations.content_coding import FAST, Coding, Compressor
from one_runtime.integrations.public_list import PublicList
from one_runtime.integrations.rendering import END, SEPARATOR, Fragments, IntegrationRenderer, Listed, Options
from one_runtime.tenancy.authentication import KEY_COLUMNS, KEY_MATCHES, ApiKeyRow, PresentedKey, Principal
from one_runtime.tenancy.organizations import INSTANCE, IntegrationsMode

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode

# The constants are literals in the SQL text, so that a request sends fewer parameters to the database.
_PAIR = connections.c.integration_slug + literal_column("':'") + connections.c.status


def _state_columns(organization_id: ColumnElement[str]) -> tuple[ColumnElement[Any], ...]:
    """Return the columns of `_StateRow`. `organization_id`: the column that selects the organization's rows."""
    pairs = select(func.aggregate_strings(_PAIR, literal_column("','")))  # type: ignore[arg-type] # typed for a parameter
    of_end_user = pairs.where(
        connections.c.organization_id == organization_id, connections.c.end_user_id == bindparam("end_user")
    )
    slugs = select(func.aggregate_strings(oauth_clients.c.integration_slug, literal_column("','")))  # type: ignore[arg-type]
    configured = slugs.where(
        oauth_clients.c.retired_at.is_(None),
        (oauth_clients.c.organization_id == organization_id)
        | (oauth_clients.c.organization_id == literal_column(f"'{INSTANCE}'")),
    )
    return (
        organizations.c.custom_revision,
        organizations.c.integrations_mode,
        cast(organizations.c.integrations_slugs, Text).label("integrations_slugs"),
        func.coalesce(of_end_user.scalar_subquery(), literal_column("''")).label("connections"),
        func.coalesce(configured.scalar_subquery(), literal_column("''")).label("clients"),
    )


_STATE = (
    select(*KEY_COLUMNS, *_state_columns(keys.c.organization_id))
    .select_from(keys.join(organizations, organizations.c.id == keys.c.organization_id))
    .where(KEY_MATCHES)
)
_STATE_BY_ID = select(*_state_columns(organizations.c.id)).where(organizations.c.id == bindparam("organization"))


class _StateRow(NamedTuple):
    custom_revision: str | None
    integrations_mode: IntegrationsMode
    integrations_slugs: str
    connections: str
    clients: str


class _ListRow(NamedTuple):
    key_hash: bytes
    key_revoked_at: datetime | None
    key_id: str
    key_organization_id: str
    key_scopes: str
    custom_revision: str | None
    integrations_mode: IntegrationsMode
    integrations_slugs: str
    connections: str
    clients: str


_BLOCK: Final = 16
"""Number of integrations in a block of joined JSON fragments.

For the built-in catalog, joining blocks is ten times as fast as joining the fragments of single integrations.
"""

_CAPACITY: Final = 64 * 1024 * 1024
_CAPACITY_OF_A_VIEW: Final = 16 * 1024 * 1024
# Approximate memory in bytes: a slug in a set or a dictionary, and an item of a list.
_SLUG_SIZE: Final = 150
_ITEM_SIZE: Final = 8


class ListState(NamedTuple):
    """The integrations that end users of an organization can connect, and the connections of one end user.

    `connections`: a text such as `hubspot:active,slack:needs_reauth`. `own`: the catalog with the organization's custom
    integrations, or None if the organization has no custom integrations.
    """

    availability: Availability
    connections: str
    own: Catalog | None = None


async def load_state(
    tx: Transaction, installation: Installation, key: PresentedKey, end_user_id: str
) -> tuple[Principal, ListState]:
    """Authenticate the key and read all data for the list, in one statement. Raises: Unauthenticated."""
    row = await tx.one(_STATE, _ListRow, key_hash=key.hash, end_user=end_user_id)
    principal = key.verify(ApiKeyRow(*row[:5]) if row is not None else None)
    assert row is not None  # noqa: S101 - `verify` refuses a missing row
    return principal, await _state_of(tx, installation, principal.organization_id, row)


async def reload_state(
    tx: Transaction, installation: Installation, organization_id: str, end_user_id: str
) -> ListState:
    """Read all data for the list of an organization that exists, in one statement."""
    row = await tx.one(_STATE_BY_ID, _StateRow, organization=organization_id, end_user=end_user_id)
    assert row is not None  # noqa: S101 - the caller has authenticated, so the organization exists
    return await _state_of(tx, installation, organization_id, row)


async def _state_of(
    tx: Transaction, installation: Installation, organization_id: str, row: _ListRow | _StateRow
) -> ListState:
    availability = availability_of(
        row.integrations_mode, row.integrations_slugs, row.clients, installation.disabled.slugs
    )
    own = await installation.catalogs.own(tx, organization_id, row.custom_revision) if row.custom_revision else None
    return ListState(availability, row.connections, own)


def connected_slugs(connections: str) -> Mapping[str, bool]:
    """Parse a text such as `hubspot:active,slack:needs_reauth`. Map each slug to True if a connection is active."""
    pairs = [pair.split(":") for pair in connections.split(",") if pair]
    active = {slug for slug, status in pairs if status == "active"}
    return {slug: slug in active for slug, _ in pairs}


@dataclass(frozen=True, slots=True)
class _View:
    """The lists of one catalog, availability and format.

    `fragments`: the JSON fragment of each listed integration, for end users without a connection. `blocks`: the slugs
    of each block, and the joined fragments of its listed integrations. `size`: the memory in bytes without
    `lists`. `lists`: rendered lists by connections and selection. The lists use the view's fragments and blocks. So the
    view contains the cache of its lists, and a removed view frees its lists too.
    """

    fragments: Mapping[str, bytes]
    blocks: list[tuple[list[str], bytes]]
    digest: "hashlib.blake2b"
    size: int
    lists: ByteCache[tuple[object, ...], Listed] = field(default_factory=lambda: ByteCache(_CAPACITY_OF_A_VIEW))

    def join(self, connected: Mapping[str, bytes]) -> list[bytes]:
        """Return the shared blocks. For a block with a connected integration, return single fragments instead."""
        parts = list[bytes]()
        for slugs, block in self.blocks:
            if connected.keys().isdisjoint(slugs):
                parts.append(block)
            else:
                parts += [connected.get(slug) or self.fragments.get(slug, b"") for slug in slugs]
        return [part for part in parts if part]


class IntegrationList:
    """Lists of the built-in catalog, and of catalogs with an organization's custom integrations.

    The caches are bounded in bytes. Their keys contain only values from the catalog and the database.
    """

    def __init__(self, catalog: Catalog, public_url: str) -> None:
        self._catalog = catalog
        self.renderer = IntegrationRenderer(catalog, public_url)
        self.public = PublicList(catalog, self.renderer)
        # A view of the whole catalog has 0.3 MB with `logo=url`, and 0.9 MB with inline logos.
        self._views: ByteCache[tuple[object, ...], _View] = ByteCache(_CAPACITY)
        # The cache has room for about 5,000 lists of 60 integrations with `logo=url`.
        self._compressor = Compressor(FAST, capacity=32 * 1024 * 1024)

    def listed(self, state: ListState, options: Options) -> Listed:
        """Return the rendered list for this state and these options."""
        catalog = self._catalog if state.own is None else state.own
        key = (catalog.revision, state.availability.key, options.logo, options.include_unavailable)
        view = self._views.get(key)
        if view is None:
            view = self._render_view(catalog, state, options)
            self._views.put(key, view, view.size)
        options = options.known(catalog)
        if not options.is_cacheable:
            return self._render(catalog, view, state, options)[0]
        list_key = (state.connections, options)
        listed = view.lists.get(list_key)
        if listed is None:
            listed, size = self._render(catalog, view, state, options)
            view.lists.put(list_key, listed, size + len(state.connections))
            self._views.put(key, view, view.size + view.lists.size)
        return listed

    def body(self, listed: Listed, end_user_id: str) -> bytes:
        """Return the response body for an end user, as JSON."""
        return listed.after(b'{"end_user_id": %b, "integrations": [' % _encode(end_user_id).encode())

    async def compressed(self, listed: Listed, end_user_id: str, body: bytes, coding: Coding) -> bytes:
        """Return the compressed body. A cache keeps the body for a repeated request of the list for this end user."""
        key_size = sys.getsizeof(end_user_id)
        return await self._compressor.compress((listed.etag, end_user_id), body, coding, key_size)

    def _render(self, catalog: Catalog, view: _View, state: ListState, options: Options) -> tuple[Listed, int]:
        """Return a list, and the memory in bytes that the list does not share with the view or the renderer."""
        # A list shows an available integration as `not_connected` if its connection needs reauthorization.
        connected = {
            slug: active
            for slug, active in connected_slugs(state.connections).items()
            if catalog.get(slug) is not None and (active or slug not in view.fragments)
        }
        fragments = dict[str, bytes]()
        for slug, active in connected.items():
            integration = catalog.get(slug)
            assert integration is not None  # noqa: S101 - `connected` contains only slugs of the catalog
            rendered = self._fragments(integration, state, options)
            fragments[slug] = rendered.connected if active else rendered.not_connected
        if options.selects:
            listed_slugs = connected.keys() | view.fragments.keys()
            selected = [integration for integration in catalog.integrations if integration.slug in listed_slugs]
            slugs = [integration.slug for integration in _select(selected, connected, options)]
            parts = [fragments[slug] if slug in fragments else view.fragments[slug] for slug in slugs]
        else:
            parts = view.join(fragments)
        digest = view.digest.copy()
        selection = (options.slugs and sorted(options.slugs), options.category, options.search, options.status)
        digest.update(repr((sorted(connected.items()), selection)).encode())
        # The memoryview drops the first separator without a copy of the shared block.
        first = [memoryview(part)[len(SEPARATOR) :] for part in parts[:1]]
        listed = Listed(b'W/"%b"' % digest.hexdigest().encode(), (*first, *parts[1:], END))
        # The renderer does not cache the fragments of custom integrations.
        own = sum(len(fragment) for slug, fragment in fragments.items() if slug.startswith(CUSTOM))
        return listed, own + _ITEM_SIZE * len(parts)

    def _render_view(self, catalog: Catalog, state: ListState, options: Options) -> _View:
        availability, fragments = state.availability, dict[str, bytes]()
        for integration in catalog.integrations:
            if options.include_unavailable or availability.auth_types(integration):
                fragments[integration.slug] = self._fragments(integration, state, options).not_connected
        slugs = [integration.slug for integration in catalog.integrations]
        groups = [slugs[start : start + _BLOCK] for start in range(0, len(slugs), _BLOCK)]
        blocks = [(group, b"".join([fragments.get(slug, b"") for slug in group])) for group in groups]
        decisive = repr(
            (catalog.revision, self.renderer.public_url, options.logo, options.include_unavailable, availability.sorted)
        )
        # The renderer caches the fragments of built-in integrations.
        own = sum(len(fragment) for slug, fragment in fragments.items() if slug.startswith(CUSTOM))
        slug_count = len(fragments) + sum(map(len, (availability.slugs, availability.clients, availability.disabled)))
        size = own + sum(len(block) for _, block in blocks) + _ITEM_SIZE * len(slugs) + _SLUG_SIZE * slug_count
        return _View(fragments, blocks, hashlib.blake2b(decisive.encode(), digest_size=16), size)

    def _fragments(self, integration: Integration, state: ListState, options: Options) -> Fragments:
        auth_types = state.availability.auth_types(integration)
        reason = None
        if options.include_unavailable and not auth_types:
            reason = state.availability.unavailability(integration)
        return self.renderer.fragments(integration, options.logo, auth_types, reason)


def _select(integrations: list[Integration], connected: Mapping[str, bool], options: Options) -> list[Integration]:
    """Return the integrations that match the options."""
    selected = options.matching(integrations)
    if options.status:
        active = options.status == "connected"
        selected = [integration for integration in selected if connected.get(integration.slug, False) is active]
    return search(selected, options.search) if options.search is not None else selected
