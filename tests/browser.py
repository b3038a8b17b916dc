"""A pytest plugin: Playwright with Debian's Chromium. The fixture `page` opens a new window for each test.

A test with the mark `firefox` runs in Debian's Firefox too. A test with the mark `firefox_soak` does so in `make soak`.

Playwright's asynchronous API runs on the event loop of the session. Its synchronous API would leave a running event
loop in the thread, and asyncio tests fail in such a thread. A hook marks all tests that use a browser. The server of
such a test runs in another thread or process.
"""

import os
import shutil
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    async_playwright,
    expect,
)
from playwright.async_api import Error as PlaywrightError

from tests.touch_relay import write_launcher

PATIENCE: Final = 30_000
"""Milliseconds until an expectation or a click fails. Only a busy machine needs so much time."""

_FAILED: Final = pytest.StashKey[bool]()
_TEST_TIMEOUT: Final = 180  # seconds: several steps of a test can each wait for PATIENCE
FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # Chromium resolves only the names of this machine. So a test fails if a page loads anything from a third party.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
    # Chromium's own sandbox needs a helper program of root, or user namespaces. Containers often have neither of them.
    # The tests open only our own pages on this machine.
    "--no-sandbox",
)


_FIREFOX_PREFERENCES: Final[dict[str, str | float | bool]] = {
    "fission.autostart": False,  # WebDriver BiDi sends the events of mouse and keyboard to one process only
    "fission.webContentIsolationStrategy": 0,
    "layout.frame_rate": 20,  # instead of 60 per second, because each frame needs CPU time: a quarter of a test's
    "ui.prefersReducedMotion": 1,  # with WebDriver BiDi, Playwright cannot set this for a page
}
# Without a screen, Firefox finds no pointer.
_MOUSE: Final = {"ui.primaryPointerCapabilities": 6, "ui.allPointerCapabilities": 6}
_FINGER: Final = {"ui.primaryPointerCapabilities": 1, "ui.allPointerCapabilities": 1}


class PageProblems(list[str]):
    """Problems of a page: uncaught exceptions, and violations of the page's Content-Security-Policy."""

    def watch(self, page: Page) -> None:
        """Record the problems of a page."""
        page.on("pageerror", lambda error: self.append(f"{page.url}: {error}"))
        page.on("console", self._read)

    def _read(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.append(message.text)


def find_chromium() -> str:
    """Return the path of Chromium. `CHROMIUM` can name the path, and `make set-up-test` installs Chromium."""
    path = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    if path is None:
        pytest.fail("There is no chromium. Install it (apt-get install chromium) or set CHROMIUM to its path.")
    return path


def _find_headless() -> str:
    """Return Debian's headless Chromium if it is installed, because it needs a third less CPU time for the same pages.

    Headless Chromium does not block windows that a page opens.
    """
    shell = None if "CHROMIUM" in os.environ else shutil.which("chromium-headless-shell")
    return shell or find_chromium()


def find_firefox() -> str:
    """Return the path of Firefox. `FIREFOX` can name the path, and `make set-up-test` installs Firefox ESR."""
    path = shutil.which(os.environ.get("FIREFOX", "firefox-esr"))
    if path is None:
        pytest.fail("There is no firefox-esr. Install it (apt-get install firefox-esr) or set FIREFOX to its path.")
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the mark `firefox` or `firefox_soak` in both browsers."""
    firefox = {"firefox": "firefox", "firefox_soak": pytest.param("firefox", marks=pytest.mark.soak)}
    for mark, parameter in firefox.items():
        if metafunc.definition.get_closest_marker(mark):
            metafunc.parametrize("browser", ["chromium", parameter], indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a browser, and run them on the browser's event loop."""
    for item in items:
        if isinstance(item, pytest.Function) and "browser" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(_TEST_TIMEOUT))
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record whether the test failed. Fixtures read the result at their end."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


