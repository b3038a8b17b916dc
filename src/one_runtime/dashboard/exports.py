"""Send exports of an organization as files, and limit their number."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from one_runtime.errors import RateLimited, RequestTimeout

MAX_EXPORTS: Final = 3
"""Maximum number of exports of an organization that a process sends at the same time."""

SEND_TIMEOUT: Final = 60.0
"""Seconds for which a browser can stop reading. Otherwise, a browser could keep one of the few exports forever."""

_RETRY_AFTER: Final = 10


class ExportLimit:
    """Counts the exports in progress in this process, by organization."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    @contextmanager
    def admit(self, organization_id: str) -> Iterator[None]:
        """Count an export while the `with` block runs. Raises: RateLimited."""
        if self._running[organization_id] >= MAX_EXPORTS:
            raise RateLimited(
                f"Your organization has {MAX_EXPORTS} exports in progress, which is the limit. Try again after one of "
                "them has ended.",
                _RETRY_AFTER,
            )
        self._running[organization_id] += 1
        try:
            yield
        finally:
            self._running[organization_id] -= 1
            if not self._running[organization_id]:
                del self._running[organization_id]


class ExportResponse(StreamingResponse):
    """Sends a file in parts. If an error occurs, the server closes the connection before the end of the file."""

    def __init__(
        self, limit: ExportLimit, organization_id: str, parts: AsyncIterator[str], headers: Mapping[str, str]
    ) -> None:
        super().__init__(parts, headers=headers)
        self._limit, self._organization_id = limit, organization_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file. Raises: RateLimited; RequestTimeout."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await send(message)
            except TimeoutError:
                raise RequestTimeout("The browser has stopped reading the file. Start the export again.") from None

        with self._limit.admit(self._organization_id):
            await super().__call__(scope, receive, send_in_time)
