"""Take a picture of every page of the dashboard: light and dark, narrow and wide.

Run `.venv/bin/python -m scripts.dashboard_screenshots FOLDER [TEXT]`. With TEXT, take only the pages whose declaration
contains the text, such as `connections`. Without arguments, renew the pictures of the dashboard in docs/images.
"""

import asyncio
import base64
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

from one_runtime.dashboard.application import PAGES
from tests.browser import FLAGS, find_chromium
from tests.dashboard.served import ServedTeam, running_team

IMAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "images"
LOOKS: Final = (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360))


async def take(browser: Browser, team: ServedTeam, folder: Path, text: str) -> None:
    """Take the pictures."""
    context = await browser.new_context(reduced_motion="reduce")
    await team.sign_in(context)
    page = await context.new_page()
    for spec in PAGES:
        if spec.method != "GET" or text not in spec.name:
            continue
        await page.goto(team.url + team.paths[spec.name])
        name = re.sub(r"\W+", "-", spec.path.replace("/o/{organization_id}", "organization")).strip("-") or "first"
        for scheme, width in LOOKS:
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            await page.set_viewport_size({"width": width, "height": 800})
            await page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)


async def take_for_readme(browser: Browser, team: ServedTeam) -> None:
    """Take the pictures of a broken connection in docs/images."""
    context = await browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 800})
    await team.sign_in(context)
    page = await context.new_page()
    await page.goto(f"{team.url}/o/{team.organization_id}/connections?status=needs_reauth")
    await page.locator("tbody a").first.click()
    await page.get_by_role("heading", name="Why it does not work").wait_for()
    devtools = await context.new_cdp_session(page)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        taken = await devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 88})
        (IMAGES / f"dashboard-{scheme}-wide.webp").write_bytes(base64.b64decode(taken["data"]))


async def main(folder: Path | None, text: str) -> None:
    """Run the server and a browser. `folder`: None for the pictures in docs/images."""
    with tempfile.TemporaryDirectory() as data, running_team(Path(data)) as team:
        async with (
            async_playwright() as playwright,
            await playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS)) as browser,
        ):
            if folder is None:
                await take_for_readme(browser, team)
            else:
                await take(browser, team, folder, text)


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(given, sys.argv[2] if len(sys.argv) > 2 else ""))