async def _read_pages(context: BrowserContext) -> str:
    """Return the address and the text of every frame."""
    parts = []
    for page in context.pages:
        for frame in page.frames:
            try:
                text = await frame.evaluate("document.body?.innerText")
            except PlaywrightError as error:  # the frame is loading, or the page is closing
                text = str(error)
            parts.append(f"--- {frame.url}\n{text}")
    return "\n".join(parts)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    async with async_playwright() as playwright:
        expect.set_options(timeout=PATIENCE)
        yield playwright


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(playwright: Playwright) -> AsyncIterator[Browser]:
    """One Chromium for the whole session."""
    async with await playwright.chromium.launch(executable_path=_find_headless(), args=list(FLAGS)) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def firefox(playwright: Playwright) -> AsyncIterator[Browser]:
    """One Firefox for the whole session. Playwright controls it with WebDriver BiDi."""
    async with await playwright.firefox.launch(
        channel="moz-firefox", executable_path=find_firefox(), firefox_user_prefs=_FIREFOX_PREFERENCES | _MOUSE
    ) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def firefox_with_touch(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """One Firefox in which each click is a tap."""
    launcher = write_launcher(tmp_path_factory.mktemp("touch"), find_firefox())
    async with await playwright.firefox.launch(
        channel="moz-firefox", executable_path=launcher, firefox_user_prefs=_FIREFOX_PREFERENCES | _FINGER
    ) as browser:
        yield browser


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Browser:
    """The browser of the test: Chromium, or Firefox in the second run of a test that also runs in Firefox."""
    browser: Browser = request.getfixturevalue(getattr(request, "param", "chromium"))
    return browser


@pytest.fixture
def page_problems() -> PageProblems:
    """Problems of this test's pages. A test that causes a problem on purpose clears the list."""
    return PageProblems()


@pytest_asyncio.fixture(loop_scope="session")
async def browser_context(
    browser: Browser, page_problems: PageProblems, request: pytest.FixtureRequest
) -> AsyncIterator[BrowserContext]:
    """Provide a new browser profile without cookies, storage or cache. If a page has a problem, the test fails.

    If the test fails, the report contains the text of all pages.
    """
    context = await browser.new_context(locale="en-US", timezone_id="UTC", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.on("page", page_problems.watch)
    yield context
    if request.node.stash.get(_FAILED, False):
        request.node.add_report_section("teardown", "pages", await _read_pages(context))
    await context.close()
    assert not page_problems, "\n".join(page_problems)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser_context: BrowserContext) -> Page:
    page = await browser_context.new_page()
    if is_firefox(page):
        await page.bring_to_front()  # Firefox opens the page in the background, where nothing has the focus
    return page


@asynccontextmanager
async def new_window(
    browser: Browser, problems: PageProblems, *, scripts: bool = True, locale: str = "en-US"
) -> AsyncIterator[Page]:
    """Open a window with a new browser profile. If a page has a problem, the test fails.

    `scripts`: False to turn JavaScript off. `locale`: the language of the browser.

    Without JavaScript, browsers ignore lazy loading (HTML standard, "lazy loading attributes"), so a list of
    integrations would load hundreds of logos, for several seconds of CPU time. Chromium therefore blocks the logos.
    With JavaScript, the same page loads the visible logos.
    """
    async with await browser.new_context(
        java_script_enabled=scripts, locale=locale, reduced_motion="reduce"
    ) as context:
        context.set_default_timeout(PATIENCE)
        context.on("page", problems.watch)
        page = await context.new_page()
        if not scripts and not is_firefox(page):
            devtools = await context.new_cdp_session(page)
            await devtools.send("Network.enable")
            await devtools.send("Network.setBlockedURLs", {"urls": ["*/logos/*"]})
        yield page
    assert not problems, "\n".join(problems)


def is_firefox(page: Page) -> bool:
    return page.context.browser is not None and page.context.browser.browser_type.name == "firefox"


async def tap(target: Locator) -> None:
    """Press with a finger. The page belongs to Firefox with touch, or to a Chromium context with `has_touch`."""
    await (target.click() if is_firefox(target.page) else target.tap())


async def type_text(field: Locator, text: str) -> None:
    """Replace the text of a field. In Firefox, press a key for each character.

    Playwright inserts a text through the page's focused element. In Firefox, it does not find the element if the
    element is in a frame of a closed shadow root, such as the popup.
    """
    if is_firefox(field.page):
        await field.clear()
        await field.press_sequentially(text)
    else:
        await field.fill(text)
