"""Fixtures of the journeys: the customer's site, a foreign site, and a backend for an end user of the test."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from one_runtime.db.ids import new_id
from tests.browser import PageProblems, new_window
from tests.journeys.backend import Backend
from tests.journeys.site import Site, running_site
from tests.ports import free_port
from tests.running_demo import Demo, running_demo


@pytest.fixture(scope="session")
def site(demo: Demo) -> Iterator[Site]:
    """The customer's site. Its pages may show the popup."""
    with running_site(demo.url) as site:
        yield site


@pytest.fixture(scope="session")
def foreign(demo: Demo) -> Iterator[Site]:
    """A foreign site. Its origin differs because its port differs."""
    with running_site(demo.url) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def backend(demo: Demo, site: Site, request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """The customer's backend, for an end user with the name of the test."""
    headers = {"authorization": f"Bearer {demo.api_key}"}
    async with httpx2.AsyncClient(base_url=demo.url, headers=headers) as http:
        yield Backend(demo, site, _end_user(request), http)


def _end_user(request: pytest.FixtureRequest) -> str:
    """Return an end user that no other test uses. A test that runs twice gets two end users."""
    return f"{request.node.name}-{new_id()}"


@pytest.fixture(scope="session")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, Site]]:
    """A demo with Acme and 600 other integrations, and a customer's site for this demo."""
    folder, module = tmp_path_factory.mktemp("many"), ("tests.journeys.many", "600")
    with running_demo(folder, free_port(4), module) as demo, running_site(demo.url) as site:
        yield demo, site


@pytest_asyncio.fixture(loop_scope="session")
async def large(large_site: tuple[Demo, Site], request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """The customer's backend for the demo with 600 integrations."""
    demo, site = large_site
    headers = {"authorization": f"Bearer {demo.api_key}"}
    async with httpx2.AsyncClient(base_url=demo.url, headers=headers) as http:
        backend = Backend(demo, site, _end_user(request), http)
        backend.register(site.return_url)
        yield backend


@pytest_asyncio.fixture(loop_scope="session", params=[True, False], ids=["script", "no-script"])
async def window(
    browser: Browser, page_problems: PageProblems, backend: Backend, request: pytest.FixtureRequest
) -> AsyncIterator[Page]:
    """A top-level window, once with and once without JavaScript. The return URL is registered."""
    backend.register(backend.site.return_url)
    async with new_window(browser, page_problems, scripts=request.param) as page:
        yield page
