"""Send requests over a pool of HTTP connections. Check each IP address after name resolution and before connecting.

Only this module uses aiohttp's client. If the host is an IP address, or a name in the client's cache, the client does
not call the resolver. So a check in the resolver alone is not enough (promise P7 of docs/security.md).
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import Final

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import HttpProcessingError

from one_runtime.egress.addresses import why_refused
from one_runtime.egress.bulkhead import Bulkhead
from one_runtime.egress.errors import (
    EgressError,
    TargetRefused,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from one_runtime.egress.hop import Hop
from one_runtime.egress.limits import Limits, PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.target import AllowList, Target, bracketed, check

# Providers' security headers are long: aiohttp's own limit of 8190 bytes refuses some real responses.
_LONGEST_HEADER: Final = 16 * 1024
_KEEPALIVE: Final = 15.0
"""Seconds until an idle connection is closed."""
# aiohttp would add these headers itself. The module `hop` has already chosen the headers, so aiohttp must add none.
_NOT_BY_THE_CLIENT: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True)
class Certificate:
    """The validity period of a server's valid TLS certificate."""

    not_before: datetime
    not_after: datetime


@dataclass(slots=True)
class _Dial:
    """Connection attempt of one request.

    `dialled`: True if the request opened a new socket. `refusal`: the error, if the address was refused.
    """

    target: Target
    dialled: bool = False
    refusal: TargetRefused | None = None


# Safe methods that callers can send (RFC 9110 section 9.2.1).
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# The first match counts, so a subclass must precede its base class.
_FAILURES: Final[tuple[tuple[type[Exception], type[EgressError], str], ...]] = (
    (
        aiohttp.ConnectionTimeoutError,
        UpstreamTimeout,
        "No connection to {authority} could be made within {connect:g} seconds.",
    ),
    (TimeoutError, UpstreamTimeout, "{authority} sent nothing for {idle:g} seconds."),
    (
        aiohttp.ClientConnectorCertificateError,
        UpstreamUnreachable,
        "The TLS certificate of {authority} is not valid or not trusted.",
    ),
    (aiohttp.ClientSSLError, UpstreamUnreachable, "The TLS handshake failed with {authority}."),
    (aiohttp.ClientConnectorError, UpstreamUnreachable, "{authority} cannot be reached over the network."),
    (aiohttp.ClientConnectionError, UpstreamUnreachable, "{authority} closed the connection before it answered."),
    (aiohttp.ClientPayloadError, UpstreamProtocolError, "{authority} sent an incomplete or malformed body."),
    (Exception, UpstreamProtocolError, "{authority} sent a malformed HTTP response."),
)

_dialling: ContextVar[_Dial | None] = ContextVar("one_runtime_egress_dialling", default=None)


