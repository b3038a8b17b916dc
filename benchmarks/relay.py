"""The server through which calls are measured: `python -m benchmarks.relay UPSTREAM_PORT`, as `serve` runs it."""

import gc
import sys

import uvicorn

from one_runtime.app import create_app
from one_runtime.catalog.loader import Catalog
from one_runtime.settings import load_settings, parse_host_port
from one_runtime.transport import OneWriteProtocol
from tests.proxy.relay import SVG, entry


def main() -> None:
    """Serve one integration, whose API is the upstream."""
    port, settings = int(sys.argv[1]), load_settings()
    host, listen = parse_host_port(settings.listen)
    catalog = Catalog.of((entry("raw", port),), {"raw": SVG.encode()}, "benchmark")
    allowed = settings.model_copy(update={"egress_allow": frozenset({("127.0.0.1", port)})})
    app = create_app(allowed, catalog)
    gc.collect()
    gc.freeze()  # as `serve` does
    uvicorn.run(
        app,
        host=host,
        port=listen,
        http=OneWriteProtocol,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
    )


if __name__ == "__main__":
    main()
