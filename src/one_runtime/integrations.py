"""What is available to an organization, with an end user's state: the answer to every settings page.

One statement, then a join of bytes that were rendered once per catalog: two fragments for each integration,
connected and not. Never the vault, never the way out.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias, get_args

from sqlalchemy import and_, bindparam, select

from one_runtime import api_keys, tokens
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Category, Integration
from one_runtime.catalog.search import search
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import api_keys as keys
from one_runtime.db.schema import connections, organizations

Logo: TypeAlias = Literal["inline", "url", "none"]
Status: TypeAlias = Literal["connected", "not_connected"]

CATEGORIES: Final[tuple[str, ...]] = get_args(Category)

WORKING_AUTH_TYPES: Final = frozenset({"api_key", "basic", "none"})
"""Auth types that need nothing set up beforehand; `oauth2` joins them where an OAuth client is configured."""

_KEY_WIDTH: Final = len(api_keys.COLUMNS)
_STATE = (
    select(
        *api_keys.COLUMNS,
        keys.c.secret_hash,
        organizations.c.integrations_mode,
        organizations.c.integrations_slugs,
        connections.c.integration_slug,
        connections.c.status,
    )
    .select_from(
        keys.join(organizations, organizations.c.id == keys.c.organization_id).outerjoin(
            connections,
            and_(
                connections.c.organization_id == keys.c.organization_id,
                connections.c.end_user_id == bindparam("end_user"),
            ),
        )
    )
    .where(api_keys.HASH_MATCHES)
)


@dataclass(frozen=True, slots=True)
class Offer:
    """Which integrations an organization has enabled: all (None), or these slugs."""

    slugs: frozenset[str] | None = None

    def __contains__(self, slug: str) -> bool:
        return self.slugs is None or slug in self.slugs


@dataclass(frozen=True, slots=True)
class State:
    """Who asks, what their organization offers, and per slug whether the end user has an active connection."""

    key: api_keys.ApiKey
    offer: Offer
    connected: Mapping[str, bool]


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


async def find_state(tx: Transaction, token: str, end_user_id: str) -> State | None:
    """All that decides an answer, in one statement; None where the token is no live API key."""
    if not tokens.recognize(tokens.API_KEY, token):
        return None
    digest = tokens.digest(token)
    rows = await tx.all(_STATE, hash=digest, end_user=end_user_id)
    if not rows or not api_keys.is_live(rows[0].secret_hash, digest, rows[0].revoked_at):
        return None
    first = rows[0]
    connected: dict[str, bool] = {}
    for row in rows:
        if row.integration_slug is not None:
            connected[row.integration_slug] = connected.get(row.integration_slug, False) or row.status == "active"
    offer = Offer(None if first.integrations_mode == "all" else frozenset(first.integrations_slugs))
    return State(api_keys.from_row(first[:_KEY_WIDTH]), offer, connected)


def working_auth_types(integration: Integration) -> tuple[str, ...]:
    """The auth types with which a connection could be made now."""
    return tuple(kind for kind in integration.auth_types if kind in WORKING_AUTH_TYPES)


class IntegrationList:
    """Renders lists of one catalog."""

    def __init__(self, catalog: Catalog, public_url: str) -> None:
        self._catalog = catalog
        self._public_url = public_url
        self._fragments = lru_cache(maxsize=None)(self._render_fragments)
        self._whole = lru_cache(maxsize=1024)(self._render_whole)

    def select(self, state: State, options: Options) -> list[Integration]:
        """The integrations of an answer: available ones and those that the end user has a connection to."""
        found: Iterable[Integration] = self._available(state.offer, state.connected)
        if options.slugs:
            found = (one for one in found if one.slug in options.slugs)
        if options.category:
            found = (one for one in found if one.category == options.category)
        if options.status:
            wanted = options.status == "connected"
            found = (one for one in found if state.connected.get(one.slug, False) is wanted)
        return search(found, options.search) if options.search is not None else list(found)

    def _available(self, offer: Offer, connected: Iterable[str]) -> list[Integration]:
        return [
            one
            for one in self._catalog.integrations
            if one.slug in connected or (one.slug in offer and working_auth_types(one))
        ]

    def body(self, state: State, end_user_id: str, options: Options) -> bytes:
        """The whole answer as JSON."""
        if options.selects:
            slugs = [one.slug for one in self.select(state, options)]
            fragments = self._fragments(options.logo)
            parts = [
                fragments[slug][_kind(state.offer, slug, connected=state.connected.get(slug, False))] for slug in slugs
            ]
        else:
            parts = list(self._whole(state.offer, frozenset(state.connected.items()), options.logo))
        head = b'{"end_user_id": ' + json.dumps(end_user_id, ensure_ascii=False).encode() + b', "integrations": ['
        return head + b", ".join(parts) + b"]}"

    def _render_whole(self, offer: Offer, connected: frozenset[tuple[str, bool]], logo: Logo) -> tuple[bytes, ...]:
        state = dict(connected)
        fragments = self._fragments(logo)
        return tuple(
            fragments[one.slug][_kind(offer, one.slug, connected=state.get(one.slug, False))]
            for one in self._available(offer, state)
        )

    def _render_fragments(self, logo: Logo) -> dict[str, tuple[bytes, bytes, bytes, bytes]]:
        return {one.slug: self._fragment(one, logo) for one in self._catalog.integrations}

    def _fragment(self, integration: Integration, logo: Logo) -> tuple[bytes, bytes, bytes, bytes]:
        whole = self.describe(integration, logo)
        kinds = working_auth_types(integration)
        variants = (("not_connected", kinds), ("connected", kinds), ("not_connected", ()), ("connected", ()))
        rendered = [
            json.dumps({**whole, "status": status, "supported_auth_types": supported}, ensure_ascii=False).encode()
            for status, supported in variants
        ]
        return rendered[0], rendered[1], rendered[2], rendered[3]

    def describe(self, integration: Integration, logo: Logo) -> dict[str, str | None]:
        """What every list says of an integration, in the order in which it says it."""
        return {
            "id": integration.id,
            "slug": integration.slug,
            "name": integration.name,
            "description": integration.description,
            "logo_url": self.logo_url(integration.slug, logo),
            "category": integration.category,
        }

    def logo_url(self, slug: str, logo: Logo) -> str | None:
        """A data URI, an immutable address on this server, or None."""
        if logo == "none":
            return None
        if logo == "url":
            return f"{self._public_url}/logos/{self._catalog.logo_hash(slug)}/{slug}.svg"
        return "data:image/svg+xml;base64," + b64encode(self._catalog.logo(slug)).decode()

    def etag(self, state: State, options: Options) -> str:
        """A weak entity tag (RFC 9110 section 8.8.3) over everything that decides the answer at one address."""
        offer = "*" if state.offer.slugs is None else ",".join(sorted(state.offer.slugs))
        connected = ",".join(f"{slug}:{active:d}" for slug, active in sorted(state.connected.items()))
        parts = (self._catalog.revision, self._public_url, options.logo, offer, connected)
        return f'W/"{hashlib.blake2b("|".join(parts).encode(), digest_size=16).hexdigest()}"'


def _kind(offer: Offer, slug: str, *, connected: bool) -> int:
    return connected + (0 if slug in offer else 2)
