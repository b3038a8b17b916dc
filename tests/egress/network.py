"""An outbound network for tests: configured look-ups, and one loopback port behind every address."""

import socket
import ssl
from typing import Any

from one_runtime.egress.network import Network

PUBLIC = "93.184.216.34"
PUBLIC_IPV6 = "2606:4700:4700::1111"


class LoopbackNetwork(Network):
    """Connect every address to `port`, so that a missing guard shows as a response and not as an error.

    `names` has the addresses of each name, a list per look-up; the last list repeats.
    """

    def __init__(
        self, port: int, names: dict[str, list[list[str]]] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(tls=tls)
        self.port = port
        self.names = names or {}
        self.lookups: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.lookups.append(host)
        answers = self.names.get(host, [[PUBLIC]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def open_socket(self, family: int, address: str, port: int) -> socket.socket:
        self.dialled.append((address, port))
        return RoutedSocket(self.port, family)


class RoutedSocket(socket.socket):
    """A socket that connects to loopback by IPv4 but reports the requested address family."""

    def __init__(self, port: int, family: int) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._to = port
        self._family = socket.AddressFamily(family)

    @property
    def family(self) -> socket.AddressFamily:
        return self._family

    def connect(self, address: Any) -> None:
        super().connect(("127.0.0.1", self._to))
