"""Ports for test servers: each pytest worker has its own range, so no two tests receive the same port at once.

The ranges are below the ports that Linux selects for outgoing connections (32768 and above).
"""

import os
import random
import socket
from itertools import count
from typing import Final

_FIRST: Final = 10_000
_PORTS_OF_A_WORKER: Final = 2_000
_WORKERS: Final = 11
_counter: Final = count(random.randrange(_PORTS_OF_A_WORKER))


def free_port(consecutive: int = 1) -> int:
    """Return the first of several consecutive free loopback ports. The next calls return other ports."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    while True:
        ports = [next(_counter) % _PORTS_OF_A_WORKER for _ in range(consecutive)]
        first = _FIRST + worker * _PORTS_OF_A_WORKER + ports[0]
        if ports[-1] == ports[0] + consecutive - 1 and all(_is_free(first + step) for step in range(consecutive)):
            return first


def _is_free(port: int) -> bool:
    """Return whether a server can listen on the port: no other process listens on it at any address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
