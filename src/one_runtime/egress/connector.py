"""Open network connections, and keep idle connections for the tenant's next request.

A tenant is an organization. Tenants never share a connection. Some servers send a response without a request, or treat
the body of a request as a second request. On a shared connection, one organization could receive another organization's
response (promise P1 of docs/security.md, docs/decisions/0029-separate-connections.md).

`CheckedResolver` checks the addresses of a host name. aiohttp does not call the resolver for an IP address, or for a
name in aiohttp's cache. So `Connector` checks each IP address again, immediately before connecting (promise P7).
"""

import asyncio
import errno
import socket
import time
from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final, cast

import aiohttp
from aiohttp import AddrInfoType, ClientRequest, ClientTimeout
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from one_runtime.egress.addresses import why_refused
from one_runtime.egress.errors import TargetRefused, UpstreamUnreachable
from one_runtime.egress.limits import PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.protocol import Idle, Protocol, SingleUse, TimeSlices
from one_runtime.egress.target import AllowList, Target, bracketed

_TENANT: Final = ConnectionKey._fields.index("proxy_headers_hash")
_KEEPALIVE: Final = 4.0
"""Seconds until an idle connection is closed.

Many servers, such as Node.js and uvicorn, close an idle connection after 5 seconds. A request that is sent at the same
moment gets no response, and a POST must not be repeated. So this side closes the connection first.
"""
_ABORT_TIME: Final = 1.0
"""Maximum number of seconds to wait until aborted connections are closed."""


@dataclass(slots=True)
class Dial:
    """Connection attempt of one request.

    - `deadline`: the time by `time.monotonic` after which One Runtime must not send the request, or None.
    - `dialled`: True if the request opened a new socket.
    - `refusal`: the error if the address was refused, or None.
    """

    target: Target
    tenant: str
    deadline: float | None = None
    dialled: bool = False
    refusal: TargetRefused | None = None


dialling: ContextVar[Dial] = ContextVar("one_runtime_egress_dialling")
"""The connection attempt of the current request."""


class TenantRequest(ClientRequest):
    """A request that never uses an idle connection of another tenant."""

    @property
    def connection_key(self) -> ConnectionKey:
        """Return the key by which aiohttp finds an idle connection for this request.

        aiohttp's key has a field for an outbound HTTP proxy. One Runtime uses no such proxy. So this field contains the
        tenant's id.
        """
        key = super().connection_key
        # `ConnectionKey._replace` does the same, but is slow.
        return tuple.__new__(ConnectionKey, (*key[:_TENANT], dialling.get().tenant, *key[_TENANT + 1 :]))


