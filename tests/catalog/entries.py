"""All entries of the catalog, loaded once for all tests."""

from typing import Final

from one_runtime.catalog.tools.build import HERE, read_entries

ENTRIES: Final = read_entries(HERE / "integrations")
