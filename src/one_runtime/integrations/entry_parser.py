"""Parse custom integrations in queues, so that one organization does not delay another organization for long."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from one_runtime.catalog.custom import CustomEntry
from one_runtime.errors import RateLimited
from one_runtime.integrations.entry_process import EntryDocument, read_in_process

T = TypeVar("T")

MAX_PENDING: Final = 16
"""Maximum number of documents that wait or are parsed in one queue. A document can have 1 MB."""

MAX_PENDING_OF_ORGANIZATION: Final = 4

MAX_SIZE_ON_THREAD: Final = 16 * 1024
"""Maximum number of characters of a document that a thread parses. The thread needs less than 0.2 s for any text.

Most entries are smaller. A process needs half a second to start, so One Runtime starts a process only for a larger
document.
"""

THREAD: Final = "custom-integrations"
"""Beginning of the name of the thread that parses small documents."""


class EntryQueue:
    """Runs at most one job of each organization at the same time, and at most `concurrency` jobs in total.

    Only one job of each organization at a time waits for a free place. The other jobs of the organization wait for this
    job. So an organization with many jobs does not delay the jobs of other organizations for long.
    """

    def __init__(self, concurrency: int) -> None:
        self._running = asyncio.Semaphore(concurrency)
        self._pending: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def pending(self) -> int:
        """Return the number of jobs that wait or run."""
        return self._pending.total()

    async def run(self, organization_id: str, job: Callable[[], Awaitable[T]]) -> T:
        """Wait until the job can start, and run the job. Raises: RateLimited if too many jobs wait; errors of `job`."""
        if self._pending[organization_id] >= MAX_PENDING_OF_ORGANIZATION:
            raise RateLimited(
                f"Your organization may send at most {MAX_PENDING_OF_ORGANIZATION} custom integrations at the same "
                "time. Try again later.",
                1,
            )
        if self.pending >= MAX_PENDING:
            raise RateLimited("The server is busy with other custom integrations. Try again later.", 1)
        self._pending[organization_id] += 1
        try:
            async with self._locks.setdefault(organization_id, asyncio.Lock()), self._running:
                return await job()
        finally:
            self._pending[organization_id] -= 1
            if not self._pending[organization_id]:
                del self._pending[organization_id], self._locks[organization_id]


class EntryParser:
    """Parses small documents on a separate thread, and large documents in processes with limits."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, THREAD)
        self.small, self.large = EntryQueue(1), EntryQueue(2)

    def close(self) -> None:
        """Drop the waiting documents. The thread ends after its current document."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def parse(self, organization_id: str, document: EntryDocument) -> CustomEntry:
        """Parse and validate a document. Raises: SourceError; RateLimited if too many documents wait."""
        if len(document.text) > MAX_SIZE_ON_THREAD:
            return await self.large.run(organization_id, lambda: read_in_process(document))
        loop = asyncio.get_running_loop()
        return await self.small.run(organization_id, lambda: loop.run_in_executor(self._thread, document.read))
