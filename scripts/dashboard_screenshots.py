"""Take a picture of every page of the dashboard: light and dark, narrow and wide.

Run `.venv/bin/python -m scripts.dashboard_screenshots FOLDER [TEXT]`. With TEXT, take only the pages whose declaration
contains the text, such as `connections`.
"""

import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

from one_runtime.dashboard.application import PAGES
from tests.browser import FLAGS, find_chromium
from tests.dashboard.served import ServedTeam, running_team

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


async def main(folder: Path, text: str) -> None:
    """Run the server and a browser."""
    with tempfile.TemporaryDirectory() as data, running_team(Path(data)) as team:
        async with (
            async_playwright() as playwright,
            await playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS)) as browser,
        ):
            await take(browser, team, folder, text)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
