"""Building the application."""

import pytest

from one_runtime.catalog.loader import Catalog, CatalogError, CompiledCatalog
from one_runtime.serving.application import create_app
from one_runtime.settings import load_settings
from tests.sealed_rows import FIRST


def test_server_validates_the_whole_catalog_before_it_starts() -> None:
    """A command validates only the entries that the command uses."""
    outdated = {"slug": "outdated", "name": "Outdated"}
    catalog = Catalog.of_compiled(CompiledCatalog(revision="1", integrations=(outdated,), logos={}))
    settings = load_settings({"ONE_RUNTIME_ENCRYPTION_KEYS": FIRST})
    with pytest.raises(CatalogError, match="Another version of One Runtime"):
        create_app(settings, catalog)
