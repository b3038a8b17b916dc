"""Fixtures of the authorization tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.application import RunningAcme
from tests.connecting.acme import AcmeAuthorizing, running_acme


@pytest.fixture
def entry_changes() -> dict[str, str]:
    """Changes to Acme's entry, for tests that need another provider."""
    return {}


@pytest_asyncio.fixture
async def runtime(
    database_url: str, acme: RunningAcme, tmp_path: Path, entry_changes: dict[str, str]
) -> AsyncIterator[AcmeAuthorizing]:
    """Acme, and an application that connects its accounts."""
    async with running_acme(database_url, acme, tmp_path, entry_changes) as runtime:
        yield runtime
