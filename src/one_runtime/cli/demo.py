"""Load the demo by its name. An installation of the server works without the folder `demo`.

Raises: ConfigurationError if this installation has no demo.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from one_runtime.errors import ConfigurationError

if TYPE_CHECKING:
    from one_runtime.demo.development import serve_with_acme
    from one_runtime.demo.server import run_demo
else:
    try:
        serve_with_acme = import_module("one_runtime.demo.development").serve_with_acme
        run_demo = import_module("one_runtime.demo.server").run_demo
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("one_runtime.demo"):
            raise
        raise ConfigurationError("The demo is not installed: this installation contains only the server.") from error

__all__ = ["run_demo", "serve_with_acme"]
