"""Send outbound requests and follow redirects. The address checks run before each request and before each redirect."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from one_runtime.egress.body import content_encoding, read_body
from one_runtime.egress.errors import UpstreamProtocolError, UpstreamTimeout
from one_runtime.egress.header_names import TOKEN
from one_runtime.egress.hop import Body, Hop, first_hop, next_hop
from one_runtime.egress.limits import DEFAULT_LIMITS, DEFAULT_POOL_LIMITS, Limits, PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.observation import observed
from one_runtime.egress.response import Response, StreamedResponse
from one_runtime.egress.target import AllowList, Target, canonical_allow_list, parse

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from one_runtime.egress.pool import Certificate, Pool

_SHORTEST_LAST_LOOK: Final = 0.05
_LONGEST_LAST_LOOK: Final = 5.0
"""Limits of the seconds in which a request reads what has arrived, after its time has passed (`_timeout`)."""

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NAME: Final = re.compile(TOKEN.pattern.encode())


class _LazyPool:
    """A pool that does not exist before the first call of `get`, because most commands send no request.

    The import of aiohttp takes 60 ms. `pool` describes the arguments.
    """

    def __init__(
        self, allow: AllowList, network: Network, limits: PoolLimits, before_request: Callable[[], None] | None
    ) -> None:
        self.allow = allow
        self._network = network
        self._limits = limits
        self._before_request = before_request
        self._pool: Pool | None = None
        self._closed = False

    def without_allow_list(self) -> "_LazyPool":
        """Return another pool with the same network and limits, which connects only to the public internet."""
        return _LazyPool(frozenset(), self._network, self._limits, self._before_request)

    def get(self) -> "Pool":
        """Return the pool. The first call imports aiohttp."""
        if self._pool is None:
            from one_runtime.egress.pool import Pool  # noqa: PLC0415 - imports aiohttp

            if self._closed:
                raise RuntimeError("this egress is closed")
            self._pool = Pool(self.allow, self._network, self._limits, self._before_request)
        return self._pool

    async def close(self) -> None:
        """Close every connection, even if a request uses the connection."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()


