"""A running One Runtime beside a foreign provider, for the tests with a browser: `each` says which ones."""

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser import PATIENCE, PageProblems
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
    async with await browser.new_context(java_script_enabled=request.param, reduced_motion="reduce") as context:
        context.set_default_timeout(PATIENCE)
        context.on("page", page_problems.watch)
        yield await context.new_page()
    assert not page_problems, "\n".join(page_problems)
