"""Speed of the popup's list of 600 integrations in Chromium: `python -m benchmarks.popup`.

The program needs the Chromium that `make test` installs. It generates its catalog, so results stay comparable when the
built-in catalog changes.
"""

import asyncio
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

import httpx2
from playwright.async_api import Browser, async_playwright

from tests.browser import FLAGS, find_chromium
from tests.journeys.backend import Backend
from tests.journeys.site import running_site
from tests.journeys.steps import open_popup
from tests.ports import free_port
from tests.running_demo import running_demo

_ROUNDS: Final = 5
_TYPED: Final = "harbormetrics"

# Measure ten times, for each key, the time from the key press to the first frame with the server's answer. Keep the
# shortest time of each key. Return the time of the slowest key.
_SLOWEST_KEY: Final = """async (words) => {
  const search = document.getElementById("search");
  const list = document.querySelector(".picks");
  const type = async (value) => {
    const changed = new Promise((done) => new MutationObserver(done).observe(list, { childList: true }));
    const start = performance.now();
    search.value = value;
    search.dispatchEvent(new Event("input", { bubbles: true }));
    await changed;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - start;
  };
  const best = Array(words.length).fill(Infinity);
  for (let round = 0; round < 10; round += 1) {
    await type("");
    for (const at of best.keys()) best[at] = Math.min(best[at], await type(words.slice(0, at + 1)));
  }
  return Math.max(...best);
}"""


async def measure(browser: Browser, backend: Backend) -> tuple[float, float]:
    """Return the milliseconds until the whole list is present, and the milliseconds of the slowest key."""
    async with await browser.new_context(reduced_motion="reduce") as context:
        page = await context.new_page()
        frame = await open_popup(page, backend.site, await backend.token(None))
        await frame.locator(".picks li").nth(600).wait_for(state="attached")
        shown: float = await frame.evaluate("() => performance.now()")
        key: float = await frame.evaluate(_SLOWEST_KEY, _TYPED)
        return shown, key


async def main() -> None:
    """Open the list several times and print the medians."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder), free_port(3), ("tests.journeys.many", "600")) as demo,
        running_site(demo.url) as site,
    ):
        headers = {"authorization": f"Bearer {demo.api_key}"}
        async with httpx2.AsyncClient(base_url=demo.url, headers=headers) as http, async_playwright() as playwright:
            backend = Backend(demo, site, "user_benchmark", http)
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
            rounds = [await measure(browser, backend) for _ in range(_ROUNDS)]
            await browser.close()
    shown, key = (median(values) for values in zip(*rounds, strict=True))
    print(f"| popup with 600 integrations | shown after {shown:.0f} ms | slowest key {key:.0f} ms |")


if __name__ == "__main__":
    asyncio.run(main())
