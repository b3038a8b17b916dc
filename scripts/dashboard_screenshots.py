"""Take a picture of every page of the dashboard: light and dark, narrow and wide.

Run `.venv/bin/python -m scripts.dashboard_screenshots FOLDER [TEXT]`. With TEXT, take only the pictures whose name
contains the text, such as `connections`. Without arguments, renew the pictures of the dashboard in docs/images.

The names of pictures begin with `page`, with `empty` (the pages of an organization without data), or with `state`
(`scripts/dashboard_states.py`). docs/dashboard-checklist.md lists questions for the pictures.
"""

import argparse
import asyncio
import base64
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from playwright.async_api import Browser, Page, async_playwright

from one_runtime.dashboard.application import PAGES
from one_runtime.tenancy.roles import Role
from scripts.dashboard_states import STATES
from tests.browser import FLAGS, find_chromium
from tests.dashboard.served import ServedTeam, running_team

IMAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "images"


class Look(NamedTuple):
    """The window of a picture. `forces_colors`: the browser uses few colors of the operating system."""

    name: str
    scheme: Literal["light", "dark"]
    width: int
    forces_colors: bool = False


LOOKS: Final = (
    Look("light-wide", "light", 1280),
    Look("dark-wide", "dark", 1280),
    Look("light-narrow", "light", 360),
    Look("dark-narrow", "dark", 360),
)
MORE_LOOKS: Final = (
    Look("zoom-200", "light", 640),  # 1280 pixels at 200 %
    Look("zoom-400", "light", 320),
    Look("forced-colors", "dark", 1280, forces_colors=True),
)


class Photographer(NamedTuple):
    """Takes pictures. `text`: a part of the names of the wanted pictures."""

    browser: Browser
    folder: Path
    text: str
    looks: tuple[Look, ...]

    async def take_pages(self, team: ServedTeam, prefix: str) -> None:
        """Take the pages of an organization that have a path."""
        async with window(self.browser, team) as page:
            for spec in PAGES:
                path = re.sub(r"\W+", "-", spec.path.replace("/o/{organization_id}", "organization")).strip("-")
                name = f"{prefix}-{path or 'first'}"
                if spec.method == "GET" and spec.name in team.paths and self.text in name:
                    await page.goto(team.url + team.paths[spec.name])
                    await self.take(page, name)

    async def take_states(self, team: ServedTeam) -> None:
        """Take the states that no address opens."""
        for state in STATES:
            name = f"state-{state.name}"
            if self.text in name:
                async with window(self.browser, team, state.role) as page:
                    await state.show(page, team)
                    await self.take(page, name)

    async def take(self, page: Page, name: str) -> None:
        """Take the open page in all looks."""
        for look in self.looks:
            forced: Literal["active", "none"] = "active" if look.forces_colors else "none"
            await page.emulate_media(color_scheme=look.scheme, forced_colors=forced)
            await page.set_viewport_size({"width": look.width, "height": 800})
            await page.evaluate("scrollTo(0, 0)")  # a form with errors scrolls to its message
            await page.screenshot(path=self.folder / f"{name}-{look.name}.png", full_page=True)
        await page.emulate_media(forced_colors="none")  # a page keeps the background with which it was loaded


@asynccontextmanager
async def window(browser: Browser, team: ServedTeam, role: Role | None = "owner") -> AsyncIterator[Page]:
    """Open a window of a member. `role`: None for a person without a session."""
    async with await browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 800}) as context:
        if role is not None:
            await team.sign_in(context, role)
        yield await context.new_page()


async def take_for_readme(browser: Browser, team: ServedTeam) -> None:
    """Take the pictures of a broken connection in docs/images."""
    async with window(browser, team) as page:
        await page.goto(f"{team.url}/o/{team.organization_id}/connections?status=needs_reauth")
        await page.locator("tbody a").first.click()
        await page.get_by_role("heading", name="Why it does not work").wait_for()
        devtools = await page.context.new_cdp_session(page)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            taken = await devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 88})
            (IMAGES / f"dashboard-{scheme}-wide.webp").write_bytes(base64.b64decode(taken["data"]))


async def main(folder: Path | None, text: str, looks: tuple[Look, ...]) -> None:
    """Run the server and a browser. `folder`: None for the pictures in docs/images."""
    with tempfile.TemporaryDirectory() as data, running_team(Path(data)) as team:
        async with (
            async_playwright() as playwright,
            await playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS)) as browser,
        ):
            if folder is None:
                await take_for_readme(browser, team)
                return
            photographer = Photographer(browser, folder, text, looks)
            await photographer.take_pages(team, "page")
            await photographer.take_pages(await team.empty(), "empty")
            await photographer.take_states(team)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="the folder for the pictures")
    parser.add_argument("text", nargs="?", default="", help="a part of the names of the wanted pictures")
    parser.add_argument("--zoom", action="store_true", help="take the pages at 200 % and 400 %, and with forced colors")
    options = parser.parse_args()
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(options.folder, options.text, MORE_LOOKS if options.zoom else LOOKS))
