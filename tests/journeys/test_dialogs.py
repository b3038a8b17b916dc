"""Connected by mouse, keyboard and touch: in dialogs of well-known libraries, and on pages with strict policies."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Frame, Page, expect

from tests.browser import PATIENCE, tap
from tests.foreign.process import NODE
from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    button,
    expect_closed,
    heading,
    key_field,
    open_popup,
    outcome,
    visit,
    wait_until_settled,
)
from tests.running_demo import Demo, find_popup

pytestmark = pytest.mark.soak

_PACKAGES: Final = Path(__file__).parents[1] / "foreign" / "dialogs"
_OPEN: Final = """async ([library, baseUrl, sessionToken]) => {
  const { createOneRuntime } = await import(`${baseUrl}/connect.js`);
  window.connections = createOneRuntime({ baseUrl }).connections;
  window.showDialog(library, () => window.connections.open({ sessionToken }));
}"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the libraries into one script."""
    script = tmp_path_factory.mktemp("dialogs") / "dialogs.js"
    production = '--define:process.env.NODE_ENV="production"'
    build = [NODE, _PACKAGES / "node_modules" / "esbuild" / "bin" / "esbuild", _PACKAGES / "dialogs.jsx"]
    subprocess.run(
        [*build, "--bundle", "--format=iife", "--jsx=automatic", production, f"--outfile={script}"], check=True
    )
    return script.read_text("utf-8")


async def by_mouse(page: Page, frame: Frame, key: str) -> None:
    await frame.get_by_text("Where do I find this?").click()
    await key_field(frame).click()
    await page.keyboard.type(key)
    await wait_until_settled(frame)
    await button(frame, "Connect Acme CRM").click()


async def by_keyboard(page: Page, frame: Frame, key: str) -> None:
    await expect(key_field(frame)).to_be_focused()
    await page.keyboard.type(key)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(button(frame, "Connect Acme CRM")).to_be_focused()
    await page.keyboard.press("Enter")


async def by_touch(page: Page, frame: Frame, key: str) -> None:
    await frame.evaluate("() => addEventListener('click', (event) => (window.pressedBy = event.pointerType))")
    await tap(key_field(frame))
    assert await frame.evaluate("() => window.pressedBy") == "touch"
    await page.keyboard.type(key)
    await tap(button(frame, "Connect Acme CRM"))


WAYS: Final = (by_mouse, by_keyboard, by_touch)


@pytest.fixture
def touch_browser(browser: Browser, request: pytest.FixtureRequest) -> Browser:
    """The browser of the test on a device with a touch screen."""
    if browser.browser_type.name == "chromium":
        return browser
    touching: Browser = request.getfixturevalue("firefox_with_touch")
    return touching


@asynccontextmanager
async def opened_page(browser: Browser, touch_browser: Browser, connect: object) -> AsyncIterator[Page]:
    """Open a page on a device for this way to connect."""
    touch = connect is by_touch
    async with await (touch_browser if touch else browser).new_context(
        has_touch=touch, reduced_motion="reduce"
    ) as context:
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        await page.bring_to_front()
        yield page


@pytest.mark.firefox
@pytest.mark.parametrize("path", ["/", "/require-corp", "/credentialless"])
async def test_popup_connects_on_a_page_with_a_strict_policy(
    browser: Browser, touch_browser: Browser, demo: Demo, site: Site, backend: Backend, path: str
) -> None:
    for connect in WAYS:
        async with opened_page(browser, touch_browser, connect) as page:
            frame = await open_popup(page, site, await backend.token(multiple=True), path)
            await connect(page, frame, demo.acme_key)
            await expect(heading(frame)).to_have_text("Connected")
            assert (await outcome(page))["status"] == "connected"
            await expect_closed(page)


@pytest.mark.firefox
@pytest.mark.parametrize("library", ["radix", "headless", "aria", "bootstrap", "native"])
async def test_popup_connects_from_inside_a_dialog(
    browser: Browser, touch_browser: Browser, demo: Demo, site: Site, backend: Backend, bundle: str, library: str
) -> None:
    for connect in WAYS:
        async with opened_page(browser, touch_browser, connect) as page:
            await visit(page, site, "", "/relaxed")
            await page.add_style_tag(path=_PACKAGES / "node_modules/bootstrap/dist/css/bootstrap.min.css")
            await page.add_script_tag(content=bundle)
            await page.evaluate(_OPEN, [library, site.one_runtime, await backend.token(multiple=True)])
            opener = page.get_by_role("button", name="Connect")
            await opener.press("Enter")
            frame = await find_popup(page)
            await expect(heading(frame)).to_be_visible()
            await connect(page, frame, demo.acme_key)
            await expect(heading(frame)).to_have_text("Connected")
            await frame.locator("body").press("Escape")  # closes the popup, and not the dialog around it
            await expect_closed(page)
            await expect(page.locator("#outcome")).to_have_text("connected")
            assert await page.evaluate("() => window.isDialogOpen()")
            await expect(opener).to_be_focused()
