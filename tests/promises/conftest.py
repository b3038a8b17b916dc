"""What the tests of promises share: the application with a hostile provider in Acme's place."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.promises.hostile import Hostile, running_hostile


@pytest_asyncio.fixture
async def hostile(database_url: str) -> AsyncIterator[Hostile]:
    """The application of a provider that misbehaves as it is told to."""
    async with running_hostile(database_url) as running:
        yield running
