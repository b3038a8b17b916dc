"""All entries of the catalog, loaded once for all tests.

They are read from the compiled catalog in a fifth of the time. `test_loader.py` compares it with the YAML files.
"""

from typing import Final

from one_runtime.catalog.loader import load_catalog

CATALOG: Final = load_catalog()
ENTRIES: Final = sorted(CATALOG.integrations, key=lambda entry: entry.slug)
