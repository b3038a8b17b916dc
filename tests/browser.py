"""A pytest plugin: Debian's Chromium, driven by Playwright. A test with the fixture `page` has its own window.

The asynchronous API of Playwright runs on the session's event loop. The synchronous API would leave a running loop in
the thread, which asyncio tests do not accept. A hook marks the tests with a browser; their server runs in another
thread or process.
"""

import os
import shutil
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

PATIENCE: Final = 30_000
"""Milliseconds until an expectation or a click fails. A passing test never waits for it; a busy machine needs it."""

_TEST_TIMEOUT: Final = 180  # seconds: several steps may each wait for PATIENCE
FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # Nothing but this machine has a name, so a page that asks a third party for anything fails its test.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
    # Chromium's own sandbox wants a helper of root's or user namespaces, which containers withhold. Only our own pages,
    # on this machine, are opened.
    "--no-sandbox",
)


class PageProblems(list[str]):
    """Problems inside a page: uncaught exceptions, and violations of its Content-Security-Policy."""

    def watch(self, page: Page) -> None:
        """Record the problems of a page."""
        page.on("pageerror", lambda error: self.append(f"{page.url}: {error}"))
        page.on("console", self._read)

    def _read(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.append(message.text)


def find_chromium() -> str:
    """Return the path of Chromium, which `make set-up-test` installs or `CHROMIUM` names."""
    path = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    if path is None:
        pytest.fail("There is no chromium. Install it (apt-get install chromium) or set CHROMIUM to its path.")
    return path


def _find_headless() -> str:
    """Debian's Chromium without windows where it is there, as Playwright runs its own: the same pages take a third less
    processor time. It has no blocker of windows that a page opens."""
    shell = None if "CHROMIUM" in os.environ else shutil.which("chromium-headless-shell")
    return shell or find_chromium()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests with a browser and run them on the browser's event loop."""
    for item in items:
        if isinstance(item, pytest.Function) and "browser" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(_TEST_TIMEOUT))
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the whole session."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=_find_headless(), args=list(FLAGS))
        expect.set_options(timeout=PATIENCE)
        yield chromium
        await chromium.close()


@pytest.fixture
def page_problems() -> PageProblems:
    """Problems in this test's pages. A test that provokes a problem clears the list."""
    return PageProblems()


@pytest_asyncio.fixture(loop_scope="session")
async def browser_context(browser: Browser, page_problems: PageProblems) -> AsyncIterator[BrowserContext]:
    """Create a new profile without cookies, storage or cache. A problem in a page fails the test."""
    context = await browser.new_context(locale="en-US", timezone_id="UTC", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.on("page", page_problems.watch)
    yield context
    await context.close()
    assert not page_problems, "\n".join(page_problems)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser_context: BrowserContext) -> Page:
    """Open a window."""
    return await browser_context.new_page()
