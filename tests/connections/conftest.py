"""Fixtures of the connections: a database with a key ring, and an organization."""

from collections.abc import AsyncIterator
from typing import Final

import pytest_asyncio

from one_runtime.db.engine import Database
from one_runtime.tenancy.events import Actor
from tests import sealed_rows

VAULT: Final = sealed_rows.ring(sealed_rows.FIRST)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with sealed_rows.opened(database_url) as opened:
        await sealed_rows.register(opened, VAULT)
        yield opened


@pytest_asyncio.fixture
async def actor(database: Database) -> Actor:
    return await sealed_rows.organization(database)
