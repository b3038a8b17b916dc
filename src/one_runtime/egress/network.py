"""Resolve names and open sockets for outbound requests. The module `connector` checks the addresses."""

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from one_runtime.egress.bulkhead import LOOK_UP_THREADS, LookUps


class Network:
    """The machine's network. Tests use a subclass.

    Each `Network` has its own threads that resolve names. If name resolution used the event loop's small thread pool, a
    slow name server could occupy all threads of that pool. `look_ups` shares the threads between tenants.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: TLS settings. By default, One Runtime trusts the machine's certificate authorities."""
        self.tls = tls
        self.look_ups = LookUps()
        self._threads = ThreadPoolExecutor(LOOK_UP_THREADS, thread_name_prefix="egress-names")

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return every IP address of a name.

        Raises:
            OSError: the name has no address, or the name cannot be resolved.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.look_up, host, port)

    def look_up(self, host: str, port: int) -> list[str]:
        """Return every IP address of a name. The method blocks its thread. Raises: OSError."""
        # Pass the name as bytes. Python would encode a str with its IDNA 2003 codec, which can produce another name.
        encoded = host.encode("ascii")
        results = socket.getaddrinfo(encoded, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        return [_text(family, address) for family, _, _, _, address in results]

    def open_socket(self, family: int, address: str, port: int) -> socket.socket:  # noqa: ARG002 for tests
        """Open a socket. The caller then connects the socket to exactly this address, which was checked.

        Raises:
            OSError: the machine does not support the address family, or has no free sockets.
        """
        return socket.socket(family, socket.SOCK_STREAM)

    def close(self) -> None:
        """Stop resolving names. Do not wait for running look-ups, because Python cannot stop a running look-up."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _text(family: int, address: tuple[object, ...]) -> str:
    """Return the IP address as text. Append the IPv6 zone, so that `why_refused` refuses the address."""
    text = str(address[0])
    scope = address[3] if family == socket.AF_INET6 and len(address) > 3 else 0
    return f"{text}%{scope!s}" if scope and "%" not in text else text
