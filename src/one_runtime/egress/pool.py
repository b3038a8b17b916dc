"""Send requests over a pool of HTTP connections. Only this module and `connector` use aiohttp's client."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, cast

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.http_exceptions import HttpProcessingError

from one_runtime.egress.bulkhead import Bulkhead
from one_runtime.egress.connector import CheckedResolver, Connector, Dial, TenantRequest, dialling
from one_runtime.egress.errors import (
    EgressError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from one_runtime.egress.hop import Hop
from one_runtime.egress.limits import Limits, PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.target import AllowList, Target, check

# Providers' security headers are long: aiohttp's own limit of 8190 bytes refuses some real responses.
_LONGEST_HEADER: Final = 16 * 1024
# aiohttp would add these headers itself. The module `hop` has already chosen the headers, so aiohttp must add none.
_NOT_BY_THE_CLIENT: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(frozen=True, slots=True)
class Certificate:
    """The validity period of a server's valid TLS certificate."""

    not_before: datetime
    not_after: datetime


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
        "The TLS certificate of {authority} is not valid or not trusted: {why}.",
    ),
    (aiohttp.ClientSSLError, UpstreamUnreachable, "The TLS handshake with {authority} failed: {why}."),
    (aiohttp.ClientConnectorError, UpstreamUnreachable, "{authority} cannot be reached over the network."),
    (aiohttp.ClientConnectionError, UpstreamUnreachable, "{authority} closed the connection before it answered."),
    (aiohttp.ClientPayloadError, UpstreamProtocolError, "{authority} sent an incomplete or malformed body."),
    (Exception, UpstreamProtocolError, "{authority} sent a malformed HTTP response."),
)


class Pool:
    """Connections whose IP addresses were checked.

    A different allow-list needs a new pool, because the IP address of an open connection is not checked again.
    """

    def __init__(
        self, allow: AllowList, network: Network, limits: PoolLimits, before_request: Callable[[], None] | None
    ) -> None:
        self._before_request = before_request
        self._allow = allow
        self._network = network
        self._limits = limits
        self._bulkhead = Bulkhead(limits.per_upstream, limits.per_tenant)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @asynccontextmanager
    async def exchange(
        self, hop: Hop, limits: Limits, tenant: str = "", deadline: float | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request and yield the response. The caller reads the body inside its `async with` block.

        Requests of different tenants never use the same network connection. A request without a tenant uses a new
        connection, which `exchange` closes.

        `deadline`: the time by `time.monotonic` after which `exchange` must not send the request.

        Raises:
            EgressError: the target is refused, or the request failed. If reading the body fails, the caller's block
                ends with an `EgressError` too.
        """
        if self._before_request is not None:
            self._before_request()
        check(hop.target, self._allow)
        place, connect = await self._bulkhead.acquire(hop.target, tenant, limits.connect)
        dial = Dial(hop.target, tenant, deadline)
        before = dialling.set(dial)
        try:
            # With a deadline, a longer wait for data needs no timer of its own. After a pause of the process, the timer
            # would end the request before the event loop reads the socket (`client._timeout`).
            idle = None if deadline is not None and limits.idle >= limits.total else limits.idle
            timeout = aiohttp.ClientTimeout(connect=connect, sock_read=idle)
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
            dialling.reset(before)
            place.release()

    async def _send(self, hop: Hop, timeout: aiohttp.ClientTimeout, dial: Dial) -> aiohttp.ClientResponse:
        """Send the request on an idle connection or on a new connection.

        A server can close an idle connection just before the request arrives (RFC 9112 section 9.3.1). After such a
        failure, send a request with a safe method and without a body once more.
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
        """Return the validity period of a server's TLS certificate. Make only a TLS handshake, without an HTTP request.

        Raises:
            EgressError: the target is refused or unreachable, or its certificate is not valid.
        """
        check(target, self._allow)
        failure = UpstreamUnreachable(f"The name {target.host} has no address.")
        # If the host is an IP address, the resolver checks the address once more, which does no harm.
        for resolved in await CheckedResolver(self._allow, self._network).resolve(target.host, target.port):
            try:
                with self._network.open_socket(resolved["family"], resolved["host"], resolved["port"]) as raw:
                    return await _peer_certificate(raw, resolved, target, self._network.tls)
            except ssl.SSLCertVerificationError as error:
                failure = UpstreamUnreachable(
                    f"The TLS certificate of {target.authority} is not valid: {_tls_reason(error)}."
                )
            except ConnectionRefusedError:
                failure = UpstreamUnreachable(f"{target.authority} refuses connections.")
            except OSError:
                failure = UpstreamUnreachable(f"No TLS connection to {target.authority} could be made.")
        raise failure

    async def require_allowed(self, target: Target, timeout: float) -> None:
        """Check the port, the name and the addresses of a target, without a connection. Ignore an unknown name.

        `timeout`: maximum number of seconds for the name resolution.

        Raises:
            TargetRefused: One Runtime sends no requests to this target.
        """
        check(target, self._allow)
        with suppress(UpstreamUnreachable, TimeoutError):
            async with asyncio.timeout(timeout):
                await CheckedResolver(self._allow, self._network).resolve(target.host, target.port)

    async def close(self) -> None:
        """Close every connection, even if a request uses the connection."""
        self._closed = True
        if self._session is not None:
            connector = cast("Connector | None", self._session.connector)  # None after the session is closed
            await self._session.close()
            if connector is not None:
                await connector.abort_single_use()

    def _new_session(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=Connector(self._allow, self._network, self._limits),
            request_class=TenantRequest,
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


def _translated(error: Exception, target: Target, limits: Limits) -> EgressError:
    kind, sentence = next(
        (kind, sentence) for client_error, kind, sentence in _FAILURES if isinstance(error, client_error)
    )
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED:
        sentence = "{authority} refuses connections."
    why = _tls_reason(error.os_error) if isinstance(error, aiohttp.ClientConnectorSSLError) else "unknown reason"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = _tls_reason(error.certificate_error)
    return kind(sentence.format(authority=target.authority, connect=limits.connect, idle=limits.idle, why=why))


def _tls_reason(error: Exception) -> str:
    """Return OpenSSL's reason, such as "self-signed certificate" or "wrong version number"."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return reason.lower().replace("_", " ") if reason else "unknown reason"
