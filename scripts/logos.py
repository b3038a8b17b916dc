"""Fetch the logos that `catalog/logos/sources.yaml` names from npm packages, clean them and write them to the catalog.

After adding an integration, run `python scripts/logos.py` and then `python -m one_runtime.catalog.tools.build`. The
script calls `npm` with the registry in npm's configuration. It runs no code of the downloaded packages.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import yaml

from one_runtime.catalog.logos import clean_svg, monogram
from one_runtime.catalog.tools.build import HERE, read_entries

LOGOS = "@iconify-json/logos@1.2.19"
SIMPLE_ICONS = "simple-icons@16.37.0"


def fetch(package: str, folder: Path) -> Path:
    """Download and unpack an npm package."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True
    )
    archive = folder / packed.stdout.strip().splitlines()[-1]
    target = folder / archive.stem
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "package"


def from_logos(icons: dict[str, Any], name: str) -> str:
    """Return an icon of the iconify set as an SVG."""
    icon = icons["icons"][name]
    width, height = (icon.get(side) or icons.get(side, 16) for side in ("width", "height"))
    left, top = icon.get("left", 0), icon.get("top", 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left} {top} {width} {height}" width="{width}" '
        f'height="{height}">{icon["body"]}</svg>'
    )


def from_simple_icons(package: Path, slug: str) -> str:
    """Return a logo of simple-icons in the brand's color.

    Raises:
        SystemExit: the logo is unknown, or has its own license. We do not use such logos.
    """
    known = json.loads((package / "data" / "simple-icons.json").read_text(encoding="utf-8"))
    entry = next((icon for icon in known if icon.get("slug") == slug), None)
    if entry is None or "license" in entry:
        raise SystemExit(f"simple-icons:{slug} is unknown or has its own license. Choose another logo.")
    svg = (package / "icons" / f"{slug}.svg").read_text(encoding="utf-8")
    return svg.replace("<svg ", f'<svg fill="#{entry["hex"]}" ', 1)


def main() -> None:
    """Write one SVG for each entry of the catalog."""
    sources = yaml.safe_load((HERE / "logos" / "sources.yaml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        icons = json.loads((fetch(LOGOS, Path(folder)) / "icons.json").read_text(encoding="utf-8"))
        simple = fetch(SIMPLE_ICONS, Path(folder))
        for entry in read_entries(HERE / "integrations"):
            collection, _, name = str(sources.get(entry.slug, "monogram")).partition(":")
            if collection == "logos":
                raw = from_logos(icons, name)
            elif collection == "simple-icons":
                raw = from_simple_icons(simple, name)
            else:
                raw = monogram(entry.slug, entry.name)
            svg = clean_svg(raw)
            (HERE / "logos" / f"{entry.slug}.svg").write_text(svg + "\n", encoding="utf-8")
            sys.stderr.write(f"{entry.slug}: {collection} {name}, {len(svg)} bytes\n")


if __name__ == "__main__":
    main()
