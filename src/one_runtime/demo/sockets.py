"""Bind the sockets of the demo's servers before the servers start, so that a used port is a clear error."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from one_runtime.errors import ConfigurationError

_BACKLOG: Final = 256


@contextmanager
def bound_socket(host: str, port: int, advice: str) -> Iterator[socket.socket]:
    """Listen on an address. `advice`: what to do if the address cannot be used.

    Raises: ConfigurationError if the address cannot be used.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as bound:
        # The port of a stopped server stays in the state TIME_WAIT for a while. SO_REUSEADDR allows a new server to use
        # the port. The system still refuses a port on which another program listens.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
            bound.listen(_BACKLOG)
        except OSError as error:
            raise ConfigurationError(f"Port {port} cannot be used ({error.strerror}). {advice}") from error
        yield bound