class Connector(aiohttp.TCPConnector):
    """Opens connections to checked addresses, and reuses idle connections for the same tenant.

    If the operator's allow-list contains the host and port, the checks permit every address of the host. A request
    without a tenant always gets a new connection, which closes after the response.
    """

    def __init__(self, allow: AllowList, network: Network, limits: PoolLimits) -> None:
        super().__init__(
            resolver=CheckedResolver(allow, network),
            socket_factory=self._checked_socket,
            ssl=network.tls or True,
            limit=limits.connections,
            keepalive_timeout=_KEEPALIVE,
            ttl_dns_cache=limits.dns_cache,
        )
        self._allow = allow
        self._network = network
        self._idle: Idle = OrderedDict()
        self._single_use: SingleUse = {}
        self._idle_limit = limits.idle_connections
        # aiohttp has no public option for the protocol. A test fails if a version of aiohttp lacks this attribute.
        self._factory = partial(Protocol, self._idle, self._single_use, TimeSlices(self._loop), loop=self._loop)  # type: ignore[assignment]

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """Return an idle connection of the tenant, or a new connection. Close idle connections that received data."""
        dial = dialling.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = cast("Protocol", connection.protocol)  # None only after the connection is released
            self._idle.pop(protocol, None)
            if dial.dialled or not protocol.has_received():
                break
            connection.close()
        if dial.deadline is not None and time.monotonic() >= dial.deadline:
            # The deadline has passed, for example because the process was paused. Without this check, aiohttp would
            # send the request. The timeout of `Egress.request` would end the request too late.
            connection.close()
            raise TimeoutError
        if dial.tenant:
            connection.add_callback(partial(self._keep, protocol))
        else:
            protocol.force_close()  # aiohttp closes the connection after the response
            if protocol.transport is not None:
                self._single_use[protocol] = protocol.transport
        return connection

    async def abort_single_use(self) -> None:
        """Abort the open connections of requests without a tenant, and wait until the sockets are closed.

        A normal close of a TLS connection takes several steps of the event loop. A command such as `one-runtime doctor`
        could stop its event loop before the last step, and leave sockets open.
        """
        closed = [protocol.closed for protocol in self._single_use]
        for transport in tuple(self._single_use.values()):
            transport.abort()
        waiting = [future for future in closed if future is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=_ABORT_TIME)

    def _keep(self, protocol: ResponseHandler) -> None:
        """Record that a connection is idle from now on. Over the limit, close the oldest idle connection.

        A normal close of a TLS connection waits for the provider. `abort` closes the connection without this wait.
        """
        if protocol.should_close or not protocol.is_connected():
            return
        self._idle[protocol] = None
        if len(self._idle) > self._idle_limit:
            oldest, _ = self._idle.popitem(last=False)
            oldest.abort()

    def _checked_socket(self, address_info: AddrInfoType) -> socket.socket:
        """Check the address to which aiohttp is about to connect, and open the socket."""
        family, _, _, _, (address, port, *_) = address_info
        dial = dialling.get()
        try:
            _check_address(address, dial.target.host, port, self._allow)
        except TargetRefused as refusal:
            # aiohttp expects an OSError here. Later, `Pool.exchange` raises `dial.refusal` instead of this OSError.
            dial.refusal = refusal
            raise PermissionError(errno.EPERM, "the address is refused") from None
        dial.dialled = True
        return self._network.open_socket(family, address, port)


class CheckedResolver(AbstractResolver):
    """Resolves names and checks every address.

    If one of a name's addresses is refused, the resolver refuses the name, even if other addresses are public.
    """

    def __init__(self, allow: AllowList, network: Network) -> None:
        self._allow = allow
        self._network = network

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 aiohttp's interface
    ) -> list[ResolveResult]:
        dial = dialling.get(None)
        try:
            async with self._network.look_ups.place(host, dial.tenant if dial is not None else ""):
                addresses = await self._network.resolve(host, port)
        except TimeoutError:
            raise _resolution_error(host, socket.gaierror(socket.EAI_AGAIN, "no place")) from None
        except OSError as error:
            raise _resolution_error(host, error) from None
        if not addresses:
            raise _resolution_error(host, socket.gaierror(socket.EAI_NONAME))
        for address in addresses:
            _check_address(address, host, port, self._allow)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Do nothing. The owner of the `Network` object closes the object."""


def _check_address(address: str, host: str, port: int, allow: AllowList) -> None:
    """Raise `TargetRefused` if the address is not public and the operator does not allow the host and port.

    The message for the operator's log contains the host name and the port, but not the IP address. The operator needs
    only the host name and the port to allow the target.
    """
    if (host, port) in allow:
        return
    try:
        why = why_refused(ip_address(address))
    except ValueError:
        why = "not an address"
    if why is not None:
        raise TargetRefused.not_allowed(
            f"{host} resolves to an address that is not public ({why})", f"{bracketed(host)}:{port}"
        )


def _resolution_error(host: str, error: OSError) -> UpstreamUnreachable:
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return UpstreamUnreachable(
            f"The name {host} cannot be resolved at the moment. Check the network and the name server."
        )
    return UpstreamUnreachable(f"The name {host} has no address.")
