"""What is available to an organization, with an end user's state: the answer to every settings page.

One statement that answers one row, then a join of bytes that were rendered once per catalog: two fragments for each
integration, connected and not. A compressed answer is put together from what was compressed once for all who have the
same connections. Never the vault, never the way out.
"""

import asyncio
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias, get_args

from sqlalchemy import Text, bindparam, cast, func, literal_column, select

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Category, CustomIntegration, Integration
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.catalog.search import search
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import api_keys as keys
from one_runtime.db.schema import connections, oauth_clients, organizations
from one_runtime.integrations.availability import Availability, availability_of, available_auth_types
from one_runtime.integrations.content_coding import BLOCKING, WORTH_IT, Coding, CompressedCache, compress
from one_runtime.integrations.oauth_clients import INSTANCE
from one_runtime.tenancy.authentication import KEY_COLUMNS, KEY_MATCHES, PresentedKey, Principal

Logo: TypeAlias = Literal["inline", "url", "none"]
Status: TypeAlias = Literal["connected", "not_connected"]

CATEGORIES: Final[tuple[str, ...]] = get_args(Category)

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode

# The separators are written into the statement, where as parameters they would be sent with every request.
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


_SEPARATOR: Final = b", "
_END: Final = b"]}"
_OWN_KEPT: Final = 64
"""Catalogs with an organization's own integrations whose lists are kept."""
_COMPRESSED_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ListState:
    """The caller, what their organization offers, and the end user's connections as the database gathers them:
    `hubspot:active,slack:needs_reauth`. `own`: the catalog with the organization's own integrations in it, where it has
    any."""

    principal: Principal
    offer: Availability
    connections: str
    own: Catalog | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What to list and how. Empty or None takes all; `search` also orders, by rank."""

    slugs: frozenset[str] = frozenset()
    category: str | None = None
    search: str | None = None
    status: Status | None = None
    logo: Logo = "inline"

    @property
    def selects(self) -> bool:
        """Whether anything is left out or moved."""
        return bool(self.slugs or self.category or self.search is not None or self.status)

    @property
    def selection(self) -> tuple[object, ...]:
        """What decides which are listed, in one order."""
        return sorted(self.slugs), self.category, self.search, self.status


async def load_state(tx: Transaction, catalogs: OrganizationCatalogs, key: PresentedKey, end_user_id: str) -> ListState:
    """Authenticate the key and read all that decides an answer, in one statement. Raises: Unauthenticated."""
    row = await tx.one(_STATE, key_hash=key.hash, end_user=end_user_id)
    principal = key.verify(row)
    assert row is not None  # noqa: S101 - `verify` refuses a missing row
    offer = availability_of(row.integrations_mode, row.integrations_slugs, row.clients)
    own = await catalogs.own(tx, principal.organization_id, row.custom_revision) if row.custom_revision else None
    return ListState(principal, offer, row.connections, own)


def _head(end_user_id: str) -> bytes:
    return b'{"end_user_id": %b, "integrations": [' % _encode(end_user_id).encode()


def connected_slugs(connections: str) -> Mapping[str, bool]:
    """Per slug of `hubspot:active,slack:needs_reauth`: whether one of its connections is active."""
    pairs = [one.split(":") for one in connections.split(",") if one]
    active = {slug for slug, status in pairs if status == "active"}
    return {slug: slug in active for slug, _ in pairs}


@dataclass(frozen=True, slots=True)
class _Unconnected:
    """The list of who is not connected to anything: every integration in its place, empty where it is not available;
    and the hash of what decides it, to be copied and gone on with."""

    parts: dict[str, bytes]
    digest: "hashlib.blake2b"


@dataclass(frozen=True, slots=True)
class Listed:
    """One answer, whoever the end user is: its weak entity tag (RFC 9110 section 8.8.3), which covers everything that
    decides the answer but the identifier that was asked for, and the integrations, in bytes that answers share."""

    etag: bytes
    parts: tuple[bytes, ...]
    size: int

    def after(self, head: bytes) -> bytes:
        """The answer behind its head."""
        return b"".join((head, *self.parts))


class _Lists:
    """The lists of one catalog. What it renders it keeps, and for as long as the catalog is kept."""

    def __init__(self, catalog: Catalog, renders: "IntegrationList", built_in: "_Lists | None" = None) -> None:
        self._catalog, self._renders, self._built_in = catalog, renders, built_in
        # An organization has few settings, and its own integrations are its alone: fewer are kept of their lists.
        few = built_in is not None
        self._fragment = lru_cache(maxsize=None)(self._render_fragment)
        self._fragments = lru_cache(maxsize=8 if few else 1024)(self._render_fragments)
        self._unconnected = lru_cache(maxsize=8 if few else 256)(self._render_unconnected)
        self.listed = lru_cache(maxsize=128 if few else 4096)(self._render_listed)

    def select(self, offer: Availability, connected: Mapping[str, bool], options: Options) -> list[Integration]:
        """The integrations of an answer: available ones and those that the end user has a connection to."""
        found: Iterable[Integration] = (
            one
            for one in self._catalog.integrations
            if one.slug in connected or (one.slug in offer and offer.working(one))
        )
        if options.slugs:
            found = (one for one in found if one.slug in options.slugs)
        if options.category:
            found = (one for one in found if one.category == options.category)
        if options.status:
            wanted = options.status == "connected"
            found = (one for one in found if connected.get(one.slug, False) is wanted)
        return search(found, options.search) if options.search is not None else list(found)

    def fragment(self, slug: str, logo: Logo, kinds: tuple[str, ...]) -> "_Fragment":
        """One integration, in its four states."""
        return self._fragment(slug, logo, kinds)

    def _render_listed(self, offer: Availability, connections: str, options: Options) -> Listed:
        unconnected = self._unconnected(offer, options.logo)
        # What needs a new consent and is listed anyway looks as if it were not connected: it makes no other answer.
        connected = {
            slug: active
            for slug, active in connected_slugs(connections).items()
            if slug in unconnected.parts and (active or not unconnected.parts[slug])
        }
        if options.selects:
            slugs = {one.slug: connected.get(one.slug, False) for one in self.select(offer, connected, options)}
            parts = self._parts(offer, slugs, options.logo)
        else:
            parts = unconnected.parts | self._parts(offer, connected, options.logo)
        digest = unconnected.digest.copy()
        digest.update(repr((sorted(connected.items()), options.selection)).encode())
        found = [part for part in parts.values() if part]
        found[:1] = [part.removeprefix(_SEPARATOR) for part in found[:1]]
        return Listed(b'W/"%b"' % digest.hexdigest().encode(), (*found, _END), sum(map(len, found)))

    def _render_unconnected(self, offer: Availability, logo: Logo) -> _Unconnected:
        fragments = self._fragments(logo, offer.clients)
        parts = {
            one.slug: fragments[one.slug][0] if one.slug in offer and offer.working(one) else b""
            for one in self._catalog.integrations
        }
        decides = repr((self._catalog.revision, self._renders.public_url, logo, offer.sorted))
        return _Unconnected(parts, hashlib.blake2b(decides.encode(), digest_size=16))

    def _parts(self, offer: Availability, connected: Mapping[str, bool], logo: Logo) -> dict[str, bytes]:
        fragments = self._fragments(logo, offer.clients)
        return {slug: fragments[slug][active + (0 if slug in offer else 2)] for slug, active in connected.items()}

    def _render_fragments(self, logo: Logo, clients: frozenset[str]) -> "dict[str, _Fragment]":
        """Rendered once for each set of clients; those of one integration with the same auth types are the same."""
        return {
            one.slug: self._whose(one).fragment(one.slug, logo, available_auth_types(one, clients))
            for one in self._catalog.integrations
        }

    def _whose(self, one: Integration) -> "_Lists":
        return self if self._built_in is None or isinstance(one, CustomIntegration) else self._built_in

    def _render_fragment(self, slug: str, logo: Logo, kinds: tuple[str, ...]) -> "_Fragment":
        integration = self._catalog.get(slug)
        whole = self._renders.describe(integration, logo) if integration is not None else {}
        variants = (("not_connected", kinds), ("connected", kinds), ("not_connected", ()), ("connected", ()))
        rendered = [
            _SEPARATOR + _encode({**whole, "status": status, "supported_auth_types": supported}).encode()
            for status, supported in variants
        ]
        return rendered[0], rendered[1], rendered[2], rendered[3]


_Fragment: TypeAlias = tuple[bytes, bytes, bytes, bytes]
"""One integration of a list: not connected, connected, and both where the organization does not offer it."""


class IntegrationList:
    """Renders lists of the built-in catalog, and of those that have an organization's own integrations in it."""

    def __init__(self, catalog: Catalog, public_url: str) -> None:
        self._catalog = catalog
        self.public_url = public_url
        self._lists = _Lists(catalog, self)
        self._lists_of = lru_cache(maxsize=_OWN_KEPT)(self._new_lists)
        self._compressed = CompressedCache(_COMPRESSED_BYTES)

    def listed(self, state: ListState, options: Options) -> Listed:
        """What to answer."""
        lists = self._lists if state.own is None else self._lists_of(state.own)
        return lists.listed(state.offer, state.connections, options)

    def _new_lists(self, own: Catalog) -> _Lists:
        return _Lists(own, self, self._lists)

    def body(self, listed: Listed, end_user_id: str) -> bytes:
        """The answer to one end user, as JSON."""
        return listed.after(_head(end_user_id))

    async def compressed(self, listed: Listed, end_user_id: str, coding: Coding) -> bytes | None:
        """The same, compressed; None where that is not worth it. What was compressed is kept, for everybody whose
        answer has the same entity tag; the identifier is put in front of it as it is."""
        if listed.size < WORTH_IT:
            return None
        key = listed.etag, coding
        compressed = self._compressed.get(key)
        if compressed is None:
            text = listed.after(b"")
            if listed.size > BLOCKING:
                compressed = await asyncio.to_thread(compress, text, coding)
            else:
                compressed = compress(text, coding)
            self._compressed.put(key, compressed)
        return compressed.after(_head(end_user_id))

    def describe(self, integration: Integration, logo: Logo) -> dict[str, str | None]:
        """What every list says of an integration, in the order in which it says it."""
        return {
            "id": integration.id,
            "slug": integration.slug,
            "name": integration.name,
            "description": integration.description,
            "logo_url": self.logo_url(integration, logo),
            "category": integration.category,
        }

    def logo_url(self, integration: Integration, logo: Logo) -> str | None:
        """A data URI, an immutable address on this server, or None."""
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
