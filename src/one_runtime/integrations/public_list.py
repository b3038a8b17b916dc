"""List the built-in integrations for everyone, without a status.

A request for this list needs no API key, so a response must need little CPU time. One Runtime renders each integration
and each whole list only once.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, get_args

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import CATEGORIES, Integration
from one_runtime.catalog.search import search
from one_runtime.integrations.content_coding import BLOCKING_SIZE, FAST, MIN_SIZE, SMALL, Coding, Compressor
from one_runtime.integrations.rendering import END, SEPARATOR, IntegrationRenderer, Listed, Logo, Options

_HEAD: Final = b'{"integrations": ['
_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


class _Fragment(NamedTuple):
    """The JSON text of one integration, and the digest of the text."""

    text: bytes
    digest: bytes


class PublicList:
    """The public list: all built-in integrations with all their auth types.

    One Runtime caches only whole lists: at most one list for each logo format and category.
    """

    def __init__(self, catalog: Catalog, renderer: IntegrationRenderer) -> None:
        self._catalog, self._renderer = catalog, renderer
        logos = len(get_args(Logo))
        self._fragments = lru_cache(maxsize=logos)(self._render_fragments)
        self._whole = lru_cache(maxsize=logos * (1 + len(CATEGORIES)))(self._render_whole)
        # The cache has room for each whole list in both codings. All these lists of the built-in catalog have 1.5 MB.
        self._whole_compressor = Compressor(SMALL, capacity=8 * 1024 * 1024)
        self._selection_compressor = Compressor(FAST, capacity=8 * 1024 * 1024)
        self._positions = {integration.slug: number for number, integration in enumerate(catalog.integrations)}

    def listed(self, options: Options) -> Listed:
        """Return the list for these options. A whole list has only one part."""
        if _is_whole(options):
            return self._whole(options.logo, options.category)
        return self._join(options)

    async def compressed(self, options: Options, listed: Listed, body: bytes, coding: Coding) -> bytes | None:
        """Return the compressed body of the list for these options. Return None to send the body uncompressed.

        A selection is a list with `slug` or `search`. Anybody can request any number of selections. So One Runtime
        compresses only selections for which the compression takes less than about a millisecond.
        """
        if len(body) < MIN_SIZE:
            return None
        if _is_whole(options):
            return await self._whole_compressor.compress((options.logo, options.category), body, coding)
        if len(body) > BLOCKING_SIZE:
            return None
        return await self._selection_compressor.compress(listed.etag, body, coding)

    def _render_whole(self, logo: Logo, category: str | None) -> Listed:
        listed = self._join(Options(category=category, logo=logo))
        return Listed(listed.etag, (listed.joined(),))

    def _join(self, options: Options) -> Listed:
        candidates: Sequence[Integration] = self._catalog.integrations
        if options.slugs is not None:
            positions = sorted([self._positions[slug] for slug in options.slugs if slug in self._positions])
            candidates = [self._catalog.integrations[position] for position in positions]
        integrations = options.matching(candidates)
        if options.search is not None:
            integrations = search(integrations, options.search)
        fragments = self._fragments(options.logo)
        selected = [fragments[integration.slug] for integration in integrations]
        digest = hashlib.blake2b(b"".join([fragment.digest for fragment in selected]), digest_size=16)
        parts = [part for fragment in selected for part in (SEPARATOR, fragment.text)][1:]
        return Listed(b'W/"%b"' % digest.hexdigest().encode(), (_HEAD, *parts, END))

    def _render_fragments(self, logo: Logo) -> dict[str, _Fragment]:
        fragments = dict[str, _Fragment]()
        for integration in self._catalog.integrations:
            description = self._renderer.describe(integration, logo)
            text = _encode({**description, "supported_auth_types": integration.auth_types}).encode()
            fragments[integration.slug] = _Fragment(text, hashlib.blake2b(text, digest_size=16).digest())
        return fragments


def _is_whole(options: Options) -> bool:
    return options.slugs is None and options.search is None