class Pool:
    """Connections whose IP addresses were checked.

    For a host and port in the operator's allow-list, the checks permit every address. A different allow-list needs a
    new pool, because the IP address of an open connection is not checked again.
    """

    def __init__(
        self, allow: AllowList, network: Network, limits: PoolLimits, before_request: Callable[[], None] | None
    ) -> None:
        self._before_request = before_request
        self._allow = allow
        self._network = network
        self._limits = limits
        self._bulkhead = Bulkhead(limits.per_upstream)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @asynccontextmanager
    async def exchange(self, hop: Hop, limits: Limits, tenant: str = "") -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request and yield the response. The caller reads the body inside its `async with` block.

        Raises:
            EgressError: the target is refused, or the request failed. If reading the body fails, the caller's block
                ends with an `EgressError` too.
        """
        if self._before_request is not None:
            self._before_request()
        check(hop.target, self._allow)
        place, connect = await self._bulkhead.acquire(hop.target, tenant, limits.connect)
        dial = _Dial(hop.target)
        before = _dialling.set(dial)
        try:
            timeout = aiohttp.ClientTimeout(connect=connect, sock_read=limits.idle)
            async with await self._send(hop, timeout, dial) as answer:
                if answer.status < 200:
                    raise UpstreamProtocolError(
                        f"{hop.target.authority} switches from HTTP to a protocol that One Runtime does not support."
                    )
                yield answer
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError) as error:
            # `from None` hides aiohttp's error, which contains the URL with its query. Some providers expect the API
            # key in the query.
            raise dial.refusal or _translated(error, hop.target, limits) from None
        finally:
            _dialling.reset(before)
            place.release()

    async def _send(self, hop: Hop, timeout: aiohttp.ClientTimeout, dial: _Dial) -> aiohttp.ClientResponse:
        """Send the request on an idle connection or on a new connection.

        A server can close an idle connection just before the request arrives (RFC 9112 section 9.3.1). In this
        case, send the request once more if its method is safe and the request has no body.
        """
        if self._closed:
            raise RuntimeError("this egress is closed")
        if self._session is None:  # ClientSession needs a running event loop, so __init__ cannot create it
            self._session = self._new_session()
        send = partial(
            self._session.request,
            hop.method,
            hop.target.url,
            headers=hop.headers,
            data=hop.body,
            allow_redirects=False,
            timeout=timeout,
        )
        try:
            return await send()
        except aiohttp.ClientConnectorError:  # a new connection failed; the class is a subclass of ClientOSError
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError):
            if dial.dialled or hop.method not in _SAFE or hop.body is not None:
                raise
        return await send()

    async def certificate(self, target: Target) -> Certificate:
        """Return the validity period of a server's TLS certificate. Make only a TLS handshake: send no HTTP request.

        Raises:
            EgressError: the target is refused or unreachable, or its certificate is not valid.
        """
        check(target, self._allow)
        failure = UpstreamUnreachable(f"The name {target.host} has no address.")
        # If the host is an IP address, the resolver checks the address once more, which does no harm.
        for resolved in await _CheckedResolver(self._allow, self._network).resolve(target.host, target.port):
            try:
                with self._network.open_socket(resolved["family"], resolved["host"], resolved["port"]) as raw:
                    return await _peer_certificate(raw, resolved, target, self._network.tls)
            except ssl.SSLCertVerificationError as error:
                why = error.verify_message.rstrip(".")
                failure = UpstreamUnreachable(f"The TLS certificate of {target.authority} is not valid: {why}.")
            except ConnectionRefusedError:
                failure = UpstreamUnreachable(f"{target.authority} refuses connections.")
            except OSError:
                failure = UpstreamUnreachable(f"No TLS connection to {target.authority} could be made.")
        raise failure

    async def close(self) -> None:
        """Close every connection, even if a request uses the connection."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _new_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_CheckedResolver(self._allow, self._network),
            socket_factory=self._checked_socket,
            ssl=self._network.tls or True,
            limit=self._limits.connections,
            keepalive_timeout=_KEEPALIVE,
            ttl_dns_cache=self._limits.dns_cache,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            requote_redirect_url=False,
            skip_auto_headers=_NOT_BY_THE_CLIENT,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        # If a connection breaks, aiohttp would send a PUT or DELETE request a second time. aiohttp has no public option
        # that turns this repetition off. A test checks that the private attribute exists. `pyproject.toml` excludes the
        # next major version of aiohttp, which could remove the attribute.
        session._retry_connection = False  # noqa: SLF001
        return session

    def _checked_socket(self, address_info: AddrInfoType) -> socket.socket:
        """Check the address to which aiohttp is about to connect, and open the socket."""
        family, _, _, _, (address, port, *_) = address_info
        dial = _dialling.get()
        if dial is None:
            raise PermissionError(errno.EPERM, "this connection belongs to no request")
        try:
            _check_address(address, dial.target.host, port, self._allow)
        except TargetRefused as refusal:
            # aiohttp handles only an OSError here. `exchange` replaces the OSError with the stored refusal.
            dial.refusal = refusal
            raise PermissionError(errno.EPERM, "the address is refused") from None
        dial.dialled = True
        return self._network.open_socket(family, address, port)


class _CheckedResolver(AbstractResolver):
    """Resolves names and checks every address.

    The resolver refuses a name if at least one of the name's addresses is refused. For example, the resolver refuses a
    name that has a public and a private address.
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
        try:
            addresses = await self._network.resolve(host, port)
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
        """Do nothing, because the owner of the `Network` object closes the object."""


async def _peer_certificate(
    raw: socket.socket, resolved: ResolveResult, target: Target, tls: ssl.SSLContext | None
) -> Certificate:
    """Make a TLS handshake. Return the validity period of the certificate. Raises: OSError, also for TLS errors."""
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (resolved["host"], resolved["port"]))
    context = tls or ssl.create_default_context()
    _, writer = await asyncio.open_connection(sock=raw, ssl=context, server_hostname=target.host)
    try:
        certificate = writer.get_extra_info("peercert")
    finally:
        writer.transport.abort()
    times = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate[name]), UTC) for name in ("notBefore", "notAfter")
    )
    return Certificate(*times)


def _check_address(address: str, host: str, port: int, allow: AllowList) -> None:
    """Raise `TargetRefused` if the address is not public and the operator does not allow the host and port.

    Even the operator's message omits the address, because the name is enough to allow the target.
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


def _translated(error: Exception, target: Target, limits: Limits) -> EgressError:
    kind, sentence = next(
        (kind, sentence) for client_error, kind, sentence in _FAILURES if isinstance(error, client_error)
    )
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED:
        sentence = "{authority} refuses connections."
    return kind(sentence.format(authority=target.authority, connect=limits.connect, idle=limits.idle))
