"""Connections, and the two places where an address is checked before one is made: the only user of aiohttp's client.

A client skips its resolver for literal addresses and remembers names, so one place would not do (P7).
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
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
from one_runtime.egress.target import AllowList, Target, check

# Providers' security headers are long; aiohttp's own limit of 8190 refuses some real answers.
_LONGEST_HEADER: Final = 16 * 1024
# aiohttp adds these by itself; `hop` has decided what is sent.
_NOT_BY_THE_CLIENT: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's TLS certificate that was found valid."""

    not_before: datetime
    not_after: datetime


@dataclass(slots=True)
class _Dial:
    """The request for which a connection is being made, whether one was, and why its address was refused in the last
    moment."""

    target: Target
    dialled: bool = False
    refusal: TargetRefused | None = None


# RFC 9110 section 9.2.1: what asks for no change.
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# In this order: the client's errors are one another's subclasses.
_FAILURES: Final[tuple[tuple[type[Exception], type[EgressError], str], ...]] = (
    (aiohttp.ConnectionTimeoutError, UpstreamTimeout, "No connection to {authority} within {connect:g} seconds."),
    (TimeoutError, UpstreamTimeout, "{authority} sent nothing for {idle:g} seconds."),
    (
        aiohttp.ClientConnectorCertificateError,
        UpstreamUnreachable,
        "The TLS certificate of {authority} is not valid or not trusted.",
    ),
    (aiohttp.ClientSSLError, UpstreamUnreachable, "No TLS connection could be agreed with {authority}."),
    (aiohttp.ClientConnectorError, UpstreamUnreachable, "{authority} cannot be reached over the network."),
    (aiohttp.ClientConnectionError, UpstreamUnreachable, "{authority} closed the connection before it had answered."),
    (aiohttp.ClientPayloadError, UpstreamProtocolError, "{authority} sent a body that ends too early or is broken."),
    (Exception, UpstreamProtocolError, "{authority} did not answer in HTTP as we understand it."),
)

_dialling: ContextVar[_Dial | None] = ContextVar("one_runtime_egress_dialling", default=None)