class Egress:
    """Sends outbound requests. Two `Egress` objects share no connections and no limits, except for `for_tenant`.

    `tenant`: the id of the organization for which this object sends requests, or an empty text.
    """

    def __init__(
        self,
        *,
        allow: frozenset[tuple[str, int]] = frozenset(),
        network: Network | None = None,
        limits: Limits = DEFAULT_LIMITS,
        pool_limits: PoolLimits = DEFAULT_POOL_LIMITS,
        before_request: Callable[[], None] | None = None,
    ) -> None:
        """Create an egress without any open connection.

        Args:
            allow: pairs of host and port that requests may reach even if the host is not on the public internet.
            network: name resolution and sockets. A caller that passes a network must also close the network.
            limits: default limits of one request.
            pool_limits: limits that all requests share.
            before_request: a function that runs before each request and before each redirect. Tests pass a function
                that raises an error if a database transaction is open.

        Raises:
            ConfigurationError: an entry of `allow` is not a valid pair of host and port.
        """
        self.tenant = ""
        self._network = network or Network()
        self._owns_network = network is None
        self._limits = limits
        self._lazy_pool = _LazyPool(canonical_allow_list(allow), self._network, pool_limits, before_request)
        self._public: list[Egress] = []

    def prepare(self) -> None:
        """Import the HTTP client now. Otherwise, the first request of the process imports the HTTP client."""
        self._lazy_pool.get()

    @property
    def _pool(self) -> "Pool":
        return self._lazy_pool.get()

    def for_tenant(self, tenant: str) -> Self:
        """Return an egress for the requests of one tenant (organization), with the limits and the pool of this egress.

        Requests of different tenants never use the same network connection. An egress without a tenant opens a new
        connection for each request, and closes the connection after the response. Close only the original egress.
        """
        egress = object.__new__(type(self))
        vars(egress).update(vars(self), tenant=tenant)  # `copy.copy` does the same, but is slow
        return egress

    def public(self) -> Self:
        """Return an egress for URLs that anybody can choose: the operator's allow-list does not apply.

        The returned egress uses this network, but its own connections. Close only the original egress.
        """
        egress = object.__new__(type(self))
        vars(egress).update(vars(self), _lazy_pool=self._lazy_pool.without_allow_list())
        self._public.append(egress)
        return egress

    async def request(  # noqa: PLR0913 - one argument per property of the request
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        follow_redirects: bool = False,
        limits: Limits | None = None,
        integration: str = "",
    ) -> Response:
        """Send a request and read the whole response. Path and query stay byte for byte as the caller wrote them.

        `integration`: the slug of the integration, for metrics, spans and logs.

        Raises:
            TargetRefused: One Runtime must not send requests to this URL, or to the URL of a redirect.
            RequestRefused: One Runtime cannot send the method or a header.
            UpstreamUnreachable: One Runtime could not connect, or the connection broke.
            UpstreamTimeout: the server took too long.
            UpstreamTooLarge: the body exceeds the limit.
            UpstreamProtocolError: the response is not valid HTTP, or there are too many redirects.
        """
        limits = limits or self._limits
        deadline = time.monotonic() + limits.total
        with observed(method, integration) as observed_request:
            hop = first_hop(method, url, headers, body)
            try:
                async with _timeout(limits.total):
                    response = await self._follow(hop, limits, deadline, follow_redirects=follow_redirects)
            except TimeoutError:
                raise UpstreamTimeout(
                    f"{hop.target.authority} did not answer completely within {limits.total:g} seconds."
                ) from None
            observed_request.status = response.status
        return response

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        body: Body | None,
        limits: Limits,
        integration: str = "",
    ) -> AsyncIterator[StreamedResponse]:
        """Send a request unchanged and stream the response. Do not decode the response, and do not follow redirects.

        `integration`: the slug of the integration, for metrics, spans and logs.

        After the caller's `async with` block, `stream` returns the connection to the pool. If the caller has not read
        the whole body, `stream` closes the connection instead. The concurrent requests of a tenant (organization) to
        one host and port are limited (`PoolLimits.per_upstream`).

        Raises:
            EgressError: the request was refused or failed. If reading the body fails, the caller's block ends with an
                `EgressError` too.
        """
        with observed(method, integration) as observed_request:
            hop = first_hop(method, url, headers, body, unchanged=True)
            async with self._pool.exchange(hop, limits, self.tenant) as answer:
                observed_request.status = answer.status
                if answer.status > 599:
                    raise UpstreamProtocolError(
                        f"{hop.target.authority} answered {answer.status}, which is not an HTTP status."
                    )
                if not all(_NAME.fullmatch(name) for name, _ in answer.raw_headers):  # such as `Connection :`
                    raise UpstreamProtocolError(f"{hop.target.authority} sent a header whose name is not valid.")
                if any(_CONTROL.search(value) for _, value in answer.raw_headers):
                    raise UpstreamProtocolError(f"{hop.target.authority} sent a header with a control character.")
                yield StreamedResponse(answer.status, answer.raw_headers, answer.content.iter_any())

    async def certificate(self, url: str, *, limits: Limits | None = None) -> "Certificate":
        """Return the validity period of the TLS certificate at an https URL. Check the address as for a request.

        Raises:
            TargetRefused: One Runtime must not send requests to this URL.
            UpstreamUnreachable: the connection failed, or the certificate is not valid. The error's detail says why.
            UpstreamTimeout: the server took too long.
        """
        target, limits = parse(url), limits or self._limits
        try:
            async with asyncio.timeout(limits.total):
                return await self._pool.certificate(target)
        except TimeoutError:
            raise UpstreamTimeout(f"{target.authority} did not answer within {limits.total:g} seconds.") from None

    async def require_allowed(self, url: str) -> Target:
        """Check a URL without a request, and return the parsed URL. A name that cannot be resolved now is no error.

        Raises:
            TargetRefused: One Runtime sends no requests to this URL.
        """
        target = parse(url)
        await self._pool.require_allowed(target, self._limits.connect)
        return target

    def allows(self, target: Target) -> bool:
        """Return True if the operator's allow-list contains the host and port of a target."""
        return (target.host, target.port) in self._lazy_pool.allow

    async def close(self) -> None:
        """Close every connection. Every later request fails."""
        await self._lazy_pool.close()
        for egress in self._public:
            await egress._lazy_pool.close()  # noqa: SLF001 - of the same class
        if self._owns_network:
            self._network.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _follow(self, hop: Hop, limits: Limits, deadline: float, *, follow_redirects: bool) -> Response:
        redirects = 0
        while True:
            async with self._pool.exchange(hop, limits, self.tenant, deadline) as answer:
                following = next_hop(hop, answer.status, _location(answer)) if follow_redirects else None
                if following is None:
                    return await _read_response(answer, hop, limits)
            redirects += 1
            if redirects > limits.redirects:
                raise UpstreamProtocolError(f"{hop.target.authority} redirects more than {limits.redirects} times.")
            hop = following


@asynccontextmanager
async def _timeout(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError after some seconds, as `asyncio.timeout` does, but first read what has already arrived.

    While a process or its machine is suspended, responses arrive at the sockets. Afterwards, the event loop can run the
    timer before it reads the sockets. So if the timer runs late, extend the time by this delay.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    async with asyncio.timeout(None) as timeout:

        def end() -> None:
            late = loop.time() - deadline
            timeout.reschedule(loop.time() + min(max(late, _SHORTEST_LAST_LOOK), _LONGEST_LAST_LOOK))

        timer = loop.call_at(deadline, end)
        try:
            yield
        finally:
            timer.cancel()


async def _read_response(answer: "ClientResponse", hop: Hop, limits: Limits) -> Response:
    body = await read_body(answer, hop.target.authority, limits.body)
    # Content-Encoding and Content-Length describe the encoded body, but `Response` contains the decoded body.
    dropped = {b"content-encoding", b"content-length"} if content_encoding(answer) else set()
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in answer.raw_headers
        if name.lower() not in dropped
    )
    return Response(answer.status, headers, body)


def _location(answer: "ClientResponse") -> str | None:
    locations = (value.decode("latin-1") for name, value in answer.raw_headers if name.lower() == b"location")
    return next(locations, None)
