"""One upstream for a test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.egress.upstream import Upstream, running_upstream


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as server:
        yield server