class Pool:
    """The connections that were made under one allow-list. Another allow-list means another pool."""

    def __init__(self, allow: AllowList, way_out: Network, limits: PoolLimits) -> None:
        self._allow = allow
        self._way_out = way_out
        self._limits = limits
        self._turns = Bulkhead(limits.per_upstream)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @asynccontextmanager
    async def exchange(self, hop: Hop, limits: Limits, whose: str = "") -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request; the answer's body is still to be read, inside the block. `whose`: who shares the limit of
        exchanges with one upstream.

        Raises:
            EgressError: the target is refused, or the upstream failed; also while the block reads the body.
        """
        check(hop.target, self._allow)
        turn, connect = await self._turns.take(hop.target, whose, limits.connect)
        dial = _Dial(hop.target)
        before = _dialling.set(dial)
        try:
            async with await self._sent(hop, aiohttp.ClientTimeout(connect=connect, sock_read=limits.idle)) as answer:
                yield answer
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError) as error:
            # `from None`: the client's own errors repeat the address with its query, where some providers want the key.
            raise dial.refusal or _translated(error, hop.target, limits) from None
        finally:
            _dialling.reset(before)
            turn.release()

    async def _sent(self, hop: Hop, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send it. What changes nothing is sent a second time where it met a connection that was kept and that the
        upstream was closing (RFC 9112 section 9.3.1): nobody can know that before."""
        try:
            return await self._request(hop, timeout)
        except aiohttp.ClientConnectorError:  # a kind of the next
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError):
            dial = _dialling.get()
            if dial is None or dial.dialled or hop.method not in _SAFE or hop.body is not None:
                raise
        return await self._request(hop, timeout)

    async def _request(self, hop: Hop, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        return await self._opened_session().request(
            hop.method,
            hop.target.url,
            headers=hop.headers,
            data=hop.body,
            allow_redirects=False,
            timeout=timeout,
        )

    async def certificate(self, target: Target) -> Certificate:
        """The certificate that a server shows; only a TLS connection is made, nothing is asked.

        Raises:
            EgressError: the target is refused or cannot be reached, or its certificate is not valid.
        """
        check(target, self._allow)
        failure = UpstreamUnreachable(f"There is no address for the name {target.host}.")
        # A literal address resolves to itself, and the resolver's check of it repeats the one above.
        for found in await _CheckedResolver(self._allow, self._way_out).resolve(target.host, target.port):
            try:
                with self._way_out.open_socket(found["family"], found["host"], found["port"]) as raw:
                    return await _shown_certificate(raw, found, target, self._way_out.tls)
            except ssl.SSLCertVerificationError as error:
                why = error.verify_message.rstrip(".")
                failure = UpstreamUnreachable(f"The TLS certificate of {target.authority} is not valid: {why}.")
            except ConnectionRefusedError:
                failure = UpstreamUnreachable(f"{target.authority} refuses connections.")
            except OSError:
                failure = UpstreamUnreachable(f"No TLS connection could be agreed with {target.authority}.")
        raise failure

    async def close(self) -> None:
        """Close every connection, also those in use."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this way out is closed")
        if self._session is None:  # not in __init__: it wants the running event loop
            self._session = self._new_session()
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_CheckedResolver(self._allow, self._way_out),
            socket_factory=self._checked_socket,
            ssl=self._way_out.tls or True,
            limit=self._limits.connections,
            keepalive_timeout=self._limits.keepalive,
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
        # There is no option for it. It repeats PUT and DELETE too, and where the connection was not an old one.
        session._retry_connection = False  # noqa: SLF001
        return session

    def _checked_socket(self, address_info: AddrInfoType) -> socket.socket:
        """The last check: of the very address that is about to be dialled, however the client came by it."""
        family, _, _, _, (address, port, *_) = address_info
        dial = _dialling.get()
        if dial is None:
            raise PermissionError(errno.EPERM, "no request is known for this connection")
        try:
            _check_address(address, dial.target.host, port, self._allow)
        except TargetRefused as refusal:
            # The client expects an OSError here and would lose any other one.
            dial.refusal = refusal
            raise PermissionError(errno.EPERM, "the address is refused") from None
        dial.dialled = True
        return self._way_out.open_socket(family, address, port)


class _CheckedResolver(AbstractResolver):
    """Asks the way out; one bad answer refuses the name, so that no attacker can mix and wait for the right one."""

    def __init__(self, allow: AllowList, way_out: Network) -> None:
        self._allow = allow
        self._way_out = way_out

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 the client's interface; always both families
    ) -> list[ResolveResult]:
        try:
            addresses = await self._way_out.resolve(host, port)
        except OSError as error:
            raise _unresolved(host, error) from None
        if not addresses:
            raise _unresolved(host, socket.gaierror(socket.EAI_NONAME))
        for address in addresses:
            _check_address(address, host, port, self._allow)
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Nothing to close: the way out is closed by its owner."""


async def _shown_certificate(
    raw: socket.socket, found: ResolveResult, target: Target, tls: ssl.SSLContext | None
) -> Certificate:
    """Raises: OSError, of which TLS errors are a kind."""
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (found["host"], found["port"]))
    context = tls or ssl.create_default_context()
    _, writer = await asyncio.open_connection(sock=raw, ssl=context, server_hostname=target.host)
    try:
        told = writer.get_extra_info("peercert")
    finally:
        writer.transport.abort()
    times = (datetime.fromtimestamp(ssl.cert_time_to_seconds(told[name]), UTC) for name in ("notBefore", "notAfter"))
    return Certificate(*times)


def _check_address(address: str, host: str, port: int, allow: AllowList) -> None:
    """Raise `TargetRefused` unless the address is on the public internet, or the operator allows the host and port.

    The message does not repeat the address: whoever may name a host could read an internal name server by it.
    """
    if (host, port) in allow:
        return
    try:
        why = why_refused(ip_address(address))
    except ValueError:
        why = "not an address"
    if why is not None:
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise TargetRefused.not_allowed(f"{host} leads to an address that is not public ({why})", authority)


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


def _unresolved(host: str, error: OSError) -> UpstreamUnreachable:
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return UpstreamUnreachable(f"The name {host} cannot be looked up at the moment. Is the network there?")
    return UpstreamUnreachable(f"There is no address for the name {host}.")


def _translated(error: Exception, target: Target, limits: Limits) -> EgressError:
    kind, sentence = next(
        (kind, sentence) for client_error, kind, sentence in _FAILURES if isinstance(error, client_error)
    )
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED:
        sentence = "{authority} refuses connections."
    return kind(sentence.format(authority=target.authority, connect=limits.connect, idle=limits.idle))
