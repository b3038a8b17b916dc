"""Find operations in all sources of a server process, such as One Runtime's own data.

A process reads One Runtime's own data at the first search, and not at its start. All searches run on threads, which the
organizations share fairly: a search in the functions of large custom integrations can take half a second.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Final, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from one_runtime.agents.operations.data import read_folder
from one_runtime.agents.operations.file import OperationFile
from one_runtime.agents.operations.index import IndexedIntegration, OperationIndex
from one_runtime.agents.operations.search import Match, search
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.operation import Operation

T = TypeVar("T")
Reader: TypeAlias = Callable[[], Mapping[str, Sequence[Operation]]]
"""Returns operations by the slug of the integration. Raises: CatalogError."""

_THREADS: Final = 4


class OperationLibrary:
    """The operations of the integrations of a catalog.

    `own` is the index of an organization's custom integrations, or None. Its operations come before the others. `owner`
    is the organization.
    """

    def __init__(
        self, catalog: Catalog, readers: Sequence[Reader] = (read_folder,), file: OperationFile | None = None
    ) -> None:
        """Prepare a library. `readers`: functions that read One Runtime's own data. `file`: the operator's file."""
        self._catalog, self._readers, self._file = catalog, readers, file
        self._builtin: OperationIndex | None = None
        self._loading = Lock()
        self._threads = ThreadPoolExecutor(_THREADS, "operations")
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def close(self) -> None:
        """End the threads after the last search."""
        self._threads.shutdown()

    async def search(
        self,
        query: str,
        slugs: Collection[str] | None,
        connected: Collection[str],
        limit: int,
        own: OperationIndex | None = None,
        owner: str = "",
    ) -> list[Match]:
        """Return the operations that match a query best. `search.search` explains the arguments."""
        return await self.run(lambda: search(self._indexes(own), query, slugs, connected, limit), owner)

    async def get(self, slug: str, name: str, own: OperationIndex | None = None, owner: str = "") -> Operation | None:
        """Return an operation, or None if no source has the operation."""
        return await self.run(lambda: _first(index.get(slug, name) for index in self._indexes(own)), owner)

    async def of_integration(self, slug: str, own: OperationIndex | None = None, owner: str = "") -> list[Operation]:
        """Return all operations of an integration, without those that `search` would leave out."""

        def collect() -> list[Operation]:
            operations: list[Operation] = []
            seen = set[tuple[str, ...]]()
            for index in self._indexes(own):
                new = [each for each in index.of_integration(slug) if seen.isdisjoint(_keys(each))]
                operations += new
                seen.update(key for each in new for key in _keys(each))
            return operations

        return await self.run(collect, owner)

    async def run(self, function: Callable[[], T], owner: str = "") -> T:
        """Run a function on a thread of the library. `owner`: the organization, which has one function at a time."""
        lock = self._locks.setdefault(owner, asyncio.Lock())
        await lock.acquire()
        running = asyncio.get_running_loop().run_in_executor(self._threads, function)
        running.add_done_callback(lambda _: lock.release())
        return await asyncio.shield(running)  # a caller that leaves does not stop the thread

    def _indexes(self, own: OperationIndex | None) -> list[OperationIndex]:
        fetched = self._file.index() if self._file is not None else None
        return [index for index in (own, self._load_builtin(), fetched) if index is not None]

    def _load_builtin(self) -> OperationIndex:
        """Raises: CatalogError if a file of the data is not valid."""
        with self._loading:
            if self._builtin is None:
                data = {slug: operations for read in self._readers for slug, operations in read().items()}
                known = ((self._catalog.get(slug), operations) for slug, operations in data.items())
                self._builtin = OperationIndex.in_memory(
                    IndexedIntegration.of(integration, operations)
                    for integration, operations in known
                    if integration is not None
                )
            return self._builtin


def _first(operations: Iterable[Operation | None]) -> Operation | None:
    return next((operation for operation in operations if operation is not None), None)


def _keys(operation: Operation) -> tuple[tuple[str, ...], ...]:
    return (operation.name,), (operation.method, operation.path)
