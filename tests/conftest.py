"""Hooks of all tests, and the list of plugins. Each kind of fixture has its own plugin."""

import atexit
import gc
import os

from scripts.bootstrap import prepare_catalog

# List a plugin after the plugins that it imports. pytest can rewrite the assertions of a module only if no other module
# has imported it before pytest.
pytest_plugins = [
    "tests.postgres",
    "tests.database",
    "tests.versions",
    "tests.browser",
    "tests.application",
    "tests.figures",
    "tests.order",
    "tests.billing",
    "tests.command_line",
    "tests.running_demo",
    "tests.dashboard.team",
    "tests.dashboard.served",
    "tests.webhooks.receiver",
    "tests.foreign.providers",
    "tests.foreign.keyed",
]


def pytest_configure() -> None:
    """Build the catalog if an entry has changed, so that tests also run without `make`."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        atexit.register(os._exit, 0)  # without it, the interpreter needs seconds to free the objects of all tests
    gc.disable()  # until pytest has collected the tests, because collected objects exist until the end of the run
    if "PYTEST_XDIST_WORKER" not in os.environ:
        prepare_catalog()


def pytest_collection_finish() -> None:
    """Freeze all present objects. Otherwise the garbage collector would scan them again and again.

    The scans would take a tenth of the run.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)
