"""Take the pictures in docs/images: product, popup and confirmation page of a demo, light and dark.

Run `.venv/bin/python scripts/screenshots.py [FOLDER]`.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Frame, Page, sync_playwright

IMAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDE: Final = (1280, 800)
NARROW: Final = (360, 720)
END_USER: Final = "user_123"
OTHER_END_USER: Final = "user_456"

DRAWN: Final = """() => Promise.all([...document.images].map((image) => {
  image.loading = "eager";  // the browser never decodes a lazy image outside of the viewport
  return image.decode().catch(() => {});
}))"""

Demo = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: its name, content, size and color scheme."""

    name: str
    show: Callable[[Page, Demo], None]
    size: tuple[int, int]
    scheme: Literal["light", "dark"]


def product(page: Page, demo: Demo) -> None:
    """Open the settings page with one connected account."""
    page.goto(f"{demo['product']}/?end_user_id={END_USER}")
    page.locator(".card.connected").wait_for()


def nothing_connected(page: Page, demo: Demo) -> None:
    """Open the settings page of an end user without connections."""
    page.goto(f"{demo['product']}/?end_user_id={OTHER_END_USER}")
    page.locator("#nothing-connected").wait_for()


def popup(page: Page, demo: Demo) -> None:
    """Open the popup with the form for an API key."""
    nothing_connected(page, demo)
    open_popup(page)


def refused(page: Page, demo: Demo) -> None:
    """Open the popup, enter a wrong API key, and wait for the provider's reason."""
    nothing_connected(page, demo)
    frame = open_popup(page)
    frame.get_by_label("API key", exact=True).fill("acme_0123456789abcdef")
    frame.get_by_role("button", name="Connect Acme CRM").click()
    frame.get_by_text("No Acme CRM account has this API key").wait_for()


def popup_list(page: Page, demo: Demo) -> None:
    """Open the popup with the list of integrations. One integration is connected."""
    product(page, demo)
    frame = frame_of(page, "Browse all integrations")
    frame.get_by_role("searchbox", name="Search").wait_for()
    frame.evaluate(DRAWN)


def confirmation(page: Page, demo: Demo) -> None:
    """Open the confirmation page of a session in the mode `link`."""
    nothing_connected(page, demo)
    narrow_panel = page.get_by_role("button", name="Behind this page")
    if narrow_panel.is_visible():
        narrow_panel.click()
    page.get_by_role("radio", name="By a link").check()
    if narrow_panel.is_visible():
        narrow_panel.click()
    page.get_by_role("button", name="Connect Acme CRM", exact=True).click()
    page.get_by_role("button", name="Copy link").wait_for()
    page.goto(page.get_by_label("The link").input_value())
    page.get_by_text("Only go on if you were expecting this").wait_for()


PICTURES: Final = (
    Picture("product-light-wide", product, WIDE, "light"),
    Picture("product-dark-wide", product, WIDE, "dark"),
    Picture("product-light-narrow", nothing_connected, NARROW, "light"),
    Picture("product-dark-narrow", nothing_connected, NARROW, "dark"),
    Picture("popup-light-wide", popup, WIDE, "light"),
    Picture("popup-dark-wide", popup, WIDE, "dark"),
    Picture("popup-light-narrow", popup, NARROW, "light"),
    Picture("popup-dark-narrow", popup, NARROW, "dark"),
    Picture("popup-refused-light-wide", refused, WIDE, "light"),
    Picture("popup-list-light-wide", popup_list, WIDE, "light"),
    Picture("popup-list-dark-wide", popup_list, WIDE, "dark"),
    Picture("popup-list-light-narrow", popup_list, NARROW, "light"),
    Picture("confirmation-light-wide", confirmation, WIDE, "light"),
    Picture("confirmation-dark-wide", confirmation, WIDE, "dark"),
    Picture("confirmation-light-narrow", confirmation, NARROW, "light"),
)


def open_popup(page: Page) -> Frame:
    """Open the popup's form for an API key of Acme CRM."""
    frame = frame_of(page, "Connect Acme CRM")
    frame.get_by_role("button", name="API key").click()
    frame.get_by_label("API key", exact=True).wait_for()
    return frame


def frame_of(page: Page, button: str) -> Frame:
    """Return the frame that a button opens. The page's locators cannot find the frame in its closed shadow root."""
    with page.expect_event("frameattached"):
        page.get_by_role("button", name=button, exact=True).click()
    return page.frames[-1]


def connect(page: Page, demo: Demo) -> None:
    """Connect Acme CRM for the end user of the picture."""
    page.goto(f"{demo['product']}/?end_user_id={END_USER}")
    frame = open_popup(page)
    frame.get_by_label("API key", exact=True).fill(demo["acme_key"])
    frame.get_by_role("button", name="Connect Acme CRM").click()
    page.locator(".card.connected").wait_for()


@contextmanager
def running_demo(folder: str) -> Iterator[Demo]:
    """Run a demo with new data on the documented ports."""
    command = [sys.executable, "-m", "one_runtime", "demo", "--data", folder, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise SystemExit("The demo did not start.")
            yield json.loads(line)
        finally:
            process.terminate()


def take(browser: Browser, picture: Picture, demo: Demo, folder: Path) -> None:
    """Take one picture in a new window."""
    width, height = picture.size
    with browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=picture.scheme,
        reduced_motion="reduce",
        locale="en-US",
    ) as context:
        page = context.new_page()
        picture.show(page, demo)
        page.evaluate(DRAWN)
        # Playwright's own screenshots are PNG or JPEG. A WebP file has a fifth of the size.
        taken = context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": 88})
        (folder / f"{picture.name}.webp").write_bytes(base64.b64decode(taken["data"]))


def main() -> None:
    """Take all pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    with tempfile.TemporaryDirectory() as data, running_demo(data) as demo, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with browser.new_context() as context:
            connect(context.new_page(), demo)
        for picture in PICTURES:
            take(browser, picture, demo, folder)
        browser.close()


if __name__ == "__main__":
    main()
