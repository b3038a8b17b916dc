"""The server of the measured calls: One Runtime with the options of `serve`. The simulated providers are integrations.

`BENCHMARK_UPSTREAMS` contains the ports of the providers. Start the server with `python -m benchmarks.proxy.server`.
"""

import gc
import os

from starlette.types import ASGIApp

from benchmarks.server import serve
from one_runtime.catalog.loader import Catalog
from one_runtime.serving.application import create_app
from one_runtime.settings import load_settings
from tests.proxy.relay import SVG, entry


def measured_app() -> ASGIApp:
    """Return the application of each server process."""
    plain, tls, hanging = (int(port) for port in os.environ["BENCHMARK_UPSTREAMS"].split(","))
    entries = (
        entry("plain", plain),
        entry("tls", tls, base_url=f"https://localhost:{tls}/api"),
        entry("hanging", hanging),
    )
    catalog = Catalog.of(entries, {integration.slug: SVG.encode() for integration in entries}, "benchmark")
    allowed = frozenset({("127.0.0.1", plain), ("localhost", tls), ("127.0.0.1", hanging)})
    app = create_app(load_settings().model_copy(update={"egress_allow": allowed}), catalog)
    gc.collect()
    gc.freeze()  # `serve` also calls this function
    return app


if __name__ == "__main__":
    serve("benchmarks.proxy.server:measured_app", workers=load_settings().workers)
