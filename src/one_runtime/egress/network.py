"""Name resolution and sockets, which tests replace. The module `pool` decides which addresses are refused."""

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor


class Network:
    """The machine's network. Resolves names on its own threads, because the event loop's thread pool is small."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls` replaces the default trust in the machine's certificate authorities."""
        self.tls = tls
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="egress-names")

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return every address of a name.

        Raises:
            OSError: the name has no address, or cannot be resolved.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port)

    def open_socket(self, family: int, address: str, port: int) -> socket.socket:  # noqa: ARG002 tests route by them
        """Open a socket that will be connected to exactly this checked address.

        Raises:
            OSError: the machine has no such network, or no more sockets.
        """
        return socket.socket(family, socket.SOCK_STREAM)

    def close(self) -> None:
        """Stop resolving names. Do not wait for running look-ups, because Python cannot stop them."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[str]:
    # Pass the name as bytes: Python would encode a str with its IDNA 2003 codec, which may produce another name.
    results = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [_text(family, address) for family, _, _, _, address in results]


def _text(family: int, address: tuple[object, ...]) -> str:
    """Return the IP address with its scope, if there is a scope. `addresses` refuses scoped addresses."""
    text = str(address[0])
    scope = address[3] if family == socket.AF_INET6 and len(address) > 3 else 0
    return f"{text}%{scope!s}" if scope and "%" not in text else text
