"""Fixtures of the tests of tokens: one rotating provider for all of them, and the application that uses it."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.application import RunningAcme
from tests.tokens.rotating import RotatingApplication, RotatingProvider, rotating_application, running_provider


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotatingProvider]:
    """The rotating provider."""
    with running_provider(tmp_path_factory.mktemp("rotating")) as provider:
        yield provider


@pytest_asyncio.fixture
async def app(database_url: str, acme: RunningAcme, provider: RotatingProvider) -> AsyncIterator[RotatingApplication]:
    """The application with the rotating provider."""
    async with rotating_application(database_url, acme, provider) as app:
        yield app
