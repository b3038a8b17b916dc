"""A pytest plugin: Debian's Chromium, driven by Playwright. A test that asks for `page` gets a window of its own.

Playwright's asynchronous API is used, on the session's event loop: its synchronous one leaves a loop running in the
thread, under which no asyncio test could run. Tests that ask for a browser are marked for that by themselves; the
server they look at runs in another thread or process.
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
        """Listen to one page."""
        page.on("pageerror", lambda error: self.append(f"{page.url}: {error}"))
        page.on("console", self._read)

    def _read(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.append(message.text)


def find_chromium() -> str:
    """The browser's path, windows and all. `make test` has it installed; `CHROMIUM` names another."""
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
    """Mark what asks for a browser, and put it on the browser's event loop."""
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
    """A profile of this test's own: no cookie, storage or cache of another's. On a problem in a page the test fails."""
    context = await browser.new_context(locale="en-US", timezone_id="UTC", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.on("page", page_problems.watch)
    yield context
    await context.close()
    assert not page_problems, "\n".join(page_problems)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser_context: BrowserContext) -> Page:
    """A window."""
    return await browser_context.new_page()
