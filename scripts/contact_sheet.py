"""Render all logos of the catalog into one picture, on a light and a dark background.

Run `python scripts/contact_sheet.py`. The script needs Debian's Chromium, which `make test` installs.
"""

import base64
import sys
from html import escape
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from one_runtime.catalog.tools.build import HERE, read_entries

CHROMIUM: Final = "/usr/bin/chromium"
STYLE: Final = """
  body { margin: 0; font: 10px system-ui, sans-serif; }
  section { padding: 20px; display: grid; grid-template-columns: repeat(24, 1fr); gap: 12px 6px; }
  .light { background: #fff; color: #444; } .dark { background: #14161a; color: #aab; }
  figure { margin: 0; text-align: center; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
  span { display: inline-grid; place-items: center; width: 40px; height: 40px; border-radius: 10px; background: #fff;
    box-shadow: 0 0 0 1px #8883; margin-bottom: 4px; }
  img { width: 26px; height: 26px; object-fit: contain; } .monogram span { box-shadow: none; background: none; }
  .monogram img { width: 40px; height: 40px; border-radius: 10px; }
"""


def figure(slug: str, name: str) -> str:
    """Return one logo with its name, as the popup shows it."""
    svg = (HERE / "logos" / f"{slug}.svg").read_bytes()
    kind = ' class="monogram"' if b"<text" in svg else ""
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return f'<figure{kind}><span><img src="{source}" alt=""></span><br>{escape(name)}</figure>'


def main(target: Path) -> None:
    """Write the picture."""
    figures = "".join(figure(entry.slug, entry.name) for entry in read_entries(HERE / "integrations"))
    sections = "".join(f'<section class="{theme}">{figures}</section>' for theme in ("light", "dark"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1800, "height": 1000})
        page.set_content(f"<!doctype html><style>{STYLE}</style>{sections}")
        page.screenshot(path=str(target), full_page=True)
        browser.close()
    sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "logos.png"))
