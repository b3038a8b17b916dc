"""Open the listening sockets of the server before the server starts, so that a used port is one sentence."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from one_runtime.errors import ConfigurationError
from one_runtime.settings import parse_host_port


@contextmanager
def bound_listeners(listen: str, setting: str = "ONE_RUNTIME_LISTEN") -> Iterator[list[socket.socket]]:
    """Bind a socket to each address of a setting. A name such as `localhost` can have several addresses.

    uvicorn starts to listen later, when the application is ready.

    Raises: ConfigurationError if an address cannot be used.
    """
    host, port = parse_host_port(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"{setting}: the name {host} cannot be resolved.") from error
    with ExitStack() as stack:
        listeners, absent = [], None
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                listener = stack.enter_context(socket.socket(family, kind, protocol))
                _bind(listener, address)
            except OSError as error:
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:  # a machine without IPv6
                    raise ConfigurationError(_explain(error, host, port, setting)) from error
                absent = error
            else:
                listeners.append(listener)
        if absent is not None and not listeners:
            raise ConfigurationError(_explain(absent, host, port, setting)) from absent
        yield listeners


def _bind(listener: socket.socket, address: Any) -> None:
    # The port of a stopped server stays in the state TIME_WAIT for a while. SO_REUSEADDR allows a new server to use
    # the port. The system still refuses a port on which another program listens.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # 0.0.0.0 can have a socket of its own
    listener.bind(address)


def _explain(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use. Stop the other program, or set {setting} to another port, such "
            f"as {host}:{port + 1 if port < 65535 else port - 1}."
        )
    if error.errno == errno.EACCES:
        return f"This user cannot use port {port}. Set {setting} to a port above 1023."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine. Set {setting} to 127.0.0.1:{port} or 0.0.0.0:{port}."
    return f"The server cannot listen on {host}:{port} ({error.strerror}). Change {setting}."
