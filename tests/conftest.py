"""Fixtures and hooks of all tests. Each kind of fixture has its own plugin."""

import gc
import os

from scripts.bootstrap import prepare_catalog

# A plugin follows the plugins that it imports: pytest rewrites assertions only in modules that it imports first.
pytest_plugins = [
    "tests.postgres",
    "tests.database",
    "tests.browser",
    "tests.application",
    "tests.billing",
    "tests.command_line",
    "tests.running_demo",
    "tests.foreign.providers",
    "tests.foreign.keyed",
]


def pytest_configure() -> None:
    """Build the catalog if an entry has changed, so that tests run without `make` too."""
    gc.disable()  # until the tests are collected: everything collected lives until the end
    if "PYTEST_XDIST_WORKER" not in os.environ:
        prepare_catalog()


def pytest_collection_finish() -> None:
    """Freeze the garbage collector: scanning imported and collected objects repeatedly takes a tenth of the run."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)
