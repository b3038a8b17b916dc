"""A catalog of the tests in place of the built-in one, for a program that runs in a process of its own."""

import sys

from one_runtime.catalog import loader
from one_runtime.catalog.loader import Catalog


def replace_catalog(catalog: Catalog) -> None:
    """Let this process use a catalog, also in modules that the fork server has imported already."""
    original = loader.load_catalog
    for module in list(sys.modules.values()):
        if vars(module).get("load_catalog") is original:
            vars(module)["load_catalog"] = lambda: catalog
