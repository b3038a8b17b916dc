"""Compile the catalog's entries and logos into `catalog.json`: `python -m one_runtime.catalog.tools.build`.

The file is not in git. `hatch_build.py` writes the file when a wheel is built. `scripts/bootstrap.py` writes the file
in a clone of the repository.
"""

import json
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.loader import CatalogError, digest
from one_runtime.catalog.logos import UnsafeLogo, clean_svg
from one_runtime.catalog.model import CUSTOM, Integration, dump

HERE = Path(__file__).parents[1]
COMPILED = HERE / "catalog.json"


def read_entries(folder: Path) -> list[Integration]:
    """Return all entries of the folder, ordered by slug.

    Raises:
        CatalogError: an entry is not valid. The error names the first invalid file, and usually the line.
    """
    entries = []
    for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem):
        entry = load_yaml(path)
        if entry.slug != path.stem:
            raise CatalogError(f"{path}: the slug {entry.slug!r} must be the file's name")
        if entry.slug.startswith(CUSTOM):
            raise CatalogError(f"{path}: the prefix x- is reserved for custom integrations")
        entries.append(entry)
    return entries


def read_logo(path: Path) -> str:
    """Return the text of a sanitized logo file.

    Raises:
        CatalogError: the file is missing, or differs from the output of `clean_svg`.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
        if clean_svg(text) != text:
            raise CatalogError(f"{path}: the logo is not sanitized. Run: python scripts/logos.py")
    except OSError as error:
        raise CatalogError(f"{path}: the logo is missing. Run: python scripts/logos.py") from error
    except UnsafeLogo as error:
        raise CatalogError(f"{path}: {error}") from error
    return text


def compile_catalog(folder: Path = HERE) -> str:
    """Return the text of `catalog.json`. The same entries and logos always give the same text.

    Raises:
        CatalogError: an entry or a logo is not valid.
    """
    entries = [dump(entry) for entry in read_entries(folder / "integrations")]
    logos = {entry["slug"]: read_logo(folder / "logos" / f"{entry['slug']}.svg") for entry in entries}
    revision = digest([entries, logos])
    compiled = {"revision": revision, "integrations": entries, "logos": logos}
    return json.dumps(compiled, ensure_ascii=False, indent=1) + "\n"


def write_catalog() -> str:
    """Write `catalog.json` atomically, and return its text.

    Raises:
        CatalogError: an entry or a logo is not valid.
    """
    text = compile_catalog()
    with NamedTemporaryFile("w", encoding="utf-8", dir=HERE, prefix=".catalog-", delete=False) as file:
        file.write(text)
    path = Path(file.name)
    path.chmod(0o644)
    path.replace(COMPILED)
    return text


def main() -> int:
    """Write `catalog.json`. Return the exit status."""
    try:
        text = write_catalog()
    except CatalogError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    sys.stdout.write(
        f"{COMPILED.name}: {len(json.loads(text)['integrations'])} integrations, {len(text.encode())} bytes\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
