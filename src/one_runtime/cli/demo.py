"""Import what the commands need of the demo. An installation of the server works without the folder `demo`.

Raises: ConfigurationError if this installation has no demo.
"""

from one_runtime.errors import ConfigurationError

try:
    from one_runtime.demo.development import serve_with_acme
    from one_runtime.demo.server import run_demo
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("one_runtime.demo"):
        raise
    raise ConfigurationError("The demo is not installed: this installation contains only the server.") from error

__all__ = ["run_demo", "serve_with_acme"]
