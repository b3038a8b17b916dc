"""The server through which calls are measured: `python -m benchmarks.relay UPSTREAM_PORT`, as `serve` runs it."""

import gc
import sys

from benchmarks.server import serve
from one_runtime.app import create_app
from one_runtime.catalog.loader import Catalog
from one_runtime.settings import load_settings
from tests.proxy.relay import SVG, entry


def main() -> None:
    """Serve one integration, whose API is the upstream."""
    port, settings = int(sys.argv[1]), load_settings()
    catalog = Catalog.of((entry("raw", port),), {"raw": SVG.encode()}, "benchmark")
    allowed = settings.model_copy(update={"egress_allow": frozenset({("127.0.0.1", port)})})
    app = create_app(allowed, catalog)
    gc.collect()
    gc.freeze()  # as `serve` does
    serve(app)


if __name__ == "__main__":
    main()
