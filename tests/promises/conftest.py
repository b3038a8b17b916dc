"""Fixtures of the tests of promises: the application with a hostile provider in place of Acme."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.promises.hostile import Hostile, running_hostile


@pytest_asyncio.fixture
async def hostile(database_url: str) -> AsyncIterator[Hostile]:
    """The application with a provider whose behaviour the test sets."""
    async with running_hostile(database_url) as running:
        yield running
