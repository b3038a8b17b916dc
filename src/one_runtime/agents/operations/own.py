"""Index the operations of an organization's own custom integrations. Each process caches the indexes by revision."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from cachetools import LRUCache

from one_runtime.agents.operations.index import IndexedIntegration, OperationIndex
from one_runtime.agents.operations.library import OperationLibrary
from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.operation import Operation
from one_runtime.context import Installation

_CACHED: Final = 64 * 1024 * 1024
"""Maximum size of all cached indexes of a process, in characters of the JSON of their operations."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """An index, or None for an organization without operations. `size`: number of characters of the operations."""

    index: OperationIndex | None
    size: int


class OwnOperations:
    """The indexes of all organizations. An index belongs to one revision of an organization's custom integrations."""

    def __init__(self, library: OperationLibrary) -> None:
        self._library = library
        self._by_revision: LRUCache[str, _Cached] = LRUCache(_CACHED, lambda cached: cached.size)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of(self, installation: Installation, organization_id: str) -> OperationIndex | None:
        """Return the index of an organization, or None if its custom integrations have no operations.

        Concurrent calls build an index once: the operations can have 8 MB, and an index takes up to a second.
        """
        async with self._locks.setdefault(organization_id, asyncio.Lock()):
            async with installation.database.read() as tx:
                revision = await organization_catalogs.find_revision(tx, organization_id)
                if revision is None:
                    return None
                cached = self._by_revision.get(revision)
                if cached is not None:
                    return cached.index
                texts = await organization_catalogs.list_operations(tx, organization_id)
                catalog = await installation.catalogs.of(tx, organization_id)
            index = await self._library.run(lambda: _build(catalog, texts), organization_id) if texts else None
            self._by_revision[revision] = _Cached(index, 100 + sum(map(len, texts.values())))
            return index


def _build(catalog: Catalog, texts: Mapping[str, str]) -> OperationIndex:
    integrations = ((catalog.get(slug), text) for slug, text in texts.items())
    return OperationIndex.in_memory(
        IndexedIntegration.of(integration, _operations(text))
        for integration, text in integrations
        if integration is not None
    )


def _operations(text: str) -> list[Operation]:
    return [Operation.model_validate(value, context={"trusted": True}) for value in json.loads(text)]
