"""A running One Runtime for the tests with a browser: beside a foreign provider, or beside Acme for agents."""

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser import PageProblems, new_window
from tests.foreign.agent_server import AgentServer, agent_server
from tests.foreign.providers import Provider
from tests.foreign.served import Served, served


@pytest_asyncio.fixture(loop_scope="session")
async def runtime(
    migrated_sqlite_url: str,
    django_provider: Provider,
    oidc_provider: Provider,
    emulated: Mapping[str, Provider],
    request: pytest.FixtureRequest,
) -> AsyncIterator[Served]:
    """One Runtime with the provider that the test names."""
    provider: Provider = {"django": django_provider, "oidc": oidc_provider, **emulated}[request.param]
    async with served(migrated_sqlite_url, provider) as runtime:
        yield runtime


@pytest_asyncio.fixture(loop_scope="session", params=[True, False], ids=["script", "no-script"])
async def window(browser: Browser, page_problems: PageProblems, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A top-level window in a browser with and without JavaScript."""
    async with new_window(browser, page_problems, scripts=request.param) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="session")
async def server(migrated_sqlite_url: str) -> AsyncIterator[AgentServer]:
    """One Runtime with Acme, for programs of agents."""
    async with agent_server(migrated_sqlite_url) as server:
        yield server
